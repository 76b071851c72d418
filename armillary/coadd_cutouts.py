"""Cutouts of catalogued objects from FITS coadds: one file a patch and band, with image, mask and variance.

The layout is that of the HSC pipeline: image in HDU 1, mask in HDU 2, variance in HDU 3, celestial WCS in HDU 1.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from armillary.cutouts import EDGE, Cutouts, cut_images
from armillary.files import read_image
from armillary.hsc_blends import our_bits
from armillary.sky import pixel_of_sky, wcs_of_header

IMAGE_HDU, MASK_HDU, VARIANCE_HDU = 1, 2, 3


def cut_patch(
    pattern: str, patch: str, bands: list[str], catalog: pd.DataFrame, *, cutout_px: int, min_bands: int,
    zero_point: float, pixel_arcsec: float,
) -> Cutouts | None:  # fmt: skip
    """Cutouts of the catalogue's objects (columns ra, dec and any others) whose middle lies in a patch.

    `pattern` is a path with {patch} and {band}. A band whose file does not exist is missing (NaN). None if fewer than
    `min_bands` exist or no object lies in the patch. ValueError if bands of a patch differ in shape.
    """
    paths = {band: pattern.format(patch=patch, band=band) for band in bands}
    present = {band: path for band, path in paths.items() if Path(path).exists()}
    if len(present) < min_bands:
        return None
    image, header = read_image(next(iter(present.values())), IMAGE_HDU)
    height, width = image.shape
    x, y = pixel_of_sky(catalog["ra"], catalog["dec"], wcs_of_header(header, next(iter(present.values()))))
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    if not inside.any():
        return None
    planes = [np.stack([_plane(present.get(band), hdu, (height, width)) for band in bands]) for hdu in (1, 3, 2)]
    planes[2] = our_bits(planes[2].astype(np.int64))
    cut = [
        cut_images(plane, x[inside], y[inside], cutout_px, outside)
        for plane, outside in zip(planes, (np.nan, np.nan, EDGE), strict=True)
    ]
    columns = {name: catalog[name].to_numpy()[inside] for name in catalog}
    columns["patch"] = np.full(int(inside.sum()), patch, dtype=f"S{max(len(patch), 1)}")
    facts = {"bands": list(bands), "zero_point": zero_point, "pixel_arcsec": pixel_arcsec}
    return Cutouts(*cut, columns, facts)


def _plane(path: str | None, hdu: int, shape: tuple[int, int]) -> np.ndarray:
    """One plane of a band; of a missing band NaN, or no bits for the mask."""
    if path is None:
        return np.full(shape, 0 if hdu == MASK_HDU else np.nan, np.float32)
    plane = read_image(path, hdu)[0]
    if plane.shape != shape:
        raise ValueError(
            f"{path}: HDU {hdu} is {plane.shape[0]} x {plane.shape[1]}, other bands {shape[0]} x {shape[1]}"
        )
    return plane
