"""A CMB network from its files: maps read and prepared, network built, trained in one process or in several."""

from typing import NamedTuple

import numpy as np
import torch

from armillary.cmb_networks import Architecture, build_discriminator, build_generator
from armillary.cmb_training import Settings, fit
from armillary.distributed import share_training
from armillary.estimators import Setting
from armillary.interruption import orderly_stop
from armillary.map_preparation import Preparation, prepare_inputs, prepare_targets
from armillary.map_sets import MapSet


class TrainingRun(NamedTuple):
    """What one training is; picklable, so that other processes can take a share of it."""

    train: dict[str, np.ndarray]
    validation: dict[str, np.ndarray]
    setting: Setting
    preparation: Preparation
    what: Architecture
    adversarial: bool
    settings: Settings
    folder: str
    fingerprint: str
    minutes: float  # that it may take


def train_together(run: TrainingRun, n_processes: int, device: str) -> tuple[torch.nn.Module, list[dict]]:
    """The trained generator and its history. Several processes leave the finished state in `run.folder`, from which
    this one then takes it."""
    if n_processes > 1:
        if run.settings.batch_size < n_processes:
            raise ValueError(f"cmb: batch_size is {run.settings.batch_size}; devices are more ({n_processes})")
        share_training(train_here, n_processes, run)
    return train_here(run, device)


def train_here(run: TrainingRun, device: str) -> tuple[torch.nn.Module, list[dict]]:
    """Train, or go on from where the run's folder says."""
    train, validation = (map_set(run, maps, number) for number, maps in enumerate((run.train, run.validation)))
    generator = build_generator(run.what, seed=run.settings.seed)
    discriminator = build_discriminator(run.what, seed=run.settings.seed + 1) if run.adversarial else None
    with orderly_stop(run.minutes) as why_stop:
        history = fit(
            generator, discriminator, train, validation, run.settings, folder=run.folder, device=device,
            fingerprint=run.fingerprint, why_stop=why_stop,
        )  # fmt: skip
    return generator, history


def map_set(run: TrainingRun, maps: dict[str, np.ndarray], number: int) -> MapSet:
    """Prepared maps of the training (0) or validation (1) split."""
    inputs = prepare_inputs(run.preparation, maps, run.setting, seed=run.settings.seed + number)
    targets = prepare_targets(run.preparation, maps, run.setting)
    names = run.preparation.inputs, run.preparation.outputs
    return MapSet(torch.from_numpy(inputs), torch.from_numpy(targets), *names)
