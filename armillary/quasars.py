"""Magnitudes of quasars from redshift: a power law, broad emission lines and the mean forest, through five bands.

Rest-frame equivalent widths are those of the SDSS composite (Vanden Berk et al. 2001, AJ 122, 549, Table 2), the mean
absorption by the Lyman alpha forest is Eq. (14) of Madau (1995, ApJ 441, 18).
"""

import numpy as np

LIGHT_KM_S = 299792.458
# ASSUME: top-hat passbands between the half-power wavelengths of the HSC filters, in angstrom.
PASSBANDS_ANGSTROM = {
    "g": (3970.0, 5470.0), "r": (5440.0, 6960.0), "i": (6910.0, 8480.0), "z": (8480.0, 9330.0), "y": (9310.0, 10730.0),
}  # fmt: skip
LINES_ANGSTROM = np.array([1216.0, 1398.0, 1549.0, 1909.0, 2799.0, 4863.0, 5008.0, 6565.0])
EQUIVALENT_WIDTHS_ANGSTROM = np.array([92.9, 8.1, 23.8, 21.2, 32.3, 46.2, 13.2, 194.5])
LINE_FWHM_KM_S = 5000.0
MEAN_SLOPE, SLOPE_SCATTER, LN_STRENGTH_SCATTER = -0.5, 0.25, 0.3
N_WAVELENGTHS = 60  # a band


def quasar_magnitudes(redshift: np.ndarray, slope: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """AB magnitudes (n, 5) in g r i z y up to a constant of each quasar.

    `slope` (n,) is alpha of F_nu ~ nu^alpha, `strength` (n,) multiplies all equivalent widths.
    # ASSUME: no host galaxy, no iron blends, no reddening.
    """
    return np.stack([-2.5 * np.log10(_band_flux(b, redshift, slope, strength)) for b in PASSBANDS_ANGSTROM], 1)


def sample_quasar_magnitudes(rng: np.random.Generator, redshift: np.ndarray, magnitude_i: np.ndarray) -> np.ndarray:
    """Magnitudes (n, 5) of quasars with scattered slopes and line strengths, scaled to the given i magnitudes."""
    n_quasars = len(redshift)
    slope = MEAN_SLOPE + SLOPE_SCATTER * rng.standard_normal(n_quasars)
    strength = np.exp(LN_STRENGTH_SCATTER * rng.standard_normal(n_quasars))
    magnitudes = quasar_magnitudes(redshift, slope, strength)
    return magnitudes + (magnitude_i - magnitudes[:, 2])[:, None]


def _band_flux(band: str, redshift: np.ndarray, slope: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """Photon-weighted mean of F_nu over a passband, (n,)."""
    observed = np.linspace(*PASSBANDS_ANGSTROM[band], N_WAVELENGTHS)
    rest = observed / (1 + redshift[:, None])  # (n, N_WAVELENGTHS)
    continuum = (rest / 2500.0) ** -slope[:, None]
    lines = 1 + strength[:, None] * _line_profile(rest)
    weight = 1 / observed  # photons: dnu / nu
    return (continuum * lines * forest_transmission(observed, rest) * weight).sum(1) / weight.sum()


def _line_profile(rest: np.ndarray) -> np.ndarray:
    """Sum of the lines over the continuum at rest wavelengths: each Gaussian has its equivalent width as area."""
    profile = np.zeros_like(rest)
    for centre, width in zip(LINES_ANGSTROM, EQUIVALENT_WIDTHS_ANGSTROM, strict=True):
        sigma = centre * LINE_FWHM_KM_S / LIGHT_KM_S / 2.3548
        profile += width / (np.sqrt(2 * np.pi) * sigma) * np.exp(-0.5 * ((rest - centre) / sigma) ** 2)
    return profile


def forest_transmission(observed: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Mean transmission of Lyman alpha by intergalactic hydrogen; nothing is left below the Lyman limit."""
    depth = 0.0036 * (observed / 1216.0) ** 3.46  # Eq. (14), Madau 1995
    return np.where(rest < 912.0, 1e-3, np.where(rest < 1216.0, np.exp(-depth), 1.0))
