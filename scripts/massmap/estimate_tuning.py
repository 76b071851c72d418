"""Choose smoothings of Kaiser-Squires maps, inpainted or not, and threshold and finest scale of sparse ones, on skies
that the network learns from: a few validation skies differ too much among themselves.
"""

import jax
import numpy as np

from armillary.convergence import kaiser_squires, smooth
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
    spectrum: str, shear: str, train_skies: str, tuned: str, *, reduced_shear: bool, smoothings_arcmin: list[float],
    thresholds_sigma: list[float], finest_scales: list[int], n_scales: int, n_sparse_iterations: int,
    n_inpainting_iterations: int, n_skies: int, seed: int,
) -> None:  # fmt: skip
    like, _, _ = read_shear_map(shear)
    table = read_arrays(spectrum)
    field = set_up(
        like, table["multipole"], table["power"], methods=["sparse"], reduced_shear=reduced_shear, tuned={},
        n_scales=n_scales, n_sparse_iterations=n_sparse_iterations, n_inpainting_iterations=n_inpainting_iterations,
        residual=None, score=None, schedule=Schedule(), shift=float(table["shift"]), shift_spread=0.0,
        chain=ChainSettings(), seed=seed,
    )  # fmt: skip
    skies = read_stack(train_skies, first=n_skies)
    data = [observed(sky, like, np.random.default_rng([seed, 41, k])) for k, sky in enumerate(skies)]

    def error(maps: list[np.ndarray]) -> float:
        return float(np.sqrt(np.mean([squared_error(a, b[0], like.mask) for a, b in zip(maps, skies, strict=True)])))

    tried = {}
    for method, name in (("kaiser_squires", "smoothing_arcmin"), ("inpainted", "inpainted_smoothing_arcmin")):
        raw = [
            kaiser_squires(one.g1, one.g2)[0]
            if method == "kaiser_squires"
            else inpainted_kaiser_squires(one, n_inpainting_iterations)
            for one in data
        ]
        errors = [error([smooth(one, width / like.pixel_arcmin) for one in raw]) for width in smoothings_arcmin]
        tried[name] = _chosen(smoothings_arcmin, errors)
    errors = np.zeros((len(thresholds_sigma), len(finest_scales)))
    for i, threshold in enumerate(thresholds_sigma):
        for j, scale in enumerate(finest_scales):
            field = field._replace(tuned={"threshold_sigma": threshold, "finest_scale": scale})
            errors[i, j] = error([reconstruct("sparse", one, field, jax.random.key(0), 0)[0] for one in data])
    tried["threshold_sigma"] = _chosen(thresholds_sigma, errors.min(1).tolist())
    tried["finest_scale"] = _chosen(finest_scales, errors.min(0).tolist())
    announce(", ".join(f"{name} {entry['best']}: RMSE {min(entry['rmse']):.5f}" for name, entry in tried.items()))
    write_json(tuned, tried)


def _chosen(values: list, errors: list[float]) -> dict:
    return {"values": values, "rmse": errors, "best": values[int(np.argmin(errors))]}


if __name__ == "__main__":
    run(estimate_tuning, snakemake)
