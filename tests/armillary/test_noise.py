"""Noise: the normal distribution (moments, tails, Kolmogorov-Smirnov), no correlation, rms and streams."""

import numpy as np
import pytest
from scipy import stats

from armillary.noise import fill_noise


def noise(seed=1, shape=(1024, 1024), sigma=1.0, **settings):
    image = np.empty(shape, np.float32)
    fill_noise(image, sigma, np.random.Generator(np.random.SFC64(seed)), **settings)
    return image


def test_distribution_is_normal():
    values = noise().ravel().astype(float)
    assert stats.kstest(values, "norm").pvalue > 0.01
    assert values.mean() == pytest.approx(0, abs=4 / 1024)
    assert values.var() == pytest.approx(1, abs=0.006)
    assert stats.skew(values) == pytest.approx(0, abs=0.01)
    assert stats.kurtosis(values) == pytest.approx(0, abs=0.02)
    expected = 2 * stats.norm.sf(4) * values.size
    assert (np.abs(values) > 4).sum() == pytest.approx(expected, abs=4 * expected**0.5)


def test_pixels_are_independent():
    image = noise()
    for other in (
        np.roll(image, 1, 0),
        np.roll(image, 1, 1),
        np.roll(image.ravel(), 2**15).reshape(image.shape),
        noise(2),
    ):
        assert abs(np.corrcoef(image.ravel(), other.ravel())[0, 1]) < 0.005
        assert abs(np.corrcoef(image.ravel() ** 2, other.ravel() ** 2)[0, 1]) < 0.005


def test_sigma_and_odd_shapes():
    image = noise(shape=(333, 777), sigma=5.0)
    assert image.std() == pytest.approx(5.0, rel=0.01)
    assert np.isfinite(image).all()


def test_same_stream_same_noise():
    np.testing.assert_array_equal(noise(7), noise(7))


def test_correlated_noise_keeps_its_rms():
    image = noise(sigma=3.0, correlation_pixels=0.7)
    assert image.std() == pytest.approx(3.0, rel=0.02)
    neighbours = np.corrcoef(image[:, :-1].ravel(), image[:, 1:].ravel())[0, 1]
    kernel = np.exp(-0.5 * (np.arange(-3, 4) / 0.7) ** 2)
    assert neighbours == pytest.approx(kernel[1:] @ kernel[:-1] / (kernel @ kernel), abs=0.01)
