"""What priors miss follows the light; its spectrum and scales are found back from stamps that were made with them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from armillary.inverse.stamp_residual import envelope, residual_mixture, residual_root, sampled_residuals

SIZE = 16


@pytest.fixture(scope="module")
def stack() -> jax.Array:
    """A Gaussian galaxy off the middle, and all smooth patterns as components."""
    places = np.arange(SIZE) - 6.0
    mean = np.exp(-0.5 * (places[:, None] ** 2 + (places - 2) ** 2) / 2.0**2)
    waves = np.cos(np.pi * np.outer(np.arange(8), np.arange(SIZE) + 0.5) / SIZE)
    waves /= np.linalg.norm(waves, axis=1, keepdims=True)
    components = np.einsum("ai,bj->abij", waves, waves).reshape(-1, SIZE, SIZE)
    return jnp.asarray(np.concatenate([mean[None] / mean.sum(), components]), jnp.float32)


@pytest.fixture(scope="module")
def spectrum() -> np.ndarray:
    """Of a field that is correlated over two pixels."""
    wave = 2 * np.pi * np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.fftfreq(SIZE))
    power = np.exp(-((1.5 * wave) ** 2))
    return (power / power.mean())[:, : SIZE // 2 + 1]


def test_the_envelope_is_the_root_of_the_light(stack):
    found = np.asarray(envelope(stack[0]))
    assert np.sum(found**2) == pytest.approx(1, rel=1e-4)
    assert np.unravel_index(found.argmax(), found.shape) == (6, 8)
    assert found[6, 8] / found[6, 12] == pytest.approx(np.exp(0.25 * 16 / (2.0**2 + 2.0**2)), rel=0.05)


def test_draws_have_the_covariance_of_the_root(stack, spectrum):
    n, known = 20000, 3
    rows = jnp.zeros((n, 64))
    drawn = jax.jit(sampled_residuals, static_argnums=4)(
        jnp.asarray(spectrum, jnp.float32), jnp.array([2.0]), stack, rows, known, jax.random.key(0)
    )
    root = 2.0 * residual_root(jnp.asarray(spectrum, jnp.float32), stack, rows[0], known)
    wanted = np.asarray(root @ root.T)
    assert not np.asarray(drawn[:, :known]).any() and not wanted[:known].any()
    spread = np.sqrt(np.maximum(np.diag(wanted), 0.02 * np.diag(wanted).mean())[known:])  # above the floor
    error = (np.cov(np.asarray(drawn).T)[known:, known:] - wanted[known:, known:]) / np.outer(spread, spread)
    assert np.abs(error).max() < 0.06


def test_spectrum_and_scales_are_found_back(stack, spectrum):
    scales = jnp.asarray([0.1, 0.4, 1.0, 3.0])
    rows = jnp.zeros((4000, 64))
    missed = sampled_residuals(jnp.asarray(spectrum, jnp.float32), scales, stack, rows, 0, jax.random.key(1))
    found = residual_mixture(np.asarray(missed), np.asarray(rows), np.asarray(stack), 0, 2)
    assert (np.diff(found["scales"]) > 0).all()
    assert np.mean(found["scales"] ** 2) == pytest.approx(np.mean(np.asarray(scales) ** 2), rel=0.1)
    strong = spectrum > 0.3 * spectrum.max()
    assert found["spectrum"][strong] == pytest.approx(spectrum[strong], rel=0.3)
    none = residual_mixture(np.zeros((5, 64)), np.zeros((5, 64)), np.asarray(stack), 64, 0)
    assert not none["scales"].any() and np.isfinite(none["spectrum"]).all()
