"""What a catalogue would know of the object in the middle of a cutout: magnitudes, colours, concentration.

These are the baselines that learned features are held against; they get the same pixels, bands and masks.
"""

import numpy as np

from armillary.cutouts import Cutouts, usable_pixels

APERTURE_PX, CORE_PX = 6.0, 2.5  # radii
ANNULUS_SHARE = 0.8  # sky: beyond this share of half the side


def aperture_magnitudes(cutouts: Cutouts) -> tuple[np.ndarray, np.ndarray]:
    """asinh magnitudes (N, C) within APERTURE_PX of the middle and concentrations (N, C): core minus aperture, in mag.

    The sky is the median of the outer ring. Unusable pixels count as the mean of the usable ones of the aperture; NaN
    where less than half of it is usable, as in a missing band. asinh magnitudes: Lupton et al. (1999).
    """
    images = cutouts.images
    usable = usable_pixels(images, cutouts.mask)
    side = images.shape[-1]
    y, x = np.indices((side, side)) + 0.5 - side / 2
    radius = np.hypot(x, y)
    filled = np.where(usable, images, np.nan)
    ring = filled[:, :, radius > ANNULUS_SHARE * side / 2]
    sky = np.where(np.isfinite(ring).any(2), _quiet_median(ring), 0.0)
    soft = (
        np.sqrt(np.where(usable, cutouts.variance, 0).sum((2, 3)) / np.maximum(usable.sum((2, 3)), 1) * np.pi)
        * APERTURE_PX
    )
    fluxes = [_aperture_flux(filled, sky, radius < reach) for reach in (APERTURE_PX, CORE_PX)]
    zero_point = float(cutouts.facts["zero_point"])
    magnitudes, cores = (zero_point - _asinh_magnitude(flux, soft) for flux in fluxes)
    return magnitudes, cores - magnitudes


def colour_features(magnitudes: np.ndarray, concentrations: np.ndarray | None = None) -> np.ndarray:
    """Magnitudes and colours of neighbouring bands (N, 2 C - 1), and concentrations if given; NaN stay NaN."""
    parts = [magnitudes, magnitudes[:, :-1] - magnitudes[:, 1:]]
    return np.concatenate(parts if concentrations is None else [*parts, concentrations], 1)


def _aperture_flux(filled: np.ndarray, sky: np.ndarray, inside: np.ndarray) -> np.ndarray:
    pixels = filled[:, :, inside]
    n_usable = np.isfinite(pixels).sum(2)
    mean = np.nansum(pixels, 2) / np.maximum(n_usable, 1) - sky
    return np.where(n_usable >= 0.5 * inside.sum(), mean * inside.sum(), np.nan)


def _asinh_magnitude(flux: np.ndarray, soft: np.ndarray) -> np.ndarray:
    """2.5 log10 of the flux where it is far above its noise `soft`, linear in it below."""
    soft = np.maximum(soft, 1e-6)
    return 2.5 / np.log(10) * (np.arcsinh(flux / (2 * soft)) + np.log(soft))


def _quiet_median(ring: np.ndarray) -> np.ndarray:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # bands without a pixel
        return np.nanmedian(ring, 2)
