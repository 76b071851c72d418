"""How large a stamp and how wide a k band each source needs so that what is left out stays below a tolerance.

For a round profile of half-light radius h behind a PSF of FWHM w everything depends on q = h / w and r / w,
so one table a PSF profile, made once a process from GalSim's own values, serves every image and survey.
"""

from functools import lru_cache
from typing import NamedTuple

import galsim
import numpy as np

STAMP_SIZES = np.array([12, 16, 20, 24, 28, 32, 36, 40, 48, 56, 64, 80, 96, 128, 160, 192, 256, 384, 512, 768, 1024])
EXPONENTIAL = galsim.Exponential(half_light_radius=1.0)
DE_VAUCOULEURS = galsim.DeVaucouleurs(half_light_radius=1.0)

_RATIOS = np.geomspace(0.02, 60.0, 32)  # q = half-light radius / FWHM
_LEVELS = np.linspace(-10.0, 1.0, 111)  # log10 of surface brightness x FWHM^2 / flux
_RADII = np.geomspace(0.02, 1000.0, 140)  # r / FWHM
_FARTHEST = 30.0  # r / FWHM
_N_K, _DK = 1200, 0.02  # k x FWHM


class ReachTable(NamedTuple):
    """log10 of radius and wavenumber (units of the FWHM), (n_ratios, n_levels); log10 peak (n_ratios,)."""

    log_radius: np.ndarray
    log_wavenumber: np.ndarray
    log_peak: np.ndarray


@lru_cache(maxsize=8)
def reach_tables(psf_profile: str, beta: float) -> tuple[ReachTable, ReachTable]:
    """Tables of the exponential and the de Vaucouleurs profile behind a Kolmogorov or Moffat PSF."""
    psf = galsim.Moffat(beta=beta, fwhm=1.0) if psf_profile == "moffat" else galsim.Kolmogorov(fwhm=1.0)
    wing = np.array([psf.xValue(r, 0.0) for r in _RADII])
    hankel, psf_k = _hankel_matrix(), _k_values(psf, _DK)
    return tuple(_reach_table(profile, psf_k, wing, hankel) for profile in (EXPONENTIAL, DE_VAUCOULEURS))


def stamp_reach(table: ReachTable, ratio: np.ndarray, log_level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Radius where the surface brightness falls to a level, and wavenumber whose tail adds up to it.

    `ratio` is q, `log_level` log10 of level x FWHM^2 / flux, both (N,); returns r / FWHM and k x FWHM, both
    (N,).
    """
    row, row_weight = _position(np.log(np.maximum(ratio, _RATIOS[0])), np.log(_RATIOS))
    column, column_weight = _position(log_level, _LEVELS)
    return tuple(
        10 ** _bilinear(grid, row, row_weight, column, column_weight)
        for grid in (table.log_radius, table.log_wavenumber)
    )


def peak_level(table: ReachTable, ratio: np.ndarray) -> np.ndarray:
    """log10 of the central surface brightness x FWHM^2 / flux, (N,)."""
    return np.interp(np.log(np.maximum(ratio, _RATIOS[0])), np.log(_RATIOS), table.log_peak)


def _hankel_matrix() -> np.ndarray:
    """Takes radial k values to surface brightness at _RADII up to _FARTHEST, (n_radii, n_k); zero beyond."""
    from scipy.special import j0

    k = _DK * np.arange(_N_K)
    near = _RADII[:, None] <= _FARTHEST
    return np.where(near, j0(np.where(near, _RADII[:, None] * k, 0.0)), 0.0) * (k * _DK / (2 * np.pi))


def _reach_table(profile: galsim.GSObject, psf_k, wing, hankel: np.ndarray) -> ReachTable:
    k = _DK * np.arange(_N_K)
    unit = np.log([max(profile.xValue(r, 0.0), 1e-300) for r in _RADII])
    radius, wavenumber, peak = [], [], []
    for ratio in _RATIOS:
        spectrum = psf_k * _k_values(profile, _DK * ratio)
        intrinsic = np.exp(np.interp(np.log(_RADII / ratio), np.log(_RADII), unit)) / ratio**2
        light = hankel @ spectrum if ratio < 8 else intrinsic
        # Where the transform runs out of digits the convolution is the sum of both wings.
        far = np.arange(_RADII.size) > np.argmax((light < 1e-5 * light[0]) | (_RADII > _FARTHEST))
        light = np.where(far, np.minimum(intrinsic + wing, light[0]), light)
        light = np.log10(np.minimum.accumulate(np.maximum(light, 1e-30)))
        tail = np.cumsum((spectrum * k)[::-1])[::-1] * _DK / (2 * np.pi)
        radius.append(np.interp(-_LEVELS, -light, np.log10(_RADII)))
        wavenumber.append(np.interp(-_LEVELS, -np.log10(np.maximum(tail[1:], 1e-30)), np.log10(k[1:])))
        peak.append(light[0])
    return ReachTable(np.array(radius), np.array(wavenumber), np.array(peak))


def _k_values(profile: galsim.GSObject, step: float) -> np.ndarray:
    image = galsim.ImageCD(galsim.BoundsI(0, _N_K - 1, 0, 0), scale=step)
    profile._drawKImage(image)
    return image.array[0].real


def _position(values: np.ndarray, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    fraction = np.clip((values - grid[0]) / (grid[1] - grid[0]), 0, grid.size - 1.000001)
    return fraction.astype(int), fraction % 1


def _bilinear(grid: np.ndarray, row, row_weight, column, column_weight) -> np.ndarray:
    low = grid[row, column] * (1 - column_weight) + grid[row, column + 1] * column_weight
    high = grid[row + 1, column] * (1 - column_weight) + grid[row + 1, column + 1] * column_weight
    return low * (1 - row_weight) + high * row_weight
