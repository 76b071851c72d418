"""Simulated stand-ins for CAMELS: slabs of matter and gas pressure, and mean gas profiles, as of two codes.

A slab is a log-normal field with haloes painted on it: linear power without wiggles (Eisenstein & Hu 1998), haloes
from Sheth & Tormen (1999), NFW profiles, and gas whose share and extent feedback sets. The codes differ in how: what
one calls A_AGN = 1 expels three times further in mass in the other. Lengths are comoving Mpc/h, masses Msun/h.
"""

import numpy as np
from scipy import fft

BOX_MPC_H, SLAB_MPC_H = 25.0, 5.0
CRITICAL_DENSITY = 2.775e11  # (Msun/h) / (Mpc/h)^3
GRAVITY = 4.30091e-9  # Mpc (km/s)^2 / Msun
OMEGA_B, HUBBLE, TILT = 0.049, 0.6711, 0.9624
RANGES = ((0.1, 0.5), (0.6, 1.0), (0.25, 4.0), (0.25, 4.0), (0.5, 2.0), (0.5, 2.0))  # Om, s8, SN1, AGN1, SN2, AGN2
LN_MASSES = np.linspace(np.log(10**10.4), np.log(10**14.8), 23)
SMOOTHING_MPC_H = 1.0  # ASSUME: what is smaller is in haloes
K_GRID = np.geomspace(1e-4, 300.0, 500)  # h/Mpc
# ASSUME: log10 of the mass that keeps half its gas = first + the rest times log10 of (SN1, AGN1, SN2, AGN2); reach of
# what is expelled in virial radii; pressure over that of virialised gas; its slope with mass.
CODES = {
    "tng": {"log_mass": (12.0, 0.35, 0.10, 0.35, 0.10), "reach": 2.5, "pressure": 1.0, "slope": 0.0},
    "simba": {"log_mass": (12.5, 0.20, 0.40, 0.20, 0.40), "reach": 5.0, "pressure": 1.5, "slope": -0.15},
}


def draw_parameters(n: int, rng) -> np.ndarray:
    """(n, 6) parameters of a Latin hypercube: Om and s8 even, the strengths of feedback even in their logarithm."""
    unit = (np.array([rng.permutation(n) for _ in RANGES]).T + rng.uniform(size=(n, 6))) / n
    low, high = np.array(RANGES).T
    even = low + (high - low) * unit
    return np.where(np.arange(6) < 2, even, low * (high / low) ** unit)


def transfer(k: np.ndarray, omega_m: float) -> np.ndarray:
    """Transfer function without wiggles at k in h/Mpc: Eqs. (26), (28) to (31) of Eisenstein & Hu (1998)."""
    om, ob = omega_m * HUBBLE**2, OMEGA_B * HUBBLE**2
    sound = 44.5 * np.log(9.83 / om) / np.sqrt(1 + 10 * ob**0.75)
    alpha = 1 - 0.328 * np.log(431 * om) * ob / om + 0.38 * np.log(22.3 * om) * (ob / om) ** 2
    gamma = omega_m * HUBBLE * (alpha + (1 - alpha) / (1 + (0.43 * k * HUBBLE * sound) ** 4))
    q = k * (2.7255 / 2.7) ** 2 / gamma
    log_term = np.log(2 * np.e + 1.8 * q)
    return log_term / (log_term + (14.2 + 731 / (1 + 62.5 * q)) * q**2)


def linear_power(omega_m: float, sigma_8: float) -> np.ndarray:
    """Linear matter power today on K_GRID, (Mpc/h)^3, with the variance sigma_8^2 in spheres of 8 Mpc/h."""
    shape = K_GRID**TILT * transfer(K_GRID, omega_m) ** 2
    return shape * sigma_8**2 / variance(shape, np.array([8.0]))[0]


