"""Principal components of pixels: the features that a network has to beat at equal length."""

from typing import NamedTuple

import numpy as np

from armillary.cutouts import band_noise, compressed, usable_pixels
from armillary.files_cutouts import CutoutFile


class Components(NamedTuple):
    """Mean (n,) and directions (d, n) of compressed pixels; noise (C,) they are compressed with; side in pixels."""

    mean: np.ndarray
    directions: np.ndarray
    noise: np.ndarray
    image_px: int


def fit_components(file: CutoutFile, *, n_components: int, n_fitted: int, image_px: int, seed: int) -> Components:
    """The first directions of the first `n_fitted` cutouts of a file, unusable pixels at zero."""
    from sklearn.decomposition import PCA

    cutouts = file.read(0, min(len(file), n_fitted), with_columns=False)
    noise = band_noise(cutouts.images, cutouts.variance, cutouts.mask)
    pixels = _pixels(cutouts, noise, image_px, [])
    fitted = PCA(min(n_components, *pixels.shape), svd_solver="randomized", random_state=seed).fit(pixels)
    return Components(fitted.mean_, fitted.components_, noise, image_px)


def project(
    file: CutoutFile, components: Components, hidden_bands: list[int], n_objects: int, rows_at_once: int = 2000
) -> np.ndarray:
    """Coordinates (n_objects, d) of the first cutouts of a file; hidden bands count as missing."""
    parts = []
    for first in range(0, n_objects, rows_at_once):
        cutouts = file.read(first, min(first + rows_at_once, n_objects), with_columns=False)
        pixels = _pixels(cutouts, components.noise, components.image_px, hidden_bands)
        parts.append((pixels - components.mean) @ components.directions.T)
    return np.concatenate(parts)


def _pixels(cutouts, noise: np.ndarray, image_px: int, hidden_bands: list[int]) -> np.ndarray:
    usable = usable_pixels(cutouts.images, cutouts.mask)
    usable[:, hidden_bands] = False
    edge = (cutouts.images.shape[-1] - image_px) // 2
    inner = slice(edge, edge + image_px)
    values = compressed(np.where(usable, cutouts.images, 0), noise)[:, :, inner, inner]
    return values.reshape(len(values), -1)
