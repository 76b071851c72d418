"""Survey constants: published depths, and surveycodex's own arithmetic."""

import pytest

from armillary.surveys import SURVEYS, check_bands, sigma_from_aperture_depth, survey_constants


def test_des_noise_gives_back_the_published_depth():
    des = survey_constants("des")
    n_pixels = 3.14159265 * 0.975**2 / 0.263**2
    flux_at_depth = 10 ** (0.4 * (30 - 23.8))
    assert flux_at_depth / (des.sky_sigma["i"] * n_pixels**0.5) == pytest.approx(10.0, rel=1e-6)
    assert des.sky_sigma["g"] == pytest.approx(2.01, abs=0.01)


def test_noise_grows_with_the_pixel():
    assert sigma_from_aperture_depth(24, 10, 2, 0.4) == pytest.approx(2 * sigma_from_aperture_depth(24, 10, 2, 0.2))


@pytest.mark.parametrize("survey", SURVEYS)
def test_every_survey_has_griz_with_seeing_and_noise(survey):
    constants = survey_constants(survey)
    check_bands(constants, list("griz"))
    assert all(0.5 < constants.psf_fwhm_arcsec[band] < 1.3 and 0.1 < constants.sky_sigma[band] < 10 for band in "griz")
    assert 0.1 < constants.pixel_arcsec < 0.3


def test_deeper_surveys_have_less_noise_in_the_same_area():
    per_arcsec = {name: survey_constants(name).sky_sigma["i"] / survey_constants(name).pixel_arcsec for name in SURVEYS}
    assert per_arcsec["lsst"] < per_arcsec["hsc"] < per_arcsec["des"]


def test_unknown_survey_and_band_name_the_known_ones():
    with pytest.raises(ValueError, match="'sdss'; known surveys are des, hsc, lsst"):
        survey_constants("sdss")
    with pytest.raises(ValueError, match="band 'u' is not a band of des; it has g, r, i, z, Y"):
        check_bands(survey_constants("des"), ["g", "u"])
    with pytest.raises(ValueError, match="bands is empty"):
        check_bands(survey_constants("des"), [])
