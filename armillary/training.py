"""The training loop of the encoder: loss, batches, augmentation, schedule, checkpoints, resume.

A run is a function of its settings and seed: the order of the data and every flip come from a generator
seeded by (seed, epoch), so a run that was killed and resumed ends where an uninterrupted one ends.
"""

import csv
import math
import os
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from armillary.networks.bliss import BlissEncoder
from armillary.networks.sources import OUTPUTS, SourceEncoder
from armillary.scoring import average_precision
from armillary.step import announce
from armillary.tiles import decode_pixels

ARCHITECTURES = {"sources": SourceEncoder, "bliss": BlissEncoder}
HISTORY = ["epoch", "step", "seconds", "learning_rate", "train_loss", "validation_loss", "validation_pr_auc"]
REDSHIFT_SCALE = (0.45, 0.15)  # mean and spread that the redshift output is measured in
LN_RICHNESS_SCALE = (3.5, 0.4)
LOSS_WEIGHTS = {"membership": 1.0, "centre": 4.0, "offset": 0.2, "redshift": 0.25, "richness": 0.15}
LABELS = ("membership", "centre", "centre_offset", "cluster_redshift", "ln_richness", "weight")


def build_network(
    architecture: str, *, n_bands: int, tile_pixels: int, width: int, pixel_arcsec: float, seed: int
) -> nn.Module:  # fmt: skip
    """A freshly initialised network; the generator of torch is forked, not touched.

    `tile_pixels` and `pixel_arcsec` are in binned pixels. All networks share four methods: prepare(coded, sky_sigma)
    of one field, turned(...) and without_bands(...) of what that gives, and forward of a list of them.
    """
    if architecture not in ARCHITECTURES:
        raise ValueError(
            f"clusters: train_encoder: architecture is {architecture!r}; known: {', '.join(ARCHITECTURES)}"
        )
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(seed)
        return ARCHITECTURES[architecture](n_bands, tile_pixels, width, pixel_arcsec)


class Fields:
    """Fields of several `.pt` files as one set; each is prepared by the network once, when it is first used."""

    def __init__(self, files: list[dict], network: nn.Module):
        self.files, self.network = files, network
        self.places = [(f, k) for f, data in enumerate(files) for k in range(len(data["field"]))]
        self.prepared = {}

    def __len__(self) -> int:
        return len(self.places)

    def inputs(self, index: int):
        """What the network takes of one field. Sources are kept; an image is read again each time."""
        if index in self.prepared:
            return self.prepared[index]
        f, k = self.places[index]
        coded = decode_pixels(self.files[f]["images"][k])
        prepared = self.network.prepare(coded, self.files[f]["sky_sigma"][k])
        if not isinstance(prepared, Tensor):
            self.prepared[index] = prepared
        return prepared

    def batch(self, indices) -> tuple[list, dict[str, Tensor]]:
        """Inputs of these fields and their labels (B, T, T, n)."""
        places = [self.places[i] for i in indices]
        labels = {
            name: torch.stack([self.files[f]["tile_catalog"][name][k][:, :, 0] for f, k in places]).float()
            for name in LABELS
        }
        return [self.inputs(i) for i in indices], labels

    def labels(self, name: str) -> Tensor:
        return torch.cat([data["tile_catalog"][name][:, :, :, 0] for data in self.files])


def turn_labels(labels: dict[str, Tensor], n_quarter_turns: int, flipped: bool) -> dict[str, Tensor]:
    """Labels (B, T, T, n) after quarter turns (`torch.rot90` of rows and columns) and then a flip of x."""
    turned = {name: torch.rot90(value, n_quarter_turns, (1, 2)) for name, value in labels.items()}
    x, y = turned["centre_offset"].unbind(-1)
    for _ in range(n_quarter_turns % 4):
        x, y = y, 1 - x  # rot90 carries (row, column) to (N - 1 - column, row)
    turned["centre_offset"] = torch.stack([1 - x if flipped else x, y], -1)
    return {name: value.flip(2) for name, value in turned.items()} if flipped else turned


def dropped_bands(n_bands: int, band_drop: float, rng: np.random.Generator) -> list[int]:
    """Each band with probability `band_drop`, never all of them."""
    kept = int(rng.integers(n_bands))
    return [band for band in range(n_bands) if rng.random() < band_drop and band != kept]


