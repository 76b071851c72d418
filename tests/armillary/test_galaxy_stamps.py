"""Drawn galaxies have the flux, the frame and the population they should; real ones are read with their own PSF."""

import galsim
import numpy as np
import pytest

from armillary.files_hsc import read_set, write_set
from armillary.galaxy_stamps import (
    StampFrame,
    galaxy_profile,
    parametric_stamps,
    real_stamps,
    sample_parameters,
    split_at_random,
)
from armillary.stamp_sets import StampSet

FRAME = StampFrame(48, 0.06, 0.15)


@pytest.fixture(scope="module")
def drawn():
    """A small set."""
    return parametric_stamps(np.random.default_rng(0), FRAME, {"train": 12, "validation": 3, "test": 5}, 21, 23.5)


def test_a_set_keeps_its_splits_and_survives_its_file(drawn, tmp_path):
    assert [len(drawn.of_split(name).image) for name in ("train", "validation", "test")] == [12, 3, 5]
    assert len(np.unique(drawn.id)) == 20
    assert (drawn.image.sum((1, 2)) > 0.5).all() and (drawn.image.sum((1, 2)) < 1.01).all()
    assert drawn.effective_psf.sum() == pytest.approx(1) and len(drawn.effective_psf) % 2
    write_set(str(tmp_path / "set.h5"), drawn)
    back = read_set(str(tmp_path / "set.h5"), StampSet)
    assert back.pixel_arcsec == 0.06 and np.array_equal(back.image, drawn.image)
    (tmp_path / "broken.h5").write_bytes(b"x")
    with pytest.raises(ValueError, match="not an HDF5 file"):
        read_set(str(tmp_path / "broken.h5"), StampSet)


def test_half_of_a_plain_disc_lies_inside_its_half_light_radius():
    row = {name: values[0] for name, values in sample_parameters(np.random.default_rng(0), 1, 21, 23.5).items()}
    row |= {"bulge_share": 0, "knot_share": 0, "clump_share": 0, "companion_share": 0, "axis_ratio": 1.0}
    row |= {"radius_arcsec": 0.4, "sersic_index": 1.0}
    profile = galaxy_profile(row)
    assert profile.flux == pytest.approx(1)
    assert profile.calculateHLR() == pytest.approx(0.4, rel=1e-2)


def test_a_brighter_sample_is_larger_and_counts_rise():
    rows = sample_parameters(np.random.default_rng(0), 20000, 21, 25)
    bright = rows["mag"] < 23
    assert np.median(rows["radius_arcsec"][bright]) > 1.2 * np.median(rows["radius_arcsec"][~bright])
    counts = np.histogram(rows["mag"], [21, 22, 23, 24, 25])[0]
    assert counts[1:] / counts[:-1] == pytest.approx(2.0, rel=0.15)  # 10^0.3


def test_a_set_is_split_at_random_and_no_galaxy_is_in_two(drawn):
    many = drawn._replace(original_psf=np.arange(20.0)[:, None, None])
    found = split_at_random(np.random.default_rng(1), many, {"train": 9, "validation": 4, "test": 3})
    assert np.bincount(found.split).tolist() == [9, 4, 3]
    assert len(set(found.id)) == 16 and (np.diff(found.id) < 0).any()
    assert (found.original_psf[:, 0, 0] == found.id).all()
    assert all((found.image[k] == drawn.image[number]).all() for k, number in enumerate(found.id))
    with pytest.raises(ValueError, match="21 galaxies are wanted to learn from, 20 pass the cuts"):
        split_at_random(np.random.default_rng(1), many, {"train": 21})


def test_real_galaxies_lose_their_psf_and_keep_their_noise(mirror):
    folder = str(mirror / "hsc/hst_cosmos")
    found = real_stamps(folder, "real_galaxy_catalog_26_extension_example.fits", FRAME, 23.0, 3.0)
    assert 5 < len(found.image) < 20 and (found.mag < 23).all()
    assert found.image.sum((1, 2)) == pytest.approx(np.ones(len(found.image)), abs=1e-5)
    # the noise that is said to be there is there: in the corners, where there is no galaxy
    said, seen = found.variance.max((1, 2)) ** 0.5, []
    for image, variance in zip(found.image, found.variance, strict=True):
        rows, columns = np.nonzero(variance.any(1))[0][2:-2], np.nonzero(variance.any(0))[0][2:-2]
        corners = image[np.ix_(np.r_[rows[:5], rows[-5:]], np.r_[columns[:5], columns[-5:]])]
        seen.append(corners.std())
    assert np.median(said / seen) == pytest.approx(1, abs=0.15)
    assert (said / seen < 1.6).all() and (said / seen > 0.6).all()
    assert not found.image[found.variance == 0].std() > 0.1 * found.image[found.variance > 0].std()
    book = galsim.RealGalaxyCatalog(f"{folder}/real_galaxy_catalog_26_extension_example.fits", dir=folder)
    assert found.original_psf[0] != pytest.approx(found.effective_psf[:48, :48], abs=1e-4)
    assert book.nobjects == 100
    with pytest.raises(ValueError, match="none of 100 galaxies"):
        real_stamps(folder, "real_galaxy_catalog_26_extension_example.fits", FRAME, 15.0, 3.0)
