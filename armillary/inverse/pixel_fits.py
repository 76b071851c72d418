"""Fits of free pixels: maximum likelihood, with positivity, and with the shape that galaxies have. No prior but when
they stop.

`monotonic` is what scarlet (Melchior et al. 2018) does of one band: each source is symmetric under half a turn and does
not rise away from its middle. Its middle is where the PCA-Gaussian finds it; the others keep the given position.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from armillary.inverse.galaxy_posteriors import compiled_registered
from armillary.inverse.stamp_likelihood import Scene, residual_of
from armillary.inverse.stamp_operator import image_of, modes_of

PIXEL_FITS = ("ml", "ml_positive", "monotonic")


def fitted_pixels(
    scene: Scene, stack: jax.Array, covariance: jax.Array, size: int, method: str, checkpoints: tuple[int, ...]
) -> tuple[jax.Array, jax.Array]:
    """Fine images (n_checkpoints, n_sources, size, size) after so many steps, and the places (n_sources, 2) in arcsec
    that they are centred on."""
    places = compiled_registered(scene, stack, covariance).shift if method == "monotonic" else scene.position
    return pixel_fit(scene._replace(position=places), size, method, checkpoints), places


def inner_neighbours(size: int) -> np.ndarray:
    """For each pixel of a flat image its neighbour nearest to the way to the middle (size^2,); itself in the middle."""
    place = np.arange(size) - (size - 1) / 2
    y, x = np.meshgrid(place, place, indexing="ij")
    radius = np.hypot(y, x)
    step = [np.round(axis / np.maximum(radius, 1e-9)).astype(int) for axis in (y, x)]
    rows, columns = np.indices((size, size))
    inner = (rows - step[0]) * size + columns - step[1]
    return np.where(radius < 1.0, np.arange(size**2).reshape(size, size), inner).ravel()


def monotonic_image(image: jax.Array, inner: jax.Array) -> jax.Array:
    """The image (size, size) cut down to positive values that do not rise away from the middle along the way inwards,
    and made symmetric under half a turn."""
    flat = jnp.maximum(0.5 * (image + image[::-1, ::-1]), 0.0).ravel()
    for _ in range(int(np.ceil(np.log2(image.shape[0])))):  # each doubles how far inwards is looked
        flat, inner = jnp.minimum(flat, flat[inner]), inner[inner]
    return flat.reshape(image.shape)


@partial(jax.jit, static_argnames=("size", "method", "checkpoints"))
def pixel_fit(scene: Scene, size: int, method: str, checkpoints: tuple[int, ...]) -> jax.Array:
    """Fine images (n_checkpoints, n_sources, size, size) after so many accelerated gradient steps from zeros (Beck and
    Teboulle 2009); the pixels of each source are free, at least 0, or monotonic and symmetric."""
    n_sources, inner = len(scene.position), jnp.asarray(inner_neighbours(size))
    allowed = {
        "ml": lambda pixels: pixels,
        "ml_positive": lambda pixels: jnp.maximum(pixels, 0.0),
        "monotonic": jax.vmap(lambda one: monotonic_image(one, inner)),
    }[method]

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
        return allowed(new), place

    state, kept = (zeros, zeros), []
    for first, last in zip((0, *checkpoints[:-1]), checkpoints, strict=True):
        state = jax.lax.fori_loop(first, last, step, state)
        kept.append(state[0])
    return jnp.stack(kept)
