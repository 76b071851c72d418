"""A score prior of galaxy stamps, learned by denoising: the mean of the clean coefficients given noisy ones.

Coefficients are stretched by an arcsinh and made white, so that a unit Gaussian has their mean and covariance; the
denoiser D is then the closed form of that Gaussian plus what a network corrects, in the form of Karras et al. (2022):
D(x, s) = x / (1 + s^2) + s / (1 + s^2)^0.5 F(x / (1 + s^2)^0.5, ln s), and the score of the blurred prior is
(D - x) / s^2. An untrained network says 0: losses are in units of the Gaussian denoiser's, so 1 is the baseline.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from armillary.inverse.convolutions import unet, unet_weights
from armillary.inverse.local_network import Kept, Weights, fit, initial_weights, perceptron

BATCH_SIZE = 256
STRETCH = 0.3  # of the coefficients' spread: linear below, logarithmic above
LN_SIGMA = (-1.0, 1.4)  # mean and sigma of ln s that training sees
SIGMA_MIN, SIGMA_MAX = 0.02, 10.0
N_LEVEL_FEATURES = 3
CAP = 6.0  # of stretched coefficients: beyond all that training saw


class GalaxyScore(NamedTuple):
    """The network, and how whitened variables become coefficients."""

    weights: Weights
    scale: jax.Array  # (k,) of the first k coefficients, before the arcsinh
    centre: jax.Array  # (k,) mean after it
    root: jax.Array  # (k, k): stretched = centre + root @ white
    components: jax.Array | None  # (k, size, size), where the network is convolutional and sees stamps
    residual_spectrum: jax.Array  # (size, size // 2 + 1) of what k coefficients miss (`stamp_residual`)
    residual_scales: jax.Array  # (n_scales,), equally probable, of stamps of flux 1

    @property
    def n_coefficients(self) -> int:
        """Coefficients that the network sees; those after them are part of the residual."""
        return self.scale.shape[0]


def coefficients_of_white(score: GalaxyScore, white: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Coefficients (k,) of whitened variables (k,), and their slope (k, k)."""
    held = jnp.clip(score.centre + score.root @ white, -CAP, CAP)
    return score.scale * jnp.sinh(held), (score.scale * jnp.cosh(held))[:, None] * score.root


def white_of_coefficients(score: GalaxyScore, coefficients: jax.Array) -> jax.Array:
    """Whitened variables (n, k) of coefficients (n, at least k)."""
    stretched = jnp.arcsinh(coefficients[:, : score.n_coefficients] / score.scale) - score.centre
    return jax.scipy.linalg.solve_triangular(score.root, stretched.T, lower=True).T


def denoised(score: GalaxyScore, noisy: jax.Array, sigma: jax.Array) -> jax.Array:
    """D: the mean of clean whitened variables (n, k) given ones with noise of width `sigma` (n,)."""
    sigma = sigma[:, None]
    variance, ln_sigma = 1.0 + sigma**2, jnp.log(sigma)
    level = jnp.concatenate([0.25 * ln_sigma, jnp.sin(ln_sigma), jnp.cos(ln_sigma)], -1)
    correction = _network(score, noisy / jnp.sqrt(variance), level)
    return noisy / variance + sigma / jnp.sqrt(variance) * correction


def _network(score: GalaxyScore, white: jax.Array, level: jax.Array) -> jax.Array:
    """F (n, k) of variables of about unit spread and what is said of the noise (n, N_LEVEL_FEATURES)."""
    if score.components is None:
        return perceptron(score.weights, jnp.concatenate([white, level], -1))
    images = jnp.tensordot(white @ score.root.T, score.components, 1)
    return jnp.tensordot(unet(score.weights, images, level), score.components, ((1, 2), (1, 2)))


