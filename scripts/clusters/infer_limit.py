"""The limit on the fields of one split: tile probabilities where clusters are known, and true haloes ranked by their
photometry."""

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
from armillary.finder import DETECTION_COLUMNS, PRIORS, calibrated, read_finder, tile_probability
from armillary.finder_training import true_membership
from armillary.limit import limit_tile_features, measure_haloes
from armillary.sky import tan_wcs
from armillary.step import progress, run

UNITS = {"ra": "deg", "dec": "deg", "x": "pix", "y": "pix"}


def infer_limit(
    photometry: list[str], catalogs: list[str], truth: list[str], limit: str, predictions: str, detections: str, *,
    image_size: int, tile_size: int, min_flux_for_loss: float, threshold: float,
) -> None:  # fmt: skip
    """`photometry` and `truth` are those of the split's batches; `catalogs`, the .dat files of their fields, give
    membership and pointing."""
    tuned = read_finder(read_arrays(limit), limit)
    sources = pd.concat([read_table(path) for path in photometry], ignore_index=True)
    haloes = pd.concat([read_catalog(path) for path in truth], ignore_index=True)
    rows, tables = [], []
    for path in progress(catalogs, "measured fields"):
        meta = read_catalog_meta(path)
        number = meta["field"]
        galaxies, known = (table[table["field"] == number].reset_index(drop=True) for table in (sources, haloes))
        features = limit_tile_features(galaxies, known, tuned, image_size, tile_size)
        membership = true_membership(read_catalog(path), image_size, tile_size, min_flux_for_loss)
        rows.append((number, *(tile_probability(features, tuned, prior) for prior in PRIORS), membership))
        found = calibrated(measure_haloes(galaxies, known, tuned, image_size), tuned)
        wcs = tan_wcs(meta["ra_deg"], meta["dec_deg"], image_size, tuned["pixel_arcsec"])
        tables.append(located(found[found["probability"] > threshold], number, wcs)[list(DETECTION_COLUMNS)])
    names = ("field", "probability", "probability_natural", "membership")
    write_arrays(
        predictions, **{name: np.array(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)}
    )
    write_catalog(detections, pd.concat(tables, ignore_index=True), UNITS)


if __name__ == "__main__":
    run(infer_limit, snakemake)
