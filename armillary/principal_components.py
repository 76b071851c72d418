"""Principal components of pixels: the features that a network has to beat at equal length."""

from typing import NamedTuple

import numpy as np

from armillary.cutouts import Cutouts, band_noise, compressed, usable_pixels
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
    pixels = _pixels(cutouts, noise, image_px)
    fitted = PCA(min(n_components, *pixels.shape), svd_solver="randomized", random_state=seed).fit(pixels)
    return Components(fitted.mean_, fitted.components_, noise, image_px)


def project(cutouts: Cutouts, components: Components) -> np.ndarray:
    """Coordinates (N, d) of some cutouts."""
    return (_pixels(cutouts, components.noise, components.image_px) - components.mean) @ components.directions.T


def _pixels(cutouts: Cutouts, noise: np.ndarray, image_px: int) -> np.ndarray:
    usable = usable_pixels(cutouts.images, cutouts.mask)
    edge = (cutouts.images.shape[-1] - image_px) // 2
    inner = slice(edge, edge + image_px)
    values = compressed(np.where(usable, cutouts.images, 0), noise)[:, :, inner, inner]
    return values.reshape(len(values), -1)
