"""Samples of the posterior of a log-normal convergence, by Hamiltonian Monte Carlo on the Gaussian field beneath it.

kappa = shift (exp(G - var / 2) - 1), where G is the Gaussian field whose power gives kappa the spectrum that is asked
for. The chain moves white noise x with G = P^1/2 x, so its prior is a sphere; the likelihood is that of the shapes,
with mask, uneven noise and reduced shear. The shift is a nuisance with a log-normal prior of its own: the mean of x,
which leaves no shear, carries it, so that the chain moves it like any other mode. Every step is accepted or refused by
its energy (Duane et al. 1987), so the only approximations are the prior and the length of the chain.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from armillary.convergence import mode_share
from armillary.convergence_skies import SkyModel, white_to_gaussian_power
from armillary.inverse.trajectories import FIRST_STEP, place_at, require_moves, sampled, warmed_up
from armillary.inverse.wiener import WienerProblem, galaxy_shear

MOST_SPREADS, N_SHIFTS = 2.5, 9  # how far the shift goes from the middle of its prior, and where the power is tabulated


class LognormalPrior(NamedTuple):
    """A log-normal field on the grid of one map, shift (exp(G + offset) - 1), float32.

    The first three are tables over shifts, even in ln shift from -MOST_SPREADS to MOST_SPREADS spreads of its prior;
    of one entry where the shift is known.
    """

    root_power: jax.Array  # P^1/2 of the Gaussian field's half plane, (n_shifts, n_y, n_x // 2 + 1)
    offset: jax.Array
    ln_shift: jax.Array
    root_mass: jax.Array  # square root of a mode's curvature, prior and even noise together, on the half plane
    mode_share: jax.Array  # of each mode's square in the sum of the squares of all pixels


class ChainSettings(NamedTuple):
    """How long a chain is."""

    n_warm_up: int = 120  # trajectories, while the step is tuned
    n_between_samples: int = 10
    n_leapfrog: int = 12


def lognormal_prior(
    problem: WienerProblem, model: SkyModel, shape: tuple[int, int], spread: float = 0.0
) -> LognormalPrior:
    """The prior of a field of `shape`, with the scales of its modes for the noise of `problem`.

    `spread` is that of ln shift about the model's shift; with 0 the shift is known.
    """
    spreads = np.linspace(-MOST_SPREADS, MOST_SPREADS, N_SHIFTS) if spread else np.zeros(1)
    ln_shifts = np.log(model.shift) + spread * spreads
    found = [
        white_to_gaussian_power(model._replace(kind="lognormal", shift=float(np.exp(ln_shift))), shape)
        for ln_shift in ln_shifts
    ]
    powers, variances = np.array([power for power, _ in found]), np.array([variance for _, variance in found])
    middle = len(powers) // 2
    weight = [float(w.sum() / jnp.maximum((w > 0).sum(), 1)) for w in problem.weight]
    mass = 1.0 + model.shift**2 * powers[middle] * np.mean(weight)
    arrays = (np.sqrt(powers), -variances / 2, ln_shifts, np.sqrt(mass), mode_share(shape))
    prior = LognormalPrior(*(jnp.asarray(array, jnp.float32) for array in arrays))
    if not spread:
        return prior
    # how sharply the data hold the shift while all other modes stand still: the change of kappa over the noise
    change = _change_with_shift(prior, shape)
    mass[0, 0] = 1.0 + float(sum(w.mean() for w in problem.weight)) / 2 * np.square(change).sum()
    return prior._replace(root_mass=jnp.asarray(np.sqrt(mass), jnp.float32))


def _change_with_shift(prior: LognormalPrior, shape: tuple[int, int]) -> np.ndarray:
    """Half a spread up less half a spread down, of one field of the prior."""
    modes = jnp.asarray(np.fft.rfft2(np.random.default_rng(0).standard_normal(shape)), jnp.complex64)
    unit = 1.0 / jnp.sqrt(prior.mode_share[0, 0])
    up, down = (lognormal_convergence(prior, modes.at[0, 0].set(half * unit), shape) for half in (0.5, -0.5))
    change = np.asarray(up - down, float)
    return change - change.mean()


def _of_shift(prior: LognormalPrior, modes: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(P^1/2, offset, shift) at the shift that the mean of the white noise stands for: standard normal, in spreads."""
    if len(prior.offset) == 1:
        return prior.root_power[0], prior.offset[0], jnp.exp(prior.ln_shift[0])
    spreads = modes[0, 0].real * jnp.sqrt(prior.mode_share[0, 0])
    last = len(prior.offset) - 1
    place = jnp.clip((spreads / MOST_SPREADS + 1.0) / 2.0 * last, 0.0, last)
    below = jnp.clip(jnp.floor(place), 0, last - 1).astype(int)
    share = place - below
    root_power, offset, ln_shift = (
        (1.0 - share) * table[below] + share * table[below + 1]
        for table in (prior.root_power, prior.offset, prior.ln_shift)
    )
    return root_power, offset, jnp.exp(ln_shift)


