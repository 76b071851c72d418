"""Score every method on the scenes of one problem: images, fluxes, masked pixels, calibration."""

import numpy as np

from armillary.files import write_arrays, write_json
from armillary.stamp_evaluation import read_problems, score_problem
from armillary.step import announce, run


def score_observations(
    observations: str, basis: str, posteriors: list[str], metrics: str, curves: str, *, problem: str,
    fine_pixel_arcsec: float, n_resamples: int, seed: int,
) -> None:  # fmt: skip
    trainings = read_problems(observations, basis, posteriors, fine_pixel_arcsec=fine_pixel_arcsec, name=problem)
    numbers, arrays = score_problem(trainings, n_resamples, np.random.default_rng([seed, 4]))
    decibels = {method: numbers[f"{problem}_{method}_psnr_db"]["value"] for method in trainings[0].posteriors}
    announce(f"{problem}: " + ", ".join(f"{method} {value:.1f} dB" for method, value in decibels.items()))
    write_json(metrics, numbers)
    write_arrays(curves, **arrays)


if __name__ == "__main__":
    run(score_observations, snakemake)
