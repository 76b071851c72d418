"""Draw the stamps that the prior is learned from and judged on, or take real galaxies of a catalogue."""

import os

import numpy as np

from armillary.files_hsc import write_set
from armillary.galaxy_stamps import StampFrame, parametric_stamps, real_stamps, split_at_random
from armillary.step import announce, run


def render_stamps(
    catalogs: list[str], stamps: str, *, population: str, learn_from: str, frame: dict, n_train: int,
    n_validation: int, n_test: int, mag_min: float, mag_max: float, real_mag_max: float, real_min_snr: float, seed: int,
) -> None:  # fmt: skip
    grid = StampFrame(**frame)
    numbers = {"train": n_train, "validation": n_validation, "test": n_test}
    if population == "parametric":
        found = parametric_stamps(np.random.default_rng([seed, 1]), grid, numbers, mag_min, mag_max)
    else:
        folder, name = os.path.split(catalogs[0])
        found = real_stamps(folder, name, grid, real_mag_max, real_min_snr)
        if learn_from == "real":
            found = split_at_random(np.random.default_rng([seed, 1]), found, numbers)
    announce(
        f"{len(found.image)} galaxies, {np.median(found.image.sum((1, 2))):.3f} of their flux in the frame (median)"
    )
    write_set(stamps, found)


if __name__ == "__main__":
    run(render_stamps, snakemake)
