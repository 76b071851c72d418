"""Train one variant of a challenge with one seed, and apply it to held-out data."""

import importlib
import time

import numpy as np

from armillary.files import read_arrays, write_arrays
from armillary.step import run


def train_variant(data: str, outcome: str, *, challenge: str, variant: str, seed: str, settings: dict) -> None:
    models = importlib.import_module(f"armillary.challenges.{challenge}_models")
    arrays = read_arrays(data)
    started = time.process_time()
    found = models.train(variant, arrays, settings, int(seed))
    write_arrays(outcome, **found, cpu_seconds=np.array(time.process_time() - started))


if __name__ == "__main__":
    run(train_variant, snakemake)
