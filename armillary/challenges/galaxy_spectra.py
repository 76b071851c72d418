"""Spectra of galaxies from single populations: a history of star formation, dust, lines, motions, redshift and noise.

All spectra are on one grid, equal in the logarithm of the observed wavelength (vacuum).
"""

import numpy as np
from scipy.ndimage import gaussian_filter1d

N_PIXELS = 700
LN_WAVE = np.linspace(np.log(3850.0), np.log(9150.0), N_PIXELS)
STEP = LN_WAVE[1] - LN_WAVE[0]
SOLAR = 0.02
REDSHIFTS = (0.02, 0.2)
LIGHT_KM_S = 299792.458
LINES_A = {"OII": 3728.8, "Hb": 4862.7, "OIII_b": 4960.3, "OIII": 5008.2, "NII_b": 6549.9, "Ha": 6564.6, "NII": 6585.3,
           "SII": 6718.3, "SII_b": 6732.7}  # fmt: skip
BALMER_A = (3798.9, 3836.5, 3890.1, 3971.2, 4102.9, 4341.7, 4862.7, 6564.6)
METALS_A = (
    (3934.8, 8, 0.9), (3969.6, 8, 0.8), (4305.0, 14, 0.35), (4384.0, 10, 0.2), (5176.0, 16, 0.35), (5270.0, 10, 0.2),
    (5335.0, 9, 0.16), (5894.0, 6, 0.3), (6190.0, 30, 0.07), (7150.0, 60, 0.1), (8544.0, 6, 0.2), (8664.0, 6, 0.18),
)  # fmt: skip


def make_populations() -> dict[str, np.ndarray]:
    """wave (n,), light (4 metallicities, 10 ages, n), metallicity (4,), age_gyr (10,): stand-ins for stellar models.

    # ASSUME: a black body of the turn-off's temperature with a 4000 A break, Balmer lines of A stars, and metal lines
    that grow with age and metallicity; light per mass falls as age^-0.8. The shapes teach, the numbers are no stars'.
    """
    wave = np.exp(np.arange(np.log(3000.0), np.log(9400.0), STEP))
    age = np.array([0.005, 0.025, 0.1, 0.29, 0.64, 0.9, 1.4, 2.5, 5.0, 11.0])
    metallicity = np.array([0.004, 0.008, 0.02, 0.05])
    light = np.array([[_population(wave, one, z / SOLAR) for one in age] for z in metallicity])
    return {"wave": wave, "light": light, "metallicity": metallicity, "age_gyr": age}


def _population(wave: np.ndarray, age: float, metals: float) -> np.ndarray:
    kelvin = np.clip(8200 * (age / 0.5) ** -0.28 * metals**-0.05, 3900, 25000)
    body = 1 / (wave**5 * np.expm1(1.4388e8 / (wave * kelvin)))
    body /= np.interp(5500, wave, body)
    old = 1 / (1 + np.exp(-(np.log10(age) - 0.1) / 0.25)) * metals**0.25
    hot = np.exp(-0.5 * ((np.log10(age) + 0.4) / 0.6) ** 2)
    depth = 0.45 * np.clip(old, 0, 1.3) / (1 + np.exp((wave - 4000) / 25)) + 0.25 * hot / (
        1 + np.exp((wave - 3700) / 20)
    )
    for centre in BALMER_A:
        depth = depth + 0.45 * hot * np.exp(-0.5 * ((wave - centre) / 9) ** 2)
    for centre, width, strength in METALS_A:
        depth = depth + strength * old * np.exp(-0.5 * ((wave - centre) / width) ** 2)
    return (age + 0.003) ** -0.8 * body * np.clip(1 - depth, 0.05, None)


def history_weights(age_gyr: np.ndarray, formed_gyr: float, tau_gyr: float) -> np.ndarray:
    """Mass in each age bin of a history t exp(-t / tau) that began `formed_gyr` ago; sums to 1."""
    edges = np.concatenate([[0], np.sqrt(age_gyr[1:] * age_gyr[:-1]), [np.inf]])
    since = np.clip((formed_gyr - edges) / tau_gyr, 0, None)
    formed = 1 - (1 + since) * np.exp(-since)  # integral of x exp(-x)
    return -np.diff(formed) / formed[0]


