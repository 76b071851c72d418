"""The training loop of masked networks: schedule, gradient accumulation, running averages, resume, monitors.

A run is a function of its settings and seed: rows, turns, masks and noise of a step come from generators seeded by
(seed, step), so a run that was killed and resumed ends where an uninterrupted one ends.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from armillary.checkpoints import read_checkpoint, write_checkpoint
from armillary.distributed import any_process_says, averaging_gradients, rank_and_size
from armillary.files_cutouts import CutoutFile
from armillary.interruption import Interrupted
from armillary.mim_batches import Batch, Scale, batches_in_order, make_batch, rows_of_step
from armillary.mim_losses import Loss, masked_loss
from armillary.networks.masked_vit import MaskedViT, draw_hidden
from armillary.precision import autocast, pick_precision
from armillary.step import announce
from armillary.training_log import tensorboard_writer

HISTORY = [
    "step", "seconds", "learning_rate", "train_loss", "train_floor", "validation_loss", "validation_floor",
    "class_accuracy", "redshift_r2",
]  # fmt: skip
SAVE_EVERY_SECONDS = 300.0
MASK_STREAM, AUGMENT_STREAM = 1, 2


class Settings(NamedTuple):
    """How a network is trained; the words are those of the config."""

    n_steps: int
    batch_size: int
    n_accumulated: int
    learning_rate: float
    final_rate_factor: float
    warmup_fraction: float
    weight_decay: float
    gradient_clip: float
    mask_ratio: float
    band_drop: float
    loss: str
    softening: float
    normalize_patches: bool
    augment: bool
    extra_noise: float
    ema_decay: float
    n_evaluations: int
    n_validation: int
    precision: str
    seed: int


class Run(NamedTuple):
    """What the loop works on: the network, its scale, the files, and where its state lives."""

    network: MaskedViT
    scale: Scale
    train: CutoutFile
    validation: CutoutFile
    folder: str
    fingerprint: str
    tensorboard: str | None


def fit(
    run: Run, settings: Settings, *, device: str, why_stop: Callable[[], str] = lambda: "",
    monitor: Callable[[list[dict], MaskedViT, object], dict] | None = None,
) -> list[dict]:  # fmt: skip
    """Train the network in place; return the history, one row an evaluation.

    State goes to `run.folder`/last.ckpt at every evaluation, every SAVE_EVERY_SECONDS and when `why_stop` gives a
    reason; a run with the same fingerprint goes on from there, at the next step. `monitor(history, network, writer)` is
    called at every evaluation by the first process and may add to its row.
    """
    network, dtype = run.network.to(device), pick_precision(settings.precision, device)
    optimiser = torch.optim.AdamW(_decayed(network, settings.weight_decay), settings.learning_rate, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate_at(step, settings))
    averaged = {name: value.clone() for name, value in network.state_dict().items()}
    state = {"step": 0, "history": [], "losses": [], "seconds": 0.0, "fingerprint": run.fingerprint}
    last, is_first = Path(run.folder) / "last.ckpt", rank_and_size()[0] == 0
    saved = read_checkpoint(last, run.fingerprint)
    if saved is not None:
        for name, part in (("network", network), ("optimiser", optimiser), ("schedule", schedule)):
            part.load_state_dict(saved.pop(name))
        averaged, state = saved.pop("averaged"), saved
        announce(f"resumed after step {state['step']} from {last}")
    writer = tensorboard_writer(run.tensorboard if is_first else None, state["step"])
    model = averaging_gradients(network)
    last_saved = time.monotonic()
    started = last_saved - state["seconds"]

    def save() -> None:
        nonlocal last_saved
        last_saved = time.monotonic()
        if is_first:
            parts = {"network": network, "optimiser": optimiser, "schedule": schedule}
            state["seconds"] = last_saved - started
            write_checkpoint(
                last, state | {name: part.state_dict() for name, part in parts.items()} | {"averaged": averaged}
            )

    evaluated_at = {round(settings.n_steps * (k + 1) / settings.n_evaluations) for k in range(settings.n_evaluations)}
    for step in range(state["step"], settings.n_steps):
        network.train()
        state["losses"].append(_train_step(run, model, optimiser, settings, step, device, dtype))
        schedule.step()
        state["step"] = step + 1
        if settings.ema_decay:
            _average(averaged, network, min(settings.ema_decay, (step + 1) / (step + 10)))
        if step + 1 in evaluated_at and is_first:
            row = _evaluated(run, settings, state, schedule, device, dtype, time.monotonic() - started)
            state["history"].append(row)
            if monitor is not None:
                row |= monitor(state["history"], network, writer)
            _log(writer, row, settings.n_steps)
            state["losses"] = []
        why = why_stop()
        if any_process_says(bool(why), device):
            save()
            raise Interrupted(
                f"{why or 'another process was stopped'} after step {step + 1}; {last} goes on from there"
            )
        if step + 1 in evaluated_at or time.monotonic() > last_saved + SAVE_EVERY_SECONDS:
            save()
    if settings.ema_decay:
        network.load_state_dict(averaged)
    return state["history"]


def rate_at(step: int, settings: Settings) -> float:
    """Learning rate over its highest: a linear rise, then half a cosine down to 1 / final_rate_factor."""
    n_warmup = max(round(settings.warmup_fraction * settings.n_steps), 1)
    if step < n_warmup:
        return (step + 1) / n_warmup
    share = (step - n_warmup) / max(settings.n_steps - n_warmup, 1)
    least = 1 / settings.final_rate_factor
    return least + (1 - least) * 0.5 * (1 + math.cos(math.pi * min(share, 1)))


def _train_step(run: Run, model, optimiser, settings: Settings, step: int, device: str, dtype) -> list[float]:
    """One step of the optimiser over `n_accumulated` blocks; mean loss and noise floor."""
    optimiser.zero_grad(set_to_none=True)
    sums = np.zeros(2)
    for part in range(settings.n_accumulated):
        number = step * settings.n_accumulated + part
        batch = _read_batch(run, settings, number).to(device)
        loss = _loss(model, run.network.what, batch, settings, [settings.seed, MASK_STREAM, number], device, dtype)
        (loss.value / settings.n_accumulated).backward()
        sums += [float(loss.value.detach()), float(loss.floor)]
    nn.utils.clip_grad_norm_(run.network.parameters(), settings.gradient_clip)
    optimiser.step()
    return (sums / settings.n_accumulated).tolist()


def _read_batch(run: Run, settings: Settings, number: int) -> Batch:
    """This process's share of a block of the training file, turned and with extra noise if so asked."""
    first, last = rows_of_step(number, len(run.train), settings.batch_size, settings.seed)
    rank, n_processes = rank_and_size()
    with_sky = run.network.what.sky_token
    cutouts = run.train.read(first, last, with_columns=with_sky)
    if n_processes > 1:
        cutouts = cutouts.rows(slice(rank, None, n_processes))
    rng = np.random.default_rng([settings.seed, AUGMENT_STREAM, number, rank])
    noise = None
    if settings.extra_noise:
        level = rng.uniform(0, settings.extra_noise, len(cutouts.images)).astype(np.float32)
        noise = level, rng.standard_normal(cutouts.images.shape, np.float32)
    batch = make_batch(cutouts, run.scale, with_sky=with_sky, extra_noise=noise)
    return batch.turned(int(rng.integers(4)), bool(rng.integers(2))) if settings.augment else batch


