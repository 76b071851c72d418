"""A user's own images: every format, the geometry of frames and PSFs, and one clear line for what is wrong."""

import fitsio
import h5py
import numpy as np
import pytest

from armillary.files_stamps import pixel_arcsec_of, read_user_image, user_objects
from armillary.observed_stamps import Given, checked, found_positions, observations_of, sky_of
from armillary.pair_scores import blocks_of, correlation_metrics
from armillary.stamp_psfs import centred_psf

PLANES = {"BAD": 0, "INTRP": 2}


def gaussian(side: int, sigma: float) -> np.ndarray:
    """A round Gaussian of flux 1."""
    x = np.arange(side) - (side - 1) / 2
    image = np.exp(-0.5 * (x[:, None] ** 2 + x**2) / sigma**2)
    return image / image.sum()


def given(**changes) -> Given:
    """A sound image of 21 pixels."""
    image = 30 * gaussian(21, 2.0) + np.random.default_rng(0).normal(0, 0.1, (21, 21))
    whole = Given("mine", image, gaussian(15, 1.6), np.full((21, 21), 0.01), np.zeros((21, 21), np.int32), 0.168)
    return whole._replace(**changes)


def observed(*images: Given, subtract_sky: bool = False):
    clean = [checked(one, 0.168, PLANES, ["BAD", "INTRP"], subtract_sky) for one in images]
    return observations_of(clean, 0.168, np.zeros((len(images), 1, 2)))


def spoilt(value: float) -> np.ndarray:
    """A good variance plane with one pixel of another value."""
    plane = np.full((21, 21), 0.01)
    plane[3, 4] = value
    return plane


BAD_IMAGES = {
    "the PSF sums to 2, not to 1": {"psf": 2 * gaussian(15, 1.6)},
    "its light is 1 pixels from the middle": {"psf": np.roll(gaussian(14, 1.6), 1, 0)},
    "pixels of the PSF are not finite": {"psf": np.full((15, 15), np.nan)},
    "1 unmasked pixels have a variance that is not above 0": {"variance": spoilt(0.0)},
    "1 unmasked pixels have a variance": {"variance": spoilt(np.nan)},
    "all 441 pixels are masked": {"mask": np.full((21, 21), 4, np.int32)},
    "all 441 pixels are masked or not finite": {"image": np.full((21, 21), np.nan)},
    "pixel_arcsec is 0.168; the image's header says 0.3": {"pixel_arcsec": 0.3},
    "with pixel_arcsec 0.168 the PSF is": {"psf": gaussian(41, 9.0), "pixel_arcsec": None},
    "variance has shape": {"variance": np.ones((20, 21))},
    "holds no bits": {"mask": np.zeros((21, 21))},
}


@pytest.mark.parametrize("said", BAD_IMAGES)
def test_a_bad_image_is_one_clear_line_with_its_name(said):
    with pytest.raises(ValueError, match=said) as error:
        observed(given(**BAD_IMAGES[said]))
    assert "mine" in str(error.value) and "\n" not in str(error.value)


def test_an_unknown_mask_plane_is_named():
    with pytest.raises(ValueError, match="unknown mask plane 'HALO'"):
        checked(given(), 0.168, PLANES, ["HALO"], False)


def test_a_galaxy_outside_the_image_is_named():
    with pytest.raises(ValueError, match=r"mine: a galaxy at \[0.0, 1.8\] arcsec from the middle is outside"):
        observations_of([given()], 0.168, np.array([[[0.0, 0.0], [0.0, 1.8]]]))


def test_a_masked_peak_is_no_galaxy():
    mask, image = np.zeros((41, 41), np.int32), 100 * gaussian(41, 2.0)
    image[5:8, 5:8] += 50.0
    mask[4:9, 4:9] = 4
    one = given(image=image + np.random.default_rng(1).normal(0, 0.1, image.shape), mask=mask, variance=None)
    places = found_positions([checked(one, 0.168, PLANES, ["INTRP"], False).image], 0.168)
    assert places == pytest.approx(np.zeros((1, 2)), abs=0.2)


def test_masked_pixels_may_have_any_variance_and_nan_is_missing(capsys):
    mask = np.zeros((21, 21), np.int32)
    mask[3, 4] = 4
    image = given().image.copy()
    image[0, 0] = np.nan
    found = observed(given(variance=spoilt(-1.0), mask=mask, image=image))
    assert (found.variance > 0).all() and np.isnan(found.image[0, 0, 0])
    assert "1 pixels are not finite" in capsys.readouterr().out


def test_images_and_psfs_of_other_sizes_share_a_frame_and_keep_their_middles():
    small = given(
        image=np.ones((18, 19)), variance=np.ones((18, 19)), mask=np.zeros((18, 19), int), psf=gaussian(12, 1.6)
    )
    found = observed(given(), small)
    assert found.image.shape == (2, 21, 21) and found.psf.shape == (2, 15, 15)
    rows, columns = np.nonzero(np.isfinite(found.image[1]))
    middle = np.array([rows.mean(), columns.mean()]) - 10
    assert found.position[1, 0] == pytest.approx(middle * 0.168)
    assert found.position[0, 0] == pytest.approx([0, 0])
    assert found.psf[1] == pytest.approx(found.psf[0], abs=1e-4)  # between four pixels, moved on one
    assert found.psf.sum((1, 2)) == pytest.approx(np.ones(2))


