"""Combine encoder and finder on the fields of one split: tile probabilities at both rates, and one list of clusters."""

from armillary.combination import combined_detections, combined_maps, joined_detections, same_fields
from armillary.files import read_arrays, read_catalog, write_arrays, write_catalog
from armillary.step import run

UNITS = {"ra": "deg", "dec": "deg", "x": "pix", "y": "pix"}


def infer_combined(
    encoder: str, finder: str, encoder_detections: str, finder_detections: str, combination: str, predictions: str,
    detections: str, *, threshold: float,
) -> None:  # fmt: skip
    """`encoder` and `finder` are the predictions of the split, `combination` what `train_combination` fitted."""
    model = read_arrays(combination)
    maps = same_fields(read_arrays(encoder), read_arrays(finder), (encoder, finder))
    joined = joined_detections(read_catalog(encoder_detections), read_catalog(finder_detections), threshold)
    write_arrays(predictions, **combined_maps(*maps, model))
    write_catalog(detections, combined_detections(joined, model, threshold), UNITS)


if __name__ == "__main__":
    run(infer_combined, snakemake)
