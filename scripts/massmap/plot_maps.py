"""Draw the maps of a field by all methods on one colour scale, with its clusters; the truth first where it is known."""

import numpy as np

from armillary.convergence import mean_free, smooth
from armillary.figures.massmaps import LABELS, draw_maps
from armillary.figures.style import page
from armillary.files import read_arrays, read_named_images
from armillary.files_maps import read_plain_image, read_positions, read_shear_map
from armillary.shear_catalogs import pixels_of
from armillary.step import run


def plot_maps(
    shear: str, maps: list[str], truths: list[str], clusters: list[str], figure: str, *, methods: list[str],
    cluster_columns: list[int]
) -> None:  # fmt: skip
    measured, grid, _ = read_shear_map(shear)
    images = {
        method: dict((name, image) for name, image, _ in read_named_images(path))
        for method, path in zip(methods, maps, strict=True)
    }
    shown = {LABELS[method]: image["KAPPA_E"] for method, image in images.items()}
    if truths:
        truth = read_arrays(truths[0])["field"][0] if truths[0].endswith(".npz") else read_plain_image(truths[0])
        shown = {"truth, 0.5 arcmin": smooth(mean_free(truth, measured.mask), 0.5 / grid.pixel_arcmin)} | shown
    else:
        shown["B mode, Wiener"] = images["wiener"]["KAPPA_B"]
    with page(figure, 2000, 1000) as sheet:
        draw_maps(sheet, shown, measured.mask, grid.pixel_arcmin, _pixels(clusters, cluster_columns, grid))


def _pixels(clusters: list[str], columns: list[int], grid) -> np.ndarray | None:
    """(n, 2) columns and rows of the clusters in the map."""
    if not clusters:
        return None
    positions = (
        read_arrays(clusters[0])["clusters"] if clusters[0].endswith(".npz") else read_positions(clusters[0], *columns)
    )
    row, column, inside = pixels_of(positions[:, 0], positions[:, 1], grid)
    return np.stack([column[inside] + 0.5, row[inside] + 0.5], axis=-1)


if __name__ == "__main__":
    run(plot_maps, snakemake)
