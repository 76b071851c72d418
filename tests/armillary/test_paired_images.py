"""HST put through the operator against HSC, on a made sky in closed form and on the real pair."""

import numpy as np
import pytest

from armillary.files_stamps import read_user_image
from armillary.inverse.paired_images import (
    SpaceImage,
    as_seen,
    assembled,
    correlation,
    footprint,
    interpolated,
    middle_from_headers,
    registered_middle,
)


def gaussian(side: int, pixel: float, sigma: float, middle=(0.0, 0.0)) -> np.ndarray:
    """Flux a pixel of a round Gaussian (arcsec) of flux 1."""
    x = (np.arange(side) - (side - 1) / 2) * pixel
    profile = np.exp(-0.5 * ((x[:, None] - middle[0]) ** 2 + (x - middle[1]) ** 2) / sigma**2)
    return profile * pixel**2 / (2 * np.pi * sigma**2)


@pytest.fixture(scope="module")
def sky() -> SpaceImage:
    """A galaxy of 0.25 arcsec at (0.3, -0.2) of the ground frame's middle, in a frame whose middle is elsewhere."""
    galaxy = gaussian(100, 0.05, np.hypot(0.25, 0.06), (0.2, -0.3))
    return SpaceImage(galaxy, gaussian(41, 0.05, 0.06), 0.05, np.array([0.1, 0.1]))


def test_a_gaussian_seen_through_another_psf_is_the_wider_gaussian(sky):
    seen = as_seen(sky, gaussian(31, 0.168, 0.3), 0.168, (31, 31), 0.168)
    wanted = gaussian(31, 0.168, np.hypot(0.25, 0.3), (0.3, -0.2))
    assert np.abs(seen - wanted).max() < 2e-3 * wanted.max()


def test_the_middle_is_found_from_the_images(sky):
    def see(space):
        return as_seen(space, gaussian(31, 0.168, 0.3), 0.168, (31, 31), 0.168)

    where = footprint(sky, (31, 31), 0.168, 0.5)
    assert where.sum() == pytest.approx((4.0 / 0.168) ** 2, rel=0.1)
    shifted = sky._replace(middle=sky.middle + [0.06, -0.04])
    found = registered_middle(shifted, see, see(sky), where, 0.15)
    assert found == pytest.approx(sky.middle, abs=0.01)


def test_sources_are_put_at_their_positions():
    one = gaussian(32, 0.06, 0.2)[None]
    frame = assembled(one, np.array([[0.33, -0.27]]), (81, 81), 0.06)
    assert frame == pytest.approx(gaussian(81, 0.06, 0.2, (0.33, -0.27)), abs=2e-4 * one.max())
    assert interpolated(frame, 0.06, (41, 41), 0.12) == pytest.approx(frame[::2, ::2], abs=1e-9)


def test_the_real_pair_agrees(mirror):
    folder = str(mirror / "hsc/hst_hsc_pair")
    image, header = read_user_image(f"{folder}/Cut_HST.fits", "image")
    ground, ground_header = read_user_image(f"{folder}/Cut_HSC.fits[0][2]", "image")
    psfs = [read_user_image(f"{folder}/{name}", "psf")[0] for name in ("PSF_HST.fits", "PSF_HSC.fits[0][2]")]
    middle = middle_from_headers(header, image.shape, ground_header, ground.shape, 0.168)
    assert np.abs(middle).max() < 0.1
    hst = SpaceImage(image.astype(float), psfs[0], 0.03, middle)
    where = footprint(hst, ground.shape, 0.168, 0.7)
    assert correlation(as_seen(hst, psfs[1], 0.168, ground.shape, 0.168), ground, where) > 0.98
