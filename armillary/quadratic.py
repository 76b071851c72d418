"""The quadratic estimators of the convergence from E and B and from E alone (Hu & Okamoto 2002), on a flat patch.

Lensing correlates modes that were independent; an estimator sums the products of all pairs with the weights of least
variance. Coefficients are those of `armillary.flatsky`; E and B have their beam divided out.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from armillary.cmb_spectra import Instrument, Spectra, noise_power
from armillary.flatsky import Patch, fourier, modes, pixels, radial, resampled
from armillary.lensing import finer, polarisation_gradients

PADDING = 1.5  # products of modes up to the Nyquist fold back onto none of them


class Filters(NamedTuple):
    """Radial filters on a patch, float32 (n_y, n_x // 2 + 1)."""

    e_wiener: np.ndarray  # C_EE / (C_EE + N) inside the range of multipoles, 0 outside
    b_inverse: np.ndarray  # 1 / (C_BB + N), 1 / uK^2
    e_inverse: np.ndarray  # 1 / (C_EE + N), 1 / uK^2


def filters(spectra: Spectra, instrument: Instrument, patch: Patch, *, l_min: int, l_max: int) -> Filters:
    """The weights of least variance for observed, lensed E and B with l_min <= l <= l_max."""
    return Filters(*(radial(table, patch) for table in filter_tables(spectra, instrument, l_min=l_min, l_max=l_max)))


def filter_tables(spectra: Spectra, instrument: Instrument, *, l_min: int, l_max: int) -> tuple[np.ndarray, ...]:
    """The same as functions of l = 0 ... l_max."""
    kept = np.arange(l_max + 1) >= max(l_min, 2)
    noise = noise_power(instrument, l_max)
    e, b = spectra.ee_lensed[: l_max + 1], spectra.bb_lensed[: l_max + 1]
    inverse_e, inverse_b = (np.where(kept, 1 / np.maximum(power + noise, 1e-30), 0.0) for power in (e, b))
    return e * inverse_e, inverse_b, inverse_e


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
    return _inverted(inverse, patch, grid)


def normalisation_ee(
    e_wiener: np.ndarray, ee: np.ndarray, e_inverse: np.ndarray, patch: Patch, ee_of_sky: np.ndarray | None = None
) -> np.ndarray:
    """N0 of phi (rad^4), half plane, of the estimator from pairs of E.

    With `ee_of_sky`, the inverse of its response to a sky with that C_EE instead of the one in the weights.

    1 / N0 = int d^2l/(2 pi)^2 [(L.l) C_l + (L.l') C_l'] (L.l) C_l cos^2 2(phi_l - phi_l') / (C_l^total C_l'^total) with
    l' = L - l, Table 1 of Hu & Okamoto (2002); the cosine is opened up so that every term is a convolution.
    """
    grid = finer(patch, PADDING)
    m = modes(grid)
    cos4, sin4 = 2 * m.cos2**2 - 1, 2 * m.cos2 * m.sin2
    of_sky = ee if ee_of_sky is None else ee_of_sky
    wiener, square, plain = (_raised(weight, patch, grid) for weight in (e_wiener, e_wiener * of_sky, e_inverse))
    wiener_of_sky = wiener if ee_of_sky is None else _raised(e_inverse * of_sky, patch, grid)

    def opened(weight: np.ndarray) -> np.ndarray:
        return pixels(np.stack([weight, weight * cos4, weight * sin4]), grid)

    plain_parts, inverse = opened(plain), 0.0
    slopes, of_sky = (
        {"x": opened(1j * m.l_x * weight), "y": opened(1j * m.l_y * weight)} for weight in (wiener, wiener_of_sky)
    )
    for i, j, times in (("x", "x", 1), ("y", "y", 1), ("x", "y", 2)):
        l_i, l_j = (m.l_x if axis == "x" else m.l_y for axis in (i, j))
        both = (opened(l_i * l_j * square) * plain_parts).sum(0)
        both = both - 0.5 * (slopes[i] * of_sky[j] + of_sky[i] * slopes[j]).sum(0)
        inverse = inverse + times * l_i * l_j * fourier(both).real
    return _inverted(inverse, patch, grid)


def _inverted(inverse: np.ndarray, patch: Patch, grid: Patch) -> np.ndarray:
    """N0 on `patch` from twice its inverse on `grid`, from products of `_raised` weights; 0 where there is none."""
    inverse = resampled((0.5 * inverse * grid.n_y * grid.n_x / grid.area).astype(np.float32), grid, patch)
    inverse *= np.float32(grid.n_y * grid.n_x / (patch.n_y * patch.n_x))  # no field: its values do not rescale
    return np.divide(1.0, inverse, out=np.zeros_like(inverse), where=inverse > 1e-12 * inverse.max())


def _raised(weights: np.ndarray, patch: Patch, grid: Patch) -> np.ndarray:
    """Weights of the modes of `patch` on `grid`, zero on the modes that only it has."""
    return resampled(weights, patch, grid) * np.float32(patch.n_y * patch.n_x / (grid.n_y * grid.n_x))


def estimate_kappa(e: np.ndarray, b: np.ndarray, weights: Filters, n0: np.ndarray, patch: Patch) -> np.ndarray:
    """Unbiased coefficients of the convergence from coefficients of E and B (n_y, n_x // 2 + 1) of one map.

    E is Wiener-filtered and B inverse-variance weighted. Eq. (11) of Hu & Okamoto (2002).
    """
    return kappa_of_pairs(polarisation_gradients(weights.e_wiener * e, patch), weights.b_inverse * b, n0, patch)


def kappa_of_pairs(gradients: np.ndarray, b_weighted: np.ndarray, n0: np.ndarray, patch: Patch) -> np.ndarray:
    """The same from the gradients of Wiener-filtered E (`polarisation_gradients`) and weighted B.

    phi = -N0 sum_a i L_a FT{[i l_a E s] [B c] - [i l_a E c] [B s]}, s and c being sine and cosine of 2 phi_l.
    """
    grid = finer(patch, PADDING)
    m = modes(grid)
    b_leg = resampled(b_weighted, patch, grid)
    b_cosine, b_sine = pixels(np.stack([b_leg * m.cos2, b_leg * m.sin2]), grid)
    q_slopes, u_slopes = gradients
    return _divergence(u_slopes * b_cosine - q_slopes * b_sine, n0, patch, grid)


def kappa_of_e_pairs(gradients: np.ndarray, e_weighted: np.ndarray, n0: np.ndarray, patch: Patch) -> np.ndarray:
    """Coefficients of the convergence from pairs of E: gradients of Wiener-filtered E, and E over its total power.

    phi = -N0 sum_a i L_a FT{[i l_a E c] [E c] + [i l_a E s] [E s]}, with `normalisation_ee`.
    """
    grid = finer(patch, PADDING)
    m = modes(grid)
    e_leg = resampled(e_weighted, patch, grid)
    e_cosine, e_sine = pixels(np.stack([e_leg * m.cos2, e_leg * m.sin2]), grid)
    q_slopes, u_slopes = gradients
    return _divergence(q_slopes * e_cosine + u_slopes * e_sine, n0, patch, grid)


def _divergence(products: np.ndarray, n0: np.ndarray, patch: Patch, grid: Patch) -> np.ndarray:
    """-i L . products, normalised, as a convergence; products (2, n_y, n_x) are maps on `grid`."""
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
