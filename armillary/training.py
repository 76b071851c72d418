"""The training loop of the encoder: loss, schedule, checkpoints, resume.

A run is a function of its settings and seed: the order of the data and every flip come from generators
seeded by (seed, epoch, step), so a run that was killed at any step and resumed ends where an uninterrupted one ends.
"""

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from armillary.checkpoints import write_checkpoint
from armillary.distributed import any_process_says, as_first_process_says, averaging_gradients, rank_and_size
from armillary.encoder_data import LABELS, Fields, augmented
from armillary.interruption import Interrupted
from armillary.networks.bliss import BlissEncoder
from armillary.networks.sources import LN_RICHNESS_SCALE, OUTPUTS, REDSHIFT_SCALE, SourceEncoder
from armillary.precision import autocast, pick_precision, rate_at
from armillary.scoring import average_precision
from armillary.step import announce
from armillary.training_log import tensorboard_writer

ARCHITECTURES = {"sources": SourceEncoder, "bliss": BlissEncoder}
HISTORY = ["epoch", "step", "seconds", "learning_rate", "train_loss", "validation_loss", "validation_pr_auc"]
SAVE_EVERY_SECONDS = 300.0  # within an epoch: what a job that is killed without warning loses at most
LOSS_WEIGHTS = {"membership": 3.0, "centre": 12.0, "offset": 0.2, "redshift": 0.25, "richness": 0.15}


def build_network(
    architecture: str, *, n_bands: int, tile_pixels: int, width: int, pixel_arcsec: float, seed: int
) -> nn.Module:  # fmt: skip
    """A freshly initialised network; the generator of torch is forked, not touched.

    `tile_pixels` and `pixel_arcsec` are in binned pixels. All networks share five methods: prepare(coded, sky_sigma)
    of one field, cropped(...), turned(...) and without_bands(...) of what that gives, and forward of a list of them.
    """
    if architecture not in ARCHITECTURES:
        raise ValueError(
            f"clusters: train_encoder: architecture is {architecture!r}; known: {', '.join(ARCHITECTURES)}"
        )
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(seed)
        return ARCHITECTURES[architecture](n_bands, tile_pixels, width, pixel_arcsec)


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


def to_device(prepared, device: str):
    """One prepared input on the device: a tensor, or a tuple whose first item is the tensor."""
    return prepared.to(device) if isinstance(prepared, Tensor) else (prepared[0].to(device), *prepared[1:])


def evaluate(network: nn.Module, fields: Fields, device: str, dtype: torch.dtype) -> tuple[float, Tensor]:
    """Mean loss over all fields and the raw outputs (N, n_outputs, T, T)."""
    network.eval()
    outputs, losses = [], []
    with torch.inference_mode(), autocast(device, dtype):
        for prepared, labels in map(fields.field, range(len(fields))):
            outputs.append(network([to_device(prepared, device)]).cpu())
            losses.append(float(total_loss(tile_loss(outputs[-1], labels))))
    return float(np.mean(losses)), torch.cat(outputs)


class Settings(NamedTuple):
    """How an encoder is trained; the words are those of the config."""

    n_epochs: int
    batch_size: int
    n_tiles: int  # along a side of the squares that training sees
    learning_rate: float
    weight_decay: float
    band_drop: float
    patience: int
    precision: str
    seed: int


