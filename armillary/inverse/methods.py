"""Every method of mass mapping behind one call: a shear map in, a convergence map out, with samples where there are
any.

    reconstruct(method, shear, field, key, n_samples) -> (n_y, n_x), (n_samples, n_y, n_x)

`field` holds what all methods know of a field before they see its shear: spectrum, noise, tuned settings, trained
networks.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from armillary.convergence import kaiser_squires, mean_free, smooth
from armillary.convergence_skies import SkyModel
from armillary.files import read_arrays, read_json
from armillary.inverse.annealing import Schedule, annealed_samples
from armillary.inverse.lognormal import ChainSettings, LognormalPrior, lognormal_prior, lognormal_samples
from armillary.inverse.residual import REGRESSIONS, with_regression, with_residual
from armillary.inverse.score import ScorePrior, score_prior
from armillary.inverse.starlets import inpainted_kaiser_squires, noise_of_bands, sparse_map, starlet_bands
from armillary.inverse.wiener import (
    WienerProblem,
    data_of,
    unreduced,
    wiener_map,
    wiener_problem,
    wiener_samples,
)
from armillary.mass_intervals import intervals_of, posterior_intervals
from armillary.shear_catalogs import ShearMap

METHODS = ("kaiser_squires", "inpainted", "wiener", "cubic", "polynomial", "sparse", "lognormal", "learned", "score")
SAMPLED_METHODS = ("wiener", "lognormal", "score")
MEAN_OF_SAMPLES = ("lognormal", "score")  # whose map there is only with samples


class FieldSetUp(NamedTuple):
    """What the methods know of a field."""

    problem: WienerProblem
    reduced_shear: bool  # whether the data are reduced shear, so that gamma = g (1 - kappa)
    tuned: dict  # smoothing_arcmin, inpainted_smoothing_arcmin, threshold_sigma, finest_scale
    bands: np.ndarray  # starlet multipliers
    band_noise: np.ndarray  # of the Kaiser-Squires map
    n_sparse_iterations: int
    n_inpainting_iterations: int
    residual: dict[str, np.ndarray] | None  # weights of the learned residual
    score: ScorePrior | None
    schedule: Schedule
    lognormal: LognormalPrior | None
    chain: ChainSettings


def set_up(
    like: ShearMap, multipole: np.ndarray, power: np.ndarray, *, methods: Sequence[str], reduced_shear: bool, tuned:
    dict, n_scales: int, n_sparse_iterations: int, n_inpainting_iterations: int, residual: dict | None, score: dict |
    None, schedule: Schedule, shift: float, shift_spread: float, chain: ChainSettings, seed: int,
) -> FieldSetUp:  # fmt: skip
    """What the methods know of a field with the noise and mask of `like`; what was not trained is None. `shift` and
    `shift_spread` (of its logarithm) are those of the log-normal prior, which costs seconds and is made only where
    it is among `methods`.
    """
    problem = wiener_problem(multipole, power, like.sigma1, like.sigma2, like.mask, like.pixel_arcmin)
    bands = starlet_bands(like.mask.shape, n_scales)
    noise = noise_of_bands(like, bands, np.random.default_rng(seed))
    model = SkyModel(multipole, power, "lognormal", shift, like.pixel_arcmin)
    prior = lognormal_prior(problem, model, like.mask.shape, shift_spread) if "lognormal" in methods else None
    neural = None if score is None else score_prior(score, like.mask.shape, like.pixel_arcmin)
    return FieldSetUp(
        problem, reduced_shear, tuned, bands, noise, n_sparse_iterations, n_inpainting_iterations, residual, neural,
        schedule, prior, chain,
    )  # fmt: skip


def set_up_from_files(
    like: ShearMap, methods: Sequence[str], files: dict[str, str], settings: dict, reduced_shear: bool, shift_spread:
    float, seed: int,
) -> FieldSetUp:  # fmt: skip
    """`set_up` from what the steps of the workflow leave: files spectrum, tuned, residual and score, and
    `reconstruct:`'s keys.
    """
    table = read_arrays(files["spectrum"])
    schedule, chain = (kind(*(settings[name] for name in kind._fields)) for kind in (Schedule, ChainSettings))
    return set_up(
        like, table["multipole"], table["power"], methods=methods, reduced_shear=reduced_shear,
        tuned={name: entry["best"] for name, entry in read_json(files["tuned"]).items()}, n_scales=settings["n_scales"],
        n_sparse_iterations=settings["n_sparse_iterations"],
        n_inpainting_iterations=settings["n_inpainting_iterations"], residual=read_arrays(files["residual"]),
        score=read_arrays(files["score"]), schedule=schedule, shift=float(table["shift"]), shift_spread=shift_spread,
        chain=chain, seed=seed,
    )  # fmt: skip


def reconstruct(
    method: str, shear: ShearMap, field: FieldSetUp, key: jax.Array, n_samples: int
) -> tuple[np.ndarray, np.ndarray]:
    """Convergence (n_y, n_x) and samples (n, n_y, n_x), both mean-free in the mask and 0 outside; n is 0 for point
    estimates.

    The map of a sampled prior is the mean of all places of its chain.
    """
    mask, samples = shear.mask, np.zeros((0, *shear.mask.shape))
    if method == "kaiser_squires":
        kappa = smooth(kaiser_squires(shear.g1, shear.g2)[0], field.tuned["smoothing_arcmin"] / shear.pixel_arcmin)
    elif method == "inpainted":
        raw = inpainted_kaiser_squires(shear, field.n_inpainting_iterations)
        kappa = smooth(raw, field.tuned["inpainted_smoothing_arcmin"] / shear.pixel_arcmin)
    elif method == "score":
        samples, kappa = annealed_samples(
            field.problem, field.score, data_of(shear), key, field.schedule, field.chain, n_samples, field.reduced_shear
        )  # fmt: skip
    elif method == "lognormal":
        prior, chain = field.lognormal, field.chain
        samples, kappa = lognormal_samples(
            field.problem, prior, data_of(shear), key, chain, n_samples, field.reduced_shear
        )
    else:
        shear, problem = unreduced(shear, field.problem) if field.reduced_shear else (shear, field.problem)
        if method == "sparse":
            tuned = {name: field.tuned[name] for name in ("threshold_sigma", "finest_scale")}
            most = field.n_sparse_iterations
            kappa = sparse_map(problem, shear, field.band_noise, field.bands, **tuned, most_iterations=most)
        else:
            kappa = np.asarray(wiener_map(problem, *data_of(shear))[0], float)
        if method == "wiener" and n_samples:
            samples = np.asarray(wiener_samples(problem, *data_of(shear), _keys(key, n_samples)))
        elif method == "learned":
            kappa = with_residual(field.residual, kappa, shear)
        elif method in REGRESSIONS:
            kappa = with_regression(field.residual, method, kappa, shear)
    return mean_free(kappa, mask), mean_free(samples, mask)


def learned_maps(shear: ShearMap, field: FieldSetUp) -> np.ndarray:
    """The learned method's map by each of its trainings, (n_trainings, n_y, n_x)."""
    shear, problem = unreduced(shear, field.problem) if field.reduced_shear else (shear, field.problem)
    wiener = np.asarray(wiener_map(problem, *data_of(shear))[0], float)
    n_trainings = len(field.residual["w1"])
    return np.array([with_residual(field.residual, wiener, shear, k) for k in range(n_trainings)])


def intervals(
    method: str, kappa: np.ndarray, samples: np.ndarray, mask: np.ndarray, field: FieldSetUp
) -> tuple[np.ndarray, np.ndarray] | None:
    """68 % intervals (low and high ends) of a map by `reconstruct`: from its samples, or from what the learned
    residual did on validation skies; None where a method has neither.
    """
    if method == "learned":
        rule = {name: field.residual[f"interval_{name}"] for name in ("map_edges", "low", "high")}
        return intervals_of(rule, kappa, mask)
    return posterior_intervals(samples, mask) if len(samples) > 1 else None


def _keys(key: jax.Array, n_samples: int) -> jax.Array:
    return jax.random.split(key, n_samples)
