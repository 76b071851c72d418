"""PSF images: whether they can be used, their width, and what brings a user's to the middle of a square frame."""

import numpy as np

LARGEST_FLUX_ERROR = 0.1  # of a PSF that says it is normalised; PSFs of coadds sum to 0.98 to 1
LARGEST_OFFSET_PX = 0.5  # of its centroid from the middle


def check_psf(psf: np.ndarray, name: str) -> None:
    """Raise ValueError with one line for a PSF image that cannot be used as it is."""
    psf = np.asarray(psf)
    if psf.ndim != 2 or psf.shape[0] != psf.shape[1]:
        raise ValueError(f"{name}: the PSF image has shape {psf.shape}; a square one is needed (config key `psf`)")
    if not np.isfinite(psf).all():
        raise ValueError(f"{name}: {np.sum(~np.isfinite(psf))} pixels of the PSF are not finite (config key `psf`)")
    if psf.sum() <= 0:
        raise ValueError(f"{name}: the PSF sums to {psf.sum():.3g}; a positive flux is needed (config key `psf`)")


def psf_fwhm_arcsec(psf: np.ndarray, pixel_arcsec: float) -> float:
    """Full width at half maximum from the area above half the peak: FWHM of a Gaussian of the same area, in arcsec."""
    check_psf(psf, "PSF")
    profile = np.sort(np.asarray(psf, float).ravel())[::-1] / np.max(psf)
    above = int((profile >= 0.5).sum())
    # area between pixel counts: where the sorted profile crosses one half
    part = (profile[above - 1] - 0.5) / max(profile[above - 1] - profile[min(above, len(profile) - 1)], 1e-12)
    return float(2 * np.sqrt((above - 0.5 + part) / np.pi) * pixel_arcsec)


def centred_psf(psf: np.ndarray, name: str) -> np.ndarray:
    """A user's PSF as a square image of flux 1 whose centroid is in the middle.

    A side that is too short, or even with the light on a pixel instead of between two, gets zeros. Raises ValueError
    with one line for a PSF that is not normalised, not finite or off its middle.
    """
    psf = np.atleast_2d(np.asarray(psf, float))
    side = max(psf.shape)
    square = padded(psf, (side, side), 0.0)
    check_psf(square, name)
    flux = square.sum()
    if abs(flux - 1) > LARGEST_FLUX_ERROR:
        raise ValueError(
            f"{name}: the PSF sums to {flux:.4g}, not to 1 within {LARGEST_FLUX_ERROR:g}: divide it by its sum "
            "(config key `psf`)"
        )
    square = square / flux
    peak = np.array(np.unravel_index(np.argmax(square), square.shape))
    if side % 2 == 0 and np.abs(_centroid(square) - peak).max() < 0.25:  # even, with the light on a pixel
        below = peak < side / 2
        square = np.pad(square, [(1, 0) if low else (0, 1) for low in below])
    middle = (len(square) - 1) / 2
    offset = np.abs(_centroid(square) - middle).max()
    if offset > LARGEST_OFFSET_PX:
        raise ValueError(
            f"{name}: the PSF image has {psf.shape[0]} x {psf.shape[1]} pixels and its light is {offset:.2g} pixels "
            "from the middle: cut it to an odd size around its peak (config key `psf`)"
        )
    return square


def padded(image: np.ndarray, shape: tuple[int, int], fill: float) -> np.ndarray:
    """The image in the middle of a larger frame; where an odd row or column is left over, it comes last."""
    low = [(wanted - given) // 2 for wanted, given in zip(shape, image.shape, strict=True)]
    frame = np.full(shape, fill, image.dtype)
    frame[low[0] : low[0] + image.shape[0], low[1] : low[1] + image.shape[1]] = image
    return frame


def _centroid(image: np.ndarray) -> np.ndarray:
    """(y, x) of the pixels above a tenth of the peak."""
    core = np.where(image > 0.1 * image.max(), image, 0.0)
    places = np.arange(len(image))
    return np.array([(core.sum(1) * places).sum(), (core.sum(0) * places).sum()]) / core.sum()
