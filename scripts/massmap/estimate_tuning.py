"""Choose smoothings of Kaiser-Squires maps, inpainted or not, and the threshold of sparse ones, on validation skies."""

import jax
import numpy as np

from armillary.convergence import smooth
from armillary.convergence_skies import observed
from armillary.files import read_arrays, write_json
from armillary.files_maps import read_shear_map, read_stack
from armillary.inverse.annealing import Schedule
from armillary.inverse.lognormal import ChainSettings
from armillary.inverse.methods import reconstruct, set_up
from armillary.inverse.starlets import inpainted_kaiser_squires
from armillary.mass_scores import squared_error
from armillary.step import announce, run


def estimate_tuning(
    spectrum: str, shear: str, validation_skies: str, tuned: str, *, reduced_shear: bool, smoothings_arcmin:
    list[float], thresholds_sigma: list[float], n_scales: int, n_sparse_iterations: int, n_inpainting_iterations: int,
    n_skies: int, seed: int,
) -> None:  # fmt: skip
    like, _, _ = read_shear_map(shear)
    table = read_arrays(spectrum)
    start = {
        "smoothing_arcmin": smoothings_arcmin[0],
        "inpainted_smoothing_arcmin": smoothings_arcmin[0],
        "threshold_sigma": thresholds_sigma[0],
    }
    field = set_up(
        like, table["multipole"], table["power"], reduced_shear=reduced_shear, tuned=start, n_scales=n_scales,
        n_sparse_iterations=n_sparse_iterations, n_inpainting_iterations=n_inpainting_iterations, residual=None,
        score=None, schedule=Schedule(), shift=float(table["shift"]), shift_spread=0.0,
        chain=ChainSettings(), seed=seed,
    )  # fmt: skip
    skies = read_stack(validation_skies, first=n_skies)
    data = [observed(sky, like, np.random.default_rng([seed, 41, k])) for k, sky in enumerate(skies)]
    filled = [inpainted_kaiser_squires(one, n_inpainting_iterations) for one in data]
    tried = {}
    for method, name, values in (
        ("kaiser_squires", "smoothing_arcmin", smoothings_arcmin),
        ("inpainted", "inpainted_smoothing_arcmin", smoothings_arcmin),
        ("sparse", "threshold_sigma", thresholds_sigma),
    ):
        errors = []
        for value in values:
            tried_field = field._replace(tuned=start | {name: value})
            if method == "inpainted":  # the filling does not depend on the smoothing
                maps = [smooth(raw, value / like.pixel_arcmin) for raw in filled]
            else:
                maps = [reconstruct(method, one, tried_field, jax.random.key(0), 0)[0] for one in data]
            errors.append(
                np.sqrt(np.mean([squared_error(a, b[0], like.mask) for a, b in zip(maps, skies, strict=True)]))
            )
        tried[name] = {"values": values, "rmse": errors, "best": values[int(np.argmin(errors))]}
        announce(f"{method}: {name} {tried[name]['best']}, RMSE {min(errors):.5f}")
    write_json(tuned, tried)


if __name__ == "__main__":
    run(estimate_tuning, snakemake)