def simulate_spectra(n: int, populations: dict[str, np.ndarray], rng) -> dict[str, np.ndarray]:
    """flux and ivar (n, N_PIXELS; ivar 0 where there is nothing), z, log_metallicity (solar is 0) and age_gyr (n,).

    # ASSUME: older galaxies have more metals; dust is a screen with slope -0.7 (Charlot & Fall 2000), twice as deep for
    lines; line ratios follow the star-forming sequence with 0.08 dex of scatter; S/N a pixel of 8 to 50.
    """
    wave, log_z = np.log(populations["wave"]), np.log10(populations["metallicity"] / SOLAR)
    z = rng.uniform(*REDSHIFTS, n)
    formed, tau = rng.uniform(2, 12, n), 10 ** rng.uniform(-0.6, 0.9, n)
    metals = np.clip(-0.35 + 0.4 * np.log10(formed / tau) + rng.normal(0, 0.2, n), log_z[0], log_z[-1])
    flux, mass_age = np.zeros((n, N_PIXELS)), np.zeros(n)
    for k in range(n):
        weights = history_weights(populations["age_gyr"], formed[k], tau[k])
        mass_age[k] = weights @ populations["age_gyr"]
        low = int(np.clip(np.searchsorted(log_z, metals[k]) - 1, 0, len(log_z) - 2))
        part = (metals[k] - log_z[low]) / (log_z[low + 1] - log_z[low])
        light = (1 - part) * populations["light"][low] + part * populations["light"][low + 1]
        dust = rng.gamma(2, 0.15) * (populations["wave"] / 5500) ** -0.7
        young = weights[:2] @ light[:2]
        rest = weights @ light * np.exp(-dust) + lines(populations["wave"], young, metals[k], rng) * np.exp(-2 * dust)
        sigma = rng.uniform(80, 260) / LIGHT_KM_S
        rest = gaussian_filter1d(rest, sigma / (wave[1] - wave[0]))
        flux[k] = np.interp(LN_WAVE - np.log1p(z[k]), wave, rest, np.nan, np.nan)
    covered = np.isfinite(flux)
    flux = flux / np.nanmean(flux, 1, keepdims=True)
    noise = noise_shape() / 10 ** rng.uniform(np.log10(8), np.log10(50), (n, 1))
    good = covered & (rng.uniform(size=flux.shape) > 0.01)
    noisy = np.where(good, flux + noise * rng.normal(size=flux.shape), 0.0)
    return {"flux": noisy.astype(np.float32), "ivar": np.where(good, noise**-2, 0).astype(np.float32), "z": z,
            "log_metallicity": metals, "age_gyr": mass_age}  # fmt: skip


def lines(wave: np.ndarray, young: np.ndarray, metals: float, rng) -> np.ndarray:
    """Emission lines on the grid `wave` (A): H alpha is 300 A of the young stars' continuum."""
    ha = 300 * np.interp(LINES_A["Ha"], wave, young) * np.exp(rng.normal(0, 0.2))
    nii = np.clip(-0.55 + 0.75 * metals + rng.normal(0, 0.08), -1.6, -0.25)
    oiii = 0.61 / (nii - 0.05) + 1.2 + rng.normal(0, 0.08)  # below the line of Kauffmann et al. (2003)
    hb = ha / 2.86
    light = {"Ha": ha, "Hb": hb, "NII": ha * 10**nii, "NII_b": ha * 10**nii / 3, "OIII": hb * 10**oiii,
             "OIII_b": hb * 10**oiii / 3, "OII": 3 * hb, "SII": 0.17 * ha, "SII_b": 0.13 * ha}  # fmt: skip
    width = 120 / LIGHT_KM_S
    shape = 0
    for name, one in light.items():
        centre = LINES_A[name]
        shape = shape + one / centre * np.exp(-0.5 * ((np.log(wave / centre)) / width) ** 2) / (
            np.sqrt(2 * np.pi) * width
        )
    return shape


def noise_shape() -> np.ndarray:
    """Noise of each pixel, about 1: larger at the ends, under sky lines, and among OH bands beyond 7200 A."""
    wave = np.exp(LN_WAVE)
    shape = 1 + 1.5 * np.exp(-(wave - 3850) / 250) + np.exp((wave - 9150) / 300)
    for centre in (5578.9, 6302.0):
        shape += 3 * np.exp(-0.5 * ((wave - centre) / 6) ** 2)
    return shape + np.where(wave > 7200, 0.8 * np.sin(wave / 35) ** 8, 0)
