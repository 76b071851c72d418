"""What a set of stamps holds, and what a set of observations of them holds."""

from typing import NamedTuple

import numpy as np

SPLITS = ("train", "validation", "test")
ZERO_POINT_MAG = 27.0  # of HSC coadds


class StampSet(NamedTuple):
    """Space-based stamps of n galaxies in one frame, each of flux 1."""

    image: np.ndarray  # (n, size, size), flux a pixel
    effective_psf: np.ndarray  # (size, size), odd: what the images are convolved with
    original_psf: np.ndarray  # (n or 1, size, size): what they were observed with; never deconvolve with this one
    variance: np.ndarray  # (n, size, size) of the noise, or (n, 1, 1) where it is the same for all pixels; 0: none
    mask: np.ndarray  # (n, size, size) bits
    mag: np.ndarray  # (n,)
    id: np.ndarray  # (n,)
    split: np.ndarray  # (n,) places in SPLITS
    pixel_arcsec: float

    def of_split(self, name: str) -> "StampSet":
        """The stamps of one split."""
        chosen = self.split == SPLITS.index(name)
        many = len(self.original_psf) == len(self.split)
        rows = {field: getattr(self, field)[chosen] for field in ("image", "variance", "mask", "mag", "id", "split")}
        return self._replace(original_psf=self.original_psf[chosen] if many else self.original_psf, **rows)


class Observations(NamedTuple):
    """Ground-based images of n scenes with one or more galaxies each, and the truth where it is known."""

    image: np.ndarray  # (n, n_y, n_x), flux a pixel at ZERO_POINT_MAG
    variance: np.ndarray  # (n, n_y, n_x)
    mask: np.ndarray  # (n, n_y, n_x) bits
    psf: np.ndarray  # (n, n_psf, n_psf), flux 1
    pixel_arcsec: float
    position: np.ndarray  # (n, n_sources, 2) where galaxies are thought to be, (dy, dx) in arcsec from the middle
    truth: np.ndarray  # (n, n_sources, size, size) fine images centred on `position`; empty where there is none
    truth_variance: np.ndarray  # (n, n_sources, size or 1, size or 1) of the noise that the truth itself has
    true_flux: np.ndarray  # (n, n_sources)
    flux_sigma: np.ndarray  # (n, n_sources) the least error of these fluxes, were all shapes known
    hidden: np.ndarray  # (n, n_y, n_x) what masked pixels would have shown, 0 elsewhere; empty without truth
    noise_correlation: float = 0.0  # of neighbouring pixels


def flux_of_mag(mag: np.ndarray) -> np.ndarray:
    """Counts at ZERO_POINT_MAG."""
    return 10 ** (0.4 * (ZERO_POINT_MAG - np.asarray(mag)))


def missing_pixels(mask: np.ndarray, planes: dict[str, int], missing: list[str]) -> np.ndarray:
    """Where a mask has one of the `missing` planes set. ValueError for a plane without a bit."""
    bits = 0
    for name in missing:
        if name not in planes:
            raise ValueError(
                f"unknown mask plane {name!r}; `mask_planes` has {', '.join(planes)} (config key `missing_planes`)"
            )
        bits |= 1 << planes[name]
    return (np.asarray(mask).astype(np.int64) & bits) != 0


def shifted_images(images: np.ndarray, shift_arcsec: np.ndarray, pixel_arcsec: float) -> np.ndarray:
    """Images (..., size, size) moved by (dy, dx) (..., 2) in Fourier space."""
    size = images.shape[-1]
    wave_y, wave_x = (2 * np.pi * frequencies(size, pixel_arcsec) for frequencies in (np.fft.fftfreq, np.fft.rfftfreq))
    angle = wave_y[:, None] * shift_arcsec[..., 0, None, None] + wave_x * shift_arcsec[..., 1, None, None]
    return np.fft.irfft2(np.fft.rfft2(images) * np.exp(-1j * angle), (size, size))