def _loss(model, what, batch: Batch, settings: Settings, seed: list[int], device: str, dtype) -> Loss:
    rng = np.random.default_rng([*seed, rank_and_size()[0]])
    hidden = draw_hidden(
        what, len(batch.images), mask_ratio=settings.mask_ratio, band_drop=settings.band_drop, rng=rng
    ).to(device)
    with autocast(device, dtype):
        predicted = model(batch.images, batch.unusable, hidden, batch.sky)
    return masked_loss(
        predicted, batch.images, batch.variance, batch.unusable, hidden, patch_px=what.patch_px, kind=settings.loss,
        softening=settings.softening, normalize_patches=settings.normalize_patches,
    )  # fmt: skip


def validation_loss(run: Run, settings: Settings, device: str, dtype) -> tuple[float, float]:
    """Mean loss and noise floor over the validation cutouts, with masks that are the same at every call."""
    run.network.eval()
    sums = []
    batches = batches_in_order(
        run.validation, run.scale, settings.batch_size, settings.n_validation, run.network.what.sky_token
    )
    with torch.inference_mode():
        for number, batch in enumerate(batches):
            loss = _loss(
                run.network, run.network.what, batch.to(device), settings, [0, MASK_STREAM, number], device, dtype
            )
            sums.append([float(loss.value), float(loss.floor)])
    value, floor = np.mean(sums, 0)
    return float(value), float(floor)


def _evaluated(run, settings, state, schedule, device, dtype, seconds) -> dict:
    value, floor = validation_loss(run, settings, device, dtype)
    train_loss, train_floor = np.mean(state["losses"], 0).tolist()
    return {
        "step": state["step"], "seconds": round(seconds, 1), "learning_rate": schedule.get_last_lr()[0],
        "train_loss": train_loss, "train_floor": train_floor, "validation_loss": value, "validation_floor": floor,
        "class_accuracy": math.nan, "redshift_r2": math.nan,
    }  # fmt: skip


def _decayed(network: nn.Module, weight_decay: float) -> list[dict]:
    """Weight decay for matrices only, as is usual for transformers."""
    matrices = [p for p in network.parameters() if p.ndim == 2]
    others = [p for p in network.parameters() if p.ndim != 2]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def _average(averaged: dict[str, Tensor], network: nn.Module, decay: float) -> None:
    for name, value in network.state_dict().items():
        averaged[name].lerp_(value.to(averaged[name]), 1 - decay)


def _log(writer, row: dict, n_steps: int) -> None:
    left = row["seconds"] / row["step"] * (n_steps - row["step"])
    announce(
        f"step {row['step']}/{n_steps}: loss over the noise {row['train_loss'] - row['train_floor']:.4f}, validation "
        f"{row['validation_loss'] - row['validation_floor']:.4f}, class accuracy {row['class_accuracy']:.3f}, "
        f"redshift R2 {row['redshift_r2']:.3f}, {row['seconds']:.0f} s, about {left:.0f} s left"
    )
    if writer is not None:
        for name in HISTORY[2:]:
            writer.add_scalar(name, row[name], row["step"])
        writer.flush()