def tile_loss(outputs: Tensor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Negative log-likelihood of each variational factor, averaged over tiles.

    Membership and centre are Bernoulli; redshift and ln richness are Laplace in tiles that have a member
    (their scale is the network's own error estimate, as a Gaussian sigma); the offset is squared error.
    """
    o = dict(zip(OUTPUTS, outputs.unbind(1), strict=True))  # each (B, T, T)
    member, centre = batch["membership"][..., 0], batch["centre"][..., 0]
    offset = torch.stack([o["offset_x"], o["offset_y"]], -1).sigmoid()
    near = F.max_pool2d(centre, 3, 1, 1) * member  # tiles where the estimates of a detection are read off
    weight = member * (0.3 + near)
    n_weighted, n_centres = weight.sum().clamp(min=1), centre.sum().clamp(min=1)
    redshift = laplace_nll(o["redshift"], o["redshift_ln_error"], standard(batch["cluster_redshift"], REDSHIFT_SCALE))
    richness = laplace_nll(
        o["ln_richness"], o["ln_richness_ln_error"], standard(batch["ln_richness"], LN_RICHNESS_SCALE)
    )
    return {
        "membership": F.binary_cross_entropy_with_logits(o["membership_logit"], member),
        "centre": F.binary_cross_entropy_with_logits(o["centre_logit"], centre),
        "offset": (((offset - batch["centre_offset"]) ** 2).sum(-1) * centre).sum() / n_centres,
        "redshift": (redshift * weight).sum() / n_weighted,
        "richness": (richness * weight).sum() / n_weighted,
    }


def standard(value: Tensor, scale: tuple[float, float]) -> Tensor:
    """(B, T, T, 1) -> (B, T, T), in units of the output's spread."""
    return (value[..., 0] - scale[0]) / scale[1]


def laplace_nll(mean: Tensor, ln_sigma: Tensor, target: Tensor) -> Tensor:
    """Negative log-likelihood of a Laplace law whose standard deviation is exp(ln_sigma)."""
    ln_scale = ln_sigma.clamp(-5, 3) - 0.5 * math.log(2)
    return (mean - target).abs() * torch.exp(-ln_scale) + ln_scale


def total_loss(parts: dict[str, Tensor]) -> Tensor:
    """The parts of the loss, summed with LOSS_WEIGHTS."""
    return sum(LOSS_WEIGHTS[name] * value for name, value in parts.items())


def pick_precision(precision: str, device: str) -> torch.dtype:
    """bfloat16 where the hardware multiplies in it, float32 elsewhere, for precision "auto"."""
    if precision != "auto":
        return {"bfloat16": torch.bfloat16, "float32": torch.float32}[precision]
    if device == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32


def autocast(device: str, dtype: torch.dtype):
    """The context in which a network computes in `dtype`; float32 needs none."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device, dtype)


def to_device(prepared, device: str):
    """One prepared input on the device: a tensor, or a tuple whose first item is the tensor."""
    return prepared.to(device) if isinstance(prepared, Tensor) else (prepared[0].to(device), *prepared[1:])


def evaluate(
    network: nn.Module, fields: Fields, batch_size: int, device: str, dtype: torch.dtype
) -> tuple[float, Tensor]:
    """Mean loss over all fields and the raw outputs (N, n_outputs, T, T)."""
    network.eval()
    outputs, losses = [], []
    with torch.inference_mode(), autocast(device, dtype):
        for start in range(0, len(fields), batch_size):
            inputs, labels = fields.batch(range(start, min(start + batch_size, len(fields))))
            out = network([to_device(one, device) for one in inputs]).cpu()
            outputs.append(out)
            losses.append(float(total_loss(tile_loss(out, labels))) * len(out))
    return sum(losses) / len(fields), torch.cat(outputs)


def fit(
    network: nn.Module, train: Fields, validation: Fields, *, folder: str, n_epochs: int, batch_size: int,
    learning_rate: float, weight_decay: float, band_drop: float, patience: int, precision: str, seed: int,
    device: str, fingerprint: str, tensorboard: str | None = None,
) -> list[dict]:  # fmt: skip
    """Train `network` in place to its best epoch by validation loss; return the history, one row an epoch.

    After every epoch the whole state goes to `folder`/last.ckpt; a run with the same `fingerprint` goes on from there.
    Stops early after `patience` epochs without a better validation loss.
    """
    dtype = pick_precision(precision, device)
    network.to(device, memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters(), learning_rate, weight_decay=weight_decay)
    n_steps = math.ceil(len(train) / batch_size) * n_epochs
    n_warmup = max(min(n_steps // 20, 200), 1)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda s: min((s + 1) / n_warmup, 0.5 * (1 + math.cos(math.pi * min(s / n_steps, 1)))) + 1e-3,
    )
    state = {"epoch": 0, "history": [], "best_loss": math.inf, "best": None, "fingerprint": fingerprint}
    last = Path(folder) / "last.ckpt"
    if last.exists():
        state = _resume(last, state, network, optimiser, schedule)
    writer = _tensorboard(tensorboard, state["epoch"])
    started = time.monotonic() - (state["history"][-1]["seconds"] if state["history"] else 0)
    for epoch in range(state["epoch"], n_epochs):
        if _stalled(state["history"], patience):
            announce(f"early stop: no better validation loss in {patience} epochs")
            break
        train_loss = _train_epoch(
            network, train, optimiser, schedule, epoch, batch_size, band_drop, seed, device, dtype
        )
        validation_loss, outputs = evaluate(network, validation, batch_size, device, dtype)
        score = average_precision(outputs[:, 0].numpy().ravel(), validation.labels("membership").numpy().ravel())
        row = {
            "epoch": epoch + 1,
            "step": (epoch + 1) * n_steps // n_epochs,
            "seconds": round(time.monotonic() - started, 1),
            "learning_rate": schedule.get_last_lr()[0],
            "train_loss": train_loss,
            "validation_loss": validation_loss,
            "validation_pr_auc": score,
        }
        state["history"].append(row)
        if validation_loss < state["best_loss"]:
            state |= {
                "best_loss": validation_loss,
                "best": {k: v.clone() for k, v in network.state_dict().items()},
            }
        state["epoch"] = epoch + 1
        _save(
            last,
            {
                **state,
                "network": network.state_dict(),
                "optimiser": optimiser.state_dict(),
                "schedule": schedule.state_dict(),
            },
        )
        _log_epoch(writer, row, n_epochs)
    network.load_state_dict(state["best"])
    return state["history"]


def _train_epoch(network, train, optimiser, schedule, epoch, batch_size, band_drop, seed, device, dtype) -> float:
    network.train()
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(train))
    losses = []
    for start in range(0, len(order), batch_size):
        inputs, labels = train.batch(order[start : start + batch_size])
        n_turns, flipped = int(rng.integers(4)), bool(rng.integers(2))
        inputs = [network.turned(one, n_turns, flipped) for one in inputs]
        inputs = [network.without_bands(one, dropped_bands(network.n_bands, band_drop, rng)) for one in inputs]
        labels = {name: value.to(device) for name, value in turn_labels(labels, n_turns, flipped).items()}
        with autocast(device, dtype):
            outputs = network([to_device(one, device) for one in inputs])
        loss = total_loss(tile_loss(outputs, labels))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
    return float(np.mean(losses))


def _stalled(history: list[dict], patience: int) -> bool:
    losses = [row["validation_loss"] for row in history]
    return len(losses) > patience and min(losses[-patience:]) >= min(losses[:-patience])


def _resume(last: Path, state: dict, network, optimiser, schedule) -> dict:
    saved = torch.load(last, weights_only=True)
    if saved["fingerprint"] != state["fingerprint"]:
        announce(f"{last} belongs to other settings or data; training starts afresh")
        return state
    network.load_state_dict(saved.pop("network"))
    optimiser.load_state_dict(saved.pop("optimiser"))
    schedule.load_state_dict(saved.pop("schedule"))
    announce(f"resumed after epoch {saved['epoch']} from {last}")
    return saved


def _save(path: Path, state: dict) -> None:
    """Write a checkpoint under another name first, so that a kill leaves the old one whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(".unfinished-" + path.name)
    torch.save(state, hidden)
    os.replace(hidden, path)


def _tensorboard(folder: str | None, purge_step: int):
    if folder is None:
        return None
    from torch.utils.tensorboard import SummaryWriter  # slow to import, so only where it is used

    return SummaryWriter(folder, purge_step=purge_step or None)


def _log_epoch(writer, row: dict, n_epochs: int) -> None:
    left = row["seconds"] / row["epoch"] * (n_epochs - row["epoch"])
    announce(
        f"epoch {row['epoch']}/{n_epochs}: loss {row['train_loss']:.4f}, validation loss "
        f"{row['validation_loss']:.4f}, PR-AUC {row['validation_pr_auc']:.3f}, "
        f"{row['seconds']:.0f} s, at most {left:.0f} s left"
    )
    if writer is not None:
        for name in HISTORY[3:]:
            writer.add_scalar(name, row[name], row["epoch"])
        writer.flush()


def write_history(path: str, history: list[dict]) -> None:
    """One row an epoch, columns HISTORY."""
    with open(path, "w", newline="") as stream:
        table = csv.DictWriter(stream, HISTORY)
        table.writeheader()
        table.writerows(history)
