"""Map held-out skies with the field's mask and several draws of its noise by one method, with posterior samples of
the first.
"""

import jax
import numpy as np

from armillary.convergence_skies import SkyModel, draw_field, observed
from armillary.files import read_arrays
from armillary.files_maps import read_shear_map, read_stack, write_stack
from armillary.inverse.methods import MEAN_OF_SAMPLES, intervals, learned_maps, reconstruct, set_up_from_files
from armillary.step import progress, run


def infer_skies(
    spectrum: str, shear: str, tuned: str, residual: str, score: str, skies: str, maps: str, *, method: str,
    reduced_shear: bool, settings: dict, shift_spread: float, n_noise_seeds: int, n_sampled: int, n_samples:
    dict[str, int], reference_smoothing_arcmin: float, margin_px: int, seed: int,
) -> None:  # fmt: skip
    like, _, _ = read_shear_map(shear)
    files = {"spectrum": spectrum, "tuned": tuned, "residual": residual, "score": score}
    field = set_up_from_files(like, [method], files, settings, reduced_shear, shift_spread, seed)
    truths = read_stack(skies)
    draws = [(sky, noise) for noise in range(n_noise_seeds) for sky in range(len(truths))]
    if method in MEAN_OF_SAMPLES:
        draws = draws[:n_sampled]
    n, found, drawn, fixed, ends, trainings = n_samples.get(method, 0), [], [], [], [], []
    for number, (sky, noise) in enumerate(progress(draws, method)):
        data = observed(truths[sky], like, np.random.default_rng([seed, 51, sky, noise]))
        n_drawn = n if number < n_sampled else 0
        kappa, samples = reconstruct(method, data, field, jax.random.fold_in(jax.random.key(seed), number), n_drawn)
        found.append(kappa)
        drawn += [samples] if n_drawn else []
        its_ends = intervals(method, kappa, samples, like.mask, field)
        ends += [] if its_ends is None else [its_ends]
        if method == "learned":
            trainings.append(learned_maps(data, field))
        if method == "kaiser_squires":
            once = field._replace(tuned={"smoothing_arcmin": reference_smoothing_arcmin})
            fixed.append(reconstruct(method, data, once, jax.random.key(seed), 0)[0])
    write_stack(maps, np.array(found))
    write_stack(maps, np.array(drawn), group="samples", append=True)
    write_stack(maps, np.array(ends), group="intervals", append=True)
    if trainings:
        write_stack(maps, np.swapaxes(trainings, 0, 1), group="trainings", append=True)
    if fixed:
        write_stack(maps, np.array(fixed), group="fixed_smoothing", append=True)
    if method == "wiener":
        truth, samples = _gaussian_control(spectrum, like, field, n_sampled, n, margin_px, seed)
        write_stack(maps, truth, group="control_truth", append=True)
        write_stack(maps, samples, group="control_samples", append=True)


def _gaussian_control(spectrum: str, like, field, n_skies: int, n_samples: int, margin_px: int, seed: int):
    """Gaussian skies and exact samples of their posterior: what intervals do that are right by construction."""
    table = read_arrays(spectrum)
    model = SkyModel(table["multipole"], table["power"], "gaussian", 1.0, like.pixel_arcmin)
    field = field._replace(reduced_shear=False)
    truths, drawn = [], []
    for k in range(n_skies):
        rng = np.random.default_rng([seed, 52, k])
        sky = draw_field(model, like.mask.shape, margin_px, False, rng)
        key = jax.random.fold_in(jax.random.key(seed + 2), k)
        truths.append(sky[0])
        drawn.append(reconstruct("wiener", observed(sky, like, rng), field, key, n_samples)[1])
    return np.array(truths), np.array(drawn)


if __name__ == "__main__":
    run(infer_skies, snakemake)
