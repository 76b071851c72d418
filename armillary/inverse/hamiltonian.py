"""Hamiltonian Monte Carlo (Neal 2011) in coordinates that a Gaussian approximation has made round.

Several chains of one density run side by side and share their step length, which warm-up tunes; the density may be
tempered during warm-up, so that chains cross from one mode to another before they are counted.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

TARGET_ACCEPTANCE = 0.8
FIRST_STEP = 0.4
HOTTEST = 0.1  # inverse temperature of the likelihood at the first step of warm-up


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

    def of_y(y, inverse_temperature):
        return ln_density(centre + root @ y, inverse_temperature)

    value_and_slope = jax.vmap(jax.value_and_grad(of_y), (0, None))

    def step(state, inputs):
        y, ln_step = state
        key, inverse_temperature, rate = inputs
        keys = jax.random.split(key, 3)
        size = jnp.exp(ln_step) * jax.random.uniform(keys[0], minval=0.8, maxval=1.2)
        momentum = jax.random.normal(keys[1], (n_chains, n))
        before, slope = value_and_slope(y, inverse_temperature)

        def leap(_, moving):
            place, speed, slope, _ = moving
            speed = speed + 0.5 * size * slope
            place = place + size * speed
            value, slope = value_and_slope(place, inverse_temperature)
            return place, speed + 0.5 * size * slope, slope, value

        place, speed, _, value = jax.lax.fori_loop(0, n_leapfrog, leap, (y, momentum, slope, before))
        ln_ratio = value - before - 0.5 * (jnp.sum(speed**2, 1) - jnp.sum(momentum**2, 1))
        chance = jnp.where(jnp.isfinite(ln_ratio), jnp.exp(jnp.minimum(ln_ratio, 0.0)), 0.0)
        taken = jax.random.uniform(keys[2], (n_chains,)) < chance
        y = jnp.where(taken[:, None], place, y)
        ln_step = jnp.clip(ln_step + rate * (chance.mean() - TARGET_ACCEPTANCE), jnp.log(1e-3), jnp.log(1.5))
        return (y, ln_step), (y, chance.mean())

    n_steps = n_warmup + n_samples
    place = jnp.arange(n_steps)
    heat = jnp.clip(2.0 * place / max(n_warmup, 1), 0.0, 1.0)  # cold after half of the warm-up
    inverse_temperature = HOTTEST ** (1.0 - heat)
    rate = jnp.where(place < n_warmup, 1.0 / (1.0 + place / 10.0) ** 0.6, 0.0)
    y = jax.scipy.linalg.solve_triangular(root, (start - centre).T, lower=False).T
    _, (samples, chance) = jax.lax.scan(
        step, (y, jnp.log(FIRST_STEP)), (jax.random.split(key, n_steps), inverse_temperature, rate)
    )
    samples = centre + samples[n_warmup:] @ root.T
    return jnp.moveaxis(samples, 0, 1), chance[n_warmup:].mean()
