"""Kaiser-Squires and its inverse, spectra on a grid, smoothing: closed forms, odd and even sizes."""

import numpy as np
import pytest

from armillary.convergence import (
    binned_spectra,
    kaiser_squires,
    mean_free,
    power_on_grid,
    shear_of_convergence,
    smooth,
    without_lost_modes,
)

SHAPES = [(32, 32), (33, 33), (32, 33), (31, 40)]


@pytest.mark.parametrize("shape", SHAPES)
def test_kaiser_squires_undoes_shear_of_convergence(shape, rng):
    kappa = rng.normal(size=shape)
    kept = without_lost_modes(kappa)
    found, b_mode = kaiser_squires(*shear_of_convergence(kept))
    assert np.abs(found - kept).max() < 1e-12
    assert np.abs(b_mode).max() < 1e-12
    assert abs(kept.mean()) < 1e-12
    if shape[0] % 2 and shape[1] % 2:  # an odd side has no Nyquist mode: only the mean is lost
        assert np.abs(kept - (kappa - kappa.mean())).max() < 1e-12


@pytest.mark.parametrize("shape", SHAPES)
def test_45_degrees_turn_e_into_b(shape, rng):
    g1, g2 = rng.normal(size=(2, *shape))
    e_mode, b_mode = kaiser_squires(g1, g2)
    turned_e, turned_b = kaiser_squires(-g2, g1)
    assert np.array_equal(turned_e, -b_mode) or np.abs(turned_e + b_mode).max() < 1e-14
    assert np.abs(turned_b - e_mode).max() < 1e-14


def test_a_round_mass_has_tangential_shear():
    y, x = np.mgrid[-64:64, -64:64] + 0.5
    kappa = np.exp(-0.5 * (x**2 + y**2) / 3**2)
    g1, g2 = shear_of_convergence(kappa)
    assert g1[64, 64 + 10] < 0 < g1[64 + 10, 64]  # on the x axis a tangential shape is long along y: g1 < 0
    assert g2[64 + 7, 64 + 7] < 0
    # |gamma| = mean kappa inside - kappa; eq. (3.28), Bartelmann & Schneider (2001), far from the periodic copies
    radius = np.hypot(x, y)
    inside = kappa[radius <= 10].mean()
    ring = np.abs(radius - 10) < 0.5
    assert np.hypot(g1, g2)[ring].mean() == pytest.approx((inside - kappa[ring].mean()), rel=0.1)


def test_smoothing_keeps_the_mean_and_takes_a_gaussian_wider(rng):
    image = rng.normal(size=(40, 41))
    assert smooth(image, 2.0).mean() == pytest.approx(image.mean())
    assert smooth(image, 0.0) is image
    y, x = np.mgrid[-32:32, -32:32]
    wider = smooth(np.exp(-0.5 * (x**2 + y**2) / 3**2), 4.0)
    assert wider[32, 32] == pytest.approx(9 / 25, rel=1e-3)


def test_white_noise_has_flat_power(rng):
    pixel = 0.5
    noise = rng.normal(size=(20, 128, 128))
    edges = np.geomspace(500, 15000, 6)
    power = np.mean([binned_spectra(one, one, pixel, edges)[0] for one in noise], axis=0)
    area = (pixel * np.pi / 10800) ** 2
    assert power == pytest.approx(area, rel=0.1)


def test_power_on_grid_is_the_table_over_the_pixel():
    multipole = np.geomspace(10, 1e5, 50)
    grid = power_on_grid(multipole, multipole**-2.0, (64, 64), 1.0)
    assert grid[0, 0] == 0
    step = 2 * np.pi / (64 * np.pi / 10800)
    assert grid[0, 5] == pytest.approx((5 * step) ** -2.0 * (10800 / np.pi) ** 2)


def test_mean_free_is_about_the_mask_alone(rng):
    mask = rng.random((20, 20)) < 0.5
    found = mean_free(rng.normal(size=(3, 20, 20)) + 7, mask)
    assert np.abs(found[:, mask].mean(1)).max() < 1e-12
    assert not found[:, ~mask].any()
