"""A neural prior of convergence, learned by denoising.

A sky with white noise of width sigma added has the score (D(y, sigma) - y) / sigma^2, where D is the mean of the
clean sky given the noisy one (Robbins 1956; Vincent 2011). D starts from the Wiener filter, which is right for a
Gaussian field, and a network that sees its surroundings at several scales corrects it: an offset, and how much of the
removed structure of one and two pixels is put back, never more than all of it, so that no peak can grow by itself.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from armillary.convergence import power_on_grid, smooth
from armillary.inverse.local_network import (
    Kept,
    Weights,
    filtered,
    fit,
    gaussian_bank,
    gradient_size,
    initial_weights,
    perceptron,
)

WIDTHS_PX = (1.0, 2.0, 4.0, 8.0, 16.0)
WINDOW_WIDTH_PX = 4.0
N_FEATURES = 17
N_OUTPUTS = 3
MAX_OFFSET = 3.0  # of the rms that the Wiener filter leaves
SIGMA_MIN, SIGMA_MAX = 0.008, 1.5


class PriorGrid(NamedTuple):
    """What the prior needs of a grid, float32 on its half plane."""

    power: jax.Array  # S, variance of the modes
    bank: jax.Array  # Gaussian filters of WIDTHS_PX
    mode_share: jax.Array  # of each mode in a pixel's variance
    rms: jax.Array  # of a pixel
    window: jax.Array | float = 1.0  # where the network speaks; elsewhere the prior is Gaussian


def prior_grid(multipole: np.ndarray, power: np.ndarray, shape: tuple[int, int], pixel_arcmin: float) -> PriorGrid:
    """The grid of a map of `shape`, with the spectrum C(l) that the Gaussian part of the prior has."""
    variance = power_on_grid(multipole, power, shape, pixel_arcmin)
    share = np.full(variance.shape, 2.0 / (shape[0] * shape[1]))
    share[:, 0] /= 2
    if shape[1] % 2 == 0:
        share[:, -1] /= 2
    arrays = (variance, gaussian_bank(shape, WIDTHS_PX), share, np.sqrt((variance * share).sum()))
    return PriorGrid(*(jnp.asarray(array, jnp.float32) for array in arrays))


def windowed(grid: PriorGrid, mask: np.ndarray) -> PriorGrid:
    """The grid for a field with data in `mask`: far from any the prior is Gaussian.

    Where no data hold it, a chain would wander to skies that the network has never seen, and its errors would feed
    themselves.
    """
    reach = smooth(mask.astype(float), WINDOW_WIDTH_PX)
    return grid._replace(window=jnp.asarray(np.clip(2.0 * reach - 0.5, 0.0, 1.0), jnp.float32))


def gaussian_denoised(grid: PriorGrid, noisy: jax.Array, sigma: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The mean of a Gaussian sky given a noisy one (n_y, n_x), and the rms of what it misses."""
    gain = grid.power / (grid.power + sigma**2)
    return filtered(noisy, gain), sigma * jnp.sqrt((grid.mode_share * gain).sum())


def denoised(weights: Weights, grid: PriorGrid, noisy: jax.Array, sigma: jax.Array) -> jax.Array:
    """D(y, sigma): the mean of the clean sky given a noisy one (n_y, n_x)."""
    base, missing_rms = gaussian_denoised(grid, noisy, sigma)
    output = jnp.tanh(perceptron(weights, _features(grid, base, sigma, missing_rms)))  # (n_y, n_x, 3)
    removed = filtered(noisy - base, grid.bank[:2])
    put_back = 0.5 * (output[..., 1] * removed[0] + output[..., 2] * removed[1])
    return base + grid.window * (MAX_OFFSET * missing_rms * output[..., 0] + put_back)


def _features(grid: PriorGrid, base: jax.Array, sigma: jax.Array, missing_rms: jax.Array) -> jax.Array:
    """(n_y, n_x, N_FEATURES): the denoised map at all scales, its local rms and gradient; the width of the noise."""
    smoothed = filtered(base, grid.bank)
    local_rms = jnp.sqrt(jnp.maximum(filtered(base**2, grid.bank[2:4]), 1e-12))
    in_prior_rms = jnp.stack([base, *smoothed, *local_rms, gradient_size(smoothed[1])]) / grid.rms
    in_own_rms = in_prior_rms[:5] * grid.rms / jnp.sqrt(jnp.mean(base**2) + 1e-12)
    level = jnp.stack([jnp.log(sigma), jnp.sin(jnp.log(sigma)), jnp.log(missing_rms / grid.rms)])
    level = jnp.broadcast_to(level[:, None, None], (3, *base.shape))
    return jnp.moveaxis(jnp.concatenate([_squashed(in_prior_rms), _squashed(in_own_rms), level]), 0, -1)


def _squashed(values: jax.Array) -> jax.Array:
    """Values on a logarithmic scale on either side of 0; arcsinh does the same at ten times the cost."""
    return jnp.sign(values) * jnp.log1p(jnp.abs(values))


def train_score(
    skies: np.ndarray, multipole: np.ndarray, power: np.ndarray, pixel_arcmin: float, *, n_validation: int, n_hidden:
    int, n_steps: int, learning_rate: float, seed: int, kept: Kept,
) -> tuple[dict[str, np.ndarray], list[dict]]:  # fmt: skip
    """Weights and the history of training on periodic skies (n, size, size), the last `n_validation` held out.

    A step sees two skies with noise whose log-width is uniform between SIGMA_MIN and SIGMA_MAX. Losses are in units
    of the variance that the Gaussian denoiser leaves: below 1 is what the network knows beyond the power spectrum.
    """
    grid = prior_grid(multipole, power, skies.shape[1:], pixel_arcmin)
    skies = jnp.asarray(skies - skies.mean(axis=(1, 2), keepdims=True), jnp.float32)
    train, held_out = skies[:-n_validation], skies[-n_validation:]
    ln_range = np.log(SIGMA_MIN), np.log(SIGMA_MAX)

    def loss_of(weights: Weights, sky: jax.Array, sigma: jax.Array, key: jax.Array) -> jax.Array:
        noisy = sky + sigma * jax.random.normal(key, sky.shape)
        missing_rms = gaussian_denoised(grid, noisy, sigma)[1]
        return jnp.mean((denoised(weights, grid, noisy, sigma) - sky) ** 2) / missing_rms**2

    def loss(weights: Weights, key: jax.Array) -> jax.Array:
        choice, level, noise = jax.random.split(key, 3)
        chosen = train[jax.random.randint(choice, (2,), 0, len(train))]
        place = (jax.random.uniform(level) + jnp.array([0.0, 0.5])) % 1.0
        sigma = jnp.exp(ln_range[0] + (ln_range[1] - ln_range[0]) * place)
        return jnp.mean(jax.vmap(loss_of, (None, 0, 0, 0))(weights, chosen, sigma, jax.random.split(noise, 2)))

    def validation_loss(weights: Weights) -> jax.Array:
        keys = jax.random.split(jax.random.key(seed + 1), len(held_out))
        sigma = jnp.geomspace(SIGMA_MIN, SIGMA_MAX, len(held_out))
        return jnp.mean(jax.lax.map(lambda one: loss_of(weights, *one), (held_out, sigma, keys)))

    start = initial_weights(jax.random.key(seed), N_FEATURES, n_hidden, N_OUTPUTS)
    weights, history = fit(
        start,
        loss,
        validation_loss,
        n_steps=n_steps,
        learning_rate=learning_rate,
        seed=seed,
        kept=kept,
        label="score prior",
    )
    return {name: np.asarray(value) for name, value in weights.items()}, history