def test_a_psf_is_brought_to_the_middle():
    on_a_pixel = np.zeros((10, 10))
    on_a_pixel[5, 5] = 0.98
    assert np.unravel_index(centred_psf(on_a_pixel, "psf").argmax(), (11, 11)) == (5, 5)
    flat = np.zeros((9, 11))
    flat[4, 5] = 1.0
    assert centred_psf(flat, "psf").shape == (11, 11) and centred_psf(flat, "psf")[5, 5] == 1.0


def test_sky_is_measured_beside_a_galaxy():
    rng = np.random.default_rng(1)
    image = 500 * gaussian(60, 4.0) + rng.normal(0.3, 0.2, (60, 60))
    assert sky_of(image) == pytest.approx((0.3, 0.2), abs=0.02)
    found = observed(given(image=image, variance=None, mask=None), subtract_sky=True)
    assert np.median(found.image) == pytest.approx(0, abs=0.02)
    assert found.variance[0, 0, 0] == pytest.approx(0.04, rel=0.15)


def test_blended_galaxies_are_found_where_they_are():
    rng = np.random.default_rng(2)
    x = np.arange(41)
    places = [(20, 15), (23, 22), (9, 30)]
    light = sum(
        np.exp(-0.5 * ((x[:, None] - row) ** 2 + (x - column) ** 2) / 1.8**2) * peak
        for (row, column), peak in zip(places, (9, 6, 3), strict=True)
    )
    images = np.stack([light + rng.normal(0, 0.1, (41, 41)) for _ in range(2)])
    images[:, 0, 0] = np.nan
    assert found_positions(images, 1.0) + 20 == pytest.approx(np.array(places), abs=0.1)
    with pytest.raises(ValueError, match="no galaxy stands out"):
        found_positions(rng.normal(0, 1, (1, 20, 20)), 1.0)


def test_a_users_image_is_read_in_each_format(tmp_path):
    stack = np.arange(24.0).reshape(2, 3, 4)
    np.savez(tmp_path / "a.npz", image=stack[0], stack=stack)
    header = {"CTYPE1": "RA---TAN", "CDELT1": -1.0, "PC1_1": 4.6666667e-05}
    fitsio.write(tmp_path / "a.fits", stack, header=header)
    with h5py.File(tmp_path / "a.h5", "w") as stream:  # as unagi lays its cutouts out
        for name in ("17", "23"):
            stream[f"{name}/HSC-I/HDU0/DATA"] = stack[1]
    for source in ("a.npz:stack[1]", "a.fits[0][1]", "a.h5:23/HSC-I/HDU0/DATA"):
        image, read = read_user_image(f"{tmp_path}/{source}", "image")
        assert np.array_equal(image, stack[1]) and image.dtype.isnative
        assert pixel_arcsec_of(read) == (pytest.approx(0.168) if "fits" in source else None)
    assert user_objects(f"{tmp_path}/a.h5:{{object}}", "image") == ["17", "23"]


BAD_FILES = {
    "none.fits": "no such file",
    "a.npz:psf": "has no array 'psf'; it has image",
    "a.npz:image[0]": "there is no image 0 in an array of shape",
    "a.npz:flat": "holds an array of shape",
    "a.h5:9/DATA": "has no dataset '9/DATA'",
    "a.fits[3]": "has 1 HDUs",
    "a.fits[x]": "must be whole numbers",
}


@pytest.mark.parametrize("source", BAD_FILES)
def test_a_bad_name_is_one_clear_line_with_its_config_key(source, tmp_path):
    np.savez(tmp_path / "a.npz", image=np.zeros((3, 4)), flat=np.zeros(3))
    fitsio.write(tmp_path / "a.fits", np.zeros((3, 4)))
    with h5py.File(tmp_path / "a.h5", "w") as stream:
        stream["8/DATA"] = np.zeros((3, 4))
    with pytest.raises((ValueError, FileNotFoundError), match="config key `observed: mask`") as error:
        read_user_image(f"{tmp_path}/{source}", "mask")
    assert BAD_FILES[source] in str(error.value)


def test_correlations_of_blocks_are_those_of_all_pixels():
    rng = np.random.default_rng(3)
    truth = rng.normal(size=(40, 40))
    images = {"poor": truth + rng.normal(0, 2, (40, 40)), "good": truth + rng.normal(0, 0.5, (40, 40))}
    where = np.ones((40, 40), bool)
    n = blocks_of((40, 40), where)[1]
    counts = rng.multinomial(n, np.full(n, 1 / n), 100)
    found = correlation_metrics("pair", images, truth, where, counts, "poor", 1.0)
    for name, image in images.items():
        assert found[f"pair_{name}_correlation"]["value"] == pytest.approx(
            np.corrcoef(image.ravel(), truth.ravel())[0, 1]
        )
    assert found["pair_good_gain"]["lo"] > 0.3
    assert found["pair_good_correlation"]["baseline"] == "pair_poor_correlation"
