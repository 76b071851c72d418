"""Skies to learn from and to be judged on: Gaussian and log-normal convergence, its reduced shear, noise, masks,
galaxies.

A sky is drawn on a periodic square larger than the field, and the field is cut out after the shear was made, so that
structure outside the field shears what is inside it, as on the real sky.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import fft

from armillary.convergence import power_on_grid, shear_of_convergence
from armillary.shear_catalogs import ARCMIN_PER_RADIAN, Grid, ShearMap, pixels_of

MISMATCHES = ("same", "low_shift", "high_shift", "gaussian", "low_amplitude")


class SkyModel(NamedTuple):
    """What a sky is drawn from."""

    multipole: np.ndarray
    power: np.ndarray  # C(l) of convergence, steradian
    kind: str  # "lognormal" or "gaussian"
    shift: float  # of the log-normal: convergence is above -shift
    pixel_arcmin: float


def sky_size(shape: tuple[int, int], margin_px: int) -> int:
    """Side of the periodic square that a field of `shape` is cut from, a size that transforms quickly."""
    return fft.next_fast_len(max(shape) + 2 * margin_px, real=True)


def white_to_gaussian_power(model: SkyModel, shape: tuple[int, int]) -> tuple[np.ndarray, float]:
    """Power of the Gaussian field on the half plane of a grid of `shape`, and its variance.

    For a log-normal field with correlation xi it is that of the field with correlation ln(1 + xi / shift^2); modes
    for which that has no positive power get none. Eq. (29), Hilbert, Hartlap & Schneider (2011).
    """
    power = power_on_grid(model.multipole, model.power, shape, model.pixel_arcmin)
    if model.kind == "lognormal":
        correlation = fft.irfft2(power, shape)
        power = np.clip(fft.rfft2(np.log1p(np.clip(correlation / model.shift**2, -0.99, None))).real, 0.0, None)
        power[0, 0] = 0.0
    return power, float(fft.irfft2(power, shape)[0, 0])


def with_drawn_shift(model: SkyModel, spread: float, rng: np.random.Generator) -> SkyModel:
    """The model of one sky whose shift is a draw: log-normal about the model's, `spread` in ln shift."""
    return model._replace(shift=float(model.shift * np.exp(spread * rng.standard_normal())))


def mismatched(model: SkyModel, kind: str) -> SkyModel:
    """The model that skies of one of MISMATCHES are drawn from when methods expect `model`."""
    changes = {
        "same": {}, "low_shift": {"shift": 0.6 * model.shift}, "high_shift": {"shift": 1.8 * model.shift},
        "gaussian": {"kind": "gaussian"}, "low_amplitude": {"power": 0.8 * model.power},
    }  # fmt: skip
    return model._replace(**changes[kind])


def draw_convergence(model: SkyModel, size: int, rng: np.random.Generator) -> np.ndarray:
    """One periodic convergence map (size, size) of expectation 0.

    # ASSUME: where a sky is log-normal, so is every pixel: convergence + shift = shift exp(G - var / 2).
    """
    power, variance = white_to_gaussian_power(model, (size, size))
    gaussian = fft.irfft2(np.sqrt(power) * fft.rfft2(rng.standard_normal((size, size))), (size, size))
    return gaussian if model.kind == "gaussian" else model.shift * np.expm1(gaussian - variance / 2)


