"""Galaxies of a halo: how many, how bright, how far from the centre.

The richness of a halo is the number of its red galaxies brighter than 0.2 L* within R_lambda. They follow
a projected NFW profile with a core, as redMaPPer's filter does; fainter red and blue galaxies are added.
"""

import numpy as np

from armillary.cosmology import (
    HUBBLE_H,
    LIGHT_SPEED_KM_S,
    expansion_rate_km_s_mpc,
    matter_fraction,
    pixels_per_mpc,
    richness_radius_mpc,
)
from armillary.galaxies import (
    MEMBER_OFFSET,
    RedSequence,
    central_offset,
    mstar_i,
    red_fraction_in_haloes,
    sample_schechter,
    schechter_density,
    schechter_number,
)

SCALE_RADIUS_MPC = 0.15 / HUBBLE_H
CORE_RADIUS_MPC = 0.10 / HUBBLE_H
SOFT_EDGE_MPC = 0.05 / HUBBLE_H
BLUE_EXTENT = 1.5
BRIGHTEST_OFFSET = -2.5

# Evrard et al. (2008), ApJ 672, 122, abstract: velocity dispersion of dark matter at h(z) M200c = 1e15 Msun, and slope.
SIGMA_15_KM_S, SIGMA_SLOPE = 1082.9, 0.3361

# ln(M200c / M200m) = sum_jk c_jk u^j w^k, u = log10(M200m / 1e14 Msun), w = 1 - Omega_m(z): NFW haloes with the
# concentrations of Diemer & Joyce (2019) as colossus has them, fitted to 1 % at 3e12 < M200m / Msun < 4e15, z < 1.2.
_LN_CRITICAL = np.array([[-0.0102, -0.3142, -0.2346], [0.0056, 0.0009, -0.0906], [-0.0015, 0.0444, -0.0483]])
_LOG10_MASS_RANGE = (12.5, 15.6)

_RADII_MPC = np.linspace(0.0, 4.0, 4001)


def critical_mass_msun(mass_msun, redshift) -> np.ndarray:
    """M200c in Msun (200 times the critical density) of haloes of M200m (200 times the mean density), within 1 %."""
    log10_mass = np.clip(np.log10(mass_msun), *_LOG10_MASS_RANGE) - 14.0
    log10_mass, vacuum_fraction = np.broadcast_arrays(log10_mass, 1.0 - matter_fraction(redshift))
    ln_ratio = np.polynomial.polynomial.polyval2d(log10_mass, vacuum_fraction, _LN_CRITICAL)
    return mass_msun * np.exp(ln_ratio)


def velocity_dispersion_km_s(critical_mass_msun, redshift) -> np.ndarray:
    """sigma_v = 1082.9 km/s (h(z) M200c / 1e15 Msun)^0.3361, h(z) = H(z) / 100 km/s/Mpc. Evrard et al. (2008).

    # ASSUME: galaxies have the velocity dispersion of the dark matter.
    """
    scaled_mass = expansion_rate_km_s_mpc(redshift) / 100.0 * critical_mass_msun / 1e15
    return SIGMA_15_KM_S * scaled_mass**SIGMA_SLOPE


def nfw_surface_density(radius_mpc) -> np.ndarray:
    """Projected NFW profile, unnormalised, constant inside the core. Eq. (11), Bartelmann (1996).

    Sigma(x) = f(x) / (x^2 - 1), f = 1 - 2 / sqrt(x^2 - 1) arctan sqrt((x - 1) / (x + 1)), x = R / r_s.
    """
    x = np.maximum(radius_mpc, CORE_RADIUS_MPC) / SCALE_RADIUS_MPC
    x = np.where(np.abs(x - 1.0) < 1e-4, 1.0001, x)
    root = np.sqrt(np.abs(x**2 - 1.0))
    ratio = np.sqrt(np.abs((x - 1.0) / (x + 1.0)))
    angle = np.where(x > 1.0, np.arctan(ratio), np.arctanh(np.minimum(ratio, 1.0 - 1e-12)))
    return (1.0 - 2.0 / root * angle) / (x**2 - 1.0)


