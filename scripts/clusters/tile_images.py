"""Cut the images of one batch into tiles and store them with their tile catalogues as one `.pt` file."""

import numpy as np

from armillary.des import estimate_sky_sigma
from armillary.files import read_catalog, read_catalog_meta, read_image
from armillary.step import progress, run
from armillary.surveys import survey_constants
from armillary.tiles import bin_image, encode_pixels, tile_catalog, write_file_data
from armillary.windows import check_tiling


def tile_images(
    catalogs: list[str], images: list[str], truth: str, file_data: str, *,
    survey: str, bands: list[str], image_size: int, tile_size: int, bin_factor: int, min_flux_for_loss: float,
) -> None:  # fmt: skip
    """`images` are ordered field by field, band by band within a field."""
    check_tiling(image_size, tile_size, bin_factor)
    haloes = read_catalog(truth)
    fields = []
    for k, catalog in enumerate(progress(catalogs, "tiled fields")):
        number = read_catalog_meta(catalog)["field"]
        paths = images[k * len(bands) : (k + 1) * len(bands)]
        coded, sigma, header = _coded_bands(paths, image_size, bin_factor)
        of_field = haloes[haloes.field == number]
        tiles = tile_catalog(
            read_catalog(catalog), of_field, image_size=image_size, tile_size=tile_size, bands=bands,
            min_flux_for_loss=min_flux_for_loss, name=catalog,
        )  # fmt: skip
        fields.append(
            {"field": number, "images": coded, "sky_sigma": sigma, "tile_catalog": tiles, "wcs": header,
             "truth": of_field.to_dict("list")}
        )  # fmt: skip
    pixel_arcsec = survey_constants(survey).pixel_arcsec
    write_file_data(
        file_data, fields, survey=survey, bands=bands, pixel_arcsec=pixel_arcsec, image_size=image_size,
        tile_size=tile_size, bin_factor=bin_factor, min_flux_for_loss=min_flux_for_loss,
    )  # fmt: skip


def _coded_bands(paths: list[str], image_size: int, bin_factor: int) -> tuple[np.ndarray, np.ndarray, dict]:
    """Coded images (C, h, w), their sky sigma (C,) in counts per binned pixel, and the WCS header."""
    coded, sigmas = [], []
    for path in paths:
        image, header = read_image(path)
        if image.shape != (image_size, image_size):
            raise ValueError(f"{path} is {image.shape} px, but clusters: image_size is {image_size}")
        sigma = estimate_sky_sigma(image[::4]) / bin_factor  # a quarter of the rows tells it to 0.2 %
        coded.append(encode_pixels(bin_image(image, bin_factor), sigma))
        sigmas.append(sigma)
    wcs = {key: value for key, value in header.items() if isinstance(value, (int, float, str))}
    return np.stack(coded), np.array(sigmas, np.float32), wcs


if __name__ == "__main__":
    run(tile_images, snakemake)
