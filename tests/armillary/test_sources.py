"""The front end of the encoder: positions, fluxes and colours of drawn sources, and their fit to the red sequence."""

import numpy as np
import pytest
import torch

from armillary.files import read_catalog
from armillary.galaxies import prepare_red_sequence, red_ln_flux
from armillary.networks.sources import (
    APERTURE_FWHM_ARCSEC,
    N_REDSHIFTS,
    REDSHIFT_RANGE,
    RedSequence,
    add_up,
    gaussian_kernel,
    measure_sources,
)

PIXEL_ARCSEC = 0.526
SIGMA = torch.tensor([1.0, 2.0, 4.0])


def gaussian_source(size: int, x: float, y: float, sigma_px: float) -> np.ndarray:
    """A Gaussian of unit flux, (size, size), centred on corner-based x, y."""
    edge = np.arange(size) + 0.5
    profile = np.exp(-(((edge - x)[None] ** 2) + (edge - y)[:, None] ** 2) / (2 * sigma_px**2))
    return profile / profile.sum()


def coded(fluxes: list[float], noise: float = 0.0, x: float = 40.5, y: float = 20.5, seed: int = 1) -> torch.Tensor:
    """asinh-coded image (3, 64, 64) of one source with these counts in each band."""
    rng = np.random.default_rng(seed)
    pixels = gaussian_source(64, x, y, 0.9)[None] * np.array(fluxes)[:, None, None]
    pixels = pixels + noise * SIGMA.numpy()[:, None, None] * rng.standard_normal((3, 64, 64))
    return torch.asinh(torch.from_numpy(pixels / SIGMA.numpy()[:, None, None]).float())


def brightest(sources: torch.Tensor) -> torch.Tensor:
    return sources[sources[:, 2].argmax()]


def test_a_source_is_found_where_it_is():
    found = measure_sources(coded([4000.0, 4000.0, 4000.0], noise=1.0), SIGMA, PIXEL_ARCSEC)
    assert brightest(found)[:2].tolist() == [40.5, 20.5]


def test_noise_alone_gives_hardly_a_source():
    n_sources = [len(measure_sources(coded([0.0] * 3, noise=1.0, seed=k), SIGMA, PIXEL_ARCSEC)) for k in range(20)]
    assert np.mean(n_sources) < 0.1


def test_flux_is_proportional_and_colours_are_true():
    fluxes = np.array([2000.0, 6000.0, 9000.0])
    one = brightest(measure_sources(coded(list(fluxes)), SIGMA, PIXEL_ARCSEC))[6:9]
    two = brightest(measure_sources(coded(list(2 * fluxes)), SIGMA, PIXEL_ARCSEC))[6:9]
    torch.testing.assert_close(two - one, torch.full((3,), float(np.log(2))), atol=2e-3, rtol=0)
    np.testing.assert_allclose(np.diff(one), np.diff(np.log(fluxes)), atol=5e-3)


def test_apertures_keep_unit_noise():
    for fwhm in APERTURE_FWHM_ARCSEC:
        assert gaussian_kernel(fwhm / PIXEL_ARCSEC, 12).square().sum().item() == pytest.approx(1, abs=1e-5)


def test_a_missing_band_is_zeros_and_leaves_the_others():
    image = coded([4000.0, 4000.0, 4000.0], noise=1.0)
    whole = brightest(measure_sources(image, SIGMA, PIXEL_ARCSEC))
    image[1] = torch.nan
    without = brightest(measure_sources(image, SIGMA, PIXEL_ARCSEC))
    values, reference = without[3:].view(-1, 3), whole[3:].view(-1, 3)
    assert (values[:, 1] == 0).all()
    torch.testing.assert_close(values[:, [0, 2]], reference[:, [0, 2]])


def test_an_empty_image_has_no_sources():
    assert measure_sources(torch.full((3, 64, 64), torch.nan), SIGMA, PIXEL_ARCSEC).shape == (0, 18)


def test_a_red_galaxy_fits_best_at_its_redshift(root):
    table = prepare_red_sequence(read_catalog(str(root / "resources/red_sequence.ecsv")), "des")
    redshift = np.linspace(*REDSHIFT_RANGE, N_REDSHIFTS)
    sequence = RedSequence(4)
    with torch.no_grad():
        sequence.ln_flux.copy_(torch.from_numpy(red_ln_flux(table, redshift, list("griz"))))
        bright = sequence.ln_flux + sequence.aperture  # L* galaxies as the middle aperture sees them
        fit = sequence(bright, torch.full_like(bright, 6.0), torch.ones_like(bright))
    best, luminous = fit[:, :N_REDSHIFTS], fit[:, N_REDSHIFTS:]
    assert best.argmax(1).tolist() == list(range(N_REDSHIFTS))
    torch.testing.assert_close(best.diagonal(), torch.ones(N_REDSHIFTS))
    assert (luminous.diagonal() > 0.99).all()


def test_ln_flux_of_the_red_sequence_is_that_of_its_magnitudes(root):
    table = prepare_red_sequence(read_catalog(str(root / "resources/red_sequence.ecsv")), "des")
    g, i = red_ln_flux(table, np.array([0.4]), ["g", "i"])[0]
    assert -2.5 / np.log(10) * i + 30 == pytest.approx(19.47, abs=0.05)  # m*_i at z = 0.4, redMaPPer's table
    assert -2.5 / np.log(10) * (g - i) == pytest.approx(1.802 + 0.625, abs=0.03)


def test_sums_go_to_their_places():
    values = torch.tensor([[1.0], [2.0], [4.0]])
    grid = add_up(values, torch.tensor([0, 5, 5]), 1, 2, 3)
    assert grid[0, 0].tolist() == [[1, 0, 0], [0, 0, 6]]
