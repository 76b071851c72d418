"""Apply the encoder to a shard of coadd tiles: maps with WCS, cluster catalogue and tile probabilities of each."""

import json
import shutil
import time
from pathlib import Path

import torch

from armillary.des import PIXEL_ARCSEC, TileImages, map_header
from armillary.files import read_json, write_json
from armillary.fingerprints import fingerprint
from armillary.inference import check_fits, read_encoder
from armillary.step import announce, run
from armillary.tile_inference import images_of_tile, infer_tile_images
from armillary.tile_results import MAPS, is_finished, keep_result, tile_record


def infer_tile(
    images: list[str],
    checkpoint: str,
    code: list[str],
    maps: list[str],
    catalogs: list[str],
    cells: list[str],
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
    """Every tile's results go to `finished/<tile>/` beside the outputs at once; a re-run takes from there what its
    images, checkpoint, settings and code still make true. `maps` lists the MAPS of the first tile, then of the next."""
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
        key = fingerprint(settings | planes, contents=[checkpoint, *code], stamped=paths)
        if not is_finished(folder, key):
            started = time.monotonic()
            pixels = TileImages(paths, **planes)
            result = infer_tile_images(encoder, pixels, n_threads=threads, **settings)
            record = tile_record(key, tile, bands, result, time.monotonic() - started)
            map_wcs, image_wcs = (map_header(pixels.header, size_px) for size_px in (map_pixel_px, 1))
            keep_result(folder, result, map_wcs, record, image_header=image_wcs)
        records[tile] = read_json(folder / "record.json")
        announce(f"tile {number + 1}/{len(tiles)}: {json.dumps(records[tile])}")
        for name, path in zip(MAPS, maps[number * len(MAPS) :], strict=False):
            shutil.copyfile(folder / f"{name}.fits", path)
        shutil.copyfile(folder / "clusters.dat", catalogs[number])
        shutil.copyfile(folder / "cells.fits", cells[number])
    write_json(summary, records)


if __name__ == "__main__":
    run(infer_tile, snakemake)
