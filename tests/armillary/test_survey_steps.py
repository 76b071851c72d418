"""The steps of the survey without a network: shards that go on, tiles that fail, and what the merged survey says."""

import os
import signal

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch")
from armillary.des import standin_tile_names, tile_position
from armillary.files import read_catalog, read_json, read_named_images, write_catalog, write_json, write_named_images
from armillary.interruption import Interrupted
from armillary.metrics import validate_metrics
from armillary.sky import pixel_of_sky, tan_wcs, wcs_keywords
from armillary.tile_inference import TileResult
from armillary.tile_results import MAPS, UNITS, corner_positions, keep_result, tile_record
from scripts.clusters import infer_shard as step
from scripts.clusters.summarise_survey import summarise_survey

BANDS = ["g", "r"]
N_CELLS, CELL_ARCSEC = 160, 16.0
COLUMNS = "ra dec x y probability redshift redshift_error richness richness_error".split()


def finished(folder, tile, key="key"):
    """A made-up result of one tile with one cluster, kept as a job keeps it."""
    maps = {name: np.full((N_CELLS, N_CELLS), 0.1, np.float32) for name in MAPS}
    ra, dec = tile_position(tile)
    clusters = pd.DataFrame([[ra, dec, 5.0, 5.0, 0.9, 0.3, 0.02, 30.0, 3.0]], columns=COLUMNS)
    result = TileResult(maps, clusters, np.ones(2), np.ones(2), pd.DataFrame())
    record = tile_record(key, tile, BANDS, result, 1.5)
    record |= corner_positions((N_CELLS, N_CELLS), tan_wcs(ra, dec, N_CELLS, CELL_ARCSEC))
    keep_result(folder / tile, result, wcs_keywords(ra, dec, N_CELLS, CELL_ARCSEC), record)
    return record


def outputs(folder):
    return {"maps": str(folder / "m.fits"), "catalog": str(folder / "c.dat"), "summary": str(folder / "s.json")}


def run_shard(folder, tiles, monkeypatch, inferred, **changed):
    """infer_shard with an encoder that finds one cluster a tile; `inferred` lists the tiles it was asked for."""

    def infer(encoder, place, tile, key, paths, **_):
        inferred.append(tile)
        if tile == changed.get("ended_at"):
            os.kill(os.getpid(), signal.SIGTERM)
        return finished(place.parent, tile, key)

    def stage(source, bands, manifest):
        def come(tile, place):
            if tile in changed.get("missing", ()):
                raise FileNotFoundError(f"no tile {tile}")
            return ["g.fits", "r.fits"]

        return come

    for name, value in {"read_encoder": lambda _: None, "check_fits": lambda *_, **__: None}.items():
        monkeypatch.setattr(step, name, value)
    monkeypatch.setattr(step, "_infer", infer)
    monkeypatch.setattr(step, "_stage", stage)
    (folder / "encoder.ckpt").write_bytes(b"weights")
    step.infer_shard(
        [str(folder / "encoder.ckpt")], [], **outputs(folder), tiles=tiles, source=changed.get("source", "release"),
        manifest={}, max_failed_tiles=1, survey="des", bands=BANDS, planes={}, settings={}, threads=1, runtime=60,
    )  # fmt: skip


def test_a_shard_goes_on_where_it_stopped_and_packs_all_of_it(tmp_path, monkeypatch):
    tiles, inferred = standin_tile_names(3), []
    with pytest.raises(RuntimeError, match="2 tiles failed"):
        run_shard(tmp_path, tiles, monkeypatch, inferred, missing=tiles[1:])
    assert not (tmp_path / "c.dat").exists()
    run_shard(tmp_path, tiles, monkeypatch, inferred)
    assert inferred == tiles  # the first one only once
    names = [name for name, _, _ in read_named_images(str(tmp_path / "m.fits"))]
    assert names == [f"{tile}_{name}" for tile in tiles for name in MAPS]
    assert read_catalog(str(tmp_path / "c.dat")).tile.tolist() == tiles
    assert list((tmp_path / "finished").iterdir()) == []


