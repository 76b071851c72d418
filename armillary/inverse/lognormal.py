"""Samples of the posterior of a log-normal convergence, by Hamiltonian Monte Carlo on the Gaussian field beneath it.

kappa = shift (exp(G - var / 2) - 1), where G is the Gaussian field whose power gives kappa the spectrum that is asked
for. The chain moves white noise x with G = P^1/2 x, so its prior is a sphere; the likelihood is that of the shapes,
with mask, uneven noise and reduced shear. Every step is accepted or refused by its energy (Duane et al. 1987), so the
only approximations are the prior and the length of the chain.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from armillary.convergence_skies import SkyModel, white_to_gaussian_power
from armillary.inverse.wiener import WienerProblem, galaxy_shear
from armillary.step import announce

ACCEPTANCE = 0.75  # that the step is tuned for; beyond 0.9 and below 0.5 a chain moves slowly
LEAST_ACCEPTANCE = 0.2
FIRST_STEP = 0.1


class LognormalPrior(NamedTuple):
    """A log-normal field on the grid of one map, float32."""

    root_power: jax.Array  # P^1/2 of the Gaussian field's half plane
    variance: jax.Array  # of the Gaussian field
    shift: jax.Array
    root_mass: jax.Array  # square root of a mode's curvature, prior and even noise together, on the half plane


class ChainSettings(NamedTuple):
    """How long a chain is."""

    n_warm_up: int = 120  # trajectories, while the step is tuned
    n_between_samples: int = 10
    n_leapfrog: int = 12


def lognormal_prior(problem: WienerProblem, model: SkyModel, shape: tuple[int, int]) -> LognormalPrior:
    """The prior of a field of `shape`, with the scales of its modes for the noise of `problem`."""
    power, variance = white_to_gaussian_power(model._replace(kind="lognormal"), shape)
    weight = [float(w.sum() / jnp.maximum((w > 0).sum(), 1)) for w in problem.weight]
    mass = 1.0 + model.shift**2 * power * np.mean(weight)
    arrays = (np.sqrt(power), variance, model.shift, np.sqrt(mass))
    return LognormalPrior(*(jnp.asarray(array, jnp.float32) for array in arrays))


def lognormal_convergence(prior: LognormalPrior, modes: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """kappa (n_y, n_x) of the modes of white noise on the half plane."""
    gaussian = jnp.fft.irfft2(prior.root_power * modes, shape)
    return prior.shift * jnp.expm1(gaussian - 0.5 * prior.variance)


def _white_modes(prior: LognormalPrior, position: jax.Array) -> jax.Array:
    """Modes of the white noise that a position stands for: the chain moves in units of each mode's expected spread."""
    return jnp.fft.rfft2(position) / prior.root_mass


def negative_log_posterior(
    position: jax.Array, prior: LognormalPrior, problem: WienerProblem, data: tuple[jax.Array, jax.Array],
    reduced_shear: bool,
) -> jax.Array:  # fmt: skip
    """Energy of a position of the chain (n_y, n_x), up to a constant; `data` are the maps (g1, g2)."""
    modes = _white_modes(prior, position)
    kappa = lognormal_convergence(prior, modes, position.shape)
    shear = galaxy_shear(problem, kappa, reduced_shear)
    misfit = sum((w * (g - model) ** 2).sum() for w, g, model in zip(problem.weight, data, shear, strict=True))
    return 0.5 * (misfit + (jnp.fft.irfft2(modes, position.shape) ** 2).sum())


class Place(NamedTuple):
    """Where a chain is, and how far it steps."""

    position: jax.Array  # (n_y, n_x)
    energy: jax.Array
    slope: jax.Array
    ln_step: jax.Array