def fit(
    network: nn.Module, train: Fields, validation: Fields, settings: Settings, *, folder: str, device: str,
    fingerprint: str, tensorboard: str | None = None, why_stop: Callable[[], str] = lambda: "",
) -> list[dict]:  # fmt: skip
    """Train `network` in place to its best epoch by validation loss; return the history, one row an epoch.

    A step sees `batch_size` squares of `n_tiles` tiles, each of another field; validation sees whole fields.
    After every epoch, every SAVE_EVERY_SECONDS, and when `why_stop` (see `armillary.interruption`) gives a reason, the
    whole state goes to `folder`/last.ckpt; a run with the same `fingerprint` goes on from there, at the next step.
    Stops early after `patience` epochs without a better validation loss. In a group of processes (see
    `armillary.distributed`) each takes its share of every step, and the first one writes.
    """
    dtype = pick_precision(settings.precision, device)
    network.to(device)
    optimiser = torch.optim.AdamW(
        network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    n_steps = math.ceil(len(train) * n_crops(train, settings.n_tiles) / settings.batch_size) * settings.n_epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate_at(step, n_steps))
    state = {"epoch": 0, "losses": [], "seconds": 0.0, "history": [], "best_loss": math.inf, "best": None}
    state["fingerprint"] = fingerprint
    last = Path(folder) / "last.ckpt"
    if last.exists():
        state = _resume(last, state, network, optimiser, schedule)
    is_first = rank_and_size()[0] == 0
    writer = tensorboard_writer(tensorboard if is_first else None, state["epoch"])
    model = averaging_gradients(network)
    saved = time.monotonic()
    started = saved - state["seconds"]

    def save() -> None:
        nonlocal saved
        saved = time.monotonic()
        parts = {"network": network, "optimiser": optimiser, "schedule": schedule}
        if is_first:
            state["seconds"] = saved - started
            write_checkpoint(last, state | {name: part.state_dict() for name, part in parts.items()})

    for epoch in range(state["epoch"], settings.n_epochs):
        if _stalled(state["history"], settings.patience):
            announce(f"early stop: no better validation loss in {settings.patience} epochs")
            break
        steps = _train_epoch(
            network, model, train, settings, optimiser, schedule, epoch, device, dtype, len(state["losses"])
        )
        for loss in steps:
            state["losses"].append(loss)
            why = why_stop()
            if any_process_says(bool(why), device):
                save()
                where = f"stopped in epoch {epoch + 1} after step {len(state['losses'])}"
                raise Interrupted(f"{why or 'another process was stopped'}; {where}; {last} goes on from there")
            if time.monotonic() > saved + SAVE_EVERY_SECONDS:
                save()
        validation_loss, outputs = evaluate(network, validation, device, dtype)
        validation_loss = as_first_process_says(validation_loss)
        score = average_precision(outputs[:, 0].numpy().ravel(), validation.labels("membership").numpy().ravel())
        row = {
            "epoch": epoch + 1,
            "step": (epoch + 1) * n_steps // settings.n_epochs,
            "seconds": round(time.monotonic() - started, 1),
            "learning_rate": schedule.get_last_lr()[0],
            "train_loss": float(np.mean(state["losses"])),
            "validation_loss": validation_loss,
            "validation_pr_auc": score,
        }
        state["history"].append(row)
        if validation_loss < state["best_loss"]:
            best = {name: value.clone() for name, value in network.state_dict().items()}
            state |= {"best_loss": validation_loss, "best": best}
        state |= {"epoch": epoch + 1, "losses": []}
        save()
        if is_first:
            _log_epoch(writer, row, settings.n_epochs)
    network.load_state_dict(state["best"])
    return state["history"]


def _train_epoch(network, model, train, settings, optimiser, schedule, epoch, device, dtype, n_done) -> Iterator[float]:
    """One pass over the training fields by `model`, the network as its processes share it, but for the first `n_done`
    steps; the loss of every step."""
    network.train()
    order = np.repeat(np.arange(len(train)), n_crops(train, settings.n_tiles))
    order = np.random.default_rng([settings.seed, epoch]).permutation(order)
    rank, n_processes = rank_and_size()
    for start in range(0, len(order) - n_processes + 1, settings.batch_size)[n_done:]:
        drawn = [
            augmented(
                network, *train.field(order[place]), n_tiles=settings.n_tiles, band_drop=settings.band_drop,
                rng=np.random.default_rng([settings.seed, epoch, place]),
            )
            for place in range(start + rank, min(start + settings.batch_size, len(order)), n_processes)
        ]  # fmt: skip
        labels = {name: torch.cat([field[name] for _, field in drawn]).to(device) for name in LABELS}
        with autocast(device, dtype):
            outputs = model([to_device(one, device) for one, _ in drawn])
        loss = total_loss(tile_loss(outputs, labels))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        yield float(loss.detach())


def n_crops(train: Fields, n_tiles: int) -> int:
    """How often an epoch draws each field: as often as crops of `n_tiles` fit into it side by side."""
    return (train.n_tiles // n_tiles) ** 2


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
    announce(f"resumed after epoch {saved['epoch']} and {len(saved['losses'])} steps more from {last}")
    return saved


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