def _cumulative() -> np.ndarray:
    ring = nfw_surface_density(_RADII_MPC) * _RADII_MPC
    return np.concatenate([[0.0], np.cumsum(0.5 * (ring[1:] + ring[:-1]))])


_WITHIN = _cumulative()


def share_within(radius_mpc, reference_mpc) -> np.ndarray:
    """Number inside a radius relative to the number inside a reference radius."""
    return np.interp(radius_mpc, _RADII_MPC, _WITHIN) / np.interp(reference_mpc, _RADII_MPC, _WITHIN)


def sample_radii_mpc(rng: np.random.Generator, edge_mpc: np.ndarray) -> np.ndarray:
    """Projected radii (n,) of galaxies whose halo ends softly at `edge_mpc` (n,).

    Each galaxy's own edge scatters by 0.05 h^-1 Mpc, which multiplies the profile by redMaPPer's
    1/2 (1 - erf((R - edge) / (sqrt(2) 0.05))). Eq. (7), Rykoff et al. (2014).
    """
    edge = edge_mpc + SOFT_EDGE_MPC * rng.standard_normal(len(edge_mpc))
    enclosed = np.interp(np.maximum(edge, 0.0), _RADII_MPC, _WITHIN)
    return np.interp(rng.uniform(size=len(edge)) * enclosed, _WITHIN, _RADII_MPC)


def blue_per_red(offset_faint) -> np.ndarray:
    """Blue galaxies within R_lambda and above a limit, per red galaxy above 0.2 L*, (n,)."""
    offsets = np.linspace(BRIGHTEST_OFFSET, 12.0, 581)
    fraction = red_fraction_in_haloes(offsets)
    density = schechter_density(offsets) * (1.0 - fraction) / fraction
    number = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1])) * (offsets[1] - offsets[0])])
    return np.interp(offset_faint, offsets, number) / schechter_number(BRIGHTEST_OFFSET, MEMBER_OFFSET)


def faint_red_per_red(offset_faint) -> np.ndarray:
    """Red galaxies fainter than 0.2 L* and above a limit, per red galaxy above 0.2 L*, (n,)."""
    faint = schechter_number(MEMBER_OFFSET, np.maximum(offset_faint, MEMBER_OFFSET))
    return faint / schechter_number(BRIGHTEST_OFFSET, MEMBER_OFFSET)


def halo_galaxy_density(offset, is_red: bool) -> np.ndarray:
    """Mean galaxies per magnitude at an offset, per unit richness, of a halo out to where they end."""
    density = schechter_density(offset) / schechter_number(BRIGHTEST_OFFSET, MEMBER_OFFSET)
    if is_red:
        return density
    fraction = red_fraction_in_haloes(offset)
    radius = richness_radius_mpc(10.0)
    return density * (1.0 - fraction) / fraction * share_within(BLUE_EXTENT * radius, radius)


def sample_members(
    rng: np.random.Generator,
    haloes: dict[str, np.ndarray],
    red_sequence: RedSequence,
    i_magnitude_limit: float,
    pixel_arcsec: float,
) -> dict[str, np.ndarray]:
    """Every galaxy of every halo that is brighter than the limit.

    Columns: halo x y redshift offset magnitude_i is_red is_central is_member.

    `halo` indexes `haloes` (columns x, y, redshift, richness, mass_msun). `is_member` marks red galaxies
    brighter than 0.2 L* within R_lambda. The central sits in the centre and is one of the members.
    """
    limit = i_magnitude_limit - mstar_i(red_sequence, haloes["redshift"])
    parts = [
        _centrals(rng, haloes),
        _bright_red(rng, haloes),
        _faint_red(rng, haloes, limit),
        _blue(rng, haloes, limit),
    ]
    galaxies = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    kept = galaxies["offset"] < limit[galaxies["halo"]]
    galaxies = {name: column[kept] for name, column in galaxies.items()}
    galaxies["magnitude_i"] = i_magnitude_limit + galaxies["offset"] - limit[galaxies["halo"]]
    return galaxies | _place(rng, haloes, galaxies, pixel_arcsec)


