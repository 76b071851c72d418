"""Train one masked network and keep it, and the network that it started from."""

from pathlib import Path

import torch

from armillary.fingerprints import fingerprint
from armillary.mim_networks import Architecture, Model, build_network, n_parameters, write_model
from armillary.mim_training import HISTORY, Settings
from armillary.mim_training_run import TrainingRun, fit_scale, train_together
from armillary.step import announce, run
from armillary.training_log import write_history


def train_network(
    train: str, validation: str, code: list[str], trained: str, untrained: str, history: str, *, network: str,
    settings: dict, bands: list[str], image_px: int, pooling: str, n_processes: int, work_folder: str, tensorboard: str,
    threads: int, runtime: int,
) -> None:  # fmt: skip
    """`work_folder` holds the resumable state and the live figures; a state of other settings, data or code is not
    resumed."""
    torch.set_num_threads(threads)
    what = Architecture(
        n_bands=len(bands), image_px=image_px,
        **{name: settings[name] for name in Architecture._fields if name in settings},
    )  # fmt: skip
    training = TrainingRun(
        train, validation, bands, what, fit_scale(train, bands, image_px),
        Settings(**{name: settings[name] for name in Settings._fields}), pooling, work_folder,
        fingerprint(
            {"settings": settings, "bands": bands, "image_px": image_px}, contents=code, stamped=[train, validation]
        ),
        tensorboard, runtime,
    )  # fmt: skip
    fresh = build_network(what, settings["seed"])
    announce(f"{network}: {what.objective}, {what.size}, {n_parameters(fresh) / 1e6:.2f} million parameters")
    Path(work_folder).mkdir(parents=True, exist_ok=True)
    write_model(untrained, Model(fresh, what, training.scale, {"n_steps": 0, **settings}))
    finished, rows = train_together(training, n_processes)
    write_model(trained, Model(finished, what, training.scale, settings))
    write_history(history, HISTORY, rows)


if __name__ == "__main__":
    run(train_network, snakemake)
