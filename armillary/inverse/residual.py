"""The learned residual: what a Wiener map lacks, read off its surroundings pixel by pixel.

A Wiener map shrinks peaks and voids alike. A small network (`armillary.inverse.local_network`) sees the Wiener map,
the unfiltered Kaiser-Squires map and the depth around a pixel at several scales, and adds what skies of the same
noise and mask had there: a shrinkage that knows where it is. Trained on simulated skies of the field's own mask and
noise.
"""

import jax
import jax.numpy as jnp
import numpy as np

from armillary.convergence import kaiser_squires, mean_free, smooth
from armillary.inverse.local_network import Kept, Weights, fit, initial_weights, perceptron
from armillary.shear_catalogs import ShearMap

WIENER_WIDTHS_PX = (1, 2, 4, 8, 16)
SHEAR_WIDTHS_PX = (1.5, 3, 6, 12)
PIXELS_PER_STEP = 4096


def residual_features(wiener: np.ndarray, shear: ShearMap) -> np.ndarray:
    """Features (n, n_features) of the n pixels in the mask, in the maps' own units."""
    mask = shear.mask
    wiener = mean_free(wiener, mask)
    raw = kaiser_squires(shear.g1, shear.g2)[0]
    gradient = np.hypot(*np.gradient(smooth(wiener, 2)))
    local_rms = np.sqrt(np.maximum(smooth(wiener**2, 4), 0.0))
    depth = smooth(np.where(mask, 1.0 / np.square(np.where(mask, shear.sigma1, 1.0)), 0.0), 4)
    maps = [wiener, *(smooth(wiener, width) for width in WIENER_WIDTHS_PX)]
    maps += [smooth(raw, width) for width in SHEAR_WIDTHS_PX]
    maps += [gradient, local_rms, np.log(np.maximum(depth, 0.0) + 0.1 * depth.max())]
    return np.stack([image[mask] for image in maps], axis=-1).astype(np.float32)


def train_residual(
    features: list[np.ndarray], lacking: list[np.ndarray], n_validation: int, *, n_hidden: int, n_steps: int,
    learning_rate: float, seed: int, kept: Kept,
) -> tuple[dict[str, np.ndarray], list[dict]]:  # fmt: skip
    """Weights (with the standardisation) and the history of training.

    `features` and `lacking` (truth less Wiener, the pixels in the mask) have one array a sky; the last `n_validation`
    skies are held out. Losses are in units of the variance that the Wiener map leaves.
    """
    train, held_out = (
        np.concatenate(features[part]) for part in (slice(None, -n_validation), slice(-n_validation, None))
    )
    target, held_out_target = (
        np.concatenate(lacking[part]) for part in (slice(None, -n_validation), slice(-n_validation, None))
    )
    centre, spread, scale = train.mean(0), train.std(0) + 1e-12, float(target.std())
    inputs, wanted = jnp.asarray((train - centre) / spread), jnp.asarray(target / scale)
    held_out, held_out_target = jnp.asarray((held_out - centre) / spread), jnp.asarray(held_out_target / scale)

    def loss(weights: Weights, key: jax.Array) -> jax.Array:
        chosen = jax.random.randint(key, (PIXELS_PER_STEP,), 0, len(wanted))
        return jnp.mean((perceptron(weights, inputs[chosen])[:, 0] - wanted[chosen]) ** 2)

    def validation_loss(weights: Weights) -> jax.Array:
        return jnp.mean((perceptron(weights, held_out)[:, 0] - held_out_target) ** 2)

    start = initial_weights(jax.random.key(seed), inputs.shape[1], n_hidden, 1)
    weights, history = fit(
        start,
        loss,
        validation_loss,
        n_steps=n_steps,
        learning_rate=learning_rate,
        seed=seed,
        kept=kept,
        label="learned residual",
    )
    return {name: np.asarray(value) for name, value in weights.items()} | {
        "centre": centre, "spread": spread, "scale": np.float32(scale),
    }, history  # fmt: skip


def with_residual(weights: dict[str, np.ndarray], wiener: np.ndarray, shear: ShearMap) -> np.ndarray:
    """The Wiener map (n_y, n_x) with what the network says it lacks, mean-free in the mask."""
    inputs = (residual_features(wiener, shear) - weights["centre"]) / weights["spread"]
    lacking = np.asarray(_perceptron(weights, jnp.asarray(inputs))[:, 0]) * float(weights["scale"])
    added = np.zeros(wiener.shape)
    added[shear.mask] = lacking
    return mean_free(wiener + added, shear.mask)


_perceptron = jax.jit(lambda weights, inputs: perceptron(weights, inputs))
