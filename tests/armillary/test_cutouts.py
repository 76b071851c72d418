"""Cutouts: geometry, duplicates, splits by sky, files, and what is said of bad ones."""

import h5py
import numpy as np
import pytest

from armillary.cutouts import (
    Cutouts,
    band_noise,
    check_cutouts,
    compressed,
    compressed_variance,
    cut_images,
    estimated_variance,
    first_of_duplicates,
    sky_cells,
    split_cells,
)
from armillary.files_cutouts import open_cutouts, read_cutouts, write_cutouts

BANDS = ["g", "r"]


def example(n: int = 6, size: int = 8) -> Cutouts:
    rng = np.random.default_rng(0)
    images = rng.normal(0, 1, (n, 2, size, size)).astype(np.float32)
    columns = {"ra": np.linspace(10, 11, n), "dec": np.zeros(n), "class": np.arange(n) % 3}
    facts = {"bands": BANDS, "zero_point": 27.0, "pixel_arcsec": 0.168}
    return Cutouts(images, np.ones_like(images), np.zeros(images.shape, np.uint8), columns, facts)


@pytest.mark.parametrize("size", [4, 5])
def test_a_cutout_has_its_object_in_the_middle(size):
    images = np.arange(2 * 20 * 30, dtype=np.float32).reshape(2, 20, 30)
    cut = cut_images(images, np.array([10.4, 0.2]), np.array([7.6, 19.7]), size)
    if size == 5:
        assert cut[0, 1, 2, 2] == images[1, 7, 10]
    else:  # the corner nearest to (10.4, 7.6) is that of pixels 9, 10 and 7, 8
        assert cut[0, 1, 2, 2] == images[1, 8, 10]
    assert np.isnan(cut[1]).any() and np.isfinite(cut[1]).any()


def test_of_duplicates_the_first_stays():
    ra, dec = np.array([10.0, 10.0 + 0.5 / 3600, 20.0, 359.99999, 0.00001]), np.array([60.0, 60.0, 0.0, 0.0, 0.0])
    assert first_of_duplicates(ra, dec, 1.0).tolist() == [True, False, True, True, False]
    with pytest.raises(ValueError, match="no finite ra"):
        first_of_duplicates(np.array([np.nan]), np.array([0.0]), 1.0)


def test_no_sky_is_in_two_splits():
    rng = np.random.default_rng(1)
    cells = sky_cells(rng.uniform(0, 20, 2000), rng.uniform(-5, 5, 2000), 1.0)
    split = split_cells(cells, {"validation": 0.1, "probe": 0.3}, rng)
    of = {name: set(cells[split == name]) for name in ("train", "validation", "probe")}
    assert not of["train"] & of["probe"] and not of["train"] & of["validation"] and not of["validation"] & of["probe"]
    assert len(of["probe"]) == round(0.3 * len(np.unique(cells)))
    with pytest.raises(ValueError, match="sky cells"):
        split_cells(np.zeros(5), {"validation": 0.1, "probe": 0.1}, rng)


def test_compression_is_linear_in_the_noise_and_its_variance_is_that_of_draws():
    noise = np.array([2.0])
    assert compressed(np.full((1, 1, 1, 1), 0.06), noise).item() == pytest.approx(0.01, rel=1e-4)
    draws = 40 + 2 * np.random.default_rng(0).standard_normal((1, 1, 400, 400))
    expected = compressed_variance(np.full((1, 1, 1, 1), 40.0), np.full((1, 1, 1, 1), 4.0), noise).item()
    assert compressed(draws, noise).var() == pytest.approx(expected, rel=0.02)


def test_noise_where_a_file_has_none():
    images = 3 * np.random.default_rng(0).standard_normal((4, 2, 32, 32)).astype(np.float32)
    images[1, 0] = np.nan
    assert band_noise(images, estimated_variance(images), np.zeros(images.shape, np.uint8)) == pytest.approx(3, rel=0.1)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_file_gives_back_what_was_written(tmp_path, dtype):
    cutouts = example()
    cutouts.images[0, 0, 0, 0], cutouts.images[1, 1] = 1e6, np.nan
    write_cutouts(str(tmp_path / "a.h5"), cutouts, dtype)
    read = read_cutouts(str(tmp_path / "a.h5"), BANDS)
    assert np.isfinite(read.images[0]).all()  # cut off, not infinite
    np.testing.assert_allclose(read.images[2:], cutouts.images[2:], atol=2e-3)
    assert np.isnan(read.images[1, 1]).all()
    np.testing.assert_array_equal(read.columns["class"], cutouts.columns["class"])


def test_a_bad_file_is_named_in_one_line(tmp_path):
    path = str(tmp_path / "a.h5")
    write_cutouts(path, example())
    with pytest.raises(ValueError, match="has the bands g r, in this order; r g are wanted"):
        open_cutouts(path, ["r", "g"])
    with pytest.raises(FileNotFoundError, match="does not exist"):
        open_cutouts(str(tmp_path / "none.h5"))
    with pytest.raises(ValueError, match="has no zspec"), open_cutouts(path) as file:
        file.column("zspec")
    whole = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "half.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="truncated"):
        open_cutouts(str(tmp_path / "half.h5"))
    with h5py.File(tmp_path / "own.h5", "w") as stream:
        stream["cutouts"] = np.zeros((2, 3, 8, 8), np.float32)
    with pytest.raises(ValueError, match="does not name its bands"):
        open_cutouts(str(tmp_path / "own.h5"))
    with pytest.raises(ValueError, match="3 planes for the bands g r"):
        open_cutouts(str(tmp_path / "own.h5"), BANDS)
    cutouts = example()
    cutouts.images[3] = np.nan
    with pytest.raises(ValueError, match="cutout 3 is NaN in every band"):
        check_cutouts(cutouts, "mine")
