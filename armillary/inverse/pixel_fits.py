"""Fits of free pixels: maximum likelihood, with and without positivity. No prior but when they stop."""

from functools import partial

import jax
import jax.numpy as jnp

from armillary.inverse.stamp_likelihood import Scene, residual_of
from armillary.inverse.stamp_operator import image_of, modes_of


@partial(jax.jit, static_argnames=("size", "positive", "checkpoints"))
def pixel_fit(scene: Scene, size: int, positive: bool, checkpoints: tuple[int, ...]) -> jax.Array:
    """Fine images (n_checkpoints, n_sources, size, size) after so many accelerated gradient steps from zeros (Beck and
    Teboulle 2009); the pixels of each source are free, or at least 0."""
    n_sources = len(scene.position)

    def misfit(pixels):
        shapes = zip(pixels, scene.position, strict=True)
        model = sum(image_of(scene.operator, modes_of(scene.operator, one), place) for one, place in shapes)
        return 0.5 * jnp.sum(residual_of(scene, model) ** 2)

    slope = jax.grad(misfit)
    zeros = jnp.zeros((n_sources, size, size))
    at_zero = slope(zeros)
    direction = jax.random.normal(jax.random.key(0), zeros.shape)
    for _ in range(12):  # the largest curvature, by power iteration
        image = slope(direction) - at_zero
        direction = image / jnp.linalg.norm(image)
    length = 0.9 / jnp.vdot(direction, slope(direction) - at_zero)

    def step(number, state):
        place, before = state
        ahead = place + number / (number + 3.0) * (place - before)
        new = ahead - length * slope(ahead)
        return jnp.maximum(new, 0.0) if positive else new, place

    state, kept = (zeros, zeros), []
    for first, last in zip((0, *checkpoints[:-1]), checkpoints, strict=True):
        state = jax.lax.fori_loop(first, last, step, state)
        kept.append(state[0])
    return jnp.stack(kept)
