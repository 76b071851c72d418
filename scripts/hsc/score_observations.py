"""Score every method on the scenes of one problem: images, fluxes, masked pixels, calibration."""

import numpy as np

from armillary.files import read_arrays, write_arrays, write_json
from armillary.files_hsc import read_posteriors, read_set
from armillary.stamp_basis import StampBasis
from armillary.stamp_evaluation import ProblemData, score_problem
from armillary.stamp_sets import Observations
from armillary.step import announce, run


def score_observations(
    observations: str, basis: str, posteriors: str, metrics: str, curves: str, *, problem: str,
    fine_pixel_arcsec: float, n_resamples: int, seed: int,
) -> None:  # fmt: skip
    found = read_posteriors(posteriors)
    stack = StampBasis(**read_arrays(basis)).stack
    data = ProblemData(problem, read_set(observations, Observations), found, stack, fine_pixel_arcsec)
    numbers, arrays = score_problem(data, n_resamples, np.random.default_rng([seed, 4]))
    announce(f"{problem}: " + ", ".join(f"{m} {numbers[f'{problem}_{m}_psnr_db']['value']:.1f} dB" for m in found))
    write_json(metrics, numbers)
    write_arrays(curves, **arrays)


if __name__ == "__main__":
    run(score_observations, snakemake)
