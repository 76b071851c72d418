"""Blends cut from HSC coadds, with variance, mask, PSFs and the truth of injected sources, as cutouts of these."""

import numpy as np

from armillary.cutouts import BAD, EDGE, SATURATED, Cutouts, cut_images, joined
from armillary.files import read_arrays

BANDS = ("g", "r", "i", "z", "y")
ZERO_POINT, PIXEL_ARCSEC = 27.0, 0.168
SATURATED_BIT = 1
UNUSABLE_BITS = (0, 3, 8)  # BAD, CR, NO_DATA
NEEDED = ("images", "variance", "mask", "psfs", "matched")


def read_blends(paths: list[str], cutout_px: int) -> Cutouts:
    """Cutouts of all matched sources of some files, NaN beyond a blend's own image.

    Columns: class (0 galaxy, 2 star), zspec (NaN for stars), magnitude_i, psf_fwhm_arcsec (N, 5), ra and dec in degrees
    of the injected catalogue, blend (1: more than one source is in the image).
    # ASSUME: mask bits are numbered as the LSST pipeline does by default.
    """
    parts = [_sources_of(path, cutout_px) for path in paths]
    parts = [part for part in parts if len(part.images)]
    if not parts:
        raise ValueError(f"{len(paths)} files of blends hold no matched source")
    return joined(parts)


def _sources_of(path: str, cutout_px: int) -> Cutouts:
    arrays = read_arrays(path)
    missing = [name for name in NEEDED if name not in arrays]
    if missing:
        raise ValueError(f"{path} has no array {', '.join(missing)}; it holds {', '.join(arrays)}")
    if arrays["images"].shape[0] != len(BANDS):
        raise ValueError(f"{path} has {arrays['images'].shape[0]} bands, expected {' '.join(BANDS)}")
    matched = arrays["matched"]
    x, y = matched["x"] + 0.5, matched["y"] + 0.5  # the table counts from the middle of the first pixel
    is_star = matched["sourceType"] == b"star"
    n_sources = len(matched)
    columns = {
        "class": np.where(is_star, 2, 0),
        "zspec": np.where(is_star, np.nan, matched["redshift"]),
        "magnitude_i": matched["imagVar"],
        "psf_fwhm_arcsec": np.repeat(psf_fwhm_arcsec(arrays["psfs"])[None], n_sources, 0),
        "ra": np.degrees(matched["raJ2000"]),
        "dec": np.degrees(matched["decJ2000"]),
        "blend": np.full(n_sources, int(len(arrays["centers"]) > 1)),
    }
    return Cutouts(
        cut_images(arrays["images"].astype(np.float32), x, y, cutout_px),
        cut_images(arrays["variance"].astype(np.float32), x, y, cutout_px),
        cut_images(our_bits(arrays["mask"]), x, y, cutout_px, EDGE),
        columns, {"bands": list(BANDS), "zero_point": ZERO_POINT, "pixel_arcsec": PIXEL_ARCSEC},
    )  # fmt: skip


def our_bits(mask: np.ndarray) -> np.ndarray:
    """The pipeline's mask as ours: what is bad, saturated or without data; detections are no defect."""
    bad = np.any([(mask >> bit) & 1 for bit in UNUSABLE_BITS], axis=0)
    return (BAD * bad + SATURATED * ((mask >> SATURATED_BIT) & 1)).astype(np.uint8)


def psf_fwhm_arcsec(psfs: np.ndarray) -> np.ndarray:
    """FWHM (C,) of a Gaussian with the same number of effective pixels as each PSF image (C, h, w)."""
    effective = psfs.sum((1, 2)) ** 2 / (psfs**2).sum((1, 2))
    return 2.3548 * np.sqrt(effective / (4 * np.pi)) * PIXEL_ARCSEC
