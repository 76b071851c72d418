"""Apply the encoder to the fields of one split: estimates for every tile, and the clusters they amount to."""

import numpy as np
import pandas as pd
import torch

from armillary.files import write_arrays, write_catalog
from armillary.inference import check_fits, clusters_of, raw_outputs, read_encoder, readable
from armillary.percolation import without_fragments
from armillary.sky import sky_of_pixel, wcs_of_header
from armillary.step import progress, run
from armillary.tiles import read_file_data

UNITS = {"ra": "deg", "dec": "deg", "x": "pix", "y": "pix"}


def infer_fields(
    checkpoint: str, file_data: list[str], predictions: str, detections: str, *,
    survey: str, bands: list[str], image_size: int, tile_size: int, threshold: float, threads: int,
) -> None:  # fmt: skip
    """Tile maps are at the cluster rate of the fields, `probability_natural` and the detections at that of the sky."""
    torch.set_num_threads(threads)
    encoder = read_encoder(checkpoint)
    check_fits(encoder, checkpoint, survey=survey, bands=bands, image_size=image_size, tile_size=tile_size)
    maps, tables = [], []
    for path in progress(file_data, "inferred files"):
        data = read_file_data(path)
        for k, field in enumerate(data["field"].tolist()):
            raw = raw_outputs(encoder, data["images"][k : k + 1], data["sky_sigma"][k : k + 1])
            window = {name: value[0] for name, value in readable(encoder, raw, class_prior="training").items()}
            window["probability_natural"] = readable(encoder, raw, class_prior="natural")["probability"][0]
            found = clusters_of(encoder, raw[0], threshold=threshold, class_prior="natural")
            found = without_fragments(found, encoder.pixel_arcsec)
            found.insert(0, "field", field)
            ra, dec = sky_of_pixel(found.x, found.y, wcs_of_header(data["wcs"][k], path))
            found.insert(1, "ra", ra)
            found.insert(2, "dec", dec)
            tables.append(found)
            maps.append(
                {
                    "field": field,
                    "membership": data["tile_catalog"]["membership"][k, :, :, 0, 0].numpy(),
                    **window,
                }
            )
    write_arrays(predictions, **{name: np.stack([m[name] for m in maps]) for name in maps[0]})
    write_catalog(detections, pd.concat(tables, ignore_index=True), UNITS)


if __name__ == "__main__":
    run(infer_fields, snakemake)
