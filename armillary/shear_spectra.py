"""The power spectrum of convergence: CAMB's non-linear matter power, seen through a redshift distribution of sources.

The Limber integral is ours: CAMB's own sources take 45 s to l = 10^4, and pixels of 0.3 arcmin reach four times
further.
"""

import camb
import numpy as np

LIGHT_SPEED_KM_S = 299792.458
MULTIPOLE_MIN, MULTIPOLE_MAX, N_MULTIPOLES = 10, 100_000, 60
SHIFT_OF_PLANES = ((0.7, 0.017), (1.25, 0.042))
WAVENUMBER_MAX = 60.0  # 1/Mpc; beyond it the spectrum is extended as a power law


def source_redshifts(
    mean_redshift: float, n_points: int = 200, redshift_max: float = 4.0
) -> tuple[np.ndarray, np.ndarray]:
    """(z, n(z)) of a magnitude-limited sample, n ~ z^2 exp(-(z / z0)^1.5) with the mean asked for. Smail et al. (1994).

    # ASSUME: the sources of a survey without photometric redshifts follow this form.
    """
    redshift = np.linspace(0.02, redshift_max, n_points)
    scale = mean_redshift / 1.5046  # the mean of z^2 exp(-z^1.5) is Gamma(8/3) / Gamma(2)
    return redshift, redshift**2 * np.exp(-((redshift / scale) ** 1.5))


def lognormal_shift(redshift: np.ndarray, density: np.ndarray) -> float:
    """Shift of a log-normal convergence for sources of density n(z): convergence is above its negative.

    The shift of one source plane is a power law through 0.017 at z = 0.7 and 0.042 at z = 1.25, as Hilbert, Hartlap &
    Schneider (2011) measured on ray-traced skies; of a distribution it is the mean over n(z), the convergence of a line
    of sight that is emptiest to every source.
    # ASSUME: the shift does not depend on the pixel, and cosmology enters by the spread that it is given.
    """
    (z_low, low), (z_high, high) = SHIFT_OF_PLANES
    slope = np.log(high / low) / np.log(z_high / z_low)
    return float(np.average(low * (redshift / z_low) ** slope, weights=density))


def redshift_histogram(redshift: np.ndarray, weight: np.ndarray, step: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """(z, n(z)) of a catalogue's photometric redshifts, the weighted counts in steps of z."""
    edges = np.arange(0.0, max(float(np.max(redshift)), step) + 2 * step, step)
    counts, _ = np.histogram(redshift, edges, weights=weight)
    return 0.5 * (edges[1:] + edges[:-1]), counts


def convergence_spectrum(
    redshift: np.ndarray, density: np.ndarray, *, hubble: float, omega_matter: float, omega_baryon: float, sigma8:
    float, spectral_index: float,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """(l, C(l)) of convergence in steradian for a flat universe and sources of density n(z); `hubble` in km/s/Mpc.

    C(l) = (3/2 Om H0^2 / c^2)^2 Int dchi [q(chi) / a]^2 P((l + 1/2) / chi). Eq. (2.84), Bartelmann & Schneider (2001).
    """
    parameters = cosmology(hubble, omega_matter, omega_baryon, sigma8, spectral_index)
    results, matter_power = _matter_power(parameters, redshift_max=float(redshift[density > 0].max()))
    chi = np.linspace(0.0, results.comoving_radial_distance(float(redshift[density > 0].max())), 400)[1:]
    z_of_chi = results.redshift_at_comoving_radial_distance(chi)
    efficiency = lensing_efficiency(chi, results.comoving_radial_distance(redshift), density) * (1 + z_of_chi)
    multipole = np.geomspace(MULTIPOLE_MIN, MULTIPOLE_MAX, N_MULTIPOLES)
    wavenumber = (multipole[:, None] + 0.5) / chi
    power = np.array([matter_power(z, k) for z, k in zip(z_of_chi, wavenumber.T, strict=True)])  # (chi, l)
    factor = 1.5 * omega_matter * (hubble / LIGHT_SPEED_KM_S) ** 2
    return multipole, factor**2 * np.trapezoid(efficiency[:, None] ** 2 * power, chi, axis=0)


def lensing_efficiency(chi_mpc: np.ndarray, source_chi_mpc: np.ndarray, density: np.ndarray) -> np.ndarray:
    """q(chi) = Int dchi' n(chi') (chi' - chi) / chi' over sources behind chi; 1 for all sources infinitely far away."""
    behind = np.clip(1.0 - chi_mpc[:, None] / np.maximum(source_chi_mpc, 1e-9), 0.0, None)
    return behind @ density / density.sum()


def cosmology(hubble: float, omega_matter: float, omega_baryon: float, sigma8: float, spectral_index: float):
    """CAMB's parameters of a flat universe; the amplitude follows from `sigma8` and one linear run.

    # ASSUME: massless neutrinos; matter clusters as in HMCode2020 without baryonic feedback (Mead et al. 2021).
    """
    h2 = (hubble / 100) ** 2
    fixed = {
        "H0": hubble,
        "ombh2": omega_baryon * h2,
        "omch2": (omega_matter - omega_baryon) * h2,
        "mnu": 0.0,
        "omk": 0.0,
    }
    parameters = camb.set_params(**fixed, ns=spectral_index, As=2e-9, WantCls=False)
    parameters.set_matter_power(redshifts=[0.0], kmax=5.0)
    amplitude = 2e-9 * (sigma8 / camb.get_results(parameters).get_sigma8_0()) ** 2
    return camb.set_params(**fixed, ns=spectral_index, As=amplitude, WantCls=False, halofit_version="mead2020")


def _matter_power(parameters, redshift_max: float):
    """CAMB's results and a function (z, k in 1/Mpc) -> P in Mpc^3."""
    parameters.set_matter_power(redshifts=np.linspace(0.0, redshift_max, 24)[::-1].tolist(), kmax=WAVENUMBER_MAX)
    parameters.NonLinear = camb.model.NonLinear_pk
    results = camb.get_results(parameters)
    interpolator = results.get_matter_power_interpolator(
        nonlinear=True, hubble_units=False, k_hunit=False, extrap_kmax=1e4 * WAVENUMBER_MAX
    )
    return results, lambda z, k: interpolator.P(z, np.clip(k, 1e-4, None))
