"""Pixel and sky coordinates: round trips, orientation, separations."""

import numpy as np
import pytest

from armillary.sky import pixel_of_sky, separation_arcsec, sky_of_pixel, tan_wcs, wcs_keywords, wcs_of_header


def test_centre_and_orientation():
    wcs = tan_wcs(50.0, -40.0, 1000, 0.263)
    ra, dec = sky_of_pixel(500, 500, wcs)
    assert (float(ra), float(dec)) == pytest.approx((50.0, -40.0))
    assert sky_of_pixel(400, 500, wcs)[0] > 50.0  # east is left
    assert sky_of_pixel(500, 600, wcs)[1] > -40.0  # north is up


def test_round_trip_and_fits_convention(rng):
    wcs = tan_wcs(359.99, 10.0, 500, 0.2)
    x, y = rng.uniform(0, 500, (2, 20))
    again = pixel_of_sky(*sky_of_pixel(x, y, wcs), wcs)
    np.testing.assert_allclose(again, [x, y], atol=1e-6)
    assert float(wcs.all_pix2world(1, 1, 1)[1]) == pytest.approx(float(sky_of_pixel(0.5, 0.5, wcs)[1]))


def test_header_without_sky_coordinates_is_refused():
    with pytest.raises(ValueError, match=r"image\.fits has no celestial WCS"):
        wcs_of_header({"CTYPE1": "LINEAR"}, "image.fits")
    assert wcs_of_header(wcs_keywords(1.0, 2.0, 10, 0.3), "x").wcs.crval[0] == 1.0


def test_separation_closed_forms():
    assert separation_arcsec(10, 0, 10, 1) == pytest.approx(3600)
    assert separation_arcsec(0.1, 60, 359.9, 60) == pytest.approx(0.2 * 3600 * 0.5, rel=1e-5)
