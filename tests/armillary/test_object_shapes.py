"""Shapes in closed form: Gaussians, flat discs, pairs; what masks, missing bands, turns and noise do to them."""

import numpy as np
import pytest

from armillary.cutout_views import through_worse_seeing, without_bands
from armillary.cutouts import BAD, Cutouts
from armillary.object_shapes import OBJECT_PX, WEIGHTS_PX, shape_names, shape_numbers

SIDE, BANDS = 32, ["g", "r", "i"]
NAMES = shape_names(BANDS)
Y, X = np.indices((SIDE, SIDE)) + 0.5 - SIDE / 2


def gaussian(width_x: float, width_y: float, x: float = 0.0, y: float = 0.0, flux: float = 1e4) -> np.ndarray:
    """Pixels of a Gaussian; widths are standard deviations."""
    return flux / (2 * np.pi * width_x * width_y) * np.exp(-0.5 * (((X - x) / width_x) ** 2 + ((Y - y) / width_y) ** 2))


def cutouts_of(image: np.ndarray, sigma: float = 1e-3) -> Cutouts:
    """The same image in every band, with noise of that variance claimed but not drawn."""
    images = np.tile(image, (1, len(BANDS), 1, 1)).astype(np.float32)
    facts = {"bands": BANDS, "zero_point": 27.0, "pixel_arcsec": 0.168}
    return Cutouts(images, np.full_like(images, sigma**2), np.zeros(images.shape, np.uint8), {}, facts)


def numbers(cutouts: Cutouts) -> dict[str, float]:
    return dict(zip(NAMES, shape_numbers(cutouts, SIDE)[0].tolist(), strict=True))


def test_a_round_gaussian_grows_as_it_must_and_has_no_shape():
    found = numbers(cutouts_of(gaussian(2.5, 2.5)))
    grown = lambda radius: 1 - np.exp(-0.5 * (radius / 2.5) ** 2)  # noqa: E731
    for radius in (2.5, 4.0, 8.0):
        assert found[f"growth_{radius:g}"] == pytest.approx(grown(radius) / grown(OBJECT_PX), rel=0.03)
    for name in ("ellipticity_3.5", "asymmetry_180_6", "asymmetry_90_6", "multipole_1_3_6", "multipole_2_3_6"):
        assert found[name] == pytest.approx(0, abs=0.01), name


def test_the_ellipticity_of_a_gaussian_under_a_gaussian_weight():
    found = numbers(cutouts_of(gaussian(3.0, 2.0)))
    for weight in WEIGHTS_PX:
        xx, yy = (1 / (1 / width**2 + 1 / weight**2) for width in (3.0, 2.0))
        assert found[f"ellipticity_{weight:g}"] == pytest.approx((xx - yy) / (xx + yy), abs=0.01)
        assert found[f"size_{weight:g}"] == pytest.approx((xx + yy) / weight**2, rel=0.02)


def test_shapes_do_not_change_with_turns_nor_with_where_in_its_pixel_an_object_is():
    image = gaussian(3.0, 2.0) + gaussian(1.5, 1.5, 6.0, 2.0, 3e3)
    here, turned = (shape_numbers(cutouts_of(one), SIDE)[0] for one in (image, np.rot90(image).copy()))
    np.testing.assert_allclose(here, turned, atol=2e-3)
    shifted = gaussian(3.0, 2.0, 0.4, -0.3)
    apart = np.abs(shape_numbers(cutouts_of(shifted), SIDE) - shape_numbers(cutouts_of(gaussian(3.0, 2.0)), SIDE))[0]
    quiet = [k for k, name in enumerate(NAMES) if not name.startswith(("seen", "beside", "m20", "area"))]
    assert apart[quiet].max() < 0.05


