"""Make the data of a challenge for one seed: simulated, or read from the files that are named."""

import importlib

from armillary.files import write_arrays
from armillary.step import announce, run


def sample_data(files: list[str], data: str, *, challenge: str, seed: str, settings: dict) -> None:
    arrays = importlib.import_module(f"armillary.challenges.{challenge}").sample(files, settings, int(seed))
    announce(f"{challenge}, seed {seed}: {arrays['source']}")
    write_arrays(data, **arrays)


if __name__ == "__main__":
    run(sample_data, snakemake)