def denoised_moments(score: GalaxyScore, noisy: jax.Array, sigma: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean (k,) and a root (k, k) of the covariance of clean variables given noisy ones (k,).

    The covariance is sigma^2 times the denoiser's Jacobian (the second order of Tweedie's formula).
    """
    mean, push = jax.linearize(lambda noisy: denoised(score, noisy[None], sigma[None])[0], noisy)
    jacobian = jax.vmap(push)(jnp.eye(len(noisy)))
    values, vectors = jnp.linalg.eigh(0.5 * (jacobian + jacobian.T))
    # ASSUME: a network's Jacobian is neither quite symmetric nor positive; the symmetric part stands for it, its
    # eigenvalues held between a hundredth of the Gaussian's and the 4 that two modes may reach.
    gaussian = 1.0 / (1.0 + sigma**2)
    return mean, vectors * (sigma * jnp.sqrt(jnp.clip(values, 0.01 * gaussian, 4.0)))


def denoising_losses(score: GalaxyScore, white: jax.Array, sigma: jax.Array, key: jax.Array) -> jax.Array:
    """Squared errors of D (n,) a variable, in units of what the unit Gaussian's D misses of a unit Gaussian, for rows
    (n, k) with noise `sigma` (n,)."""
    noisy = white + sigma[:, None] * jax.random.normal(key, white.shape)
    return jnp.mean((denoised(score, noisy, sigma) - white) ** 2, -1) * (1.0 + sigma**2) / sigma**2


def untrained_score(
    coefficients: np.ndarray, components: np.ndarray, *, n_coefficients: int, architecture: str, n_hidden: int,
    channels: list[int], seed: int,
) -> GalaxyScore:  # fmt: skip
    """The Gaussian denoiser of coefficients (n, n_components), with a network that says 0 and no residual yet.

    Raises ValueError for more coefficients than there are.
    """
    if n_coefficients > coefficients.shape[1]:
        raise ValueError(
            f"n_coefficients is {n_coefficients}; the basis has {coefficients.shape[1]} (config keys `train_score: "
            "n_coefficients`, `estimate_basis: n_components`)"
        )
    scale = STRETCH * coefficients[:, :n_coefficients].std(0)
    stretched = np.arcsinh(coefficients[:, :n_coefficients] / scale)
    key, seen = jax.random.key(seed), None
    if architecture == "convolutional":
        weights = unet_weights(key, channels, N_LEVEL_FEATURES)
        seen = jnp.asarray(components[:n_coefficients], jnp.float32)
    else:
        weights = initial_weights(key, n_coefficients + N_LEVEL_FEATURES, n_hidden, n_coefficients)
    arrays = (
        jnp.asarray(array, jnp.float32) for array in (scale, stretched.mean(0), np.linalg.cholesky(np.cov(stretched.T)))
    )
    size = components.shape[-1]
    none = jnp.zeros((size, size // 2 + 1)), jnp.zeros(1)
    return GalaxyScore(weights, *arrays, seen, *none)


def train_score(
    score: GalaxyScore, coefficients: np.ndarray, held_out: np.ndarray, *, n_steps: int, learning_rate: float,
    seed: int, kept: Kept,
) -> tuple[GalaxyScore, list[dict]]:  # fmt: skip
    """The score prior and the history of training it on coefficients (n, n_components).

    Losses are in units of the Gaussian denoiser's.
    """
    rows, others = (white_of_coefficients(score, jnp.asarray(one, jnp.float32)) for one in (coefficients, held_out))
    sigma_of = jax.jit(lambda normal: jnp.clip(jnp.exp(LN_SIGMA[0] + LN_SIGMA[1] * normal), SIGMA_MIN, SIGMA_MAX))

    def loss(weights, key):
        choice, level, noise = jax.random.split(key, 3)
        chosen = rows[jax.random.randint(choice, (BATCH_SIZE,), 0, len(rows))]
        sigma = sigma_of(jax.random.normal(level, (BATCH_SIZE,)))
        return jnp.mean(denoising_losses(score._replace(weights=weights), chosen, sigma, noise))

    def validation_loss(weights):
        quantiles = (jnp.arange(len(others)) + 0.5) / len(others)
        sigma = sigma_of(jax.scipy.special.ndtri(quantiles))
        return jnp.mean(denoising_losses(score._replace(weights=weights), others, sigma, jax.random.key(seed + 1)))

    weights, history = fit(
        score.weights, loss, validation_loss, n_steps=n_steps, learning_rate=learning_rate, seed=seed, kept=kept,
        label="score prior",
    )  # fmt: skip
    return score._replace(weights=weights), history
