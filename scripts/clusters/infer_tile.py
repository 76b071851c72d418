"""Apply the encoder to a shard of coadd tiles: maps with WCS and a cluster catalogue for each, as they
come.
"""

import json
import os
import resource
import shutil
import time
from pathlib import Path

import torch

from armillary.des import PIXEL_ARCSEC, TileImages, map_header
from armillary.files import read_json, write_catalog, write_image, write_json
from armillary.inference import check_fits, read_encoder
from armillary.step import announce, run
from armillary.tile_inference import MAPS, images_of_tile, infer_tile_images, result_key

UNITS = {"ra": "deg", "dec": "deg", "x": "pix", "y": "pix"}


def infer_tile(
    images: list[str],
    checkpoint: str,
    maps: list[str],
    catalogs: list[str],
    summary: str,
    *,
    tiles: list[str],
    survey: str,
    bands: list[str],
    min_overlap: int,
    map_pixel_px: int,
    threshold: float,
    min_valid_fraction: float,
    class_prior: str,
    use_mask: bool,
    use_weight: bool,
    threads: int,
) -> None:
    """Every tile's results go to `finished/<tile>/` beside the outputs at once; a re-run takes from there
    what its
    images, checkpoint and settings still make true. `maps` lists the MAPS of the first tile, then of the
    next."""
    torch.set_num_threads(threads)
    encoder = read_encoder(checkpoint)
    check_fits(encoder, checkpoint, survey=survey, bands=bands, pixel_arcsec=PIXEL_ARCSEC)
    settings = {
        "min_overlap": min_overlap,
        "map_pixel_px": map_pixel_px,
        "threshold": threshold,
        "min_valid_fraction": min_valid_fraction,
        "class_prior": class_prior,
    }
    planes = {"use_mask": use_mask, "use_weight": use_weight}
    work = Path(catalogs[0]).parent / "finished"
    records = {}
    for number, tile in enumerate(tiles):
        folder, paths = work / tile, images_of_tile(images, tile, bands)
        key = result_key(checkpoint, paths, settings | planes)
        if not _is_finished(folder, key):
            started = time.monotonic()
            pixels = TileImages(paths, **planes)
            result = infer_tile_images(encoder, pixels, n_threads=threads, **settings)
            record = _record(key, tile, bands, result, time.monotonic() - started)
            _keep(folder, result, map_header(pixels.header, map_pixel_px), record)
        records[tile] = read_json(folder / "record.json")
        announce(f"tile {number + 1}/{len(tiles)}: {json.dumps(records[tile])}")
        for name, path in zip(MAPS, maps[number * len(MAPS) :], strict=False):
            shutil.copyfile(folder / f"{name}.fits", path)
        shutil.copyfile(folder / "clusters.dat", catalogs[number])
    write_json(summary, records)


def _is_finished(folder: Path, key: str) -> bool:
    record = folder / "record.json"
    return record.exists() and read_json(record)["key"] == key


def _record(key: str, tile: str, bands: list[str], result, seconds: float) -> dict:
    return {
        "tile": tile,
        "seconds": round(seconds, 2),
        "n_clusters": len(result.clusters),
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
        "sky_sigma": dict(zip(bands, result.sky_sigma.tolist(), strict=True)),
        "valid_fraction": dict(zip(bands, result.valid_fraction.tolist(), strict=True)),
        "key": key,
    }


def _keep(folder: Path, result, header: dict, record: dict) -> None:
    """Write a tile's results; record.json, which makes them count, comes last and whole."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "record.json").unlink(missing_ok=True)
    for name in MAPS:
        write_image(str(folder / f"{name}.fits"), result.maps[name], header)
    clusters = result.clusters.copy()
    clusters.insert(0, "tile", record["tile"])
    write_catalog(str(folder / "clusters.dat"), clusters, UNITS, {"tile": record["tile"]})
    write_json(folder / "unfinished.json", record)
    os.replace(folder / "unfinished.json", folder / "record.json")


if __name__ == "__main__":
    run(infer_tile, snakemake)
