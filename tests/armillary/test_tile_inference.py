"""Whole-tile inference: what needs no trained network."""

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch")
from armillary.tile_inference import images_of_tile, joined_detections, valid_fraction
from armillary.windows import window_origins


def test_valid_fraction_counts_finite_pixels_of_each_tile():
    images = np.zeros((2, 8, 8), np.float32)
    images[0, :4, :2], images[1] = np.nan, np.nan
    fraction = valid_fraction(images, 4)
    np.testing.assert_array_equal(fraction[0], [[0.5, 1.0], [1.0, 1.0]])
    assert (fraction[1] == 0).all()


def test_a_cluster_in_an_overlap_is_listed_once_by_its_owner():
    origins = [window_origins(240, 128, 16)] * 2  # 0, 112

    def found(number, y, x, *xyp):
        frame = pd.DataFrame(xyp, columns=["x", "y", "probability", "redshift"])
        return frame.assign(window=number, window_y=y, window_x=x)

    tables = [found(0, 0, 0, (117.0, 50.0, 0.7, 0.4), (30.0, 30.0, 0.9, 0.4)), found(1, 0, 112, (6.0, 51.0, 0.8, 0.41))]
    clusters = joined_detections(tables, origins, 128, radius_px=10)
    assert clusters.x.tolist() == [30.0, 117.0]
    assert list(clusters.columns) == ["x", "y", "probability", "redshift"]
    assert len(joined_detections([table[:0] for table in tables], origins, 128, radius_px=10)) == 0


def test_images_of_tile_are_found_by_name_and_band():
    names = [
        "a/DES0001-0001_r1p01_g_nobkg.fits.fz",
        "a/DES0001-0001_z_nobkg.fits.fz",
        "b/DES0002-0001_r1p01_r_nobkg.fits.fz",
    ]
    assert images_of_tile(names, "DES0001-0001", ["g", "r", "z"]) == [names[0], None, names[1]]
    with pytest.raises(FileNotFoundError, match="DES0009-0001"):
        images_of_tile(names, "DES0009-0001", ["g"])
