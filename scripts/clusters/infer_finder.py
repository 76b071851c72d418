"""Apply the tuned red-sequence finder to the fields of one split: tile probabilities at both rates, and clusters on the
sky at the natural rate."""

import numpy as np
import pandas as pd

from armillary.detection_training import located
from armillary.files import (
    read_arrays,
    read_catalog,
    read_catalog_meta,
    read_table,
    write_arrays,
    write_catalog,
)
from armillary.finder import (
    DETECTION_COLUMNS,
    calibrated,
    find_clusters,
    read_finder,
    tile_features,
    tile_probability,
)
from armillary.finder_training import true_membership
from armillary.sky import tan_wcs
from armillary.step import progress, run

UNITS = {"ra": "deg", "dec": "deg", "x": "pix", "y": "pix"}


def infer_finder(
    photometry: list[str], catalogs: list[str], finder: str, predictions: str, detections: str, *,
    image_size: int, tile_size: int, min_flux_for_loss: float, threshold: float,
) -> None:  # fmt: skip
    """`photometry` is that of the split's batches; `catalogs`, the .dat files of their fields, give truth
    and pointing."""
    tuned = read_finder(read_arrays(finder), finder)
    sources = pd.concat([read_table(path) for path in photometry], ignore_index=True)
    maps = {"field": [], "probability": [], "probability_natural": [], "membership": []}
    tables = []
    for path in progress(catalogs, "searched fields"):
        meta = read_catalog_meta(path)
        number = meta["field"]
        galaxies = sources[sources["field"] == number].reset_index(drop=True)
        found, p_member = find_clusters(galaxies, tuned, image_size)
        found = calibrated(found, tuned)
        features = tile_features(galaxies, found, p_member, tuned, image_size, tile_size)
        wcs = tan_wcs(meta["ra_deg"], meta["dec_deg"], image_size, tuned["pixel_arcsec"])
        found = located(found[found["probability"] > threshold], number, wcs)
        tables.append(found[list(DETECTION_COLUMNS)])
        maps["field"].append(number)
        maps["probability"].append(tile_probability(features, tuned, "training"))
        maps["probability_natural"].append(tile_probability(features, tuned, "natural"))
        maps["membership"].append(true_membership(read_catalog(path), image_size, tile_size, min_flux_for_loss))
    write_arrays(predictions, **{name: np.array(values) for name, values in maps.items()})
    write_catalog(detections, pd.concat(tables, ignore_index=True), UNITS)


if __name__ == "__main__":
    run(infer_finder, snakemake)
