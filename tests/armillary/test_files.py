"""Every write_x is read back by read_x; damaged files give one clear line."""

import numpy as np
import pandas as pd
import pytest
from astropy.table import Table

from armillary import files


def test_catalog_round_trip_and_units(tmp_path):
    path = str(tmp_path / "a.dat")
    frame = pd.DataFrame({"RA": [10.25, 359.999999], "N": [1, 2], "name": ["a b", "c"]})
    files.write_catalog(path, frame, {"RA": "deg"}, {"field": 3})
    pd.testing.assert_frame_equal(files.read_catalog(path), frame)
    assert files.read_catalog_meta(path) == {"field": 3}
    table = Table.read(path, format="ascii.ecsv")
    assert str(table["RA"].unit) == "deg"
    assert table.meta["field"] == 3


def test_empty_catalog_keeps_its_columns(tmp_path):
    path = str(tmp_path / "a.dat")
    files.write_catalog(path, pd.DataFrame({"x": np.empty(0)}))
    assert list(files.read_catalog(path).columns) == ["x"]
    assert len(files.read_catalog(path)) == 0
    assert files.read_catalog(path).x.dtype == float


def test_image_round_trip(tmp_path):
    path = str(tmp_path / "a.fits")
    image = np.arange(12, dtype=np.float32).reshape(3, 4)
    files.write_image(path, image, {"MAGZERO": 30.0, "FILTER": "g"})
    again, header = files.read_image(path)
    np.testing.assert_array_equal(again, image)
    assert header["MAGZERO"] == 30.0
    assert header["FILTER"] == "g"


def test_compressed_image_is_in_hdu_one_and_true_to_a_fraction_of_its_noise(tmp_path, rng):
    path = str(tmp_path / "a.fits.fz")
    image = rng.normal(0, 5, (200, 300)).astype(np.float32)
    files.write_compressed_image(path, image, {})
    again, _ = files.read_image(path, extension=1)
    assert np.std(again - image) < 5 * 0.03


def test_table_with_vector_columns(tmp_path):
    path = str(tmp_path / "a.fits")
    files.write_table(path, pd.DataFrame({"MAG": [1.5, 2.5], "N": [1, 2]}), {"MAG": "mag"})
    assert files.read_table(path).MAG.tolist() == [1.5, 2.5]


def test_arrays_and_json_round_trip(tmp_path):
    files.write_arrays(str(tmp_path / "a.npz"), x=np.eye(2))
    np.testing.assert_array_equal(files.read_arrays(str(tmp_path / "a.npz"))["x"], np.eye(2))
    files.write_json(str(tmp_path / "a.json"), {"value": np.float32(0.5), "n": np.int64(2), "x": np.arange(2)})
    assert files.read_json(str(tmp_path / "a.json")) == {"value": 0.5, "n": 2, "x": [0, 1]}


@pytest.mark.parametrize(
    "read", [files.read_image, files.read_table, files.read_catalog, files.read_arrays, files.read_json]
)
def test_missing_file_is_named(tmp_path, read):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("read", [files.read_image, files.read_table, files.read_arrays, files.read_json])
def test_file_of_another_kind_is_named(tmp_path, read):
    path = tmp_path / "other.bin"
    path.write_bytes(b"\x93 not what it should be" * 200)
    with pytest.raises(ValueError, match=r"other\.bin"):
        read(str(path))


def test_truncated_image_is_named(tmp_path):
    path = tmp_path / "cut.fits"
    files.write_image(str(path), np.ones((64, 64), np.float32), {})
    path.write_bytes(path.read_bytes()[:6000])
    with pytest.raises(ValueError, match=r"cut\.fits is truncated"):
        files.read_image(str(path))
