"""Starlets and the sum of a sparse and a Gaussian convergence, in the spirit of MCALens (Starck et al. 2021, A&A 649
A99).

The starlet transform (Starck & Murtagh 2006) splits a map into bands of doubling scale that add up to the map again.
Peaks of the sky are few large coefficients; what is left is close to a Gaussian field. Coefficients that stand out of
the noise go to the sparse part, a Wiener filter of the shear that they leave is the other.
"""

import jax.numpy as jnp
import numpy as np
from scipy.fft import dctn, idctn

from armillary.convergence import ARCMIN_PER_RADIAN, kaiser_squires, multipole_grid, shear_of_convergence
from armillary.inverse.wiener import WienerProblem, wiener_map
from armillary.shear_catalogs import ShearMap

N_NOISE_MAPS = 24
CONVERGED = 0.01  # rms change of the sparse part over its rms
SIGMA_SMOOTHING_PX = 4.0


def starlet_bands(shape: tuple[int, int], n_scales: int) -> np.ndarray:
    """Multipliers (n_scales + 1, n_y, n_x // 2 + 1) of the wavelet bands, fine to coarse, and of the coarse rest;
    they sum to 1.
    """
    angles = [part / ARCMIN_PER_RADIAN for part in multipole_grid(shape, 1.0)]  # radians a pixel
    smooth = [np.ones(angles[0].shape)]
    for scale in range(n_scales):
        # the B3 spline (1, 4, 6, 4, 1) / 16 with holes of 2^scale
        kernels = [(6 + 8 * np.cos(2**scale * a) + 2 * np.cos(2 ** (scale + 1) * a)) / 16 for a in angles]
        smooth.append(smooth[-1] * kernels[0] * kernels[1])
    return np.array([*(fine - coarse for fine, coarse in zip(smooth[:-1], smooth[1:], strict=True)), smooth[-1]])


def starlet(image: np.ndarray, bands: np.ndarray) -> np.ndarray:
    """Coefficients (n_bands, n_y, n_x) of a map; their sum is the map."""
    return np.fft.irfft2(np.fft.rfft2(image) * bands, image.shape)


def noise_of_bands(shear: ShearMap, bands: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Standard deviation of the Kaiser-Squires noise in each band and pixel, (n_bands, n_y, n_x), from simulated
    noise.
    """
    square = np.zeros((len(bands), *shear.mask.shape))
    for _ in range(N_NOISE_MAPS):
        noise = [rng.standard_normal(shear.mask.shape) * sigma for sigma in (shear.sigma1, shear.sigma2)]
        square += starlet(kaiser_squires(*noise)[0], bands) ** 2
    gaussian = np.exp(
        -0.5 * SIGMA_SMOOTHING_PX**2 * sum((a / ARCMIN_PER_RADIAN) ** 2 for a in multipole_grid(shear.mask.shape, 1.0))
    )
    smoothed = np.fft.irfft2(np.fft.rfft2(square / N_NOISE_MAPS) * gaussian, shear.mask.shape)
    return np.sqrt(np.maximum(smoothed, smoothed.max(axis=(1, 2), keepdims=True) * 1e-6))


def sparse_map(
    problem: WienerProblem, shear: ShearMap, noise: np.ndarray, bands: np.ndarray, *, threshold_sigma: float,
    finest_scale: int, most_iterations: int
) -> np.ndarray:  # fmt: skip
    """Convergence (n_y, n_x), the sum of both parts. `noise` is that of `noise_of_bands`.

    The sparse part is found first, each time from the shear that it leaves so far, until it stands still (CONVERGED)
    or `most_iterations` are done. Bands finer than `finest_scale` hold little but noise and are left out; the coarse
    rest stays with the Gaussian part, the Wiener filter of the shear that the sparse part leaves.

    MCALens goes back and forth and takes the Gaussian part off before it seeks peaks. On simulated skies that gained
    less, whether coefficients were chosen anew each time or once and for all: the Gaussian part takes in the peaks.

    The sparse part keeps of each positive coefficient c what the non-negative garrote leaves, c (1 - (t noise /
    c)^2), Breiman (1995): what stands far out stays as it is, what is near the threshold fades. It is kept positive.
    """
    sparse = np.zeros(shear.mask.shape)
    for _ in range(most_iterations):
        before = sparse
        coefficients = starlet(sparse + kaiser_squires(*_residual(shear, sparse))[0], bands)
        excess = np.maximum(coefficients, 1e-12) / (threshold_sigma * noise)
        kept = coefficients * np.clip(1.0 - excess**-2.0, 0.0, None)
        sparse = np.maximum(kept[finest_scale:-1].sum(0), 0.0)
        if np.square(sparse - before).mean() <= CONVERGED**2 * np.square(sparse).mean():
            break
    left = [jnp.asarray(part, jnp.float32) for part in _residual(shear, sparse)]
    return sparse + np.asarray(wiener_map(problem, *left)[0], float)


def inpainted_kaiser_squires(shear: ShearMap, n_iterations: int) -> np.ndarray:
    """Kaiser-Squires E map (n_y, n_x), unsmoothed, with the shear outside the mask filled in. Pires et al. (2009).

    The gaps take the shear of the map without its B mode, and of its cosine coefficients those above a threshold that
    falls from the largest to none as a geometric series: the fewest coefficients that explain the data come first.
    """
    g1, g2 = shear.g1, shear.g2
    e_mode = kaiser_squires(g1, g2)[0]
    largest, least = np.abs(dctn(e_mode, norm="ortho")).max(), 1e-3
    for fraction in np.geomspace(1.0, least, n_iterations):
        coefficients = dctn(e_mode, norm="ortho")
        filled = shear_of_convergence(
            idctn(np.where(np.abs(coefficients) > fraction * largest, coefficients, 0.0), norm="ortho")
        )
        g1, g2 = (np.where(shear.mask, g, fill) for g, fill in zip((shear.g1, shear.g2), filled, strict=True))
        e_mode = kaiser_squires(g1, g2)[0]
    return e_mode


def _residual(shear: ShearMap, kappa: np.ndarray) -> list[np.ndarray]:
    """The shear that a convergence does not explain, 0 outside the mask."""
    return [
        np.where(shear.mask, g - model, 0.0)
        for g, model in zip((shear.g1, shear.g2), shear_of_convergence(kappa), strict=True)
    ]
