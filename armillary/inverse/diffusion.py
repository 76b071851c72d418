"""Posterior samples by a diffusion run backwards, guided by linear data with all the covariance that a denoiser knows.

Noise of width s is added to the unknowns, and taken away in steps. What an unknown may have been given its noisy value
is a Gaussian of the denoiser's mean and of sigma^2 times its Jacobian as covariance; data of a Gaussian likelihood make
of this another Gaussian, in closed form; a draw from that is blurred again to the next smaller s, on the bridge between
draw and noisy value. For a Gaussian prior every step is exact, however few there are.

# ASSUME: for any other prior the Gaussian is an approximation, the better the smaller s is (Boys et al. 2023 call its
# use in guidance moment projection). What large s get wrong is repaired by going back, from a finished draw, to a
# middling s and down once more, which only needs small s to be right; draws made that way are a chain.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

N_NEWTON = 2  # Gauss-Newton steps a level, from the last level's place
MAX_MOVE = 1.0  # of an unknown in one of them: unknowns have about unit spread

Moments = Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]  # noisy (n,), s -> mean (n,), root (n, n)
Forward = Callable[[jax.Array], tuple[jax.Array, jax.Array]]  # unknowns (n,) -> c (m,), slope (m, n)


class Data(NamedTuple):
    """ln p(data | c) = pull c - 0.5 c gram c + const."""

    gram: jax.Array  # (m, m)
    pull: jax.Array  # (m,)


def clean_draw(
    mean: jax.Array, root: jax.Array, forward: Forward, data: Data, near: jax.Array, noise: jax.Array
) -> tuple[jax.Array, jax.Array]:  # fmt: skip
    """A draw (n,) of unknowns whose prior is a Gaussian of `mean` and covariance root root^T, given the data, and its
    mean; `forward` is linearised at that mean, sought from `near`."""
    for _ in range(N_NEWTON):
        c, slope = forward(near)
        seen = slope @ root  # (m, n)
        inner = jnp.linalg.cholesky(jnp.eye(len(mean)) + seen.T @ data.gram @ seen)
        left = seen.T @ (data.pull - data.gram @ (c + slope @ (mean - near)))
        best = mean + root @ jax.scipy.linalg.cho_solve((inner, True), left)
        near = near + jnp.clip(best - near, -MAX_MOVE, MAX_MOVE)
    return near + root @ jax.scipy.linalg.solve_triangular(inner.T, noise, lower=False), near


def descend(
    moments: Moments, forward: Forward, data: Data, noisy: jax.Array, near: jax.Array, sigmas: jax.Array, key: jax.Array
) -> tuple[jax.Array, jax.Array]:  # fmt: skip
    """A draw (n,) of the unknowns from a value (n,) with noise of width sigmas[0], and the last linearisation's place.

    `sigmas` (n_levels,) fall; the last draw is clean.
    """

    def level(state, inputs):
        noisy, near, _ = state
        sigma, following, key = inputs
        keys = jax.random.split(key)
        mean, root = moments(noisy, sigma)
        clean, near = clean_draw(mean, root, forward, data, near, jax.random.normal(keys[0], noisy.shape))
        share = (following / sigma) ** 2
        spread = following * jnp.sqrt(1.0 - share)
        noisy = share * noisy + (1.0 - share) * clean + spread * jax.random.normal(keys[1], noisy.shape)
        return (noisy, near, clean), None

    following = jnp.append(sigmas[1:], 0.0)
    inputs = (sigmas, following, jax.random.split(key, len(sigmas)))
    return jax.lax.scan(level, (noisy, near, noisy), inputs)[0][1:][::-1]
