"""rho, response and noise against closed forms."""

import numpy as np
import pytest

from armillary.flatsky import square_patch
from armillary.map_scores import bin_powers, gain_entries, score_curves, score_entries

PATCH, EDGES = square_patch(5.0, 64), [100.0, 500.0, 1000.0, 2000.0]


def test_signal_plus_noise_has_the_known_scores(rng):
    """x = 2 (t + n) with C_n = 3 C_t: rho = 1/2, R = 2, N = 3 C_t."""
    truth = rng.standard_normal((300, 64, 64))
    estimate = 2 * (truth + np.sqrt(3) * rng.standard_normal(truth.shape))
    powers = bin_powers(estimate, truth, PATCH, EDGES)
    found = score_curves(powers, np.arange(300), n_resamples=200, seed=1)
    np.testing.assert_allclose(found.rho, 0.5, atol=0.01)
    np.testing.assert_allclose(found.response, 2, atol=0.03)
    white = PATCH.area / PATCH.n_x**2
    np.testing.assert_allclose(found.noise, 3 * white, rtol=0.05)
    np.testing.assert_allclose(found.truth, white, rtol=0.02)
    expected = (1 - 0.25) / np.sqrt(powers.n_modes * 300)  # n_modes counts both of a pair, each a real number
    np.testing.assert_allclose(found.rho_samples.std(0), expected, rtol=0.25)


def test_rho_does_not_know_the_scale(rng):
    truth, noise = rng.standard_normal((2, 20, 64, 64))
    one, other = (
        score_curves(bin_powers(f * (truth + noise), truth, PATCH, EDGES), np.arange(20), n_resamples=20, seed=1)
        for f in (1, 7)
    )
    np.testing.assert_allclose(one.rho, other.rho, rtol=1e-9)
    np.testing.assert_allclose(one.noise, other.noise, rtol=1e-9)


def test_gains_are_paired(rng):
    """Two estimates that share their noise differ by far less than each of them scatters."""
    truth, noise = rng.standard_normal((2, 40, 64, 64))
    ours, theirs = (
        score_curves(bin_powers(truth + f * noise, truth, PATCH, EDGES), np.arange(40), n_resamples=100, seed=1)
        for f in (1.0, 1.01)
    )
    entries = gain_entries(ours, theirs, EDGES, "gain", n=40, among=(100, 1000))
    first = entries["gain_l300"]
    assert first["lo"] > 0
    assert first["hi"] - first["lo"] < 0.3 * (ours.rho_samples[:, 0].std() * 2)
    least = min(entries[key]["value"] for key in ("gain_l300", "gain_l750"))
    assert entries["gain_least"]["value"] == least
    assert set(score_entries(ours, EDGES, "x", n=40, unit="uK", baseline=None)) >= {"x_rho_l300", "x_noise_l1500"}


def test_an_empty_bin_is_said(rng):
    maps = rng.standard_normal((2, 64, 64))
    with pytest.raises(ValueError, match="without a mode"):
        bin_powers(maps, maps, PATCH, [100, 101, 500])
