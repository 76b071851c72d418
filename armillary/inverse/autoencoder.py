"""A variational auto-encoder of galaxy stamps in a linear basis: sixteen numbers instead of a hundred coefficients.

Coefficients are heavy-tailed, so the networks see them through an arcsinh, in units of their spread. What training
weighs is the error of pixels relative to a galaxy's peak, against the information in the latent variables (Kingma and
Welling 2014).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from armillary.inverse.local_network import Kept, fit, initial_weights, perceptron

PIXEL_ERROR = 0.004  # of a galaxy's peak: rms that a decoded stamp may miss by; what the KL term is weighed against
BATCH_SIZE = 256

AutoencoderWeights = dict[str, dict[str, jax.Array]]  # encoder and decoder


class Autoencoder(NamedTuple):
    """The networks and the scale of the coefficients that they see."""

    weights: AutoencoderWeights
    scale: jax.Array  # (n_components,)

    @property
    def n_latents(self) -> int:
        """Latent variables."""
        return self.weights["decoder"]["w1"].shape[0]


def encode(model: Autoencoder, coefficients: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and ln of the standard deviation (..., n_latents) of the latents of coefficients (..., n_components)."""
    output = perceptron(model.weights["encoder"], jnp.arcsinh(coefficients / model.scale))
    mean, ln_sd = jnp.split(output, 2, -1)
    return mean, jnp.clip(ln_sd, -7.0, 2.0)


def decode(model: Autoencoder, latents: jax.Array) -> jax.Array:
    """Coefficients (..., n_components) of latents (..., n_latents)."""
    return model.scale * jnp.sinh(jnp.clip(perceptron(model.weights["decoder"], latents), -6.0, 6.0))


def train_autoencoder(
    coefficients: np.ndarray, peaks: np.ndarray, held_out: np.ndarray, held_out_peaks: np.ndarray, n_pixels: int, *,
    n_latents: int, n_hidden: int, n_steps: int, learning_rate: float, seed: int, kept: Kept,
) -> tuple[Autoencoder, list[dict]]:  # fmt: skip
    """The model and the history of training on coefficients (n, n_components) of stamps of flux 1.

    `peaks` (n,) are the stamps' highest pixels. Losses are nats a pixel.
    """
    scale = jnp.asarray(coefficients.std(0), jnp.float32)
    rows, tops = jnp.asarray(coefficients, jnp.float32), jnp.asarray(peaks, jnp.float32)
    other_rows, other_tops = jnp.asarray(held_out, jnp.float32), jnp.asarray(held_out_peaks, jnp.float32)

    def nats(weights, rows, tops, key):
        model = Autoencoder(weights, scale)
        mean, ln_sd = encode(model, rows)
        decoded = decode(model, mean + jnp.exp(ln_sd) * jax.random.normal(key, mean.shape))
        misfit = 0.5 * jnp.sum((decoded - rows) ** 2, -1) / (PIXEL_ERROR * tops) ** 2
        divergence = 0.5 * jnp.sum(mean**2 + jnp.exp(2 * ln_sd) - 1 - 2 * ln_sd, -1)
        return jnp.mean(misfit + divergence) / n_pixels

    def loss(weights, key):
        choice, noise = jax.random.split(key)
        chosen = jax.random.randint(choice, (BATCH_SIZE,), 0, len(rows))
        return nats(weights, rows[chosen], tops[chosen], noise)

    n_components = rows.shape[1]
    keys = jax.random.split(jax.random.key(seed), 2)
    start = {
        "encoder": initial_weights(keys[0], n_components, n_hidden, 2 * n_latents),
        "decoder": initial_weights(keys[1], n_latents, n_hidden, n_components),
    }
    weights, history = fit(
        start, loss, lambda weights: nats(weights, other_rows, other_tops, jax.random.key(seed + 1)), n_steps=n_steps,
        learning_rate=learning_rate, seed=seed, kept=kept, label="auto-encoder",
    )  # fmt: skip
    return Autoencoder(weights, scale), history
