"""The default encoder: what its front end measures of drawn sources, their fit to the red sequence, its sums."""

import numpy as np
import pytest
import torch

from armillary.cosmology import pixels_per_mpc
from armillary.files import read_catalog
from armillary.galaxies import prepare_red_sequence, red_ln_flux
from armillary.networks.front_end import (
    APERTURE_FWHM_ARCSEC,
    compact_growth,
    gaussian_kernel,
    ln_seeing_loss,
    measure_sources,
)
from armillary.networks.sources import (
    N_COUNTED,
    N_REDSHIFTS,
    OUTPUTS,
    RedSequence,
    SourceEncoder,
    add_up,
    redshift_grid,
    redshift_outputs,
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


def test_seeing_shows_in_the_compact_bright_sources():
    softened = torch.tensor([[6.0] * 10 + [1.0] * 30, [0.0] * 40])  # ten bright sources in one band, none in the other
    growth = torch.full((2, 2, 40), 0.9)
    growth[:, 0, :3] = 0.2  # three stars among them
    growth[:, 0, 10:] = 0.1  # faint noise is more compact still
    compact, is_known = compact_growth(softened, growth)
    assert compact.tolist() == [[pytest.approx(0.2), 0.0], [pytest.approx(0.2), 0.0]]
    assert is_known.tolist() == [True, False]


@pytest.mark.parametrize("fwhm_arcsec", [0.8, 1.2, 1.8])
def test_seeing_loss_of_a_gaussian_in_closed_form(fwhm_arcsec):
    inner, middle = (a / (a**2 + fwhm_arcsec**2) for a in APERTURE_FWHM_ARCSEC[:2])
    loss = ln_seeing_loss(torch.tensor([np.log(middle / inner)]), torch.tensor([True]))
    assert loss.item() == pytest.approx(np.log(1 + (fwhm_arcsec / APERTURE_FWHM_ARCSEC[1]) ** 2), abs=1e-4)


def test_seeing_moves_no_colour():
    """Stars of equal counts in three bands, the last seen through twice the seeing of the first."""
    rng = np.random.default_rng(3)
    image = np.zeros((3, 128, 128))
    for x, y in rng.integers(12, 116, (12, 2)) + 0.5:
        for band, sigma_px in enumerate((0.9, 1.2, 1.8)):
            image[band] += 5000 * gaussian_source(128, x, y, sigma_px)
    found = measure_sources(torch.asinh(torch.from_numpy(image).float()), torch.ones(3), PIXEL_ARCSEC)
    colours = found[found[:, 2] > 4, 6:9].diff(dim=1)
    assert colours.abs().median() < 0.01


def table_of(root) -> torch.Tensor:
    """ln flux of an L* red galaxy at the redshifts of the grid, (N_REDSHIFTS, 4)."""
    table = prepare_red_sequence(read_catalog(str(root / "resources/red_sequence.ecsv")), "des")
    return torch.from_numpy(red_ln_flux(table, redshift_grid().numpy(), list("griz"))).float()


def test_a_red_galaxy_fits_at_its_redshift(root):
    sequence = RedSequence(4)
    with torch.no_grad():
        sequence.ln_flux.copy_(table_of(root))
        bright = sequence.ln_flux + sequence.ln_aperture  # L* galaxies as the middle aperture sees them
        colour, variance, luminosity = sequence(bright, torch.full_like(bright, 6.0), torch.ones_like(bright))
    misfit = (colour**2 / variance[:, None]).sum(2)
    assert misfit.argmin(1).tolist() == list(range(N_REDSHIFTS))
    torch.testing.assert_close(misfit.diagonal(), torch.zeros(N_REDSHIFTS))
    torch.testing.assert_close(luminosity.diagonal(), torch.zeros(N_REDSHIFTS), atol=1e-5, rtol=0)


def test_a_missing_band_takes_its_colours_along(root):
    sequence = RedSequence(4)
    with torch.no_grad():
        sequence.ln_flux.copy_(table_of(root))
        there = torch.ones(N_REDSHIFTS, 4)
        there[:, 1] = 0
        flux = (sequence.ln_flux + sequence.ln_aperture) * there
        colour, _, luminosity = sequence(flux, 6 * there, there)
    assert (colour[..., :2] == 0).all()
    assert (colour[..., 2] != 0).any()
    torch.testing.assert_close(luminosity.diagonal(), torch.zeros(N_REDSHIFTS), atol=1e-5, rtol=0)


def test_a_pair_is_a_redshift_that_the_colours_allow(root):
    network = SourceEncoder(4, 64, 16, 0.526)
    network.start_from(table_of(root))
    red = network.red_sequence.ln_flux[12].detach() + network.red_sequence.ln_aperture.detach()
    source = torch.cat([torch.tensor([5.0, 5.0, 4.0]), torch.ones(4), red, torch.full((4,), 5.0), torch.zeros(8)])
    blue = source.clone()
    blue[7] += 3.0  # three times e brighter in g than any red galaxy
    features, of_source, redshift, red = network.pairs(torch.stack([source, blue]))
    assert set(of_source.tolist()) == {0}
    assert red[redshift == 12].item() == pytest.approx(1, abs=1e-3)
    assert (red[redshift != 12] < 1).all()
    assert redshift.max() - redshift.min() < 12
    assert features.shape[1] == network.embed[0].in_features


def red_galaxies(network: SourceEncoder, place: torch.Tensor, redshift_step: torch.Tensor) -> torch.Tensor:
    """L* galaxies (n, 23) of the network's red sequence at these x, y and steps of the redshift grid."""
    flux = network.red_sequence.ln_flux[redshift_step] + network.red_sequence.ln_aperture
    n = len(place)
    return torch.cat(
        [place, torch.full((n, 1), 4.0), torch.ones(n, 4), flux, torch.full((n, 4), 5.0), torch.zeros(n, 8)], 1
    )


def test_an_untrained_network_finds_the_redshift_of_a_cluster(root, rng):
    torch.manual_seed(1)
    network = SourceEncoder(4, 64, 16, 0.526).eval()
    network.start_from(table_of(root))
    field = torch.from_numpy(rng.uniform(0, 1280, (500, 2))).float()
    members = 640 + torch.from_numpy(rng.normal(0, 60, (30, 2))).float()
    steps = torch.from_numpy(rng.integers(0, N_REDSHIFTS, 500))
    with torch.no_grad():
        for step in (6, 12, 18):
            sources = torch.cat([
                red_galaxies(network, field, steps),
                red_galaxies(network, members, torch.full((30,), step)),
            ])  # fmt: skip
            outputs = network([(sources, (1280, 1280))])[0]
            found = 0.45 + 0.15 * outputs[OUTPUTS.index("redshift"), 10, 10]
            assert float(found) == pytest.approx(float(redshift_grid()[step]), abs=0.03)


def test_the_excess_of_red_galaxies_is_measured_in_its_noise(rng):
    network = SourceEncoder(4, 64, 16, 0.526)
    cells = torch.from_numpy(rng.poisson(0.5, (10, N_REDSHIFTS, 40, 40, 1))).float()
    cells = torch.cat([torch.zeros(*cells.shape[:-1], 16 + N_COUNTED), cells], -1)
    with torch.no_grad():
        middle = network.look_around(cells, 20, 20)[1][:, :, 8:12, 8:12]
    assert middle.mean((0, 1, 2, 3)).tolist() == pytest.approx([0, 0, 0], abs=0.1)
    spread = middle[:, N_REDSHIFTS // 2 :].flatten(0, 3).std(0)  # near by, the widest is a good part of the image
    assert spread.tolist() == pytest.approx([1, 1, 0.85], abs=0.15)


def test_neighbourhoods_are_the_same_in_mpc_at_every_redshift():
    network = SourceEncoder(4, 64, 16, 0.526)  # cells of 16.8 arcsec
    weight = network.neighbourhoods(80, 2, 0.3)[:, 40]  # (Z, cells), as seen from the middle
    cell_mpc = 16.832 / torch.from_numpy(pixels_per_mpc(redshift_grid().numpy(), 1.0)).float()
    cells = torch.arange(160) - 80.5
    spread = torch.sqrt((weight * cells**2).sum(1) / weight.sum(1)) * cell_mpc
    torch.testing.assert_close(spread, torch.full_like(spread, 0.3), rtol=2e-2, atol=0)


def test_redshift_is_the_mean_or_the_peak_of_the_posterior():
    posterior, grid = torch.zeros(1, N_REDSHIFTS, 1, 1), redshift_grid()
    posterior[0, [5, 6, 20]] = torch.tensor([0.3, 0.3, 0.4])[:, None, None]  # two clusters in one line of sight
    correction = torch.tensor([0.0, -5.0])[None, :, None, None]
    for at_peak, expected in ((False, (posterior[0, :, 0, 0] * grid).sum()), (True, grid[20])):
        mean, ln_error = redshift_outputs(posterior, correction, at_peak=at_peak)[0, :, 0, 0]
        assert 0.45 + 0.15 * mean == pytest.approx(float(expected), abs=1e-5)
        spread = (posterior[0, :, 0, 0] * (grid - expected) ** 2).sum().sqrt()
        assert 0.15 * ln_error.exp() == pytest.approx(float(spread), rel=1e-2)


def test_ln_flux_of_the_red_sequence_is_that_of_its_magnitudes(root):
    table = prepare_red_sequence(read_catalog(str(root / "resources/red_sequence.ecsv")), "des")
    g, i = red_ln_flux(table, np.array([0.4]), ["g", "i"])[0]
    assert -2.5 / np.log(10) * i + 30 == pytest.approx(19.47, abs=0.05)  # m*_i at z = 0.4, redMaPPer's table
    assert -2.5 / np.log(10) * (g - i) == pytest.approx(1.802 + 0.625, abs=0.03)


def test_sums_go_to_their_places():
    values = torch.tensor([[1.0], [2.0], [4.0]])
    grid = add_up(values, torch.tensor([0, 5, 5]), 1, 2, 3)
    assert grid[0, :, :, 0].tolist() == [[1, 0, 0], [0, 0, 6]]
