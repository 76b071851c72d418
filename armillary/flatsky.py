"""Fields on a flat patch of sky: Fourier modes, spin-2 transforms, resampling, tapers.

Arrays are (..., n_y, n_x); Fourier coefficients are those of `scipy.fft.rfft2`, (..., n_y, n_x // 2 + 1), without a
factor. Polarisation has the sign of CAMB and HEALPix ("COSMO"): E = Q cos 2 phi_l + U sin 2 phi_l and
B = -Q sin 2 phi_l + U cos 2 phi_l with phi_l = atan2(l_y, l_x). In the IAU convention U, and with it B, flips its sign.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import scipy.fft

ARCMIN = np.pi / 10800.0  # rad


class Patch(NamedTuple):
    """A rectangle of square pixels."""

    n_y: int
    n_x: int
    pixel_arcmin: float

    @property
    def shape(self) -> tuple[int, int]:
        """(n_y, n_x)."""
        return self.n_y, self.n_x

    @property
    def nyquist(self) -> float:
        """The multipole of the finest wave along an axis."""
        return np.pi / (self.pixel_arcmin * ARCMIN)

    @property
    def area(self) -> float:
        """In steradian."""
        return self.n_y * self.n_x * (self.pixel_arcmin * ARCMIN) ** 2


class Modes(NamedTuple):
    """Multipoles of the half plane, float32 (n_y, n_x // 2 + 1) each."""

    l: np.ndarray  # noqa: E741
    l_x: np.ndarray
    l_y: np.ndarray
    cos2: np.ndarray  # cos 2 phi_l
    sin2: np.ndarray  # zero where a mode is its own mirror image on the grid and the sign is undefined


def square_patch(side_deg: float, n_pixels: int) -> Patch:
    """The patch of n_pixels x n_pixels that is side_deg wide."""
    return Patch(n_pixels, n_pixels, side_deg * 60.0 / n_pixels)


@lru_cache(maxsize=32)
def modes(patch: Patch) -> Modes:
    """The multipoles of a patch's Fourier coefficients."""
    step = patch.pixel_arcmin * ARCMIN / (2 * np.pi)
    l_y = np.fft.fftfreq(patch.n_y, step)[:, None] + np.zeros((1, patch.n_x // 2 + 1))
    l_x = np.fft.rfftfreq(patch.n_x, step)[None, :] + np.zeros((patch.n_y, 1))
    angle = 2 * np.arctan2(l_y, l_x)
    cos2, sin2 = np.cos(angle), np.sin(angle)
    if patch.n_y % 2 == 0:
        sin2[patch.n_y // 2] = 0.0
    if patch.n_x % 2 == 0:
        sin2[:, -1] = 0.0
    return Modes(*(part.astype(np.float32) for part in (np.hypot(l_x, l_y), l_x, l_y, cos2, sin2)))


def mode_count(patch: Patch) -> np.ndarray:
    """How many modes each coefficient of the half plane stands for: 2, or 1 in columns with both of a pair."""
    count = np.full(modes(patch).l.shape, 2.0)
    count[:, 0] = 1.0
    if patch.n_x % 2 == 0:
        count[:, -1] = 1.0
    return count


def fourier(maps: np.ndarray) -> np.ndarray:
    """Fourier coefficients of real maps (..., n_y, n_x)."""
    return scipy.fft.rfft2(maps, workers=1)


def pixels(coefficients: np.ndarray, patch: Patch) -> np.ndarray:
    """Real maps of Fourier coefficients; the inverse of `fourier`."""
    return scipy.fft.irfft2(coefficients, s=patch.shape, workers=1)


def eb_from_qu(q: np.ndarray, u: np.ndarray, patch: Patch) -> tuple[np.ndarray, np.ndarray]:
    """Fourier coefficients of E and B from those of Q and U."""
    m = modes(patch)
    return q * m.cos2 + u * m.sin2, u * m.cos2 - q * m.sin2


def qu_from_eb(e: np.ndarray, b: np.ndarray, patch: Patch) -> tuple[np.ndarray, np.ndarray]:
    """Fourier coefficients of Q and U from those of E and B; the inverse of `eb_from_qu`."""
    m = modes(patch)
    return e * m.cos2 - b * m.sin2, e * m.sin2 + b * m.cos2


def radial(table: np.ndarray, patch: Patch) -> np.ndarray:
    """A function of l, tabulated at l = 0, 1, ..., on the half plane (float32); zero beyond the table's end."""
    m = modes(patch).l
    return np.interp(m, np.arange(len(table)), table, right=0.0).astype(np.float32)


def resampled(coefficients: np.ndarray, old: Patch, new: Patch) -> np.ndarray:
    """Coefficients of the same fields on another grid of the same patch: the highest modes are cut or zeros added.

    Values in the map stay; waves at the Nyquist of the coarser grid are dropped, where they have no sign.
    """
    n_y, n_x = (min(a, b) for a, b in zip(old.shape, new.shape, strict=True))
    half_y, half_x = (n_y - 1) // 2, (n_x - 1) // 2 + 1
    out = np.zeros((*coefficients.shape[:-2], new.n_y, new.n_x // 2 + 1), coefficients.dtype)
    out[..., : half_y + 1, :half_x] = coefficients[..., : half_y + 1, :half_x]
    if half_y:
        out[..., -half_y:, :half_x] = coefficients[..., -half_y:, :half_x]
    return out * np.float32(new.n_y * new.n_x / (old.n_y * old.n_x))


def full_plane(coefficients: np.ndarray, patch: Patch) -> np.ndarray:
    """The coefficients of all modes, (..., n_y, n_x) in numpy's order, from those of a real field's half plane."""
    n_mirrored = patch.n_x - coefficients.shape[-1]
    mirrored = coefficients[..., (-np.arange(patch.n_y)) % patch.n_y, :][..., 1 : n_mirrored + 1]
    return np.concatenate([coefficients, mirrored[..., ::-1].conj()], axis=-1)


def beam(fwhm_arcmin: float, l_max: int) -> np.ndarray:
    """Window of a Gaussian beam at l = 0 ... l_max, exp(-l^2 sigma^2 / 2)."""
    sigma = fwhm_arcmin * ARCMIN / np.sqrt(8 * np.log(2))
    return np.exp(-0.5 * (np.arange(l_max + 1) * sigma) ** 2)


def cosine_taper(patch: Patch, width_deg: float) -> np.ndarray:
    """A window (n_y, n_x), 1 inside and falling to 0 at the edges as half a cosine over `width_deg`."""
    width_pixels = width_deg * 60.0 / patch.pixel_arcmin
    if 2 * width_pixels > min(patch.shape):
        raise ValueError(
            f"cmb: apodization: width_deg is {width_deg:g}; a patch of {min(patch.shape) * patch.pixel_arcmin / 60:g} "
            "deg has room for less than half its side"
        )
    sides = [_rise(np.minimum(np.arange(n), np.arange(n)[::-1]) + 0.5, width_pixels) for n in patch.shape]
    return np.outer(*sides).astype(np.float32)


def _rise(distance: np.ndarray, width: float) -> np.ndarray:
    """0 at distance 0, 1 from distance `width` on, with a continuous first derivative."""
    return 0.5 - 0.5 * np.cos(np.pi * np.clip(distance / max(width, 1e-9), 0, 1))
