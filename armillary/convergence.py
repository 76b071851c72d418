"""Convergence and shear on a flat sky: Kaiser & Squires (1993) and its inverse, smoothing, power spectra.

Maps are (n_y, n_x), odd or even, and periodic as far as the transforms are concerned. x is the column and y the row;
shear is in the frame of these two axes, so that a round mass has tangential shear: gamma = D kappa in Fourier space
with D = (l_x + i l_y)^2 / l^2. kappa = E + i B, where E is what lensing makes and B what it cannot make.

The mean of kappa leaves no shear (the mass sheet), and on an even side a Nyquist mode has no shear that a real map
could hold: both are lost on the way and come back as 0.
"""

from functools import lru_cache

import numpy as np
from scipy import fft

ARCMIN_PER_RADIAN = 180.0 * 60.0 / np.pi


@lru_cache(maxsize=16)
def multipole_grid(shape: tuple[int, int], pixel_arcmin: float) -> tuple[np.ndarray, np.ndarray]:
    """(l_x, l_y) of the half plane of `rfft2`, each (n_y, n_x // 2 + 1)."""
    step = pixel_arcmin / ARCMIN_PER_RADIAN
    l_x = 2 * np.pi * np.fft.rfftfreq(shape[1], step)
    l_y = 2 * np.pi * np.fft.fftfreq(shape[0], step)
    l_x, l_y = np.broadcast_arrays(l_x, l_y[:, None])
    return l_x, l_y


def multipole_length(shape: tuple[int, int], pixel_arcmin: float) -> np.ndarray:
    """|l| of the half plane, (n_y, n_x // 2 + 1)."""
    return np.hypot(*multipole_grid(shape, pixel_arcmin))


@lru_cache(maxsize=16)
def shear_kernel(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Real and imaginary part of D on the half plane, both 0 for the mean and for Nyquist modes."""
    l_x, l_y = multipole_grid(shape, 1.0)
    square = l_x**2 + l_y**2
    lost = square == 0
    if shape[0] % 2 == 0:
        lost[shape[0] // 2] = True
    if shape[1] % 2 == 0:
        lost[:, -1] = True
    square = np.where(lost, np.inf, square)
    return (l_x**2 - l_y**2) / square, 2 * l_x * l_y / square


def shear_of_convergence(e_mode: np.ndarray, b_mode: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Shear (gamma_1, gamma_2) of E and B maps (..., n_y, n_x)."""
    shape = e_mode.shape[-2:]
    real, imaginary = shear_kernel(shape)
    e = fft.rfft2(e_mode)
    b = 0.0 if b_mode is None else fft.rfft2(b_mode)
    return fft.irfft2(real * e - imaginary * b, shape), fft.irfft2(imaginary * e + real * b, shape)


def kaiser_squires(g1: np.ndarray, g2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(E, B) maps of a shear map (..., n_y, n_x); pixels without data must be 0. Kaiser & Squires (1993)."""
    shape = g1.shape[-2:]
    real, imaginary = shear_kernel(shape)
    first, second = fft.rfft2(g1), fft.rfft2(g2)
    return fft.irfft2(real * first + imaginary * second, shape), fft.irfft2(real * second - imaginary * first, shape)


def without_lost_modes(kappa: np.ndarray) -> np.ndarray:
    """The part of a map that shear can tell: no mean, no Nyquist modes."""
    return kaiser_squires(*shear_of_convergence(kappa))[0]


def smooth(image: np.ndarray, sigma_px: float) -> np.ndarray:
    """Maps (..., n_y, n_x) through a Gaussian of standard deviation `sigma_px`, on the periodic sky; 0 leaves them as
    they are.
    """
    if sigma_px <= 0:
        return image
    shape = image.shape[-2:]
    square = multipole_length(shape, 1.0) ** 2 / ARCMIN_PER_RADIAN**2
    return fft.irfft2(fft.rfft2(image) * np.exp(-0.5 * sigma_px**2 * square), shape)


def mean_free(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Maps (..., n_y, n_x) less their mean in the mask, 0 outside it: the form in which mass maps are compared."""
    weight = mask / mask.sum()
    return np.where(mask, image - (image * weight).sum((-2, -1), keepdims=True), 0.0)


def power_on_grid(multipole: np.ndarray, power: np.ndarray, shape: tuple[int, int], pixel_arcmin: float) -> np.ndarray:
    """Variance of the half plane's modes, in the units of an orthonormal transform of a map: C(l) over a pixel's area.

    The table is interpolated in log l and log C; beyond its ends C keeps the slope of its last two points. The mean
    has none.
    """
    length = multipole_length(shape, pixel_arcmin)
    ln_l, ln_c = np.log(multipole), np.log(power)
    wanted = np.log(np.where(length > 0, length, 1.0))
    found = np.interp(wanted, ln_l, ln_c)
    for inside, first, second in ((wanted >= ln_l[0], 0, 1), (wanted <= ln_l[-1], -1, -2)):
        slope = (ln_c[first] - ln_c[second]) / (ln_l[first] - ln_l[second])
        found = np.where(inside, found, ln_c[first] + slope * (wanted - ln_l[first]))
    return np.where(length > 0, np.exp(found), 0.0) * (ARCMIN_PER_RADIAN / pixel_arcmin) ** 2


def mode_share(shape: tuple[int, int]) -> np.ndarray:
    """How much the square of each mode of the half plane adds to the sum of the squares of a map's pixels."""
    share = np.full((shape[0], shape[1] // 2 + 1), 2.0 / (shape[0] * shape[1]))
    share[:, 0] /= 2
    if shape[1] % 2 == 0:
        share[:, -1] /= 2
    return share


def binned_spectra(
    first: np.ndarray, second: np.ndarray, pixel_arcmin: float, edges: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Cross power C(l) of two maps in bins of l, and the modes in each: two (n_bins,) arrays; steradian.

    The maps are taken as they are: windows and masks have not been undone.
    """
    shape = first.shape
    power = (fft.rfft2(first) * fft.rfft2(second).conj()).real
    weight = np.full(power.shape, 2.0)
    weight[:, 0] = 1.0
    if shape[1] % 2 == 0:
        weight[:, -1] = 1.0
    place = np.digitize(multipole_length(shape, pixel_arcmin), edges) - 1
    inside = (place >= 0) & (place < len(edges) - 1)
    total = np.bincount(place[inside], (power * weight)[inside], minlength=len(edges) - 1)
    n_modes = np.bincount(place[inside], weight[inside], minlength=len(edges) - 1)
    scale = (pixel_arcmin / ARCMIN_PER_RADIAN) ** 2 / (shape[0] * shape[1])
    return scale * total / np.maximum(n_modes, 1), n_modes
