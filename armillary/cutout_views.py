"""The same objects seen otherwise: without some bands, or through worse seeing than that of the labelled ones."""

from collections.abc import Callable
from functools import partial

import numpy as np
import scipy.fft

from armillary.cutouts import Cutouts

VIEWS = ("missing", "seeing")
FWHM_OVER_SIGMA = 2.3548  # of a Gaussian


def views_of(
    missing_bands: list[str], worse_seeing_arcsec: float, seed: int
) -> dict[str, Callable[[Cutouts], Cutouts]]:
    """The two views by name: `missing` and `seeing`."""
    rng = np.random.default_rng([seed, 53])
    return {
        "missing": partial(without_bands, hidden=missing_bands),
        "seeing": partial(through_worse_seeing, fwhm_arcsec=worse_seeing_arcsec, rng=rng),
    }


def without_bands(cutouts: Cutouts, hidden: list[str]) -> Cutouts:
    """Cutouts whose bands `hidden` are missing (NaN)."""
    images = cutouts.images.copy()
    images[:, [cutouts.facts["bands"].index(band) for band in hidden]] = np.nan
    return cutouts._replace(images=images)


def through_worse_seeing(cutouts: Cutouts, fwhm_arcsec: float, rng: np.random.Generator) -> Cutouts:
    """Cutouts convolved with a Gaussian of `fwhm_arcsec`, so that seeing adds in quadrature; variance is kept.

    Convolution takes noise away: white noise makes up for it, pixel by pixel, so that the variance stays true. What is
    unusable stays unusable; it counts as the cutout's median in the convolution.
    # ASSUME: a cutout goes on periodically beyond its edge.
    """
    images, side = cutouts.images, cutouts.images.shape[-1]
    sigma = fwhm_arcsec / FWHM_OVER_SIGMA / float(cutouts.facts["pixel_arcsec"])
    usable = np.isfinite(images) & (cutouts.mask == 0)
    level = np.nanmedian(np.where(usable.any((2, 3), keepdims=True), images, 0.0), (2, 3), keepdims=True)
    kx, ky = 2 * np.pi * scipy.fft.rfftfreq(side), 2 * np.pi * scipy.fft.fftfreq(side)
    soft = np.exp(-0.5 * sigma**2 * (ky[:, None] ** 2 + kx**2)).astype(np.float32)
    blurred = scipy.fft.irfft2(scipy.fft.rfft2(np.where(usable, images, level)) * soft, (side, side))
    kernel = scipy.fft.irfft2(soft, (side, side))
    left = float((kernel**2).sum())  # of the variance of white noise
    variance = np.where(np.isfinite(cutouts.variance), cutouts.variance, 0)
    blurred += np.sqrt(variance * (1 - left)) * rng.standard_normal(images.shape, np.float32)
    return cutouts._replace(images=np.where(usable, blurred, images).astype(np.float32))
