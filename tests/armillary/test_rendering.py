"""Rendering: closed forms (flux, half-light radius, position), both engines, noise, bad input."""

import galsim
import numpy as np
import pandas as pd
import pytest

from armillary.kspace import Plan, Scene, Sources, add_sources, plan_stamps
from armillary.psf import psf_cell, read_psf, sample_psf
from armillary.render_checks import compare_field
from armillary.rendering import (
    add_sources_one_by_one,
    image_header,
    render_field,
)
from armillary.surveys import survey_constants

DES = survey_constants("des")
SETTINGS = {"survey": "des", "bands": ["g", "i"], "image_size": 256, "seed": 3, "field": 5}


def catalog(n=60, size=256, seed=1):
    generator = np.random.default_rng(seed)
    shear, angle = np.minimum(generator.rayleigh(0.25, n), 0.8), generator.uniform(0, 2 * np.pi, n)
    star = generator.uniform(size=n) < 0.2
    flux = 10 ** generator.uniform(1.5, 5, n)
    return pd.DataFrame(
        {
            "X": generator.uniform(0, size, n),
            "Y": generator.uniform(0, size, n),
            "FLUX_G": 0.4 * flux,
            "FLUX_I": flux,
            "HLR": np.where(star, 0, generator.uniform(0.15, 1.5, n)),
            "FRACDEV": np.where(generator.uniform(size=n) < 0.5, 0, generator.choice([1, 0.3, 0.7], n)),
            "G1": shear * np.cos(angle),
            "G2": shear * np.sin(angle),
        }
    )


def one_source(**values):
    columns = {
        "X": 128.0,
        "Y": 128.0,
        "FLUX_G": 500.0,
        "FLUX_I": 1000.0,
        "HLR": 0.0,
        "FRACDEV": 0.0,
        "G1": 0.0,
        "G2": 0.0,
    }
    return pd.DataFrame([columns | values])


def centroid(image):
    """Flux-weighted mean in the corner convention."""
    along = np.arange(image.shape[0]) + 0.5
    return image.sum(0, dtype=float) @ along / image.sum(dtype=float), image.sum(1, dtype=float) @ along / image.sum(
        dtype=float
    )


@pytest.mark.parametrize("profile", ["kolmogorov", "moffat"])
@pytest.mark.parametrize("hlr, fracdev", [(0.0, 0.0), (0.6, 0.0), (0.6, 1.0), (0.9, 0.4)])
def test_flux_is_conserved(profile, hlr, fracdev):
    images, _ = render_field(one_source(HLR=hlr, FRACDEV=fracdev, G1=0.3), **SETTINGS, noise=False, psf_profile=profile)
    assert images[1].sum(dtype=float) == pytest.approx(1000, rel=1e-6)
    assert images[0].sum(dtype=float) == pytest.approx(500, rel=1e-6)


@pytest.mark.parametrize("engine", ["kspace", "galsim_loop"])
def test_a_star_at_x10_y20_is_centred_there(engine):
    images, _ = render_field(
        one_source(X=40.0, Y=60.25),
        **SETTINGS,
        noise=False,
        engine=engine,
        edge_sigma=0.0005,
        psf_variation=0.0,
    )
    assert centroid(images[1]) == pytest.approx((40.0, 60.25), abs=2e-3)


def test_brightest_pixel_holds_the_position():
    images, _ = render_field(one_source(X=10.5, Y=20.5), **SETTINGS, noise=False)
    assert np.unravel_index(images[1].argmax(), images[1].shape) == (20, 10)


@pytest.mark.parametrize("fracdev", [0.0, 1.0])
def test_half_the_light_is_inside_the_half_light_radius(fracdev):
    """8 arcsec behind seeing of 0.9: the PSF moves hardly any light across the half-light radius."""
    source = one_source(HLR=8.0, FRACDEV=fracdev, X=512.0, Y=512.0, FLUX_I=1e6)
    settings = SETTINGS | {"image_size": 1024}
    image = render_field(source, **settings, noise=False)[0][1]
    y, x = np.indices(image.shape) + 0.5
    inside = np.hypot(x - 512, y - 512) * DES.pixel_arcsec < 8.0
    assert image[inside].sum(dtype=float) / 1e6 == pytest.approx(0.5, abs=0.005)


@pytest.mark.parametrize("profile", ["kolmogorov", "moffat"])
def test_kspace_agrees_with_galsim(profile):
    psfs = render_field(one_source(), **SETTINGS, psf_profile=profile)[1]
    common = {"survey": "des", "bands": ["g", "i"], "image_size": 256, "psf_cell_px": 640, "name": "test"}
    generator = np.random.default_rng(1)
    loose = compare_field(catalog(), psfs, generator, **common, n_compared=25, edge_sigma=0.02, strict=False)
    assert loose.residual_sigma.max() < 0.045
    assert loose.flux_error.max() < 1e-6
    strict = compare_field(catalog(), psfs, generator, **common, n_compared=25, edge_sigma=0.02, strict=True)
    assert strict.residual_peak.max() < 1e-3


