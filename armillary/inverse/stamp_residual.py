"""What a prior misses in a galaxy's stamp: a Gaussian field that follows the galaxy's own light.

Knots, arms and dust are where the light is, and a knot is a point with a share of the flux. On held-out galaxies the
square of what a decoder misses grows in proportion to the smoothed light, its length is a share of the flux that
depends little on a galaxy's size, and what is missed at two pixels is alike over a few of them. So the field in a stamp
of flux 1 is s g(x) eta(x): g is the square root of the smoothed light, its sum of squares 1; eta is a stationary field
of unit variance whose power spectrum held-out galaxies show. How much is missed differs by an order of magnitude from
galaxy to galaxy, hence a mixture of few scales s.
"""

import jax
import jax.numpy as jnp
import numpy as np

N_SCALES = 4
SMOOTHING_PX = 2.0  # sigma of the Gaussian that the light is smoothed with
RANGE_PX = 8.0  # over which correlations of what is missed are believed: a Gaussian taper's sigma
FLOOR = 1e-3  # of the mean variance of a coefficient: keeps covariances regular


def envelope(images: jax.Array) -> jax.Array:
    """g / |g| of stamps (..., size, size): the root of their smoothed positive light, sum of squares 1."""
    size = images.shape[-1]
    rows, columns = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)
    gaussian = jnp.asarray(np.exp(-2 * (np.pi * SMOOTHING_PX) ** 2 * (rows**2 + columns**2)), jnp.float32)
    light = jnp.fft.irfft2(jnp.fft.rfft2(jnp.maximum(images, 0.0)) * gaussian, (size, size))
    light = jnp.maximum(light, 0.0)
    return jnp.sqrt(light / jnp.maximum(light.sum((-2, -1), keepdims=True), 1e-20))


def residual_root(spectrum: jax.Array, stack: jax.Array, coefficients: jax.Array, n_known: int) -> jax.Array:
    """Root (n_components, n_components) of the covariance of what is missed in a stamp of flux 1, for scale 1.

    Args:
        spectrum: (size, size // 2 + 1), power of eta by mode, 1 in the mean.
        stack: (1 + n_components, size, size) mean and components.
        coefficients: (n_components,) of the stamp, for its light.
        n_known: the first coefficients, of which nothing is missed.
    """
    size, n = stack.shape[-1], len(coefficients)
    if n == n_known:
        return jnp.zeros((n, n))
    light = envelope(stack[0] + jnp.tensordot(coefficients, stack[1:], 1))
    modes = jnp.fft.rfft2(stack[1 + n_known :] * light).reshape(n - n_known, -1)
    columns = np.arange(size // 2 + 1)
    twice = np.where((columns == 0) | (2 * columns == size), 1.0, 2.0)  # the half plane stands for the whole
    weight = jnp.sqrt(spectrum * jnp.asarray(twice, jnp.float32)).ravel() / size
    rows = jnp.concatenate([modes.real * weight, modes.imag * weight], 1)
    covariance = rows @ rows.T
    floor = FLOOR * jnp.trace(covariance) / len(covariance) + 1e-12
    root = jnp.linalg.cholesky(covariance + floor * jnp.eye(len(covariance)))
    return jnp.pad(root, ((n_known, 0), (n_known, 0)))


def sampled_residuals(
    spectrum: jax.Array, scales: jax.Array, stack: jax.Array, coefficients: jax.Array, n_known: int, key: jax.Array
) -> jax.Array:
    """Draws (n, n_components) of what is missed in stamps of coefficients (n, n_components), scales drawn, too."""
    size, n, keys = stack.shape[-1], len(coefficients), jax.random.split(key)
    images = stack[0] + jnp.tensordot(coefficients, stack[1:], 1)
    white = jax.random.normal(keys[0], images.shape)
    field = jnp.fft.irfft2(jnp.fft.rfft2(white) * jnp.sqrt(spectrum), (size, size))
    missed = jnp.tensordot(field * envelope(images), stack[1:], ((1, 2), (1, 2))).at[:, :n_known].set(0.0)
    return jax.random.choice(keys[1], scales, (n, 1)) * missed


def residual_mixture(
    missed: np.ndarray, coefficients: np.ndarray, stack: np.ndarray, n_known: int, seed: int
) -> dict[str, np.ndarray]:
    """The spectrum and the scales of what a prior misses: coefficients `missed` (n, n_components) of held-out stamps,
    and those (n, n_components) that the prior has instead.

    Every stamp counts alike. Correlations at a distance are those of what is missed over those of the envelopes.
    `scales` (N_SCALES,) are rms lengths of as many equal parts of the stamps, shortest first, corrected for the share
    of the field that is no combination of the components. They are 0 where all coefficients are known.
    """
    if n_known == missed.shape[1]:
        size = stack.shape[-1]
        return {"spectrum": np.ones((size, size // 2 + 1), np.float32), "scales": np.zeros(N_SCALES, np.float32)}
    stack, coefficients = jnp.asarray(stack, jnp.float32), jnp.asarray(coefficients, jnp.float32)
    shapes = np.asarray(envelope(stack[0] + jnp.tensordot(coefficients, stack[1:], 1)), float)
    length = np.linalg.norm(missed, axis=1)
    images = np.tensordot(missed / length[:, None], np.asarray(stack[1:], float), 1)
    spectrum = _spectrum(_correlations(images), _correlations(shapes))
    ones, keys = jnp.ones(1), jax.random.key(seed)
    drawn = sampled_residuals(jnp.asarray(spectrum, jnp.float32), ones, stack, coefficients, n_known, keys)
    share = np.mean(np.linalg.norm(drawn, axis=1) ** 2)
    parts = np.array_split(np.sort(length), N_SCALES)
    scales = np.array([np.sqrt(np.mean(part**2) / share) for part in parts])
    return {"spectrum": spectrum.astype(np.float32), "scales": scales.astype(np.float32)}


def _correlations(images: np.ndarray) -> np.ndarray:
    """Mean sum of products at each distance (size, size), periodic, distance 0 first."""
    return np.fft.ifft2((np.abs(np.fft.fft2(images)) ** 2).mean(0)).real


def _spectrum(missed: np.ndarray, shapes: np.ndarray) -> np.ndarray:
    """Power (size, size // 2 + 1), mean 1, of the isotropic field whose correlation is `missed` over `shapes`."""
    size = len(missed)
    away = np.minimum(np.arange(size), size - np.arange(size))
    distance = np.hypot(away[:, None], away)
    ring = np.round(distance).astype(int)
    profile = np.bincount(ring.ravel(), missed.ravel()) / np.bincount(ring.ravel(), shapes.ravel())
    near = np.interp(distance, np.arange(len(profile)), profile) * np.exp(-0.5 * (distance / RANGE_PX) ** 2)
    power = np.maximum(np.fft.fft2(near).real, 0.0)
    return (power / power.mean())[:, : size // 2 + 1]
