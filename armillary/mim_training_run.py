"""A masked network from its files: trained in this process or in several together, watched while it learns."""

import math
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from armillary.cutouts import band_noise
from armillary.distributed import share_training
from armillary.files_cutouts import open_cutouts
from armillary.interruption import orderly_stop
from armillary.mim_batches import Scale, check_size
from armillary.mim_networks import Model, build_network, embed, reconstruct
from armillary.mim_training import Run, Settings, fit
from armillary.networks.masked_vit import Architecture, MaskedViT

N_FOR_NOISE, N_SHOWN = 2000, 6


class TrainingRun(NamedTuple):
    """What one training is; picklable, so that other processes can take a share of it."""

    train: str
    validation: str
    bands: list[str]
    what: Architecture
    scale: Scale
    settings: Settings
    pooling: str
    folder: str
    fingerprint: str
    tensorboard: str | None
    minutes: float


def fit_scale(train: str, bands: list[str], image_px: int) -> Scale:
    """The units of a network: the typical noise of each band in the first training cutouts."""
    with open_cutouts(train, bands) as file:
        cutouts = file.read(0, min(len(file), N_FOR_NOISE), with_columns=False)
    noise = band_noise(cutouts.images, cutouts.variance, cutouts.mask)
    if not np.isfinite(noise).all():
        missing = [band for band, value in zip(bands, noise, strict=True) if not np.isfinite(value)]
        raise ValueError(f"{train}: no usable pixel in {', '.join(missing)} in its first {N_FOR_NOISE} cutouts")
    return Scale(list(bands), noise.tolist(), float(cutouts.facts["zero_point"]), image_px)


def train_together(run: TrainingRun, n_processes: int) -> tuple[MaskedViT, list[dict]]:
    """The trained network and its history. Several processes leave the finished state in `run.folder`, from which this
    one then takes it."""
    if n_processes > 1:
        if run.settings.batch_size % n_processes:
            raise ValueError(
                f"mim: train_network: batch_size is {run.settings.batch_size}; not a multiple of n_gpus ({n_processes})"
            )
        share_training(train_here, n_processes, run)
    return train_here(run, "cuda" if torch.cuda.is_available() else "cpu")


def train_here(run: TrainingRun, device: str) -> tuple[MaskedViT, list[dict]]:
    """Train, or go on from where the run's folder says."""
    network = build_network(run.what, run.settings.seed)
    with ExitStack() as stack:
        train, validation = (stack.enter_context(open_cutouts(path, run.bands)) for path in (run.train, run.validation))
        for file in (train, validation):
            check_size(file, run.scale)
        why_stop = stack.enter_context(orderly_stop(run.minutes))
        history = fit(
            Run(network, run.scale, train, validation, run.folder, run.fingerprint, run.tensorboard), run.settings,
            device=device, why_stop=why_stop, monitor=_monitor(run, validation, device),
        )  # fmt: skip
    return network, history


def _monitor(run: TrainingRun, validation, device: str):
    """What is looked at while a network learns: linear probes on the validation cutouts, and live figures."""
    columns = validation.columns() if {"class", "zspec"} <= set(validation.columns()) else None

    def monitor(history: list[dict], network: MaskedViT, writer) -> dict:
        model = Model(network, run.what, run.scale, {})
        scores = {}
        if columns is not None:
            embedding = embed(model, validation, pooling=run.pooling, device=device, n_most=run.settings.n_validation)
            scores = live_probes(embedding, {name: columns[name][: len(embedding)] for name in ("class", "zspec")})
        shown = reconstruct(model, validation, min(N_SHOWN, len(validation)), max(run.settings.mask_ratio, 0.1), device)
        _draw(run, history[:-1] + [history[-1] | scores], shown, writer)
        return scores

    return monitor


def _draw(run: TrainingRun, history: list[dict], shown: dict, writer) -> None:
    """`progress.png` and `reconstructions.png` beside the state of the run, and in TensorBoard."""
    import pandas as pd

    from armillary.figures.mim import draw_progress, draw_reconstructions
    from armillary.figures.style import page

    live = Path(run.folder)
    with page(str(live / "progress.png"), 1600, 560) as figure:
        draw_progress(figure, {"this network": pd.DataFrame(history)})
        if writer is not None:
            writer.add_figure("progress", figure, history[-1]["step"], close=False)
    with page(str(live / "reconstructions.png"), 1600, 1400) as figure:
        draw_reconstructions(figure, shown, run.bands)
        if writer is not None:
            writer.add_figure("reconstructions", figure, history[-1]["step"], close=False)


def live_probes(embedding: np.ndarray, columns: dict[str, np.ndarray]) -> dict[str, float]:
    """Accuracy of class and R2 of galaxies' redshift by linear probes; every other object is labelled."""
    from armillary.probes import predict, redshift_scores

    known = columns["class"] >= 0
    rows = np.flatnonzero(known)
    galaxies = np.flatnonzero((columns["class"] == 0) & np.isfinite(columns["zspec"]))
    scores = {"class_accuracy": math.nan, "redshift_r2": math.nan}
    if len(rows) > 20 and len(np.unique(columns["class"][rows[::2]])) > 1:
        told = predict(
            embedding[rows[::2]],
            columns["class"][rows[::2]],
            [embedding[rows[1::2]]],
            task="classes",
            kind="linear",
            seed=0,
        )[0]
        scores["class_accuracy"] = float((told == columns["class"][rows[1::2]]).mean())
    if len(galaxies) > 20:
        told = predict(
            embedding[galaxies[::2]], columns["zspec"][galaxies[::2]], [embedding[galaxies[1::2]]], task="value",
            kind="linear", seed=0,
        )[0]  # fmt: skip
        scores["redshift_r2"] = redshift_scores(told, columns["zspec"][galaxies[1::2]])["r2"]
    return scores
