"""Fit, on the calibration fields, what makes the mean logit of encoder and finder a probability."""

import pandas as pd

from armillary.combination import fit_combination, joined_detections, same_fields
from armillary.files import read_arrays, read_catalog, write_arrays
from armillary.step import announce, run
from armillary.surveys import survey_constants


def train_combination(
    encoder: str, finder: str, encoder_detections: str, finder_detections: str, truth: list[str], combination: str, *,
    survey: str, image_size: int, threshold: float,
) -> None:  # fmt: skip
    """`encoder` and `finder` are the predictions of the calibration fields, `truth` their halo tables."""
    maps = same_fields(read_arrays(encoder), read_arrays(finder), (encoder, finder))
    joined = joined_detections(read_catalog(encoder_detections), read_catalog(finder_detections), threshold)
    haloes = pd.concat([read_catalog(path) for path in truth], ignore_index=True)
    model = fit_combination(*maps, joined, haloes, survey_constants(survey).pixel_arcsec, image_size)
    announce(
        ", ".join(f"{name}: slope {slope:.2f}, constant {constant:.2f}" for name, (slope, constant) in model.items())
    )
    write_arrays(combination, **model)


if __name__ == "__main__":
    run(train_combination, snakemake)