def _centrals(rng, haloes) -> dict[str, np.ndarray]:
    n_haloes = len(haloes["richness"])
    return _part(
        np.arange(n_haloes),
        central_offset(rng, haloes["richness"]),
        np.zeros(n_haloes),
        red=True,
        central=True,
    )


def _bright_red(rng, haloes) -> dict[str, np.ndarray]:
    """Satellites above 0.2 L*: richness rounded up or down at random, less the central."""
    richness = haloes["richness"]
    halo = np.repeat(np.arange(len(richness)), np.floor(richness + rng.uniform(size=len(richness))).astype(int) - 1)
    offset = sample_schechter(rng, BRIGHTEST_OFFSET, MEMBER_OFFSET, len(halo))
    return _part(halo, offset, sample_radii_mpc(rng, richness_radius_mpc(richness[halo])), red=True)


def _faint_red(rng, haloes, limit) -> dict[str, np.ndarray]:
    n_faint = rng.poisson(haloes["richness"] * faint_red_per_red(limit))
    halo = np.repeat(np.arange(len(n_faint)), n_faint)
    offset = sample_schechter(rng, MEMBER_OFFSET, np.maximum(limit, MEMBER_OFFSET)[halo], len(halo))
    return _part(halo, offset, sample_radii_mpc(rng, richness_radius_mpc(haloes["richness"][halo])), red=True)


def _blue(rng, haloes, limit) -> dict[str, np.ndarray]:
    """Blue galaxies out to 1.5 R_lambda: Schechter draws thinned by the ratio of blue to red."""
    radius = richness_radius_mpc(haloes["richness"])
    most = 1.0 / red_fraction_in_haloes(12.0) - 1.0
    per_red = schechter_number(BRIGHTEST_OFFSET, limit) / schechter_number(BRIGHTEST_OFFSET, MEMBER_OFFSET)
    n_tried = rng.poisson(haloes["richness"] * per_red * most * share_within(BLUE_EXTENT * radius, radius))
    halo = np.repeat(np.arange(len(n_tried)), n_tried)
    offset = sample_schechter(rng, BRIGHTEST_OFFSET, limit[halo], len(halo))
    kept = rng.uniform(size=len(halo)) * most < 1.0 / red_fraction_in_haloes(offset) - 1.0
    halo, offset = halo[kept], offset[kept]
    return _part(halo, offset, sample_radii_mpc(rng, BLUE_EXTENT * radius[halo]), red=False)


def _part(halo, offset, radius_mpc, *, red: bool, central: bool = False) -> dict[str, np.ndarray]:
    flags = {"is_red": np.full(len(halo), red), "is_central": np.full(len(halo), central)}
    return {"halo": halo, "offset": offset, "radius_mpc": radius_mpc, **flags}


def _place(rng, haloes, galaxies, pixel_arcsec: float) -> dict[str, np.ndarray]:
    """Positions at random angles, redshifts with the halo's velocity dispersion, and the member flag."""
    halo, radius = galaxies["halo"], galaxies["radius_mpc"]
    redshift, richness = haloes["redshift"][halo], haloes["richness"][halo]
    angle = rng.uniform(0.0, 2.0 * np.pi, len(halo))
    radius_px = radius * pixels_per_mpc(redshift, pixel_arcsec)
    mass_msun = critical_mass_msun(haloes["mass_msun"], haloes["redshift"])
    sigma_km_s = velocity_dispersion_km_s(mass_msun, haloes["redshift"])[halo]
    velocity = sigma_km_s / LIGHT_SPEED_KM_S * rng.standard_normal(len(halo)) * ~galaxies["is_central"]
    is_bright = (galaxies["offset"] < MEMBER_OFFSET) & galaxies["is_red"]
    return {
        "x": haloes["x"][halo] + radius_px * np.cos(angle),
        "y": haloes["y"][halo] + radius_px * np.sin(angle),
        "redshift": redshift + (1.0 + redshift) * velocity,
        "is_member": is_bright & (radius < richness_radius_mpc(richness)),
    }
