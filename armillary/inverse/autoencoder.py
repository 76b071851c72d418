"""A variational auto-encoder of galaxy stamps in a linear basis: sixteen numbers instead of a hundred coefficients.

Coefficients are heavy-tailed, so perceptrons see them through an arcsinh, in units of their spread; convolutional
networks see and make the stamps that they stand for, through an arcsinh, too. What training
weighs is the error of pixels relative to a galaxy's peak, against the information in the latent variables (Kingma and
Welling 2014).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from armillary.inverse.convolutions import decoded, decoder_weights, encoded, encoder_weights
from armillary.inverse.local_network import Kept, fit, initial_weights, perceptron

PIXEL_ERROR = 0.004  # of a galaxy's peak: rms that a decoded stamp may miss by; what the KL term is weighed against
BATCH_SIZE = 256
SOFTENING = 0.1  # of the mean stamp's peak: pixels are linear below, logarithmic above

AutoencoderWeights = dict[str, dict[str, jax.Array]]  # encoder and decoder


class Autoencoder(NamedTuple):
    """The networks and the scale of the coefficients that they see."""

    weights: AutoencoderWeights
    scale: jax.Array  # (n_components,)
    stack: jax.Array | None = None  # (1 + n_components, size, size) mean and components, for convolutional networks

    @property
    def n_latents(self) -> int:
        """Latent variables."""
        return self.weights["decoder"]["w1" if self.stack is None else "dense"].shape[0]


def encode(model: Autoencoder, coefficients: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and ln of the standard deviation (..., n_latents) of the latents of coefficients (..., n_components)."""
    if model.stack is None:
        output = perceptron(model.weights["encoder"], jnp.arcsinh(coefficients / model.scale))
    else:
        output = _of_rows(lambda rows: encoded(model.weights["encoder"], _pixels(model.stack, rows)), coefficients)
    mean, ln_sd = jnp.split(output, 2, -1)
    return mean, jnp.clip(ln_sd, -7.0, 2.0)


def decode(model: Autoencoder, latents: jax.Array) -> jax.Array:
    """Coefficients (..., n_components) of latents (..., n_latents)."""
    if model.stack is None:
        return model.scale * jnp.sinh(jnp.clip(perceptron(model.weights["decoder"], latents), -6.0, 6.0))
    return _of_rows(lambda rows: _decoded_coefficients(model, rows), latents)


def _of_rows(network: Callable[[jax.Array], jax.Array], rows: jax.Array) -> jax.Array:
    """A network of batches (n, n_in) on an array (..., n_in)."""
    return network(rows.reshape(-1, rows.shape[-1])).reshape(*rows.shape[:-1], -1)


def _pixels(stack: jax.Array, coefficients: jax.Array) -> jax.Array:
    """Softened stamps (n, size, size) of coefficients (n, n_components)."""
    return jnp.arcsinh((stack[0] + jnp.tensordot(coefficients, stack[1:], 1)) / (SOFTENING * stack[0].max()))


def _decoded_coefficients(model: Autoencoder, latents: jax.Array) -> jax.Array:
    """The decoder's stamps, the mean one softened added, projected on the components (n, n_components)."""
    softening = SOFTENING * model.stack[0].max()
    pixels = jnp.arcsinh(model.stack[0] / softening) + decoded(model.weights["decoder"], latents, model.stack.shape[-1])
    images = softening * jnp.sinh(jnp.clip(pixels, -6.0, 6.0))
    return jnp.tensordot(images - model.stack[0], model.stack[1:], ((1, 2), (1, 2)))


def untrained_autoencoder(
    coefficients: np.ndarray, stack: np.ndarray, *, architecture: str, n_latents: int, n_hidden: int,
    channels: list[int], seed: int,
) -> Autoencoder:  # fmt: skip
    """Networks that know nothing yet, for coefficients (n, n_components) of a basis' mean and components."""
    scale = jnp.asarray(coefficients.std(0), jnp.float32)
    keys = jax.random.split(jax.random.key(seed), 2)
    if architecture == "convolutional":
        size = stack.shape[-1]
        weights = {
            "encoder": encoder_weights(keys[0], size, channels, 2 * n_latents),
            "decoder": decoder_weights(keys[1], size, channels, n_latents),
        }
        return Autoencoder(weights, scale, jnp.asarray(stack, jnp.float32))
    n_components = coefficients.shape[1]
    weights = {
        "encoder": initial_weights(keys[0], n_components, n_hidden, 2 * n_latents),
        "decoder": initial_weights(keys[1], n_latents, n_hidden, n_components),
    }
    return Autoencoder(weights, scale)


def train_autoencoder(
    model: Autoencoder, coefficients: np.ndarray, peaks: np.ndarray, held_out: np.ndarray, held_out_peaks: np.ndarray,
    n_pixels: int, *, n_steps: int, learning_rate: float, seed: int, kept: Kept,
) -> tuple[Autoencoder, list[dict]]:  # fmt: skip
    """The model and the history of training on coefficients (n, n_components) of stamps of flux 1.

    `peaks` (n,) are the stamps' highest pixels. Losses are nats a pixel.
    """
    rows, tops = jnp.asarray(coefficients, jnp.float32), jnp.asarray(peaks, jnp.float32)
    other_rows, other_tops = jnp.asarray(held_out, jnp.float32), jnp.asarray(held_out_peaks, jnp.float32)

    def nats(weights, rows, tops, key):
        trained = model._replace(weights=weights)
        mean, ln_sd = encode(trained, rows)
        found = decode(trained, mean + jnp.exp(ln_sd) * jax.random.normal(key, mean.shape))
        misfit = 0.5 * jnp.sum((found - rows) ** 2, -1) / (PIXEL_ERROR * tops) ** 2
        divergence = 0.5 * jnp.sum(mean**2 + jnp.exp(2 * ln_sd) - 1 - 2 * ln_sd, -1)
        return jnp.mean(misfit + divergence) / n_pixels

    def loss(weights, key):
        choice, noise = jax.random.split(key)
        chosen = jax.random.randint(choice, (BATCH_SIZE,), 0, len(rows))
        return nats(weights, rows[chosen], tops[chosen], noise)

    weights, history = fit(
        model.weights, loss, lambda weights: nats(weights, other_rows, other_tops, jax.random.key(seed + 1)),
        n_steps=n_steps, learning_rate=learning_rate, seed=seed, kept=kept, label="auto-encoder",
    )  # fmt: skip
    return model._replace(weights=weights), history