def test_both_engines_draw_the_same_field():
    pair = [
        render_field(catalog(), **SETTINGS, engine=engine, edge_sigma=0.01)[0] for engine in ("kspace", "galsim_loop")
    ]
    sigma = np.array([DES.sky_sigma[band] for band in "gi"])[:, None, None]
    # GalSim's default stamps lose 0.3 % of the light, most visibly of bright sources.
    difference = np.abs(pair[0] - pair[1]) / (sigma + 1e-4 * pair[1])
    assert difference.max() < 0.6
    assert np.quantile(difference, 0.99) < 0.1


def test_mixture_is_the_sum_of_its_parts():
    exponential, de_vaucouleurs, mixture = (
        render_field(one_source(HLR=0.7, FRACDEV=f, G2=0.2, FLUX_I=1e4), **SETTINGS, noise=False, edge_sigma=0.001)[0][
            1
        ]
        for f in (0.0, 1.0, 0.3)
    )
    assert np.abs(mixture - 0.7 * exponential - 0.3 * de_vaucouleurs).max() < 0.01 * DES.sky_sigma["i"]


def test_sources_at_the_border_are_cut_not_wrapped():
    images, _ = render_field(one_source(X=0.0, Y=255.9, HLR=0.6), **SETTINGS, noise=False)
    assert images[1, -30:, :30].sum() == pytest.approx(images[1].sum(), rel=1e-6)
    assert 0.2 < images[1].sum() / 1000 < 0.35


def test_a_window_shows_the_same_light_as_the_field():
    table = catalog()
    sources = Sources(
        *(table[c].to_numpy() for c in "XY"),
        table[["FLUX_I"]].to_numpy().T.copy(),
        *(table[c].to_numpy() for c in ("HLR", "FRACDEV", "G1", "G2")),
    )
    psf = sample_psf(DES, "i", image_size=256, seed=1, field=1)
    plan = plan_stamps(sources, [psf], [DES.sky_sigma["i"]], DES.pixel_arcsec, 0.02)
    scene = Scene(sources, psf_cell(sources.x, sources.y, 256, 2), DES.pixel_arcsec, 256, 2)
    whole, window = np.zeros((1, 256, 256), np.float32), np.zeros((1, 60, 80), np.float32)
    add_sources(whole, scene, plan, [psf])
    add_sources(window, scene, plan, [psf], corner=(100, 50))
    np.testing.assert_array_equal(window[0], whole[0, 50:110, 100:180])


def test_measured_asymmetric_psf_is_drawn_as_galsim_draws_it(mirror):
    psf = read_psf(str(mirror / "clusters/psf/DECam_00154912_12_psfcat.psf"), 256)
    sources = Sources(
        np.array([100.3, 150.8]),
        np.array([90.1, 160.2]),
        np.array([[3e3, 5e3]]),
        np.array([0.0, 0.5]),
        np.zeros(2),
        np.array([0.0, 0.3]),
        np.zeros(2),
    )
    scene = Scene(sources, psf_cell(sources.x, sources.y, 256, 2), DES.pixel_arcsec, 256, 2)
    drawn, truth = np.zeros((1, 256, 256), np.float32), np.zeros((256, 256))
    plan = Plan(np.array([96, 96]), np.array([48, 48]))
    add_sources(drawn, scene, plan, [psf])
    add_sources_one_by_one(truth, scene, 0, psf, stamp_size=160)
    assert np.abs(drawn[0] - truth).max() < 1e-4 * truth.max()
    model = psf.at(64, 64).drawImage(nx=33, ny=33, scale=0.263, method="no_pixel").array
    assert np.abs(model - model[::-1, ::-1]).max() > 1e-3 * model.max(), "the model must not be symmetric for this test"


def test_fallback_without_the_direct_call_draws_the_same(monkeypatch):
    direct = render_field(catalog(20), **SETTINGS)[0]

    class Plain:
        def __init__(self, profile):
            self._drawKImage = profile._drawKImage

    import armillary.kspace as kspace

    monkeypatch.setattr(kspace, "EXPONENTIAL", Plain(kspace.EXPONENTIAL))
    monkeypatch.setattr(kspace, "DE_VAUCOULEURS", Plain(kspace.DE_VAUCOULEURS))
    np.testing.assert_array_equal(render_field(catalog(20), **SETTINGS)[0], direct)


