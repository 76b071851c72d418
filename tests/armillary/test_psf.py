"""PSFs: seeing, independent streams, variation over the field, PSFEx models against GalSim's reader."""

import galsim
import numpy as np
import pytest

from armillary.files import read_psfex
from armillary.psf import psf_cell, psf_of_cell, read_psf, sample_psf, stream
from armillary.surveys import survey_constants

DES = survey_constants("des")


def seeing(**settings):
    return sample_psf(DES, **({"band": "i", "image_size": 1000, "seed": 1, "field": 0} | settings))


def test_seeing_scatters_about_the_band_median():
    log_fwhm = np.log([seeing(field=field).fwhm_arcsec for field in range(400)])
    assert np.exp(np.median(log_fwhm)) == pytest.approx(DES.psf_fwhm_arcsec["i"], rel=0.02)
    assert log_fwhm.std() == pytest.approx(0.07, rel=0.15)


def test_half_of_the_seeing_is_shared_between_bands():
    fwhm = np.log([[seeing(band=band, field=field).fwhm_arcsec for band in "gi"] for field in range(400)])
    assert np.corrcoef(fwhm.T)[0, 1] == pytest.approx(0.5, abs=0.12)


def test_streams_differ_by_field_band_and_purpose_and_repeat():
    draws = [
        stream(1, field, band, purpose).normal() for field in (0, 1) for band in "gr" for purpose in ("psf", "noise")
    ]
    assert len(set(draws)) == len(draws)
    assert stream(1, 0, "g", "psf").normal() == draws[0]


def test_drawn_size_is_the_stated_one():
    for profile in ("kolmogorov", "moffat"):
        psf = seeing(psf_profile=profile, psf_variation=0.0)
        drawn = psf.at(500, 500).drawImage(nx=128, ny=128, scale=0.04, method="no_pixel")
        assert drawn.calculateFWHM() == pytest.approx(psf.fwhm_arcsec, rel=0.01)


def test_shape_is_small_and_varies_with_position():
    psf = seeing(psf_variation=0.02)
    shear = np.hypot(*psf.ellipticity)
    assert 0.005 <= shear <= 0.015
    assert psf.at(0, 0) != psf.at(1000, 1000)
    middle = psf.fwhm_arcsec
    assert psf_of_cell(psf, 4, 1000, 3) == psf.at(500, 500)
    assert galsim.Kolmogorov(fwhm=middle).lam_over_r0 == pytest.approx(psf.at(500, 500).original.lam_over_r0)


def test_cells_are_row_major():
    assert psf_cell([0, 999, 0, 999.9], [0, 0, 999, 999.9], 1000, 2).tolist() == [0, 1, 2, 3]


def test_unknown_profile_is_named():
    with pytest.raises(ValueError, match="'airy'; known are kolmogorov, moffat"):
        seeing(psf_profile="airy")


def test_psfex_model_is_what_galsim_reads(mirror):
    import galsim.des

    path = str(mirror / "clusters/psf/DECam_00154912_12_psfcat.psf")
    theirs, ours = galsim.des.DES_PSFEx(path), read_psf(path, 1000)
    position = galsim.PositionD(theirs.x_zero + 0.2 * theirs.x_scale, theirs.y_zero - 0.3 * theirs.y_scale)
    expected = theirs.getPSF(position).dilate(0.263).withFlux(1.0)
    drawn = [psf.drawImage(nx=32, ny=32, scale=0.263, method="no_pixel").array for psf in (expected, ours.at(700, 200))]
    np.testing.assert_allclose(drawn[1], drawn[0], atol=1e-6 * drawn[0].max())


def test_legacy_survey_psfex_tables_read(mirror):
    paths = sorted((mirror / "clusters/decam/testcase9").glob("*psfex.fits"))
    assert paths
    for path in paths:
        assert 0.7 < read_psf(str(path), 1000).fwhm_arcsec < 1.5


def test_a_table_that_is_no_psfex_model_is_named(mirror):
    with pytest.raises(ValueError, match="is not a PSFEx model"):
        read_psfex(str(mirror / "clusters/psf/DECam_00154912_12_fitpsf.fits"))
