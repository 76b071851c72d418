"""The quadratic estimator of the convergence from E and B (Hu & Okamoto 2002), on a flat patch.

Lensing correlates E and B modes that were independent; the estimator sums the products of all pairs with the weights
of least variance. Coefficients are those of `armillary.flatsky`; E and B have their beam divided out.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from armillary.cmb_spectra import Instrument, Spectra, noise_power
from armillary.flatsky import Patch, fourier, modes, pixels, radial, resampled
from armillary.lensing import finer

PADDING = 1.5  # products of modes up to the Nyquist fold back onto none of them


class Filters(NamedTuple):
    """Radial filters on a patch, float32 (n_y, n_x // 2 + 1)."""

    e_wiener: np.ndarray  # C_EE / (C_EE + N) inside the range of multipoles, 0 outside
    b_inverse: np.ndarray  # 1 / (C_BB + N), 1 / uK^2


def filters(spectra: Spectra, instrument: Instrument, patch: Patch, *, l_min: int, l_max: int) -> Filters:
    """The weights of least variance for observed, lensed E and B with l_min <= l <= l_max."""
    e_wiener, b_inverse = filter_tables(spectra, instrument, l_min=l_min, l_max=l_max)
    return Filters(radial(e_wiener, patch), radial(b_inverse, patch))


def filter_tables(spectra: Spectra, instrument: Instrument, *, l_min: int, l_max: int) -> tuple[np.ndarray, np.ndarray]:
    """The same as functions of l = 0 ... l_max."""
    kept = np.arange(l_max + 1) >= max(l_min, 2)
    noise = noise_power(instrument, l_max)
    e, b = spectra.ee_lensed[: l_max + 1], spectra.bb_lensed[: l_max + 1]
    return np.where(kept, e / np.maximum(e + noise, 1e-30), 0.0), np.where(kept, 1 / np.maximum(b + noise, 1e-30), 0.0)


def normalisation(e_wiener: np.ndarray, ee: np.ndarray, b_inverse: np.ndarray, patch: Patch) -> np.ndarray:
    """N0 of phi (rad^4), half plane: what makes the estimate unbiased, and its variance for Gaussian E and B.

    1 / N0 = int d^2l/(2 pi)^2 (L.l)^2 C_EE w_E w_B sin^2 2(phi_l - phi_(L-l)), with w_E = C_EE / C_EE^total; the sine
    is opened up so that every term is a convolution. `e_wiener`, `ee` (C_EE), `b_inverse` are half-plane arrays.
    """
    grid = finer(patch, PADDING)
    m = modes(grid)
    cos4, sin4 = 2 * m.cos2**2 - 1, 2 * m.cos2 * m.sin2
    e_weight, b_weight = _raised(e_wiener * ee, patch, grid), _raised(b_inverse, patch, grid)
    b_parts = pixels(np.stack([b_weight, -b_weight * cos4, -b_weight * sin4]), grid)
    inverse = 0.0
    for l_i, l_j, times in ((m.l_x, m.l_x, 1), (m.l_y, m.l_y, 1), (m.l_x, m.l_y, 2)):
        both = e_weight * l_i * l_j
        e_parts = pixels(np.stack([both, both * cos4, both * sin4]), grid)
        inverse = inverse + times * l_i * l_j * fourier((e_parts * b_parts).sum(0)).real
    inverse = resampled((0.5 * inverse * grid.n_y * grid.n_x / grid.area).astype(np.float32), grid, patch)
    inverse *= np.float32(grid.n_y * grid.n_x / (patch.n_y * patch.n_x))  # no field: its values do not rescale
    return np.divide(1.0, inverse, out=np.zeros_like(inverse), where=inverse > 1e-12 * inverse.max())


def _raised(weights: np.ndarray, patch: Patch, grid: Patch) -> np.ndarray:
    """Weights of the modes of `patch` on `grid`, zero on the modes that only it has."""
    return resampled(weights, patch, grid) * np.float32(patch.n_y * patch.n_x / (grid.n_y * grid.n_x))


def estimate_kappa(e: np.ndarray, b: np.ndarray, weights: Filters, n0: np.ndarray, patch: Patch) -> np.ndarray:
    """Unbiased coefficients of the convergence from coefficients of E and B (n_y, n_x // 2 + 1) of one map.

    phi = -N0 sum_a i L_a FT{[i l_a E s] [B c] - [i l_a E c] [B s]}, s and c being sine and cosine of 2 phi_l, E
    Wiener-filtered and B inverse-variance weighted. Eq. (11) of Hu & Okamoto (2002), written as products of maps.
    """
    grid = finer(patch, PADDING)
    m = modes(grid)
    e_leg = resampled(weights.e_wiener * e, patch, grid)
    b_leg = resampled(weights.b_inverse * b, patch, grid)
    sine, cosine = 1j * m.sin2 * e_leg, 1j * m.cos2 * e_leg
    legs = np.stack([m.l_x * sine, m.l_y * sine, m.l_x * cosine, m.l_y * cosine, b_leg * m.cos2, b_leg * m.sin2])
    x_sine, y_sine, x_cosine, y_cosine, b_cosine, b_sine = pixels(legs, grid)
    products = np.stack([x_sine * b_cosine - x_cosine * b_sine, y_sine * b_cosine - y_cosine * b_sine])
    g_x, g_y = resampled(fourier(products), grid, patch)
    low = modes(patch)
    return -1j * (low.l_x * g_x + low.l_y * g_y) * (n0 * low.l**2 * np.float32(0.5))


@lru_cache(maxsize=8)
def _mean_by_multipole(patch: Patch, width: int) -> tuple[np.ndarray, np.ndarray]:
    index = (modes(patch).l / width).astype(int)
    return index, np.bincount(index.ravel())


def kappa_noise(n0: np.ndarray, patch: Patch, l_max: int, width: int = 40) -> np.ndarray:
    """N0 of the convergence at L = 0 ... l_max, from the mean of 1 / N0 over rings `width` multipoles wide."""
    m = modes(patch).l
    index, count = _mean_by_multipole(patch, width)
    inverse = np.divide(4.0, n0 * m**4, out=np.zeros_like(n0), where=(n0 > 0) & (m > 0))
    rings = np.bincount(index.ravel(), weights=inverse.ravel()) / np.maximum(count, 1)
    centres = np.bincount(index.ravel(), weights=m.ravel()) / np.maximum(count, 1)
    kept = (rings > 0) & (centres > 0)
    with np.errstate(divide="ignore"):
        return np.exp(np.interp(np.arange(l_max + 1), centres[kept], -np.log(rings[kept])))
