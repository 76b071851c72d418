"""Convolutional networks of stamps, at the sizes that are published for galaxies and made for GPUs.

Residual blocks (He et al. 2016) at resolutions that halve from scale to scale, each normalised over a whole stamp, so
that batches play no part. Weights are a flat dictionary of arrays, as those of the perceptrons are; the last layer of
every block and of every network is 0 at first.
"""

import jax
import jax.numpy as jnp

from armillary.inverse.local_network import Weights

LAYOUT = ("NHWC", "HWIO", "NHWC")


def encoder_weights(key: jax.Array, size: int, channels: list[int], n_outputs: int) -> Weights:
    """Weights of `encoded` for stamps of `size` pixels; a scale for each of `channels`."""
    keys = iter(jax.random.split(key, 3 * len(channels) + 2))
    weights = {"stem": _kernel(next(keys), 1, channels[0])}
    for k, (before, after) in enumerate(zip(_before(channels), channels, strict=True)):
        weights |= _block_weights(keys, f"down{k}", before, after, 0)
    side = _side(size, len(channels))
    return weights | {"dense": _matrix(next(keys), side**2 * channels[-1], n_outputs), "offset": jnp.zeros(n_outputs)}


def encoded(weights: Weights, images: jax.Array) -> jax.Array:
    """Outputs (n, n_outputs) of stamps (n, size, size)."""
    grid = _convolved(images[..., None], weights["stem"])
    for k in range(_n_scales(weights, "down")):
        grid = _block(weights, f"down{k}", grid, None)
        grid = _halved(grid)
    return grid.reshape(len(grid), -1) @ weights["dense"] + weights["offset"]


def decoder_weights(key: jax.Array, size: int, channels: list[int], n_inputs: int) -> Weights:
    """Weights of `decoded` for stamps of `size` pixels: the encoder's scales in reverse."""
    keys = iter(jax.random.split(key, 3 * len(channels) + 2))
    side = _side(size, len(channels))
    last = channels[-1]
    weights = {"dense": _matrix(next(keys), n_inputs, side**2 * last), "offset": jnp.zeros(side**2 * last)}
    for k in reversed(range(len(channels))):
        weights |= _block_weights(keys, f"up{k}", last, channels[k], 0)
        last = channels[k]
    return weights | {"head": jnp.zeros((3, 3, last, 1))}


def decoded(weights: Weights, latents: jax.Array, size: int) -> jax.Array:
    """Stamps (n, size, size) of latents (n, n_inputs)."""
    n_scales = _n_scales(weights, "up")
    side = _side(size, n_scales)
    grid = (latents @ weights["dense"] + weights["offset"]).reshape(len(latents), side, side, -1)
    for k in reversed(range(n_scales)):
        grid = _block(weights, f"up{k}", _doubled(grid, _side(size, k)), None)
    return _convolved(jax.nn.silu(_normalised(grid)), weights["head"])[..., 0]


def unet_weights(key: jax.Array, channels: list[int], n_levels: int) -> Weights:
    """Weights of `unet`, whose stamps come with `n_levels` numbers each."""
    keys = iter(jax.random.split(key, 8 * len(channels) + 1))
    weights = {"stem": _kernel(next(keys), 1, channels[0])}
    for k, (before, after) in enumerate(zip(_before(channels), channels, strict=True)):
        weights |= _block_weights(keys, f"down{k}", before, after, n_levels)
    last = channels[-1]
    for k in reversed(range(len(channels))):
        weights |= _block_weights(keys, f"up{k}", last + channels[k], channels[k], n_levels)
        last = channels[k]
    return weights | {"head": jnp.zeros((3, 3, last, 1))}


def unet(weights: Weights, images: jax.Array, levels: jax.Array) -> jax.Array:
    """Stamps (n, size, size) of stamps and what is said of each (n, n_levels) (Ronneberger et al. 2015)."""
    grid, kept = _convolved(images[..., None], weights["stem"]), []
    n_scales = _n_scales(weights, "down")
    for k in range(n_scales):
        grid = _block(weights, f"down{k}", grid, levels)
        kept.append(grid)
        grid = _halved(grid)
    for k in reversed(range(n_scales)):
        grid = jnp.concatenate([_doubled(grid, kept[k].shape[1]), kept[k]], -1)
        grid = _block(weights, f"up{k}", grid, levels)
    return _convolved(jax.nn.silu(_normalised(grid)), weights["head"])[..., 0]


def _before(channels: list[int]) -> list[int]:
    return [channels[0], *channels[:-1]]


def _n_scales(weights: Weights, way: str) -> int:
    return sum(name.startswith(way) and name.endswith("_first") for name in weights)


def _side(size: int, n_halvings: int) -> int:
    """Pixels a side after halvings that round up."""
    return -(-size // 2**n_halvings)


def _kernel(key: jax.Array, n_in: int, n_out: int) -> jax.Array:
    return jax.random.normal(key, (3, 3, n_in, n_out)) / (9 * n_in) ** 0.5


def _matrix(key: jax.Array, n_in: int, n_out: int) -> jax.Array:
    return jax.random.normal(key, (n_in, n_out)) / n_in**0.5


def _block_weights(keys, name: str, n_in: int, n_out: int, n_levels: int) -> Weights:
    weights = {
        f"{name}_first": _kernel(next(keys), n_in, n_out),
        f"{name}_second": jnp.zeros((3, 3, n_out, n_out)),
        f"{name}_skip": _matrix(next(keys), n_in, n_out),
        f"{name}_bias": jnp.zeros(n_out),
    }
    return weights | ({f"{name}_level": _matrix(next(keys), n_levels, n_out)} if n_levels else {})


def _block(weights: Weights, name: str, grid: jax.Array, levels: jax.Array | None) -> jax.Array:
    """(n, y, x, n_in) -> (n, y, x, n_out)."""
    inner = _convolved(jax.nn.silu(_normalised(grid)), weights[f"{name}_first"]) + weights[f"{name}_bias"]
    if levels is not None:
        inner = inner + (levels @ weights[f"{name}_level"])[:, None, None]
    inner = _convolved(jax.nn.silu(_normalised(inner)), weights[f"{name}_second"])
    return grid @ weights[f"{name}_skip"] + inner


def _convolved(grid: jax.Array, kernel: jax.Array) -> jax.Array:
    return jax.lax.conv_general_dilated(grid, kernel, (1, 1), "SAME", dimension_numbers=LAYOUT)


def _normalised(grid: jax.Array) -> jax.Array:
    """Mean 0 and variance 1 over each stamp, all channels together."""
    mean = grid.mean((1, 2, 3), keepdims=True)
    return (grid - mean) / jnp.sqrt(jnp.mean((grid - mean) ** 2, (1, 2, 3), keepdims=True) + 1e-5)


def _halved(grid: jax.Array) -> jax.Array:
    """Means of 2 x 2 pixels; an odd last row or column is repeated."""
    grid = jnp.pad(grid, ((0, 0), (0, grid.shape[1] % 2), (0, grid.shape[2] % 2), (0, 0)), mode="edge")
    n, height, width, depth = grid.shape
    return grid.reshape(n, height // 2, 2, width // 2, 2, depth).mean((2, 4))


def _doubled(grid: jax.Array, side: int) -> jax.Array:
    """Every pixel four times, cut to `side`."""
    return jnp.repeat(jnp.repeat(grid, 2, 1), 2, 2)[:, :side, :side]