def lognormal_convergence(prior: LognormalPrior, modes: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """kappa (n_y, n_x) of the modes of white noise on the half plane."""
    root_power, offset, shift = _of_shift(prior, modes)
    return shift * jnp.expm1(jnp.fft.irfft2(root_power * modes, shape) + offset)


def white_modes(prior: LognormalPrior, position: jax.Array) -> jax.Array:
    """Modes of the white noise that a position stands for: the chain moves in units of each mode's expected spread."""
    return jnp.fft.rfft2(position) / prior.root_mass


def negative_log_posterior(
    position: jax.Array, prior: LognormalPrior, problem: WienerProblem, data: tuple[jax.Array, jax.Array],
    reduced_shear: bool,
) -> jax.Array:  # fmt: skip
    """Energy of a position of the chain (n_y, n_x), up to a constant; `data` are the maps (g1, g2)."""
    modes = white_modes(prior, position)
    kappa = lognormal_convergence(prior, modes, position.shape)
    shear = galaxy_shear(problem, kappa, reduced_shear)
    misfit = sum((w * (g - model) ** 2).sum() for w, g, model in zip(problem.weight, data, shear, strict=True))
    return 0.5 * (misfit + (prior.mode_share * (modes.real**2 + modes.imag**2)).sum())


def _run(prior, problem, data, key, settings: ChainSettings, n_samples: int, reduced_shear: bool):
    """(samples, mean over all places after the warm-up, acceptance, step) of one chain."""
    energy_and_slope = jax.value_and_grad(negative_log_posterior)

    def judge(position):
        return energy_and_slope(position, prior, problem, data, reduced_shear)

    def look(position):
        return lognormal_convergence(prior, white_modes(prior, position), position.shape)

    start_key, warm_up_key, sample_key = jax.random.split(key, 3)
    position = 0.01 * jax.random.normal(start_key, data[0].shape)
    place = place_at(position, jnp.log(FIRST_STEP), judge)
    place = warmed_up(judge, place, jax.random.split(warm_up_key, settings.n_warm_up), settings.n_leapfrog)
    keys = jax.random.split(sample_key, n_samples)
    positions, mean, share = sampled(judge, look, place, keys, settings.n_between_samples, settings.n_leapfrog)
    return jax.lax.map(look, positions), mean, share, jnp.exp(place.ln_step)


_run_chain = jax.jit(_run, static_argnums=(4, 5, 6))


def lognormal_samples(
    problem: WienerProblem, prior: LognormalPrior, data: tuple[jax.Array, jax.Array], key: jax.Array,
    settings: ChainSettings, n_samples: int, reduced_shear: bool,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Samples (n, n_y, n_x) of one chain, `n_between_samples` trajectories apart, and the mean of all its places.

    Raises ValueError when the chain hardly moves.
    """
    samples, mean, share, step = _run_chain(prior, problem, data, key, settings, n_samples, reduced_shear)
    require_moves("log-normal", float(share), float(step), "give it a longer warm-up (key `reconstruct: n_warm_up`)")
    return np.asarray(samples), np.asarray(mean)
