"""An encoder from its files: data read, network built, trained in this process or in several together."""

from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from armillary.distributed import share_training
from armillary.encoder_data import Fields
from armillary.interruption import orderly_stop
from armillary.tiles import read_file_data
from armillary.training import Settings, build_network, fit


class TrainingRun(NamedTuple):
    """What one training is: files, network (arguments of `build_network`), where its red sequence starts
    (N_REDSHIFTS, n_bands) if it has one, how it is trained, where its state lives, and the minutes it may take."""

    train: list[str]
    selection: list[str]
    network: dict
    red_sequence: np.ndarray | None
    settings: Settings
    folder: str
    fingerprint: str
    tensorboard: str | None
    minutes: float


def train_together(run: TrainingRun, n_processes: int) -> tuple[nn.Module, dict[str, Fields], list[dict]]:
    """The trained network, its fields and its history. Several processes leave the finished state in `run.folder`,
    from which this one then takes it."""
    if n_processes > 1:
        if run.settings.batch_size < n_processes:
            raise ValueError(
                f"clusters: train_encoder: batch_size is {run.settings.batch_size}; "
                f"it must be at least clusters: n_gpus ({n_processes})"
            )
        n_devices = torch.cuda.device_count()
        if 0 < n_devices < n_processes:
            raise ValueError(
                f"clusters: n_gpus is {n_processes}, but this job sees {n_devices}; the profile must ask for as many"
            )
        share_training(train_here, n_processes, run)
    return train_here(run, "cuda" if torch.cuda.is_available() else "cpu")


def train_here(run: TrainingRun, device: str) -> tuple[nn.Module, dict[str, Fields], list[dict]]:
    """Train, or go on from where the run's folder says."""
    network = build_network(**run.network)
    if run.red_sequence is not None:
        network.start_from(torch.from_numpy(run.red_sequence))
    fields = {
        name: Fields([read_file_data(path) for path in paths], network)
        for name, paths in (("train", run.train), ("selection", run.selection))
    }
    with orderly_stop(run.minutes) as why_stop:
        history = fit(
            network, *fields.values(), run.settings, folder=run.folder, device=device, fingerprint=run.fingerprint,
            tensorboard=run.tensorboard, why_stop=why_stop,
        )  # fmt: skip
    return network, fields, history
