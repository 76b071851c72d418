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
) -> tuple[jax.Array, jax.Array, jax.Array]:  # fmt: skip
    """Samples (n_chains, n_samples, n), the mean acceptance of the counted steps, and which chains (n_chains,) went on
    from another one's place: that these agree with it says nothing.

    Args:
        ln_density: (x (n,), inverse temperature of the likelihood) -> unnormalised ln p.
        start: (n_chains, n).
        centre, root: x = centre + root @ y; y is about a unit Gaussian.
    """
    n_chains, n = start.shape
    n_hot = n_warmup // 3
    n_first = 2 * n_hot  # the rest of warm-up tunes the step length in the new coordinates
    number = jnp.arange(n_warmup + n_samples)
    first = number < n_first
    rate = jnp.where(first, _rate(number), jnp.where(number < n_warmup, _rate(number - n_first), 0.0))
    inputs = (
        jax.random.split(key, len(number)),
        HOTTEST ** (1.0 - jnp.minimum(number / max(n_hot, 1), 1.0)),
        rate,
        (first & (number == n_hot)) | (first & (number == n_hot + n_hot // 2)),  # lost chains go on elsewhere
        first & (number >= n_hot + n_hot // 2),  # places count for the new coordinates
        number == n_first - 1,  # when these are made
    )

    def step(state, inputs):
        y, ln_step, centre, root, seen, was_moved = state
        key, heat, rate, rescue, is_seen, remake = inputs
        y, height, acceptance = _trajectory(
            lambda y: ln_density(centre + root @ y, heat), y, jnp.exp(ln_step), key, n_leapfrog
        )
        lost = rescue & (height < height.max() - LOST_SIGMA * n**0.5)
        y = jnp.where(lost[:, None], y[jnp.argmax(height)], y)
        ln_step = jnp.clip(ln_step + rate * (acceptance - TARGET_ACCEPTANCE), jnp.log(1e-3), jnp.log(1.5))
        seen = jax.tree.map(lambda total, more: total + is_seen * more, seen, (1.0 * n_chains, y.sum(0), y.T @ y))
        place = centre + y @ root.T
        y, centre, root = jax.lax.cond(
            remake, _rounder, lambda y, centre, root, seen: (y, centre, root), y, centre, root, seen
        )
        return (y, ln_step, centre, root, seen, was_moved | lost), (place, acceptance)

    y = jax.scipy.linalg.solve_triangular(root, (start - centre).T, lower=False).T
    seen = (jnp.zeros(()), jnp.zeros(n), jnp.zeros((n, n)))
    state = (y, jnp.log(FIRST_STEP), centre, root, seen, jnp.zeros(n_chains, bool))
    (*_, was_moved), (places, acceptance) = jax.lax.scan(step, state, inputs)
    return jnp.moveaxis(places[n_warmup:], 0, 1), acceptance[n_warmup:].mean(), was_moved


def _trajectory(
    ln_density: Callable[[jax.Array], jax.Array], y: jax.Array, size: jax.Array, key: jax.Array, n_leapfrog: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The next places (n_chains, n) of chains y, ln p there (n_chains,), and the mean acceptance."""
    value_and_slope = jax.vmap(jax.value_and_grad(ln_density))
    keys = jax.random.split(key, 3)
    size = size * jax.random.uniform(keys[0], minval=0.8, maxval=1.2)
    momentum = jax.random.normal(keys[1], y.shape)

    def leap(number, moving):
        place, speed, slope, _, before = moving
        length = jnp.where(number == 0, 0.0, size)  # the first only looks around: one graph of the density to compile
        speed = speed + 0.5 * length * slope
        place = place + length * speed
        value, slope = value_and_slope(place)
        return place, speed + 0.5 * length * slope, slope, value, jnp.where(number == 0, value, before)

    nothing = jnp.zeros(len(y))
    place, speed, _, value, before = jax.lax.fori_loop(
        0, n_leapfrog + 1, leap, (y, momentum, jnp.zeros_like(y), nothing, nothing)
    )
    ln_ratio = value - before - 0.5 * (jnp.sum(speed**2, 1) - jnp.sum(momentum**2, 1))
    chance = jnp.where(jnp.isfinite(ln_ratio), jnp.exp(jnp.minimum(ln_ratio, 0.0)), 0.0)
    taken = jax.random.uniform(keys[2], chance.shape) < chance
    return jnp.where(taken[:, None], place, y), jnp.where(taken, value, before), chance.mean()


def _rate(number: jax.Array) -> jax.Array:
    """How fast the step length follows the acceptance."""
    return 1.0 / (1.0 + jnp.maximum(number, 0) / 10.0) ** 0.6


def _rounder(y: jax.Array, centre: jax.Array, root: jax.Array, seen: tuple) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The chains, centre and root in coordinates that the places seen (their number, sum and products) make round,
    drawn to the old ones as far as few places, of which one in five counts, say little."""
    count, total, products = seen
    share = count / (count + 10.0 * len(total))
    mean = total / jnp.maximum(count, 1.0)
    spread = products / jnp.maximum(count, 1.0) - jnp.outer(mean, mean)
    spread = jnp.linalg.cholesky(share * spread + (1.0 - share) * jnp.eye(len(total)))
    mean = share * mean
    y = jax.scipy.linalg.solve_triangular(spread, (y - mean).T, lower=True).T
    return y, centre + root @ mean, root @ spread
