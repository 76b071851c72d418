"""The training loop of the CMB networks: regression or conditional adversarial training, spectrum loss, resume.

A run is a function of its settings, seed and number of threads: order, turns and noise come from generators seeded by
(seed, epoch, step), so a run that was killed and resumed ends where an uninterrupted one ends (dropout is seeded by
epoch). Another number of threads sums in another order; rounding grows over the steps as another seed would, and the
spread between trainings from several seeds, which errors hold, covers it.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from armillary.checkpoints import write_checkpoint
from armillary.cmb_losses import pixel_loss, spectrum_loss
from armillary.distributed import any_process_says, as_first_process_says, averaging_gradients, rank_and_size
from armillary.interruption import Interrupted
from armillary.map_sets import MapSet, augmented
from armillary.precision import autocast, pick_precision, rate_at
from armillary.step import announce

HISTORY = [
    "epoch", "step", "seconds", "learning_rate", "train_loss", "validation_loss", "start_loss", "spectrum_loss",
    "adversarial_loss", "discriminator_loss",
]  # fmt: skip


class Settings(NamedTuple):
    """How a network is trained; the words are those of the config."""

    epochs: int
    pretraining_epochs: int
    batch_size: int
    learning_rate: float
    discriminator_learning_rate: float
    loss: str
    lambda_: float
    discriminator_interval: int
    spectra_weight: float
    augment: bool
    periodic: bool
    patience: int
    precision: str
    seed: int


def evaluate(
    network: nn.Module, data: MapSet, settings: Settings, device: str, dtype: torch.dtype
) -> tuple[float, float]:
    """Pixel and spectrum loss of a whole set."""
    network.eval()
    losses, spectra, weights = [], [], []
    with torch.inference_mode():
        for inputs, targets in zip(data.inputs.split(16), data.targets.split(16), strict=True):
            with autocast(device, dtype):
                outputs = network(inputs.to(device)).float().cpu()
            losses.append(float(pixel_loss(outputs, targets, settings.loss)))
            spectra.append(float(spectrum_loss(outputs, targets)))
            weights.append(len(inputs))
    return float(np.average(losses, weights=weights)), float(np.average(spectra, weights=weights))


class Players(NamedTuple):
    """Generator and, in adversarial training, discriminator, with their optimisers and schedules."""

    generator: nn.Module
    discriminator: nn.Module | None
    optimisers: dict[str, torch.optim.Optimizer]
    schedule: torch.optim.lr_scheduler.LambdaLR

    def state(self) -> dict:
        """All that a resumed run needs of them."""
        parts = {
            "generator": self.generator,
            "schedule": self.schedule,
            **{f"optimiser_{k}": v for k, v in self.optimisers.items()},
        }
        if self.discriminator is not None:
            parts["discriminator"] = self.discriminator
        return {name: part.state_dict() for name, part in parts.items()}

    def load(self, saved: dict) -> None:
        """The inverse of `state`."""
        self.generator.load_state_dict(saved["generator"])
        self.schedule.load_state_dict(saved["schedule"])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(saved[f"optimiser_{name}"])
        if self.discriminator is not None:
            self.discriminator.load_state_dict(saved["discriminator"])


def make_players(generator: nn.Module, discriminator: nn.Module | None, settings: Settings, n_steps: int) -> Players:
    """Adam with the momentum of pix2pix where there is a discriminator, AdamW with a cosine schedule where not."""
    if discriminator is None:
        optimiser = torch.optim.AdamW(generator.parameters(), settings.learning_rate, weight_decay=0.01)
        optimisers = {"generator": optimiser}
        rate = lambda step: rate_at(step, n_steps)  # noqa: E731
    else:
        optimisers = {
            "generator": torch.optim.Adam(generator.parameters(), settings.learning_rate, betas=(0.5, 0.999)),
            "discriminator": torch.optim.Adam(
                discriminator.parameters(), settings.discriminator_learning_rate, betas=(0.5, 0.999)
            ),
        }
        rate = lambda step: 1.0  # noqa: E731
    schedule = torch.optim.lr_scheduler.LambdaLR(optimisers["generator"], rate)
    return Players(generator, discriminator, optimisers, schedule)


def fit(
    generator: nn.Module, discriminator: nn.Module | None, train: MapSet, validation: MapSet, settings: Settings, *,
    folder: str, device: str, fingerprint: str, why_stop: Callable[[], str] = lambda: "",
) -> list[dict]:  # fmt: skip
    """Train `generator` in place to its best epoch by validation loss; return the history, one row an epoch.

    After every epoch the whole state goes to `folder`/last.ckpt; a run with the same `fingerprint` goes on from there,
    also one that ended with Interrupted because `why_stop` (see `armillary.interruption`) gave a reason.
    In a group of processes (see `armillary.distributed`) each takes its share of every batch, and the first one writes.
    """
    dtype = pick_precision(settings.precision, device)
    n_steps = math.ceil(len(train.inputs) / settings.batch_size) * settings.epochs
    generator.to(device)
    players = make_players(generator, None if discriminator is None else discriminator.to(device), settings, n_steps)
    state = {"epoch": 0, "history": [], "best_loss": math.inf, "best": None, "fingerprint": fingerprint}
    last = Path(folder) / "last.ckpt"
    if last.exists():
        state = _resumed(last, state, players)
    started = time.monotonic() - (state["history"][-1]["seconds"] if state["history"] else 0)
    start_loss = float(pixel_loss(torch.zeros_like(validation.targets), validation.targets, settings.loss))
    models = [averaging_gradients(generator), discriminator and averaging_gradients(discriminator)]
    for epoch in range(state["epoch"], settings.epochs):
        if _stalled(state["history"], settings.patience):
            announce(f"early stop: no better validation loss in {settings.patience} epochs")
            break
        means = _train_epoch(models, players, train, settings, epoch, device, dtype, why_stop)
        validation_loss, spectra = evaluate(generator, validation, settings, device, dtype)
        validation_loss = as_first_process_says(validation_loss)
        state["history"].append({
            "epoch": epoch + 1, "step": (epoch + 1) * n_steps // settings.epochs,
            "seconds": round(time.monotonic() - started, 1), "learning_rate": players.schedule.get_last_lr()[0],
            "validation_loss": validation_loss, "start_loss": start_loss, "spectrum_loss": spectra, **means,
        })  # fmt: skip
        if validation_loss < state["best_loss"]:
            best = {name: value.detach().clone() for name, value in generator.state_dict().items()}
            state |= {"best_loss": validation_loss, "best": best}
        state["epoch"] = epoch + 1
        if rank_and_size()[0] == 0:
            write_checkpoint(last, state | players.state())
            _announce_epoch(state["history"][-1], settings.epochs)
    generator.load_state_dict(state["best"])
    return state["history"]


def _train_epoch(
    models, players: Players, train: MapSet, settings: Settings, epoch: int, device: str, dtype, why_stop
) -> dict:
    """One pass over the training maps; mean losses by their names in the history."""
    players.generator.train()
    adversarial = players.discriminator is not None and epoch >= settings.pretraining_epochs
    order = np.random.default_rng([settings.seed, epoch]).permutation(len(train.inputs))
    rank, n_processes = rank_and_size()
    sums = {"train_loss": [], "adversarial_loss": [], "discriminator_loss": []}
    with torch.random.fork_rng(devices=[device] if device.startswith("cuda") else []):
        _seed_dropout(settings.seed * 100_003 + epoch * 1009 + rank, device)
        for number, start in enumerate(range(0, len(order) - n_processes + 1, settings.batch_size)):
            places = order[start : start + settings.batch_size][rank::n_processes]
            inputs, targets = (maps.to(device) for maps in _batch(train, places, settings, epoch))
            with autocast(device, dtype):
                outputs = models[0](inputs)
            outputs = outputs.float()
            if adversarial and number % settings.discriminator_interval == 0:
                judged = _judge(models[1], inputs, targets, outputs.detach(), device, dtype)
                _step(players.optimisers["discriminator"], judged)
                sums["discriminator_loss"].append(judged.item())
            pixel = pixel_loss(outputs, targets, settings.loss)
            # the whole loss over lambda: the adversarial and spectrum terms weigh 1 / lambda each
            extra = settings.spectra_weight * spectrum_loss(outputs, targets) if settings.spectra_weight else 0.0
            if adversarial:
                with autocast(device, dtype):
                    believed = models[1](inputs, outputs).float()
                fooled = F.binary_cross_entropy_with_logits(believed, torch.ones_like(believed))
                sums["adversarial_loss"].append(fooled.item())
                extra = extra + fooled
            clipped = players.generator if players.discriminator is None else None
            _step(players.optimisers["generator"], pixel + extra / settings.lambda_, clipped)
            players.schedule.step()
            sums["train_loss"].append(pixel.item())
            why = why_stop()
            if any_process_says(bool(why), device):
                raise Interrupted(
                    f"{why or 'another process was stopped'} in epoch {epoch + 1}; the same command goes on"
                )
    return {name: float(np.mean(values)) if values else math.nan for name, values in sums.items()}


def _seed_dropout(seed: int, device: str) -> None:
    """Seed the generators that dropout draws from, inside a fork of them."""
    torch.random.default_generator.manual_seed(seed)
    if device.startswith("cuda"):
        torch.cuda.default_generators[torch.device(device).index or 0].manual_seed(seed)


def _batch(train: MapSet, places: np.ndarray, settings: Settings, epoch: int) -> tuple[Tensor, Tensor]:
    if not settings.augment:
        index = torch.from_numpy(places)
        return train.inputs[index], train.targets[index]
    pairs = [
        augmented(
            train.inputs[place : place + 1], train.targets[place : place + 1], train, periodic=settings.periodic,
            rng=np.random.default_rng([settings.seed, epoch, place]),
        )
        for place in places.tolist()
    ]  # fmt: skip
    return torch.cat([pair[0] for pair in pairs]), torch.cat([pair[1] for pair in pairs])


def _judge(discriminator, inputs: Tensor, targets: Tensor, outputs: Tensor, device: str, dtype) -> Tensor:
    """Half the cross-entropies of true and of generated targets."""
    with autocast(device, dtype):
        true, false = discriminator(inputs, targets).float(), discriminator(inputs, outputs).float()
    right = F.binary_cross_entropy_with_logits(true, torch.ones_like(true))
    wrong = F.binary_cross_entropy_with_logits(false, torch.zeros_like(false))
    return 0.5 * (right + wrong)


def _step(optimiser: torch.optim.Optimizer, loss: Tensor, clipped: nn.Module | None = None) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    if clipped is not None:
        nn.utils.clip_grad_norm_(clipped.parameters(), 1.0)
    optimiser.step()


def _stalled(history: list[dict], patience: int) -> bool:
    losses = [row["validation_loss"] for row in history]
    return len(losses) > patience and min(losses[-patience:]) >= min(losses[:-patience])


def _resumed(last: Path, state: dict, players: Players) -> dict:
    saved = torch.load(last, weights_only=True)
    if saved["fingerprint"] != state["fingerprint"]:
        announce(f"{last} belongs to other settings, data or code; training starts afresh")
        return state
    players.load(saved)
    announce(f"resumed after epoch {saved['epoch']} from {last}")
    return {name: saved[name] for name in state}


def _announce_epoch(row: dict, n_epochs: int) -> None:
    left = row["seconds"] / row["epoch"] * (n_epochs - row["epoch"])
    announce(
        f"epoch {row['epoch']}/{n_epochs}: loss {row['train_loss']:.4f}, validation loss {row['validation_loss']:.4f}, "
        f"{row['seconds']:.0f} s, at most {left:.0f} s left"
    )