def trajectory(judge: Callable, place: Place, key: jax.Array, n_leapfrog: int) -> tuple[Place, jax.Array]:
    """The next place and the probability that the move was to be accepted. Neal (2011), section 5.2.

    `judge` gives energy and slope of a position. The step varies, so that no trajectory closes on itself.
    """
    speed_key, step_key, choice_key = jax.random.split(key, 3)
    speed = jax.random.normal(speed_key, place.position.shape)
    step = jnp.exp(place.ln_step) * jax.random.uniform(step_key, minval=0.7, maxval=1.3)

    def leap(carry, _):
        position, speed, _, slope = carry
        speed = speed - 0.5 * step * slope
        position = position + step * speed
        energy, slope = judge(position)
        return (position, speed - 0.5 * step * slope, energy, slope), None

    start = (place.position, speed, place.energy, place.slope)
    (position, last_speed, energy, slope), _ = jax.lax.scan(leap, start, None, n_leapfrog)
    gained = place.energy - energy + 0.5 * ((speed**2).sum() - (last_speed**2).sum())
    share = jnp.where(jnp.isfinite(gained), jnp.exp(jnp.minimum(gained, 0.0)), 0.0)
    taken = jax.random.uniform(choice_key) < share
    moved = Place(position, energy, slope, place.ln_step)
    return jax.tree.map(lambda new, old: jnp.where(taken, new, old), moved, place), share


def _run(prior, problem, data, key, settings: ChainSettings, n_samples: int, reduced_shear: bool):
    """(samples, mean over all places after the warm-up, acceptance, step) of one chain."""
    energy_and_slope = jax.value_and_grad(negative_log_posterior)

    def judge(position):
        return energy_and_slope(position, prior, problem, data, reduced_shear)

    def convergence(place):
        return lognormal_convergence(prior, _white_modes(prior, place.position), place.position.shape)

    def warm_up(place, numbered_key):
        number, key = numbered_key
        place, share = trajectory(judge, place, key, settings.n_leapfrog)
        return place._replace(ln_step=place.ln_step + (share - ACCEPTANCE) / (1.0 + 0.1 * number)), None

    def move(carry, key):
        place, total = carry
        place, share = trajectory(judge, place, key, settings.n_leapfrog)
        return (place, total + convergence(place)), share

    def sample(place, key):
        blank = jnp.zeros(place.position.shape)
        keys = jax.random.split(key, settings.n_between_samples)
        (place, total), share = jax.lax.scan(move, (place, blank), keys)
        return place, (convergence(place), total / settings.n_between_samples, share.mean())

    start_key, warm_up_key, sample_key = jax.random.split(key, 3)
    position = 0.01 * jax.random.normal(start_key, data[0].shape)
    place = Place(position, *judge(position), jnp.log(FIRST_STEP))
    numbered = (jnp.arange(settings.n_warm_up), jax.random.split(warm_up_key, settings.n_warm_up))
    place, _ = jax.lax.scan(warm_up, place, numbered)
    place, (samples, means, share) = jax.lax.scan(sample, place, jax.random.split(sample_key, n_samples))
    return samples, means.mean(0), share.mean(), jnp.exp(place.ln_step)


_run_chain = jax.jit(_run, static_argnums=(4, 5, 6))


def lognormal_samples(
    problem: WienerProblem, prior: LognormalPrior, data: tuple[jax.Array, jax.Array], key: jax.Array,
    settings: ChainSettings, n_samples: int, reduced_shear: bool,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Samples (n, n_y, n_x) of one chain, `n_between_samples` trajectories apart, and the mean of all its places.

    Raises ValueError when the chain hardly moves.
    """
    samples, mean, share, step = _run_chain(prior, problem, data, key, settings, n_samples, reduced_shear)
    announce(f"log-normal chain: acceptance {float(share):.2f}, step {float(step):.3f}")
    if not float(share) > LEAST_ACCEPTANCE:
        raise ValueError(
            f"a chain of the log-normal prior accepts {float(share):.2f} of its moves, less than {LEAST_ACCEPTANCE}: "
            "give it a longer warm-up (key `reconstruct: n_warm_up`)"
        )
    return np.asarray(samples), np.asarray(mean)
