"""Samples of the posterior under the neural prior, by annealed Langevin steps with a tempered likelihood.

At temperature sigma the chain has the prior of skies blurred by noise of width sigma and a likelihood whose variance
is sigma^2 larger; as sigma falls both become what they are (Remy et al. 2023). Two things make it short. It starts at
a sigma where skies are all but Gaussian, from an exact sample of the Gaussian posterior at that temperature; and its
steps are scaled, mode by mode, by the covariance that even noise would give. The last step is the mean of the clean
sky given the chain's last one.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from armillary.inverse.local_network import Weights
from armillary.inverse.score import PriorGrid, denoised
from armillary.inverse.wiener import WienerProblem, galaxy_shear, wiener_sample
from armillary.step import progress

STEP = 0.3  # of the scaled Langevin equation; 2 is where a Gaussian chain would diverge
STEP_SHARE = (
    0.2  # of the prior's power that steps are scaled by: voids of a real sky are stiffer than its spectrum says
)


class Schedule(NamedTuple):
    """How a chain cools."""

    sigma_start: float = 0.3
    sigma_end: float = 0.01
    n_levels: int = 24
    n_steps_per_level: int = 4


def tempered(problem: WienerProblem, sigma: float) -> WienerProblem:
    """The Gaussian problem at temperature `sigma`: prior and noise each with sigma^2 more variance a mode and a
    pixel.
    """
    power = jnp.where(problem.root_power > 0, problem.root_power**2 + sigma**2, 0.0)
    weight = tuple(w / (1.0 + w * sigma**2) for w in problem.weight)
    return problem._replace(
        root_power=jnp.sqrt(power), weight=weight, preconditioner=1.0 / (1.0 + power * jnp.mean(jnp.stack(weight)))
    )


def likelihood_score(
    problem: WienerProblem, kappa: jax.Array, g1: jax.Array, g2: jax.Array, sigma: jax.Array, reduced_shear: bool
) -> jax.Array:  # fmt: skip
    """Gradient of the tempered log-likelihood with respect to convergence (n_y, n_x)."""
    predicted, pull_back = jax.vjp(lambda kappa: galaxy_shear(problem, kappa, reduced_shear), kappa)
    weight = [w / (1.0 + w * sigma**2) for w in problem.weight]
    return pull_back([w * (data - model) for w, data, model in zip(weight, (g1, g2), predicted, strict=True)])[0]


def _chain(problem, grid, weights, g1, g2, key, sigmas, n_steps: int, reduced_shear: bool) -> jax.Array:
    """One sample (n_y, n_x)."""
    start_key, key = jax.random.split(key)
    kappa = wiener_sample(tempered(problem, sigmas[0]), g1, g2, start_key, 1e-3)
    most_weight = jnp.maximum(problem.weight[0].max(), problem.weight[1].max())

    def level(carry, sigma):
        scale = 1.0 / (1.0 / (STEP_SHARE * grid.power + sigma**2) + most_weight / (1.0 + most_weight * sigma**2))

        def step(kappa, key):
            prior = (denoised(weights, grid, kappa, sigma) - kappa) / sigma**2
            slope = prior + likelihood_score(problem, kappa, g1, g2, sigma, reduced_shear)
            noise = jax.random.normal(key, kappa.shape)
            change = 0.5 * STEP * scale * jnp.fft.rfft2(slope) + jnp.sqrt(STEP * scale) * jnp.fft.rfft2(noise)
            return kappa + jnp.fft.irfft2(change, kappa.shape), None

        kappa, key = carry
        key, level_key = jax.random.split(key)
        kappa, _ = jax.lax.scan(step, kappa, jax.random.split(level_key, n_steps))
        return (kappa, key), None

    (kappa, _), _ = jax.lax.scan(level, (kappa, key), sigmas)
    return denoised(weights, grid, kappa, sigmas[-1])


def annealed_samples(
    problem: WienerProblem, grid: PriorGrid, weights: Weights, g1: jax.Array, g2: jax.Array, keys: jax.Array,
    schedule: Schedule, reduced_shear: bool,
) -> np.ndarray:  # fmt: skip
    """Samples (n, n_y, n_x) of the posterior, one a key. Raises ValueError when a chain diverges."""
    sigmas = jnp.geomspace(schedule.sigma_start, schedule.sigma_end, schedule.n_levels)
    samples = np.zeros((len(keys), *g1.shape), np.float32)
    for sample, key in zip(samples, progress(keys, "samples", n_items=len(keys)), strict=True):
        n_steps = schedule.n_steps_per_level
        sample[:] = _run_chain(problem, grid, weights, g1, g2, key, sigmas, n_steps, reduced_shear)
    if not np.isfinite(samples).all():
        raise ValueError("a chain of the score prior diverged: train it longer (key `train_score: n_steps`)")
    return samples


_run_chain = jax.jit(_chain, static_argnums=(7, 8))
