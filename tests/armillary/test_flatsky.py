"""Transforms on a flat patch: inverses, signs, resampling, tapers."""

import numpy as np
import pytest

from armillary.flatsky import (
    Patch,
    beam,
    cosine_taper,
    eb_from_qu,
    fourier,
    full_plane,
    modes,
    pixels,
    qu_from_eb,
    resampled,
    square_patch,
)

PATCHES = [Patch(32, 32, 3.0), Patch(48, 32, 2.0), Patch(30, 45, 2.5)]


def smooth_field(rng, patch, fraction=0.4):
    field = fourier(rng.standard_normal(patch.shape))
    return field * (modes(patch).l < fraction * patch.nyquist)


@pytest.mark.parametrize("patch", PATCHES)
def test_e_and_b_give_back_q_and_u(patch, rng):
    q, u = smooth_field(rng, patch), smooth_field(rng, patch)
    q[0, 0] = u[0, 0] = 0
    again = qu_from_eb(*eb_from_qu(q, u, patch), patch)
    np.testing.assert_allclose(again, [q, u], atol=1e-4)


def test_power_is_kept_mode_by_mode(rng):
    patch = square_patch(5.0, 64)
    q, u = smooth_field(rng, patch), smooth_field(rng, patch)
    e, b = eb_from_qu(q, u, patch)
    np.testing.assert_allclose(abs(e) ** 2 + abs(b) ** 2, abs(q) ** 2 + abs(u) ** 2, rtol=1e-4, atol=1e-3)


def test_a_wave_along_x_in_q_is_pure_e():
    """cos(l x) in Q: the polarisation is along or across the wave, which is E; in U it is B."""
    patch = square_patch(5.0, 64)
    wave = np.cos(2 * np.pi * 5 * np.arange(64) / 64)[None, :] * np.ones((64, 1))
    e, b = eb_from_qu(fourier(wave), fourier(0 * wave), patch)
    np.testing.assert_allclose(pixels(e, patch), wave, atol=1e-6)
    assert np.abs(b).max() < 1e-6
    e, b = eb_from_qu(fourier(0 * wave), fourier(wave), patch)
    assert np.abs(e).max() < 1e-6


@pytest.mark.parametrize("patch", PATCHES)
def test_resampling_up_and_down_gives_the_field_back(patch, rng):
    field = smooth_field(rng, patch)
    fine = Patch(2 * patch.n_y, 2 * patch.n_x, patch.pixel_arcmin / 2)
    up = resampled(field, patch, fine)
    np.testing.assert_allclose(resampled(up, fine, patch), field, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(pixels(up, fine)[::2, ::2], pixels(field, patch), atol=1e-4)


@pytest.mark.parametrize("patch", PATCHES)
def test_the_full_plane_is_that_of_numpy(patch, rng):
    values = rng.standard_normal(patch.shape)
    np.testing.assert_allclose(full_plane(fourier(values), patch), np.fft.fft2(values), atol=1e-9)


def test_beam_has_its_published_values():
    window = beam(1.0, 3000)
    assert window[2000] == pytest.approx(0.970, abs=1e-3)
    assert window[3000] == pytest.approx(0.934, abs=1e-3)


def test_taper_is_smooth_and_has_the_known_power():
    window = cosine_taper(square_patch(5.0, 128), 1.0)
    assert window.max() == 1
    assert np.mean(window**2) == pytest.approx(0.56, abs=0.01)
    assert np.abs(window[0]).max() < 2e-3
    with pytest.raises(ValueError, match="width_deg is 3"):
        cosine_taper(square_patch(5.0, 128), 3.0)
