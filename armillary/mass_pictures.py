"""The maps of a field for the eye: all methods, the truth where it is known, and where its clusters are."""

from typing import NamedTuple

import numpy as np

from armillary.convergence import mean_free, smooth
from armillary.files import read_arrays, read_named_images
from armillary.files_maps import read_plain_image, read_positions, read_shear_map
from armillary.shear_catalogs import Grid, pixels_of

TRUTH_SMOOTHING_ARCMIN = 0.5


class FieldMaps(NamedTuple):
    """`maps`: name -> convergence (n_y, n_x); `clusters`: (n, 2) columns and rows in pixels, or None."""

    maps: dict[str, np.ndarray]
    mask: np.ndarray
    pixel_arcmin: float
    clusters: np.ndarray | None


def field_maps(
    shear: str, maps: list[str], truths: list[str], clusters: list[str], *, names: list[str], cluster_columns: list[int]
) -> FieldMaps:  # fmt: skip
    """E maps by the methods' `names`, in the order of `maps`; the truth first; where it is not known, the second
    method's B mode last."""
    measured, grid, _ = read_shear_map(shear)
    images = [dict((name, image) for name, image, _ in read_named_images(path)) for path in maps]
    shown = {name: image["KAPPA_E"] for name, image in zip(names, images, strict=True)}
    if truths:
        truth = mean_free(_truth(truths[0]), measured.mask)
        name = f"truth, {TRUTH_SMOOTHING_ARCMIN} arcmin"
        shown = {name: smooth(truth, TRUTH_SMOOTHING_ARCMIN / grid.pixel_arcmin)} | shown
    else:
        shown[f"B mode, {names[1]}"] = images[1]["KAPPA_B"]
    return FieldMaps(shown, measured.mask, grid.pixel_arcmin, _cluster_pixels(clusters, cluster_columns, grid))


def _truth(path: str) -> np.ndarray:
    return read_arrays(path)["field"][0] if path.endswith(".npz") else read_plain_image(path)


def _cluster_pixels(clusters: list[str], columns: list[int], grid: Grid) -> np.ndarray | None:
    if not clusters:
        return None
    is_simulated = clusters[0].endswith(".npz")
    places = read_arrays(clusters[0])["clusters"] if is_simulated else read_positions(clusters[0], *columns)
    row, column, inside = pixels_of(places[:, 0], places[:, 1], grid)
    return np.stack([column[inside] + 0.5, row[inside] + 0.5], axis=-1)