def reduced(g1: np.ndarray, g2: np.ndarray, kappa: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Reduced shear gamma / (1 - kappa); where a pixel is strongly lensed (|g| > 1) galaxies show 1 / conj(g).

    Eq. (4.14), Bartelmann & Schneider (2001).
    """
    shear = (g1 + 1j * g2) / np.where(np.abs(1 - kappa) < 1e-6, 1e-6, 1 - kappa)
    size = np.abs(shear)
    shear = np.where(size > 1, shear / np.maximum(size, 1) ** 2, shear)
    return shear.real, shear.imag


def draw_field(
    model: SkyModel, shape: tuple[int, int], margin_px: int, with_reduced_shear: bool, rng: np.random.Generator
) -> np.ndarray:
    """(kappa, g1, g2) of a field, float32 (3, n_y, n_x), cut from a periodic sky; g is shear or reduced shear."""
    kappa = draw_convergence(model, sky_size(shape, margin_px), rng)
    return field_of_sky(kappa, shape, with_reduced_shear)


def field_of_sky(kappa: np.ndarray, shape: tuple[int, int], with_reduced_shear: bool) -> np.ndarray:
    """(kappa, g1, g2) of the corner of `shape` of a periodic convergence map, float32."""
    g1, g2 = shear_of_convergence(kappa)
    if with_reduced_shear:
        g1, g2 = reduced(g1, g2, kappa)
    return np.stack([image[: shape[0], : shape[1]] for image in (kappa, g1, g2)]).astype(np.float32)


def observed(field: np.ndarray, like: ShearMap, rng: np.random.Generator) -> ShearMap:
    """The shear map that galaxies would give of a field (3, n_y, n_x), with the noise and the mask of another map."""
    noisy = [
        np.where(like.mask, clean + rng.standard_normal(clean.shape) * sigma, 0.0)
        for clean, sigma in zip(field[1:], (like.sigma1, like.sigma2), strict=True)
    ]
    return like._replace(g1=noisy[0], g2=noisy[1])


def draw_galaxies(
    field: np.ndarray, grid: Grid, *, density_per_arcmin2: float, sigma_e: float, edge_arcmin: float,
    n_stars_per_deg2: float, m: float, c1: float, c2: float, rng: np.random.Generator,
) -> pd.DataFrame:  # fmt: skip
    """A shear catalogue behind a field: ra, dec (degrees), e1, e2, weight, m, c1, c2.

    Galaxies are strewn evenly over the field less an edge of `edge_arcmin` and less the haloes of bright stars; each
    has its own weight, and its shape is Seitz & Schneider's (1997) (e + g) / (1 + g* e), biased by m and c as real
    shapes are.
    # ASSUME: star haloes are discs of 0.3 to 2 arcmin, small ones more often; noisy galaxies weigh less.
    """
    half = [0.5 * n * grid.pixel_arcmin - edge_arcmin for n in grid.shape[::-1]]
    n = rng.poisson(density_per_arcmin2 * 4 * half[0] * half[1])
    x, y = rng.uniform(-half[0], half[0], n), rng.uniform(-half[1], half[1], n)
    seen = ~_behind_stars(x, y, half, n_stars_per_deg2, rng)
    ra, dec = sky_of_plane(x[seen], y[seen], grid)
    row, column, _ = pixels_of(ra, dec, grid)
    reduced_shear = field[1, row, column] + 1j * field[2, row, column]
    noisiness = rng.gamma(4.0, 0.25, len(ra))
    intrinsic = (
        sigma_e * np.sqrt(0.5 + 0.5 * noisiness) * (rng.standard_normal(len(ra)) + 1j * rng.standard_normal(len(ra)))
    )
    intrinsic *= np.minimum(1.0, 0.95 / np.maximum(np.abs(intrinsic), 1e-9))
    shape = (intrinsic + reduced_shear) / (1 + np.conj(reduced_shear) * intrinsic)
    shape = (1 + m) * shape + c1 + 1j * c2
    columns = {"ra": ra, "dec": dec, "e1": shape.real, "e2": shape.imag, "weight": 1 / (0.5 + 0.5 * noisiness)}
    return pd.DataFrame(columns).assign(m=m, c1=c1, c2=c2)


def _behind_stars(x, y, half, n_stars_per_deg2: float, rng: np.random.Generator) -> np.ndarray:
    """Which positions (arcmin) lie in the halo of a star."""
    n_stars = rng.poisson(n_stars_per_deg2 * 4 * half[0] * half[1] / 3600)
    hidden = np.zeros(len(x), bool)
    for _ in range(n_stars):
        star_x, star_y = rng.uniform(-half[0], half[0]), rng.uniform(-half[1], half[1])
        radius = 0.3 * (2.0 / 0.3) ** (rng.random() ** 2)
        hidden |= (x - star_x) ** 2 + (y - star_y) ** 2 < radius**2
    return hidden


def sky_of_plane(x_arcmin: np.ndarray, y_arcmin: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """(ra, dec) in degrees of tangent-plane positions, x to the west: the inverse of `tangent_plane_arcmin`."""
    xi, eta = -np.asarray(x_arcmin) / ARCMIN_PER_RADIAN, np.asarray(y_arcmin) / ARCMIN_PER_RADIAN
    dec0 = np.radians(grid.dec_deg)
    across = np.cos(dec0) - eta * np.sin(dec0)
    ra = np.radians(grid.ra_deg) + np.arctan2(xi, across)
    dec = np.arctan2(np.sin(dec0) + eta * np.cos(dec0), np.hypot(xi, across))
    return np.degrees(ra) % 360, np.degrees(dec)
