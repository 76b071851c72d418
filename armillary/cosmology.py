"""Distances in the one cosmology of the project: flat LCDM, H0 = 70 km/s/Mpc, Omega_m = 0.3.

Plain numpy, so that scoring and figures need no cosmology package; the tests hold it against astropy.
"""

import numpy as np

HUBBLE_KM_S_MPC = 70.0
OMEGA_MATTER = 0.3
HUBBLE_H = HUBBLE_KM_S_MPC / 100.0
LIGHT_SPEED_KM_S = 299792.458
ARCSEC_PER_RADIAN = 180.0 * 3600.0 / np.pi

_GRID = np.linspace(0.0, 3.0, 3001)
_INVERSE_E = 1.0 / np.sqrt(OMEGA_MATTER * (1.0 + _GRID) ** 3 + 1.0 - OMEGA_MATTER)
_STEPS = 0.5 * (_INVERSE_E[1:] + _INVERSE_E[:-1]) * np.diff(_GRID)
_COMOVING_MPC = LIGHT_SPEED_KM_S / HUBBLE_KM_S_MPC * np.concatenate([[0.0], np.cumsum(_STEPS)])


def comoving_distance_mpc(redshift):
    """Line-of-sight comoving distance in Mpc, for 0 <= redshift <= 3. Eq. (15), Hogg (1999)."""
    return np.interp(redshift, _GRID, _COMOVING_MPC)


def expansion_rate_km_s_mpc(redshift):
    """H(z) in km/s/Mpc. Eq. (14), Hogg (1999)."""
    return HUBBLE_KM_S_MPC * np.sqrt(OMEGA_MATTER * (1.0 + np.asarray(redshift)) ** 3 + 1.0 - OMEGA_MATTER)


def matter_fraction(redshift):
    """Omega_m(z), the share of matter in the critical density."""
    growth = (1.0 + np.asarray(redshift)) ** 3
    return OMEGA_MATTER * growth / (OMEGA_MATTER * growth + 1.0 - OMEGA_MATTER)


def angular_diameter_distance_mpc(redshift):
    """Angular diameter distance in physical Mpc. Eq. (18), Hogg (1999)."""
    return comoving_distance_mpc(redshift) / (1.0 + np.asarray(redshift))


def pixels_per_mpc(redshift, pixel_arcsec: float):
    """How many pixels one physical Mpc spans at a redshift above 0."""
    return ARCSEC_PER_RADIAN / (angular_diameter_distance_mpc(redshift) * pixel_arcsec)


def richness_radius_mpc(richness):
    """Physical cluster radius R_lambda = 1.0 h^-1 Mpc (lambda / 100)^0.2. Eq. (4), Rykoff et al. (2014)."""
    return (np.asarray(richness) / 100.0) ** 0.2 / HUBBLE_H
