"""The folder of an inferred tile: maps, clusters, cells and a record, which is written last and makes it count."""

import os
import resource
from pathlib import Path

import numpy as np

from armillary.files import read_json, write_catalog, write_image, write_json, write_table
from armillary.sky import sky_of_pixel

MAPS = ["probability", "centre_probability", "redshift", "redshift_error", "richness"]
CELL_VALUES = ["probability", "centre_probability", "redshift", "richness"]
UNITS = {"ra": "deg", "dec": "deg", "x": "pix", "y": "pix"}
CELL_UNITS = UNITS | {"size_px": "pix"}


def is_finished(folder: Path, key: str) -> bool:
    """Whether the folder holds a result that images, checkpoint and settings (the key) still make true."""
    record = folder / "record.json"
    return record.exists() and read_json(record)["key"] == key


def tile_record(key: str, tile: str, bands: list[str], result, seconds: float) -> dict:
    """What one tile took and gave; `result` is an `armillary.tile_inference.TileResult`."""
    return {
        "tile": tile,
        "seconds": round(seconds, 2),
        "n_clusters": len(result.clusters),
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
        "sky_sigma": dict(zip(bands, result.sky_sigma.tolist(), strict=True)),
        "valid_fraction": dict(zip(bands, result.valid_fraction.tolist(), strict=True)),
        "key": key,
    }


def corner_positions(shape: tuple[int, int], wcs) -> dict[str, list[float]]:
    """Right ascensions and declinations in degrees of the corners of an image (n_rows, n_columns)."""
    n_rows, n_columns = shape
    ra, dec = sky_of_pixel(np.array([0, n_columns, n_columns, 0]), np.array([0, 0, n_rows, n_rows]), wcs)
    return {"corners_ra": ra.tolist(), "corners_dec": dec.tolist()}


def keep_result(folder: Path, result, header: dict, record: dict, *, image_header: dict | None = None) -> None:
    """Write a tile's maps and clusters, then its record, whole.

    With `image_header` (celestial WCS keywords of the image) the tiles of the encoder are written, too: `cells.fits`,
    a table whose header holds this WCS.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "record.json").unlink(missing_ok=True)
    for name in MAPS:
        write_image(str(folder / f"{name}.fits"), result.maps[name], header)
    clusters = result.clusters.copy()
    clusters.insert(0, "tile", record["tile"])
    write_catalog(str(folder / "clusters.dat"), clusters, UNITS, {"tile": record["tile"]})
    if image_header is not None:
        write_table(str(folder / "cells.fits"), result.cells, CELL_UNITS, image_header)
    write_json(folder / "unfinished.json", record)
    os.replace(folder / "unfinished.json", folder / "record.json")
