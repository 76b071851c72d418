"""Hamiltonian Monte Carlo (Neal 2011) in coordinates that a Gaussian approximation has made round.

Several chains of one density run side by side and share their step length, which warm-up tunes. The density is tempered
at first, so that chains cross from one mode to another before they are counted. A chain that the cooling leaves in a
mode without weight goes on from the best chain's place; then the covariance of all chains makes the coordinates round
once more, because curvature at one maximum says little of a bent or many-peaked density.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

TARGET_ACCEPTANCE = 0.8
FIRST_STEP = 0.4
HOTTEST = 0.1  # inverse temperature of the likelihood at the first step of warm-up
LOST_SIGMA = 5.0  # ln p of draws of n unknowns scatters by (n / 2)^0.5; what lies lower has no weight


def hamiltonian_samples(
    ln_density: Callable[[jax.Array, jax.Array], jax.Array], start: jax.Array, centre: jax.Array, root: jax.Array,
    key: jax.Array, *, n_warmup: int, n_samples: int, n_leapfrog: int,
) -> tuple[jax.Array, jax.Array]:  # fmt: skip
    """Samples (n_chains, n_samples, n) and the mean acceptance of the counted steps.

    Args:
        ln_density: (x (n,), inverse temperature of the likelihood) -> unnormalised ln p.
        start: (n_chains, n).
        centre, root: x = centre + root @ y; y is about a unit Gaussian.
    """
    n_chains, n = start.shape

    def advance(y, ln_step, root, centre, keys, inverse_temperature, rate, rescue):
        """Chains y (n_chains, n) and step length after len(keys) trajectories, with all places and acceptances; where
        `rescue` is set, lost chains go on from the best one's place."""
        value_and_slope = jax.vmap(jax.value_and_grad(lambda y, heat: ln_density(centre + root @ y, heat)), (0, None))

        def step(state, inputs):
            y, ln_step = state
            key, heat, rate, rescue = inputs
            keys = jax.random.split(key, 3)
            size = jnp.exp(ln_step) * jax.random.uniform(keys[0], minval=0.8, maxval=1.2)
            momentum = jax.random.normal(keys[1], (n_chains, n))
            before, slope = value_and_slope(y, heat)

            def leap(_, moving):
                place, speed, slope, _ = moving
                speed = speed + 0.5 * size * slope
                place = place + size * speed
                value, slope = value_and_slope(place, heat)
                return place, speed + 0.5 * size * slope, slope, value

            place, speed, _, value = jax.lax.fori_loop(0, n_leapfrog, leap, (y, momentum, slope, before))
            ln_ratio = value - before - 0.5 * (jnp.sum(speed**2, 1) - jnp.sum(momentum**2, 1))
            chance = jnp.where(jnp.isfinite(ln_ratio), jnp.exp(jnp.minimum(ln_ratio, 0.0)), 0.0)
            taken = jax.random.uniform(keys[2], (n_chains,)) < chance
            y, height = jnp.where(taken[:, None], place, y), jnp.where(taken, value, before)
            lost = rescue & (height < height.max() - LOST_SIGMA * n**0.5)
            y = jnp.where(lost[:, None], y[jnp.argmax(height)], y)
            ln_step = jnp.clip(ln_step + rate * (chance.mean() - TARGET_ACCEPTANCE), jnp.log(1e-3), jnp.log(1.5))
            return (y, ln_step), (y, chance.mean())

        return jax.lax.scan(step, (y, ln_step), (keys, inverse_temperature, rate, rescue))

    n_hot = n_warmup // 3
    n_first = 2 * n_hot  # the rest of warm-up tunes the step length in the new coordinates
    keys = jax.random.split(key, n_warmup + n_samples)
    number = jnp.arange(n_first)
    heat = HOTTEST ** (1.0 - jnp.minimum(number / max(n_hot, 1), 1.0))
    rescue = (number == n_hot) | (number == n_hot + n_hot // 2)
    y = jax.scipy.linalg.solve_triangular(root, (start - centre).T, lower=False).T
    (y, ln_step), (places, _) = advance(
        y, jnp.log(FIRST_STEP), root, centre, keys[:n_first], heat, _rates(n_first), rescue
    )
    mean, spread = _pooled(places[n_hot + n_hot // 2 :], jnp.eye(n))
    y = jax.scipy.linalg.solve_triangular(spread, (y - mean).T, lower=True).T
    centre, root = centre + root @ mean, root @ spread
    n_rest = n_warmup - n_first + n_samples
    counted = jnp.arange(n_rest) >= n_rest - n_samples
    rates = jnp.where(counted, 0.0, _rates(n_rest))
    _, (places, chance) = advance(
        y, ln_step, root, centre, keys[n_first:], jnp.ones(n_rest), rates, jnp.zeros(n_rest, bool)
    )
    samples = centre + places[n_rest - n_samples :] @ root.T
    return jnp.moveaxis(samples, 0, 1), chance[n_rest - n_samples :].mean()


def _rates(n: int) -> jax.Array:
    """How fast the step length follows the acceptance."""
    return 1.0 / (1.0 + jnp.arange(n) / 10.0) ** 0.6


def _pooled(places: jax.Array, unit: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and Cholesky root of the covariance of all chains' places (n_steps, n_chains, n), drawn to unit variance as
    far as few samples, of which one in five counts, say little."""
    flat = places.reshape(-1, len(unit))
    share = len(flat) / (len(flat) + 10.0 * len(unit))
    centred = flat - flat.mean(0)
    covariance = share * centred.T @ centred / max(len(flat), 1) + (1.0 - share) * unit
    return share * flat.mean(0), jnp.linalg.cholesky(covariance)
