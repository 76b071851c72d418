"""The Wiener filter and samples of its posterior: adjointness, limits, exactness."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from armillary.convergence import (
    binned_spectra,
    kaiser_squires,
    multipole_length,
    power_on_grid,
    shear_of_convergence,
)
from armillary.inverse.wiener import (
    colour,
    shear_of_white,
    white_of_shear,
    wiener_map,
    wiener_problem,
    wiener_samples,
)

PIXEL = 0.6
MULTIPOLE = np.geomspace(10, 1e5, 60)
POWER = 2e-9 * (MULTIPOLE / 100) ** -0.6 / (1 + (MULTIPOLE / 3000) ** 1.5)


def problem(shape, sigma, mask=None):
    mask = np.ones(shape, bool) if mask is None else mask
    noise = np.full(shape, sigma)
    return wiener_problem(MULTIPOLE, POWER, noise, noise, mask, PIXEL)


def drawn(shape, seed=0):
    rng = np.random.default_rng(seed)
    root = np.sqrt(power_on_grid(MULTIPOLE, POWER, shape, PIXEL))
    return np.fft.irfft2(root * np.fft.rfft2(rng.normal(size=shape)), shape)


def as32(*arrays):
    return [jnp.asarray(array, jnp.float32) for array in arrays]


@pytest.mark.parametrize("shape", [(24, 24), (25, 25), (24, 25)])
def test_the_operator_and_its_transpose_agree(shape, rng):
    one = problem(shape, 0.1)
    white, g1, g2 = as32(*rng.normal(size=(3, *shape)))
    forward = sum(jnp.vdot(a, b) for a, b in zip(shear_of_white(one, white), (g1, g2), strict=True))
    assert float(forward) == pytest.approx(float(jnp.vdot(white, white_of_shear(one, g1, g2))), rel=1e-5)


@pytest.mark.parametrize("shape", [(32, 32), (33, 35)])
def test_without_noise_it_is_kaiser_squires(shape):
    g1, g2 = shear_of_convergence(drawn(shape))
    found, residual = wiener_map(problem(shape, 1e-4), *as32(g1, g2))
    assert float(residual) < 1e-5
    assert np.asarray(found) == pytest.approx(kaiser_squires(g1, g2)[0], abs=2e-4)


def test_it_solves_the_normal_equations_of_a_small_field(rng):
    """Against a dense solve with numpy: mask, uneven noise."""
    shape = (8, 9)
    mask = rng.random(shape) < 0.8
    sigma = rng.uniform(0.02, 0.05, shape)
    one = wiener_problem(MULTIPOLE, POWER, sigma, sigma, mask, PIXEL)
    n = shape[0] * shape[1]
    basis = np.eye(n).reshape(n, *shape)
    prior = np.array([np.asarray(colour(one, jnp.asarray(b, jnp.float32))).ravel() for b in basis]).T.astype(float)
    shear = np.array([np.concatenate([g.ravel() for g in shear_of_convergence(b)]) for b in basis]).T
    weight = np.concatenate([np.where(mask, sigma**-2, 0).ravel()] * 2)
    data = rng.normal(size=2 * n) * 0.05
    response = shear @ prior
    white = np.linalg.solve(np.eye(n) + response.T @ (weight[:, None] * response), response.T @ (weight * data))
    found, _ = wiener_map(one, *as32(data[:n].reshape(shape), data[n:].reshape(shape)))
    assert np.asarray(found).ravel() == pytest.approx(prior @ white, abs=2e-6)


def test_samples_have_the_posterior_mean_and_the_right_spread():
    shape, sigma = (32, 32), 0.05
    mask = np.ones(shape, bool)
    mask[10:16, 8:20] = False
    rng = np.random.default_rng(3)
    one, truth = problem(shape, sigma, mask), drawn(shape, 5)
    data = [np.where(mask, g + sigma * rng.normal(size=shape), 0) for g in shear_of_convergence(truth)]
    mean, _ = wiener_map(one, *as32(*data))
    samples = np.asarray(wiener_samples(one, *as32(*data), jax.random.split(jax.random.key(1), 200)))
    pull = (samples.mean(0) - np.asarray(mean)) / (samples.std(0, ddof=1) / np.sqrt(200))
    assert np.abs(pull).max() < 4.5
    assert pull.std() == pytest.approx(1.0, abs=0.15)
    assert samples.std(0)[12:14, 12:16].mean() > samples.std(0)[mask].mean()


def test_prior_samples_have_the_spectrum():
    """In ten bins, to 5 %: the samples' power against the mean of S(l) over the very modes of each bin."""
    one = problem((64, 64), 1e6)
    keys = jax.random.split(jax.random.key(2), 600)
    samples = np.asarray(wiener_samples(one, *as32(*np.zeros((2, 64, 64))), keys))
    edges = np.geomspace(1200, 15000, 11)
    found = np.mean([binned_spectra(sample, sample, PIXEL, edges)[0] for sample in samples], axis=0)
    assert found / bin_means(np.asarray(one.root_power, float) ** 2, edges) == pytest.approx(1.0, abs=0.05)
    step = 2 * np.pi / (64 * PIXEL * np.pi / 10800)
    modes = np.array([np.abs(np.fft.rfft2(sample)[0, 3]) ** 2 / 64**2 for sample in samples]).mean()
    theory = np.exp(np.interp(np.log(3 * step), np.log(MULTIPOLE), np.log(POWER))) * (10800 / np.pi / PIXEL) ** 2
    assert modes == pytest.approx(theory, rel=0.2)


def bin_means(variance, edges):
    """C(l) of modes of known variance on the half plane of a square even map, averaged over the modes of bins of l."""
    size = len(variance)
    weight = np.full(variance.shape, 2.0)
    weight[:, 0] = weight[:, -1] = 1.0
    place = np.digitize(multipole_length((size, size), PIXEL), edges) - 1
    means = [np.average(variance[place == k], weights=weight[place == k]) for k in range(len(edges) - 1)]
    return np.array(means) * (PIXEL * np.pi / 10800) ** 2
