"""Detect and measure the sources of every field of a batch, for the baseline finder."""

import numpy as np
import pandas as pd

from armillary.files import read_image, write_table
from armillary.photometry import check_bands, measure_field
from armillary.step import progress, run
from armillary.surveys import survey_constants

UNITS = {"x": "pix", "y": "pix", "mag_i": "mag", "mag_i_error": "mag", "size_px": "pix"}


def estimate_photometry(
    images: list[str], photometry: str, *, survey: str, bands: list[str], threshold_sigma: float,
    min_area_px: int, deblend_contrast: float,
) -> None:  # fmt: skip
    """`images` are ordered field by field, band by band within a field; the table has a column `field`."""
    check_bands(bands)
    constants = survey_constants(survey)
    tables = []
    for k in progress(range(len(images) // len(bands)), "measured fields"):
        paths = images[k * len(bands) : (k + 1) * len(bands)]
        pairs = [read_image(path) for path in paths]
        if len({image.shape for image, _ in pairs}) > 1:
            raise ValueError(f"{paths[0]} and its other bands differ in size: {[image.shape for image, _ in pairs]} px")
        seeing = [
            header.get("SEEING", constants.psf_fwhm_arcsec[band])
            for (_, header), band in zip(pairs, bands, strict=True)
        ]
        table = measure_field(
            np.stack([image for image, _ in pairs]), bands=bands, seeing_arcsec=seeing,
            pixel_arcsec=constants.pixel_arcsec, threshold_sigma=threshold_sigma,
            min_area_px=min_area_px, deblend_contrast=deblend_contrast,
        )  # fmt: skip
        table.insert(0, "field", pairs[0][1]["FIELD"])
        tables.append(table)
    write_table(photometry, pd.concat(tables, ignore_index=True), UNITS)


if __name__ == "__main__":
    run(estimate_photometry, snakemake)
