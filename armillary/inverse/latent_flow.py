"""A normalising flow of latent variables: what the auto-encoder's latents look like, drawn from unit Gaussians.

Affine couplings (Dinh et al. 2017) with bounded scales, between fixed random rotations of the latents that mix them.
Both directions and the logarithm of the Jacobian's determinant are in closed form.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from armillary.inverse.local_network import Kept, fit, initial_weights, perceptron

BATCH_SIZE = 512
MAX_LN_SCALE = 2.0
TAIL = 4.0  # the spread of latents, in standard deviations, beyond which couplings no longer change

FlowWeights = list[dict[str, jax.Array]]  # one dictionary a coupling


class LatentFlow(NamedTuple):
    """Couplings, rotations before each of them, and the centre and spread of the latents."""

    weights: FlowWeights
    rotations: jax.Array  # (n_couplings, n_latents, n_latents), orthogonal
    centre: jax.Array  # (n_latents,)
    spread: jax.Array  # (n_latents,)


def to_latents(flow: LatentFlow, unit: jax.Array) -> jax.Array:
    """Latents (..., n_latents) of unit Gaussian variables."""
    half = flow.centre.shape[0] // 2
    for weights, rotation in zip(reversed(flow.weights), reversed(flow.rotations), strict=True):
        first, second = unit[..., :half], unit[..., half:]
        ln_scale, shift = _coupling(weights, first)
        unit = jnp.concatenate([first, (second - shift) * jnp.exp(-ln_scale)], -1) @ rotation.T
    return unit * flow.spread + flow.centre


def to_unit(flow: LatentFlow, latents: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Unit Gaussian variables of latents (..., n_latents), and ln |d unit / d latents| (...)."""
    half = flow.centre.shape[0] // 2
    unit, ln_volume = (latents - flow.centre) / flow.spread, -jnp.sum(jnp.log(flow.spread))
    for weights, rotation in zip(flow.weights, flow.rotations, strict=True):
        unit = unit @ rotation
        first, second = unit[..., :half], unit[..., half:]
        ln_scale, shift = _coupling(weights, first)
        unit = jnp.concatenate([first, second * jnp.exp(ln_scale) + shift], -1)
        ln_volume = ln_volume + ln_scale.sum(-1)
    return unit, ln_volume


def ln_density(flow: LatentFlow, latents: jax.Array) -> jax.Array:
    """ln p of latents (..., n_latents), in nats."""
    unit, ln_volume = to_unit(flow, latents)
    return ln_volume - 0.5 * jnp.sum(unit**2, -1) - 0.5 * unit.shape[-1] * jnp.log(2 * jnp.pi)


def _coupling(weights: dict[str, jax.Array], first: jax.Array) -> tuple[jax.Array, jax.Array]:
    output = perceptron(weights, TAIL * jnp.tanh(first / TAIL))
    ln_scale, shift = jnp.split(output, 2, -1)
    return MAX_LN_SCALE * jnp.tanh(ln_scale / MAX_LN_SCALE), shift


def train_flow(
    mean: np.ndarray, sd: np.ndarray, held_out: np.ndarray, *, n_couplings: int, n_hidden: int, n_steps: int,
    learning_rate: float, seed: int, kept: Kept,
) -> tuple[LatentFlow, list[dict]]:  # fmt: skip
    """The flow and the history of training on latents of mean (n, n_latents) and standard deviation `sd`.

    Losses are nats a galaxy: minus the mean of ln p.
    """
    n_latents = mean.shape[1]
    half = n_latents // 2
    rng = np.random.default_rng(seed)
    rotations = np.array([np.linalg.qr(rng.normal(size=(n_latents, n_latents)))[0] for _ in range(n_couplings)])
    fixed = [jnp.asarray(array, jnp.float32) for array in (rotations, mean.mean(0), mean.std(0))]
    mean, sd, held_out = (jnp.asarray(array, jnp.float32) for array in (mean, sd, held_out))

    def loss(weights, key):
        choice, noise = jax.random.split(key)
        chosen = jax.random.randint(choice, (BATCH_SIZE,), 0, len(mean))
        latents = mean[chosen] + sd[chosen] * jax.random.normal(noise, (BATCH_SIZE, n_latents))
        return -jnp.mean(ln_density(LatentFlow(weights, *fixed), latents))

    keys = jax.random.split(jax.random.key(seed), n_couplings)
    start = [initial_weights(key, half, n_hidden, 2 * (n_latents - half)) for key in keys]
    weights, history = fit(
        start, loss, lambda weights: -jnp.mean(ln_density(LatentFlow(weights, *fixed), held_out)), n_steps=n_steps,
        learning_rate=learning_rate, seed=seed, kept=kept, label="latent flow",
    )  # fmt: skip
    return LatentFlow(weights, *fixed), history
