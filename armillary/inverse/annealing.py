"""Samples of the posterior under the neural prior, by Hamiltonian Monte Carlo that is annealed.

At temperature sigma the chain has the prior of fields u blurred by noise of width sigma and a likelihood whose
variance is larger by what that noise does to kappa; as sigma falls both become what they are (Remy et al. 2023). The
Gaussian part of the prior and the likelihood have an energy. What the network adds to the Gaussian score is a push, and
its work takes the energy's place. A sample is the chain's field with its last noise replaced by a draw from what that
noise may hide.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from armillary.inverse.lognormal import (
    ChainSettings,
    LognormalPrior,
    lognormal_convergence,
    negative_log_posterior,
    white_modes,
)
from armillary.inverse.score import ScorePrior, correction, wiener_gain
from armillary.inverse.trajectories import FIRST_STEP, place_at, require_moves, sampled, warmed_up
from armillary.inverse.wiener import WienerProblem


class Schedule(NamedTuple):
    """How a chain cools; sigmas are in units of the rms of u."""

    sigma_start: float = 1.0
    sigma_end: float = 0.1
    n_levels: int = 10
    n_trajectories_per_level: int = 12


def _tempered(prior: ScorePrior, problem: WienerProblem, sigma: jax.Array) -> tuple[LognormalPrior, WienerProblem]:
    """The Gaussian part of the prior and the problem at temperature `sigma`.

    # ASSUME: noise of u is noise of kappa times the shift, which it is where kappa is near 0.
    """
    weight = tuple(w / (1.0 + w * (prior.shift * sigma) ** 2) for w in problem.weight)
    power = jnp.where(prior.power > 0, prior.power + sigma**2, 0.0)
    even = jnp.stack([w.sum() / jnp.maximum((w > 0).sum(), 1) for w in weight]).mean()
    root_mass = jnp.sqrt(1.0 + prior.shift**2 * power * even)
    offset = prior.offset - 0.5 * sigma**2  # so that the noise leaves the mean of kappa
    known = (jnp.sqrt(power)[None], offset[None], jnp.log(prior.shift)[None])  # tables of one shift
    gaussian = LognormalPrior(*known, root_mass, prior.mode_share)
    return gaussian, problem._replace(weight=weight)


def _forces(prior: ScorePrior, problem: WienerProblem, data, sigma: jax.Array, reduced_shear: bool):
    """(Gaussian part, judge, push) of a chain at temperature `sigma`."""
    gaussian, cooled = _tempered(prior, problem, sigma)
    energy_and_slope = jax.value_and_grad(negative_log_posterior)

    def judge(position):
        return energy_and_slope(position, gaussian, cooled, data, reduced_shear)

    def push(position):
        added = correction(prior, _field(gaussian, position), sigma)[1] / sigma**2
        modes = gaussian.root_power[0] / gaussian.root_mass * jnp.fft.rfft2(added)
        return jnp.fft.irfft2(modes, position.shape)

    return gaussian, judge, push


def _field(gaussian: LognormalPrior, position: jax.Array) -> jax.Array:
    """u (n_y, n_x) of a position of the chain."""
    return jnp.fft.irfft2(gaussian.root_power[0] * white_modes(gaussian, position), position.shape)


def _without_noise(prior: ScorePrior, noisy: jax.Array, sigma: jax.Array, key: jax.Array) -> jax.Array:
    """kappa of a draw of the clean field given a noisy one: the denoised field, and noise as wide as a Gaussian field's
    denoising leaves.
    """
    base, added = correction(prior, noisy, sigma)
    spread = sigma * jnp.sqrt(wiener_gain(prior, sigma)[0])
    noise = jnp.fft.irfft2(spread * jnp.fft.rfft2(jax.random.normal(key, noisy.shape)), noisy.shape)
    return prior.shift * jnp.expm1(base + added + noise + prior.offset)


def _run(prior, problem, data, key, sigmas, schedule: Schedule, settings: ChainSettings, n_samples: int, reduced_shear):
    """(samples, mean over all places at the last temperature, acceptance, step) of one chain."""
    keys = jax.random.split(key, 4)

    def level(carry, inputs):
        position, ln_step = carry
        sigma, number, key = inputs
        _, judge, push = _forces(prior, problem, data, sigma, reduced_shear)
        place = place_at(position, ln_step, judge, push)
        of_level = jax.random.split(key, schedule.n_trajectories_per_level)
        place = warmed_up(judge, place, of_level, settings.n_leapfrog, push, number * schedule.n_trajectories_per_level)
        return (place.position, place.ln_step), None

    start = (0.01 * jax.random.normal(keys[0], data[0].shape), jnp.log(FIRST_STEP))
    levels = (sigmas, jnp.arange(schedule.n_levels), jax.random.split(keys[1], schedule.n_levels))
    (position, ln_step), _ = jax.lax.scan(level, start, levels)
    gaussian, judge, push = _forces(prior, problem, data, sigmas[-1], reduced_shear)

    def look(position):
        return lognormal_convergence(gaussian, white_modes(gaussian, position), position.shape)

    place = place_at(position, ln_step, judge, push)
    sample_keys = jax.random.split(keys[2], n_samples)
    positions, mean, share = sampled(
        judge, look, place, sample_keys, settings.n_between_samples, settings.n_leapfrog, push
    )

    def draw(position_and_key):
        position, key = position_and_key
        return _without_noise(prior, _field(gaussian, position), sigmas[-1], key)

    return jax.lax.map(draw, (positions, jax.random.split(keys[3], n_samples))), mean, share, jnp.exp(ln_step)


def annealed_samples(
    problem: WienerProblem, prior: ScorePrior, data: tuple[jax.Array, jax.Array], key: jax.Array, schedule: Schedule,
    settings: ChainSettings, n_samples: int, reduced_shear: bool,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Samples (n, n_y, n_x) of one chain and the mean of all its places at the last temperature.

    Raises ValueError when the chain hardly moves.
    """
    sigmas = prior.rms * jnp.geomspace(schedule.sigma_start, schedule.sigma_end, schedule.n_levels)
    samples, mean, share, step = _run_chain(
        prior, problem, data, key, sigmas, schedule, settings, n_samples, reduced_shear
    )
    way_out = (
        "cool it more slowly (key `reconstruct: n_trajectories_per_level`) or train it longer (`train_score: n_steps`)"
    )
    require_moves("score", float(share), float(step), way_out)
    return np.asarray(samples), np.asarray(mean)


_run_chain = jax.jit(_run, static_argnums=(5, 6, 7, 8))
