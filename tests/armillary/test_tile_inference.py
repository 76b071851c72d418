"""Whole-tile inference: what needs no trained network."""

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch")
from armillary.files import read_header, read_json, read_table
from armillary.footprint import read_encoder_tiles
from armillary.sky import pixel_of_sky, tan_wcs, wcs_keywords
from armillary.tile_inference import (
    TileResult,
    images_of_tile,
    joined_detections,
    owned_cells,
    valid_fraction,
    with_sky_positions,
)
from armillary.tile_results import CELL_VALUES, MAPS, keep_result
from armillary.windows import window_origins
from scripts.clusters import infer_tile as step


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


def cells_of_image(image_size, window_size, min_overlap, tile_size, hidden=()):
    """Owned cells of a square image, probability the number of their window; `hidden` windows saw nothing."""
    origins = [window_origins(image_size, window_size, min_overlap)] * 2
    n, tables = window_size // tile_size, []
    for number, corner in enumerate((y, x) for y in origins[0] for x in origins[1]):
        maps = {name: np.full((n, n), float(number)) for name in CELL_VALUES}
        seen = np.full((n, n), number not in hidden)
        sizes = {"window_size": window_size, "tile_size": tile_size}
        tables.append(owned_cells(maps, seen, corner, origins, **sizes))
    return pd.concat(tables, ignore_index=True)


@pytest.mark.parametrize("sizes", [(10_000, 2560, 80), (5000, 2560, 80), (4000, 2560, 400), (2560, 2560, 80)])
def test_the_cells_of_a_tile_cover_its_sky_about_once(sizes):
    image_size, window_size, min_overlap = sizes
    cells = cells_of_image(image_size, window_size, min_overlap, 128)
    assert (cells.size_px**2).sum() == pytest.approx(image_size**2, rel=0.06)
    assert not cells.duplicated(["x", "y"]).any() and cells.x.min() == cells.y.min() == 0
    assert (cells.x + 128).max() == (cells.y + 128).max() == image_size
    covered = np.zeros((image_size // 4, image_size // 4), np.int8)
    for x, y in zip(cells.x // 4, cells.y // 4, strict=True):
        covered[y : y + 32, x : x + 32] += 1
    assert covered.max() <= 4 and (covered > 1).mean() < 0.06 and (covered == 0).mean() < 0.04


def test_a_cell_belongs_to_the_window_with_the_nearest_centre():
    cells = cells_of_image(240, 128, 16, 16)  # windows at 0 and 112, their border at 120
    assert set(cells[cells.probability == 0].x) == set(
        range(0, 128, 16)
    )  # the centre of the last one lies on the border
    assert set(cells[cells.probability == 1].x) == set(range(128, 240, 16))
    assert len(cells[cells.probability == 1]) == 7 * 8
    assert (cells[cells.probability == 2].y >= 128).all()
    assert 1 not in set(cells_of_image(240, 128, 16, 16, hidden=[1]).probability)


def test_cells_are_kept_with_the_place_of_their_image(tmp_path):
    wcs = tan_wcs(30.0, -40.0, 240, 0.263)
    cells = with_sky_positions(cells_of_image(240, 128, 16, 16), wcs)
    maps = {name: np.zeros((4, 4), np.float32) for name in MAPS}
    clusters = pd.DataFrame({"ra": [30.0], "dec": [-40.0]})
    result = TileResult(maps, clusters, np.ones(2), np.ones(2), cells)
    keep_result(tmp_path, result, wcs_keywords(30.0, -40.0, 4, 16.8), {"tile": "a", "key": "k"})
    assert not (tmp_path / "cells.fits").exists()  # a shard of the survey keeps none
    image_header = wcs_keywords(30.0, -40.0, 240, 0.263)
    keep_result(tmp_path, result, image_header, {"tile": "a", "key": "k"}, image_header=image_header)
    assert read_json(str(tmp_path / "record.json"))["key"] == "k"
    table, place = read_encoder_tiles(str(tmp_path / "cells.fits"))
    pd.testing.assert_frame_equal(table, cells)
    x, y = pixel_of_sky(table.ra, table.dec, place)
    assert np.abs(x - table.x - 8).max() < 1e-4 and np.abs(y - table.y - 8).max() < 1e-4
    assert read_header(str(tmp_path / "cells.fits"), 1)["TUNIT3"] == "pix"
    assert list(read_table(str(tmp_path / "cells.fits")))[:5] == ["x", "y", "size_px", "ra", "dec"]
    with pytest.raises(ValueError, match="no celestial WCS"):
        keep_result(tmp_path, result, image_header, {"tile": "a", "key": "k"}, image_header={"A": 1})
        read_encoder_tiles(str(tmp_path / "cells.fits"))


def test_a_tile_that_is_finished_gives_its_cells_without_a_network(tmp_path, monkeypatch):
    """infer_tile keeps the cells in the finished folder and takes them from there when it runs again."""
    cells = with_sky_positions(cells_of_image(240, 128, 16, 16), tan_wcs(30.0, -40.0, 240, 0.263))
    maps = {name: np.zeros((4, 4), np.float32) for name in MAPS}
    result = TileResult(maps, pd.DataFrame({"ra": [30.0], "dec": [-40.0]}), np.ones(1), np.ones(1), cells)
    inferred = []

    class Pixels:
        header = wcs_keywords(30.0, -40.0, 240, 0.263)

        def __init__(self, paths, **planes):
            inferred.append(paths)

    names = {"read_encoder": None, "check_fits": None, "infer_tile_images": result}
    for name, value in names.items():
        monkeypatch.setattr(step, name, lambda *_, value=value, **__: value)
    monkeypatch.setattr(step, "TileImages", Pixels)
    image, checkpoint = tmp_path / "DES0001-0001_g_nobkg.fits", tmp_path / "encoder.ckpt"
    for path in (image, checkpoint):
        path.write_bytes(b"some")
    settings = {"min_overlap": 16, "map_pixel_px": 64, "threshold": 0.1, "min_valid_fraction": 0.5}
    for run in ("first", "second"):
        (tmp_path / "out.fits").unlink(missing_ok=True)
        step.infer_tile(
            [str(image)],
            str(checkpoint),
            [],
            [str(tmp_path / f"{name}.fits") for name in MAPS],
            [str(tmp_path / "clusters.dat")],
            [str(tmp_path / "out.fits")],
            str(tmp_path / "summary.json"),
            tiles=["DES0001-0001"],
            survey="des",
            bands=["g"],
            class_prior="natural",
            use_mask=True,
            use_weight=True,
            threads=1,
            **settings,
        )
        assert len(inferred) == 1, run
        pd.testing.assert_frame_equal(read_encoder_tiles(str(tmp_path / "out.fits"))[0], cells)
