"""Photometry against scenes drawn from known profiles."""

import galsim
import numpy as np
import pytest

from armillary.photometry import (
    check_bands,
    measure_field,
    point_source_share,
    sky_level_and_sigma,
    weighted_fluxes,
)

PIXEL_ARCSEC = 0.263
SEEING = {"g": 1.11, "r": 0.95, "i": 0.88, "z": 0.83}
SKY_SIGMA = {"g": 2.0, "r": 2.6, "i": 4.6, "z": 8.8}
MAG_OFFSET = {"g": 2.2, "r": 0.7, "i": 0.0, "z": -0.4}  # colours 1.5, 0.7, 0.4
SETTINGS = {"bands": "griz", "seeing_arcsec": list(SEEING.values()), "pixel_arcsec": PIXEL_ARCSEC}
STEP, N_SIDE = 64, 8


def draw_grid(kind: str, mag_i: float, seed: int):
    """A grid of 64 equal sources at random sub-pixel places: images (4, 512, 512), x, y."""
    rng = np.random.default_rng(seed)
    size = STEP * N_SIDE
    x, y = (np.add.outer(np.zeros(N_SIDE), np.arange(N_SIDE)) + 0.5) * STEP, None
    y = x.T
    x, y = (c.ravel() + rng.uniform(-0.5, 0.5, N_SIDE**2) for c in (x, y))
    images = []
    for band, fwhm in SEEING.items():
        image = galsim.ImageF(size, size, scale=PIXEL_ARCSEC)
        flux = 10 ** (0.4 * (30 - mag_i - MAG_OFFSET[band]))
        profile = galsim.Kolmogorov(fwhm=fwhm)
        if kind == "galaxy":
            profile = galsim.Convolve(profile, galsim.Exponential(half_light_radius=0.6).shear(g1=0.1, g2=-0.1))
        for centre in zip(x + 0.5, y + 0.5, strict=True):
            stamp = profile.withFlux(flux).drawImage(nx=56, ny=56, scale=PIXEL_ARCSEC, center=centre, dtype=np.float32)
            image[stamp.bounds & image.bounds] += stamp[stamp.bounds & image.bounds]
        images.append(image.array + rng.normal(0, SKY_SIGMA[band], image.array.shape).astype(np.float32))
    return np.array(images, np.float32), x, y


@pytest.mark.parametrize("kind", ["star", "galaxy"])
def test_isolated_sources_have_their_magnitudes_and_colours(kind):
    images, x, y = draw_grid(kind, 20.5, seed=1)
    table = measure_field(images, **SETTINGS)
    near = [np.argmin(np.hypot(table.x - a, table.y - b)) for a, b in zip(x, y, strict=True)]
    found = table.iloc[near]
    assert np.hypot(found.x - x, found.y - y).max() < 0.3
    assert abs(np.median(found.mag_i) - 20.5) < 0.05
    for pair, true in (("gr", 1.5), ("ri", 0.7), ("iz", 0.4)):
        residual = found[f"colour_{pair}"] - true
        error = found[f"colour_{pair}_error"].median()
        assert abs(residual.mean()) < 0.005 + 3 * error / 8
        assert 0.7 < np.std(residual) / error < 1.3
    assert found.is_star.mean() == (1.0 if kind == "star" else 0.0)


def test_weighted_flux_of_a_point_source_has_the_share_of_kolmogorov():
    image = galsim.Kolmogorov(fwhm=4.0).drawImage(nx=201, ny=201, scale=1.0, method="no_pixel").array
    flux, squares = weighted_fluxes(image, np.array([100.0]), np.array([100.0]), 3.0)
    assert flux[0] == pytest.approx(point_source_share(4.0, 3.0), rel=0.01)
    assert squares[0] == pytest.approx(np.pi * 3.0**2, rel=0.01)  # integral of exp(-r^2 / s^2)


def test_sky_sigma_is_that_of_the_noise():
    level, sigma = sky_level_and_sigma(np.random.default_rng(2).normal(3.0, 5.0, (400, 400)))
    assert level == pytest.approx(3.0, abs=0.2)
    assert sigma == pytest.approx(5.0, rel=0.05)


def test_bad_pixels_hide_a_colour_not_the_source():
    images, x, y = draw_grid("galaxy", 20.5, seed=3)
    row, column = int(y[9]), int(x[9])
    images[0, row - 5 : row + 6, column - 5 : column + 6] = np.nan
    table = measure_field(images, **SETTINGS)
    hidden = table.iloc[np.argmin(np.hypot(table.x - x[9], table.y - y[9]))]
    assert np.isnan(hidden.colour_gr)
    assert np.isfinite([hidden.mag_i, hidden.colour_ri, hidden.colour_iz]).all()


def test_a_dead_band_leaves_its_colours_unknown_and_a_dead_i_band_is_an_error():
    images, _, _ = draw_grid("galaxy", 20.5, seed=4)
    dead_g = images.copy()
    dead_g[0] = np.nan
    table = measure_field(dead_g, **SETTINGS)
    assert table.colour_gr.isna().all() and table.colour_ri.notna().any()
    images[2] = np.nan
    with pytest.raises(ValueError, match="i image has no finite pixel"):
        measure_field(images, **SETTINGS)


def test_pure_noise_gives_few_sources_and_the_columns():
    noise = np.stack([np.random.default_rng(k).normal(0, s, (256, 256)) for k, s in enumerate(SKY_SIGMA.values())])
    table = measure_field(noise.astype(np.float32), **SETTINGS)
    assert len(table) < 15
    assert {"x", "y", "mag_i", "mag_i_error", "colour_gr", "colour_ri", "colour_iz", "is_star"} <= set(table)


def test_bands_without_i_are_an_error_that_names_the_key():
    with pytest.raises(ValueError, match="clusters: bands"):
        check_bands(["g", "r"])
    check_bands(["r", "i"])