def test_a_shard_that_is_asked_to_end_finishes_its_tile_and_goes_on_with_the_next(tmp_path, monkeypatch):
    tiles, inferred = standin_tile_names(3), []
    with pytest.raises(Interrupted, match="asked to end by SIGTERM; 2 tiles are left for the next try"):
        run_shard(tmp_path, tiles, monkeypatch, inferred, ended_at=tiles[0])
    run_shard(tmp_path, tiles, monkeypatch, inferred)
    assert inferred == tiles


def test_a_few_tiles_may_fail_and_are_named(tmp_path, monkeypatch):
    tiles = standin_tile_names(2)
    run_shard(tmp_path, tiles, monkeypatch, [], missing=tiles[:1])
    records = read_json(str(tmp_path / "s.json"))
    assert records[tiles[0]]["error"] == f"FileNotFoundError: no tile {tiles[0]}"
    assert "error" not in records[tiles[1]]


def test_stand_ins_without_pixels_need_nothing(tmp_path):
    tiles = standin_tile_names(4)
    step.infer_shard(
        [], [], **outputs(tmp_path), tiles=tiles, source="empty", manifest={}, max_failed_tiles=0, survey="des",
        bands=BANDS, planes={}, settings={}, threads=1, runtime=60,
    )  # fmt: skip
    found = read_catalog(str(tmp_path / "c.dat"))
    assert len(found) == 0 and found.ra.dtype == float
    assert list(read_json(str(tmp_path / "s.json"))) == tiles


def shard(folder, centres, clusters):
    """Files of a shard whose tiles lie at `centres`, with these clusters (tile, ra, dec, probability)."""
    folder.mkdir()
    images, records = [], {}
    for tile, (ra, dec) in centres.items():
        keywords = wcs_keywords(ra, dec, N_CELLS, CELL_ARCSEC)
        images += [(f"{tile}_{name}", np.full((N_CELLS, N_CELLS), 0.1), keywords) for name in MAPS]
        corners = corner_positions((N_CELLS, N_CELLS), tan_wcs(ra, dec, N_CELLS, CELL_ARCSEC))
        records[tile] = {"tile": tile, "seconds": 2.0, "n_clusters": 1, "key": "k"} | corners
    write_named_images(str(folder / "m.fits"), images)
    rows = [
        {"tile": tile} | dict.fromkeys(COLUMNS, 1.0) | {"ra": ra, "dec": dec, "probability": p}
        for tile, ra, dec, p in clusters
    ]
    write_catalog(str(folder / "c.dat"), pd.DataFrame(rows), UNITS)
    write_json(str(folder / "s.json"), records)
    return outputs(folder)


def test_a_cluster_in_two_shards_is_listed_once(tmp_path):
    centres = [(10.0, 0.0), (10.5, 0.0)]
    assert np.abs(pixel_of_sky(10.3, 0.0, tan_wcs(*centres[0], N_CELLS, CELL_ARCSEC))[0] - N_CELLS / 2) < N_CELLS / 2
    one = shard(tmp_path / "one", {"DES0040+0000": centres[0]}, [("DES0040+0000", 10.3, 0.0, 0.9)])
    two = shard(tmp_path / "two", {"DES0042+0000": centres[1]}, [("DES0042+0000", 10.3, 0.0, 0.6)])
    paths = {name: str(tmp_path / name) for name in ("clusters", "footprint", "metrics")}
    files = {"maps": [one["maps"], two["maps"]], "catalogs": [one["catalog"], two["catalog"]]}
    summarise_survey(
        **files,
        summaries=[one["summary"], two["summary"]],
        **paths,
        duplicate_radius_arcsec=35,
        duplicate_dz=0.05,
        n_tiles=3,
    )
    found = read_catalog(paths["clusters"])
    assert found.tile.tolist() == ["DES0042+0000"]  # the nearest, not the surest
    metrics = read_json(paths["metrics"])
    validate_metrics(metrics, "metrics")
    side = N_CELLS * CELL_ARCSEC / 3600
    assert metrics["survey_area_deg2"]["value"] == pytest.approx((side + 0.5) * side, rel=0.01)
    assert (metrics["survey_tiles"]["value"], metrics["survey_tiles"]["n"]) == (2, 3)
    assert len(read_catalog(paths["footprint"])) == 2
