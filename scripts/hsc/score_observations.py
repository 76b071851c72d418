"""Score every method on the scenes of one problem: images, fluxes, masked pixels, calibration."""

import numpy as np

from armillary.files import write_arrays, write_json
from armillary.stamp_evaluation import read_problem, score_problem
from armillary.step import announce, run


def score_observations(
    observations: str, basis: str, posteriors: str, metrics: str, curves: str, *, problem: str,
    fine_pixel_arcsec: float, n_resamples: int, seed: int,
) -> None:  # fmt: skip
    data = read_problem(observations, basis, posteriors, fine_pixel_arcsec=fine_pixel_arcsec, name=problem)
    numbers, arrays = score_problem(data, n_resamples, np.random.default_rng([seed, 4]))
    announce(
        f"{problem}: " + ", ".join(f"{m} {numbers[f'{problem}_{m}_psnr_db']['value']:.1f} dB" for m in data.posteriors)
    )
    write_json(metrics, numbers)
    write_arrays(curves, **arrays)


if __name__ == "__main__":
    run(score_observations, snakemake)