def variance(power: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Variance in spheres of `radius` (n,)."""
    x = radius[:, None] * K_GRID
    window = 3 * (np.sin(x) - x * np.cos(x)) / x**3
    return np.trapezoid(power * window**2 * K_GRID**3 / (2 * np.pi**2), np.log(K_GRID), axis=1)


def halo_numbers(omega_m: float, power: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Haloes per (Mpc/h)^3 in each bin of LN_MASSES, and their bias: Eqs. (10) and (12) of Sheth & Tormen (1999)."""
    mass = np.exp(LN_MASSES)
    radius = (3 * mass / (4 * np.pi * omega_m * CRITICAL_DENSITY)) ** (1 / 3)
    sigma = np.sqrt(variance(power, radius))
    peak = 0.707 * (1.686 / sigma) ** 2
    share = 0.3222 * np.sqrt(2 * peak / np.pi) * (1 + peak**-0.3) * np.exp(-peak / 2)
    density = omega_m * CRITICAL_DENSITY / mass * share * -np.gradient(np.log(sigma), LN_MASSES)
    bias = 1 + (peak - 1) / 1.686 + 0.6 / (1.686 * (1 + peak**0.3))
    return density * (LN_MASSES[1] - LN_MASSES[0]), bias


def slab_power(power: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Power in the plane, (Mpc/h)^2, of the mean overdensity of a slab 5 Mpc/h deep."""
    along = np.concatenate([[0], np.geomspace(1e-3, 40, 200)])
    full = np.exp(np.interp(np.log(np.hypot(k[:, None], along)), np.log(K_GRID), np.log(power)))
    return np.trapezoid(full * np.sinc(along * SLAB_MPC_H / (2 * np.pi)) ** 2, along, axis=1) / np.pi


def lognormal_root(power: np.ndarray, side_px: int) -> np.ndarray:
    """What white noise of a slab is multiplied with in Fourier space, so that the exponential of the field has `power`
    (side_px, side_px // 2 + 1) in (Mpc/h)^2: xi of the Gaussian is ln(1 + xi) (Coles & Jones 1991)."""
    power = np.where(np.arange(power.size).reshape(power.shape) > 0, power, 0.0)
    xi = fft.irfft2(power, (side_px, side_px)) * (side_px / BOX_MPC_H) ** 2
    gaussian = fft.rfft2(np.log1p(np.maximum(xi, -0.9))).real
    gaussian[0, 0] = 0.0
    return np.sqrt(np.maximum(gaussian, 0.0))


def virial_radius(omega_m: float) -> np.ndarray:
    """Radius within which haloes of LN_MASSES are 200 times the mean."""
    return (3 * np.exp(LN_MASSES) / (800 * np.pi * omega_m * CRITICAL_DENSITY)) ** (1 / 3)


def nfw(x: np.ndarray) -> np.ndarray:
    """Density at x = r / virial radius of haloes of LN_MASSES, the first axis of `x`; not normalised.

    # ASSUME: concentrations 9 (M / 1e12)^-0.1, the same in all cosmologies.
    """
    concentration = 9 * np.exp(LN_MASSES - np.log(1e12)) ** -0.1
    x = x * concentration.reshape(-1, *[1] * (x.ndim - 1))
    return 1 / (x * (1 + x) ** 2)


def hot_gas(x: np.ndarray) -> np.ndarray:
    """Pressure of bound gas at x = r / virial radius; not normalised."""
    return (3 * x) ** -0.3 * (1 + 3 * x) ** -4


def projected(profile, radius: np.ndarray, cut: float, distance: np.ndarray) -> np.ndarray:
    """Columns (n_masses, n) at projected `distance` (n,) of profiles in x = r / radius (n_masses,), to x = cut."""
    across = distance / radius[:, None]
    depth = np.sqrt(np.maximum(cut**2 - across**2, 0))
    step = (np.arange(80) + 0.5) / 80
    along = depth[..., None] * step**2  # denser near the middle, where profiles are steep
    return (profile(np.hypot(across[..., None], along)) * 4 * step).mean(-1) * depth


def gas_share(parameters: np.ndarray, code: str) -> np.ndarray:
    """Share of its gas that a halo of each of LN_MASSES keeps."""
    first, *slopes = CODES[code]["log_mass"]
    log_mass = first + np.dot(slopes, np.log10(parameters[2:]))
    return 1 / (1 + 10 ** (1.2 * (log_mass - LN_MASSES / np.log(10))))


def simulate_maps(parameters: np.ndarray, code: str, n_maps: int, side_px: int, rng) -> np.ndarray:
    """(n_maps, 2, side_px, side_px) of one simulation: total matter, (Msun/h) / (Mpc/h)^2, and the mean pressure of
    gas, h^2 Msun (km/s)^2 / kpc^3.

    # ASSUME: the slabs of a simulation are independent; in a real box they share its largest waves.
    """
    omega_m, sigma_8 = parameters[:2]
    waves = 2 * np.pi * np.hypot(*np.meshgrid(fft.fftfreq(side_px, BOX_MPC_H / side_px),
                                              fft.rfftfreq(side_px, BOX_MPC_H / side_px), indexing="ij"))  # fmt: skip
    power = linear_power(omega_m, sigma_8)
    k = np.geomspace(0.2, waves.max() * 1.01, 60)
    root = lognormal_root(
        np.interp(waves, k, slab_power(power, k)) * np.exp(-((waves * SMOOTHING_MPC_H) ** 2)), side_px
    )
    number, bias = halo_numbers(omega_m, power)
    matter_kernel, gas_kernel = _kernels(parameters, code, side_px)
    cells = side_px**2
    maps = np.empty((n_maps, 2, side_px, side_px))
    for one in maps:
        field = fft.irfft2(fft.rfft2(rng.normal(size=(side_px, side_px))) * root, (side_px, side_px))
        field -= 0.5 * field.var()
        counts = np.zeros((len(number), cells))
        for halo, (n, b) in enumerate(zip(rng.poisson(number * SLAB_MPC_H * BOX_MPC_H**2), bias, strict=True)):
            if n:
                chance = np.cumsum(np.exp(np.clip(b, 0, 6) * field).ravel())
                place = np.searchsorted(chance, rng.uniform(size=n) * chance[-1]).clip(0, cells - 1)
                np.add.at(counts[halo], place, 1)
        seen = fft.rfft2(counts.reshape(-1, side_px, side_px))
        haloes, gas = (fft.irfft2((seen * kernel).sum(0), (side_px, side_px)) for kernel in (matter_kernel, gas_kernel))
        area = (BOX_MPC_H / side_px) ** 2
        smooth = omega_m * CRITICAL_DENSITY - np.exp(LN_MASSES) @ number
        one[0] = haloes / area + smooth * SLAB_MPC_H * np.exp(field) / np.exp(field).mean()
        one[1] = gas / (area * SLAB_MPC_H) * 1e-9 + 30 * np.exp(field)  # kpc^-3; a warm floor between haloes
    return maps.astype(np.float32)


def _kernels(parameters: np.ndarray, code: str, side_px: int) -> tuple[np.ndarray, np.ndarray]:
    """What a halo of each mass adds to the pixels around it, in Fourier space (n_masses, side, side // 2 + 1): mass,
    and volume times pressure. Kernels are made in real space, where they are positive, so that nothing rings."""
    omega_m, mass, radius = parameters[0], np.exp(LN_MASSES), virial_radius(parameters[0])
    kept, baryons = gas_share(parameters, code), OMEGA_B / omega_m
    pixel = BOX_MPC_H / side_px
    offset = pixel * fft.fftfreq(side_px, 1 / side_px)
    distance = np.hypot(np.hypot(offset[:, None], offset), 0.35 * pixel)  # ASSUME: a halo fills about a pixel
    ends = np.geomspace(0.3 * pixel, BOX_MPC_H, 60)

    def on_pixels(columns):
        image = np.stack([np.interp(distance, ends, one) for one in columns])
        return fft.rfft2(image / image.sum((1, 2), keepdims=True))

    bound = on_pixels(projected(nfw, radius, 1.0, ends) + 1e-12 * (ends < 0.4 * pixel))
    inner = on_pixels(projected(hot_gas, radius, 3.0, ends) + 1e-12 * (ends < 0.4 * pixel))
    gone = on_pixels(np.exp(-0.5 * (ends / (CODES[code]["reach"] * np.maximum(radius, 0.1))[:, None]) ** 2))
    expelled = (baryons * (1 - kept))[:, None, None]
    matter = mass[:, None, None] * ((1 - expelled) * bound + expelled * gone)
    velocity2 = GRAVITY * mass / radius / 2 * (mass / 1e12) ** CODES[code]["slope"] * CODES[code]["pressure"]
    heated = 0.3 * parameters[3] ** 0.5 * (1 - kept)
    hot = kept[:, None, None] * inner + heated[:, None, None] * gone
    return matter, (baryons * mass * velocity2)[:, None, None] * hot


def simulate_profiles(parameters: np.ndarray, code: str, radius_mpc: np.ndarray, rng) -> tuple[np.ndarray, np.ndarray]:
    """Mean gas profiles (n, 2, 4, n_radii) of haloes of 10^11 to 10^11.5 and to 10^12 Msun of a box of 25 Mpc/h, with
    the scatter of few haloes, and how many there are (n, 2); density, pressure, metallicity, temperature."""
    profiles, counts = np.empty((len(parameters), 2, 4, len(radius_mpc))), np.empty((len(parameters), 2), int)
    log_mass = LN_MASSES / np.log(10) - np.log10(HUBBLE)
    for one, (profile, count) in zip(parameters, zip(profiles, counts, strict=True), strict=True):
        number = halo_numbers(one[0], linear_power(*one[:2]))[0] * BOX_MPC_H**3
        kept, radii = gas_share(one, code), virial_radius(one[0]) / HUBBLE
        for part in range(2):
            inside = (log_mass >= 11 + part / 2) & (log_mass < 11.5 + part / 2)
            count[part] = max(rng.poisson(number[inside].sum()), 1)
            mass, size = (float(np.average(v[inside], weights=number[inside])) for v in (np.exp(LN_MASSES), radii))
            share = float(np.average(kept[inside], weights=number[inside]))
            x = 3 * radius_mpc / size
            spread = CODES[code]["reach"]
            gas = share * x**-0.4 * (1 + x) ** -2.2 + (1 - share) * np.exp(-0.5 * (x / 3 / spread) ** 2) / spread**2
            density = OMEGA_B / one[0] * mass / (4 * np.pi * (1000 * size / 3) ** 3) * gas
            heat = 4.8e5 * (mass / 1e12) ** (2 / 3) * one[3] ** 0.2 * CODES[code]["pressure"] * (1 + x) ** -0.5
            metals = 0.02 * one[2] ** -0.3 * share**0.2 * (1 + x) ** -0.7
            profile[part] = density, density * heat, metals, heat
        profile *= np.exp(rng.normal(0, 0.25, (2, 4, 1)) / np.sqrt(count)[:, None, None])
        profile *= np.exp(rng.normal(0, 0.2, profile.shape) / np.sqrt(count)[:, None, None])
    return profiles, counts