def test_a_companion_is_found_where_it_is():
    found = numbers(cutouts_of(gaussian(1.7, 1.7) + gaussian(1.7, 1.7, 7.0, 0.0, 3e3), sigma=1.0))
    assert found["beside_radius_px"] == pytest.approx(7.0, abs=0.8)
    assert found["beside_share"] == pytest.approx(0.3, abs=0.05)
    alone = numbers(cutouts_of(gaussian(1.7, 1.7), sigma=1.0))
    assert found["asymmetry_180_12"] > alone["asymmetry_180_12"] + 0.3


def test_gini_is_nothing_for_equal_pixels_and_grows_with_concentration():
    disc = numbers(cutouts_of(np.where(np.hypot(X, Y) < 9, 100.0, 0.0)))
    assert disc["gini"] == pytest.approx(0, abs=0.12)  # the edge rings a little in the Fourier shift
    point = numbers(cutouts_of(gaussian(1.3, 1.3)))
    assert point["gini"] > 0.8 and point["m20"] < disc["m20"] - 0.5


def test_a_missing_band_is_nan_and_the_stack_does_without_it():
    image = gaussian(3.0, 2.0)
    whole, less = cutouts_of(image), without_bands(cutouts_of(image), ["r"])
    found, all_there = numbers(less), numbers(whole)
    assert all(np.isnan(value) == name.endswith("_r") for name, value in found.items())
    assert found["ellipticity_3.5"] == pytest.approx(all_there["ellipticity_3.5"], abs=1e-4)
    assert np.isnan(shape_numbers(without_bands(whole, BANDS), SIDE)).all()


def test_a_masked_pixel_takes_the_value_opposite_to_it():
    clean = cutouts_of(gaussian(3.0, 2.0))
    spoiled = clean._replace(images=clean.images.copy(), mask=clean.mask.copy())
    spoiled.images[:, :, 12:14, 19], spoiled.mask[:, :, 12:14, 19] = 1e5, BAD
    np.testing.assert_allclose(shape_numbers(spoiled, SIDE), shape_numbers(clean, SIDE), atol=1e-4)


def test_noise_alone_has_no_asymmetry_and_no_multipoles_on_average():
    rng = np.random.default_rng(1)
    images = (gaussian(2.5, 2.5, flux=2e3) + rng.standard_normal((400, len(BANDS), SIDE, SIDE))).astype(np.float32)
    noisy = cutouts_of(gaussian(2.5, 2.5))._replace(
        images=images, variance=np.ones_like(images), mask=np.zeros(images.shape, np.uint8)
    )
    found = dict(zip(NAMES, shape_numbers(noisy, SIDE).mean(0), strict=True))
    assert found["asymmetry_180_12"] == pytest.approx(0, abs=0.03)
    assert found["asymmetry_180_6_g"] == pytest.approx(0, abs=0.03)
    assert found["seen_multipole_1_9_13"] == pytest.approx(0.596, abs=0.05)  # mean of ln(1 + x), x exponential


def test_worse_seeing_adds_in_quadrature_and_keeps_flux_and_noise():
    cutouts = cutouts_of(gaussian(2.0, 2.0), sigma=1e-4)
    seen = through_worse_seeing(cutouts, 0.5, np.random.default_rng(0)).images[0, 0].astype(float)
    assert seen.sum() == pytest.approx(1e4, rel=1e-3)
    assert (seen * X**2).sum() / seen.sum() == pytest.approx(4 + (0.5 / 2.3548 / 0.168) ** 2, rel=0.01)
    noise = 3 * np.random.default_rng(2).standard_normal((100, len(BANDS), SIDE, SIDE)).astype(np.float32)
    noisy = cutouts._replace(images=noise, variance=np.full_like(noise, 9), mask=np.zeros(noise.shape, np.uint8))
    noisy.images[0, 0, 3, 4] = np.nan
    again = through_worse_seeing(noisy, 0.5, np.random.default_rng(3)).images
    assert np.nanstd(again) == pytest.approx(3, rel=0.01) and np.isnan(again).sum() == 1
