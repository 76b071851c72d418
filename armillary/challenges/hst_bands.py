"""The five HST bands of the 3D-HST catalogues: their curves, and the flux of a spectrum through them.

Four curves are those that GalSim ships (STScI's, with the telescope and the detector); they give the fluxes of the
survey's own template sums to 1e-4. GalSim has none for F140W: a trapezium stands in for it.
"""

from functools import cache

import galsim
import numpy as np

# ASSUME: F140W rises and falls over 100 A around these edges; fluxes of the survey's template sums agree to 0.3 %.
F140W_CORNERS_A, F140W_HEIGHTS = (11900, 12000, 15900, 16000), (0.0, 0.9, 1.0, 0.0)
FILES = ("ACS_wfc_F606W", "ACS_wfc_F814W", "WFC3_ir_F125W", None, "WFC3_ir_F160W")


@cache
def band_curves(n_points: int = 60) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Wavelengths in Angstrom and weights of sum 1 of each band: what a counting detector averages f_nu with."""
    curves = []
    for file in FILES:
        if file is None:
            wave = np.linspace(F140W_CORNERS_A[0], F140W_CORNERS_A[-1], n_points)
            through = np.interp(wave, F140W_CORNERS_A, F140W_HEIGHTS)
        else:
            band = galsim.Bandpass(f"{file}.dat", "nm")
            known = np.array([band(w) for w in band.wave_list])
            lit = band.wave_list[known > 0.01 * known.max()]
            wave = np.linspace(lit[0], lit[-1], n_points)
            through = np.array([band(w) for w in wave])
            wave = 10 * wave
        weight = through / wave  # photons of a flat f_nu
        curves.append((wave, weight / weight.sum()))
    return tuple(curves)


def band_flux(wave_a: np.ndarray, f_nu: np.ndarray, z: float) -> np.ndarray:
    """Mean f_nu (n_spectra, 5) of rest-frame spectra (n_spectra, n_wave) at redshift z."""
    return np.array([
        [weight @ np.interp(wave / (1 + z), wave_a, one) for wave, weight in band_curves()] for one in f_nu
    ])  # fmt: skip
