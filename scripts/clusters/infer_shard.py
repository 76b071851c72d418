"""Apply the encoder to a shard of the survey: bring each tile to the node, infer it, drop it, pack what was found."""

import json
import shutil
import time
from functools import partial
from pathlib import Path

import pandas as pd
import torch

from armillary.des import PIXEL_ARCSEC, TileImages, map_header, tile_position
from armillary.files import read_catalog, read_image, read_json, write_catalog, write_json, write_named_images
from armillary.fingerprints import fingerprint
from armillary.inference import check_fits, read_encoder
from armillary.interruption import Interrupted, orderly_stop
from armillary.staging import copy_tile, fetch_tile, scratch_folder, staged_tiles
from armillary.step import announce, run
from armillary.tile_inference import infer_tile_images
from armillary.tile_results import MAPS, UNITS, corner_positions, is_finished, keep_result, tile_record

COLUMNS = "ra dec x y probability redshift redshift_error richness richness_error".split()
NO_CLUSTERS = pd.DataFrame({"tile": pd.Series(dtype=str)} | {name: pd.Series(dtype=float) for name in COLUMNS})


def infer_shard(
    checkpoint: list[str],
    code: list[str],
    maps: str,
    catalog: str,
    summary: str,
    *,
    tiles: list[str],
    source: str,
    manifest: dict,
    max_failed_tiles: int,
    survey: str,
    bands: list[str],
    planes: dict,
    settings: dict,
    threads: int,
    runtime: int,
) -> None:
    """Every tile's results lie in `finished/<tile>/` beside the outputs as soon as there are any; a job that was
    stopped and is run again takes them from there. With `source` "empty" the tiles have no pixels, and nothing is
    staged or inferred.
    """
    work = Path(catalog).parent / "finished"
    failed = {}
    if source != "empty":
        torch.set_num_threads(threads)
        encoder = read_encoder(checkpoint[0])
        check_fits(encoder, checkpoint[0], survey=survey, bands=bands, pixel_arcsec=PIXEL_ARCSEC)
        made_of = [checkpoint[0], *code]
        facts = settings | planes | {"source": source, "bands": bands}
        keys = {tile: fingerprint(facts | {"tile": tile}, contents=made_of, stamped=[]) for tile in tiles}
        todo = [tile for tile in tiles if not is_finished(work / tile, keys[tile])]
        announce(f"{len(tiles)} tiles, {len(tiles) - len(todo)} of them finished before")
        stage = _stage(source, bands, manifest)
        infer = partial(_infer, encoder, bands=bands, planes=planes, settings=settings, threads=threads)
        failed = _infer_tiles(todo, stage, lambda tile, paths: infer(work / tile, tile, keys[tile], paths), runtime)
    if len(failed) > max_failed_tiles:
        raise RuntimeError(
            f"{len(failed)} tiles failed (clusters: infer_shard: max_failed_tiles), first {failed}"[:2000]
        )
    _pack(work, tiles, failed, maps, catalog, summary)
    for tile in [] if failed else tiles:
        shutil.rmtree(work / tile, ignore_errors=True)


def _stage(source: str, bands: list[str], manifest: dict):
    """The function that brings a tile: from the DR2 release, or from a folder of tiles."""
    if source == "release":
        return lambda tile, folder: fetch_tile(tile, bands, folder, manifest)
    return lambda tile, folder: copy_tile(tile, bands, folder, source)


def _infer_tiles(tiles: list[str], stage, infer, minutes: float) -> dict[str, str]:
    """Infer tile after tile; what kept a tile from being inferred is returned, and the others go on."""
    failed, folder = {}, scratch_folder()
    try:
        with orderly_stop(minutes) as why_stop:
            for number, (tile, images) in enumerate(staged_tiles(tiles, stage, folder)):
                if why := why_stop():
                    raise Interrupted(f"{why}; {len(tiles) - number} tiles are left for the next try")
                try:
                    record = infer(tile, images())
                    announce(f"tile {tile}: {json.dumps(record)}")
                except (OSError, ValueError) as error:
                    failed[tile] = f"{type(error).__name__}: {error}"
                    announce(f"tile {tile} failed: {failed[tile]}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return failed


def _infer(encoder, folder: Path, tile: str, key: str, paths, *, bands, planes, settings, threads) -> dict:
    started = time.monotonic()
    pixels = TileImages(paths, **planes)
    result = infer_tile_images(encoder, pixels, n_threads=threads, **settings)
    record = tile_record(key, tile, bands, result, time.monotonic() - started)
    record |= corner_positions(pixels.shape, pixels.wcs)
    keep_result(folder, result, map_header(pixels.header, settings["map_pixel_px"]), record)
    return record


def _pack(work: Path, tiles: list[str], failed: dict[str, str], maps: str, catalog: str, summary: str) -> None:
    """All maps of the shard in one file, all clusters in one table: a file a tile would exceed a site's file quota."""
    found = [tile for tile in tiles if (work / tile / "record.json").exists() and tile not in failed]
    write_named_images(
        maps, ((f"{tile}_{name}", *read_image(str(work / tile / f"{name}.fits"))) for tile in found for name in MAPS)
    )
    tables = [read_catalog(str(work / tile / "clusters.dat")) for tile in found]
    tables = [table for table in tables if len(table)]
    clusters = pd.concat(tables, ignore_index=True) if tables else NO_CLUSTERS
    write_catalog(catalog, clusters, UNITS, {"n_tiles": len(found)})
    records = {tile: read_json(work / tile / "record.json") for tile in found}
    write_json(summary, {tile: records.get(tile) or _nothing(tile, failed.get(tile, "")) for tile in tiles})


def _nothing(tile: str, error: str) -> dict:
    """The record of a tile that gave nothing; without an error it had no pixels."""
    ra, dec = tile_position(tile)
    return {"tile": tile, "seconds": 0.0, "n_clusters": 0, "ra": ra, "dec": dec, "error": error or "no pixels"}


if __name__ == "__main__":
    run(infer_shard, snakemake)