def test_noise_is_independent_between_bands_and_repeats():
    blank = one_source(FLUX_G=1e-9, FLUX_I=1e-9)
    images, _ = render_field(blank, **SETTINGS)
    for image, band in zip(images, "gi", strict=True):
        assert image.std() == pytest.approx(DES.sky_sigma[band], rel=0.02)
    assert abs(np.corrcoef(images[0].ravel(), images[1].ravel())[0, 1]) < 0.02
    np.testing.assert_array_equal(render_field(blank, **SETTINGS | {"bands": ["i"]})[0][0], images[1])
    assert not np.array_equal(render_field(blank, **SETTINGS | {"field": 6})[0], images)


def test_bands_share_geometry():
    images, _ = render_field(one_source(X=70.3, Y=91.7, HLR=0.8, G1=0.4), **SETTINGS, noise=False, psf_variation=0.0)
    assert centroid(images[0]) == pytest.approx(centroid(images[1]), abs=5e-3)


def test_header_is_a_wcs_astropy_reads():
    from astropy.wcs import WCS

    psf = sample_psf(DES, "r", image_size=256, seed=1, field=1)
    header = image_header(DES, "r", psf, image_size=256, ra_deg=50.64516, dec_deg=-40.2288)
    wcs = WCS({key: value for key, value in header.items() if key not in ("SURVEY", "BUNIT", "FILTER")})
    assert wcs.all_pix2world([[127.5, 127.5]], 0)[0] == pytest.approx((50.64516, -40.2288), abs=1e-9)
    ra, dec = wcs.all_pix2world([[128.5, 127.5], [127.5, 128.5]], 0).T
    assert ra[0] < 50.64516 and dec[1] == pytest.approx(-40.2288 + 0.263 / 3600, abs=1e-9)
    assert header["MAGZERO"] == 30 and header["SKYSIGMA"] == DES.sky_sigma["r"]


@pytest.mark.parametrize("survey", ["hsc", "lsst"])
def test_another_survey_is_one_word(survey):
    images, psfs = render_field(one_source(HLR=0.5), **SETTINGS | {"survey": survey}, noise=False)
    assert images[1].sum(dtype=float) == pytest.approx(1000, rel=1e-6)
    assert psfs[1].fwhm_arcsec == pytest.approx(survey_constants(survey).psf_fwhm_arcsec["i"], rel=0.4)


@pytest.mark.parametrize(
    "table, complaint",
    [
        (
            one_source(X=256.0),
            r"cat.dat, source row 0: is outside the image of 256 px: X, Y = 256.00, 128.00",
        ),
        (one_source(Y=np.nan), r"cat.dat, source row 0: has a value that is not finite in Y"),
        (one_source(FLUX_I=np.inf), r"not finite in FLUX_I"),
        (one_source(G1=0.99), r"shear of 0.990"),
        (one_source(FRACDEV=1.5), r"FRACDEV 1.5"),
        (one_source().drop(columns="HLR"), r"cat.dat lacks column HLR"),
        (one_source().iloc[:0], r"cat.dat has no sources"),
    ],
)
def test_what_cannot_be_drawn_is_named(table, complaint):
    with pytest.raises(ValueError, match=complaint):
        render_field(table, **SETTINGS, name="cat.dat")


def test_unknown_engine_and_psf_models_are_named():
    with pytest.raises(ValueError, match="engine is 'photons'; known are kspace, galsim_loop"):
        render_field(one_source(), **SETTINGS, engine="photons")
    with pytest.raises(ValueError, match="lists 1 files for 2 bands"):
        render_field(one_source(), **SETTINGS, psfex_models=["a.psf"])
    with pytest.raises(FileNotFoundError, match="a.psf"):
        render_field(one_source(), **SETTINGS, psfex_models=["a.psf", "b.psf"])


def test_truth_is_galsim_and_not_ourselves():
    """The reference loop, for one galaxy, is GalSim's own drawImage."""
    psf = sample_psf(DES, "i", image_size=65, seed=1, field=1, psf_variation=0.0)
    sources = Sources(
        np.array([32.5]),
        np.array([32.5]),
        np.array([[1e3]]),
        np.array([0.7]),
        np.array([0.0]),
        np.array([0.1]),
        np.array([0.2]),
    )
    ours = np.zeros((65, 65))
    add_sources_one_by_one(ours, Scene(sources, np.zeros(1, int), 0.263, 65, 1), 0, psf, stamp_size=65)
    profile = galsim.Exponential(half_light_radius=0.7, flux=1e3).shear(g1=0.1, g2=0.2)
    expected = galsim.Convolve(profile, psf.at(32.5, 32.5)).drawImage(nx=65, ny=65, scale=0.263).array
    np.testing.assert_allclose(ours, expected, atol=1e-3)
