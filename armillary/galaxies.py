"""What a galaxy or a star looks like: magnitudes, colours, sizes and shapes, all drawn as whole arrays.

Red galaxies follow the red sequence of a table in `resources/`; blue ones are a bluer, broader copy.
Magnitudes are measured from the characteristic magnitude m*(z): offset = m - m*.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import exp1

from armillary.cosmology import ARCSEC_PER_RADIAN, angular_diameter_distance_mpc

ZERO_POINT = 30.0
BANDS = ("g", "r", "i", "z")

# redMaPPer counts members brighter than 0.2 L*: offset 1.75.
MEMBER_OFFSET = -2.5 * np.log10(0.2)
COLOUR_SCATTER_MAG = np.array([0.05, 0.03, 0.03])
COLOUR_CORRELATION = 0.9

# Stellar locus, blue to red dwarfs, and how many stars lie at or before each knot.
# ASSUME: the locus and its density (a blue halo, a red disc population) as remembered for high latitude.
_LOCUS_GR = np.array([0.20, 0.35, 0.50, 0.80, 1.20, 1.40, 1.45, 1.50])
_LOCUS_RI = np.array([0.05, 0.10, 0.17, 0.30, 0.50, 0.85, 1.30, 1.80])
_LOCUS_IZ = np.array([0.00, 0.02, 0.06, 0.14, 0.25, 0.42, 0.65, 0.90])
_LOCUS_CUMULATIVE = np.array([0.00, 0.12, 0.32, 0.45, 0.55, 0.75, 0.93, 1.00])

_OFFSETS = np.linspace(-4.0, 14.0, 1801)
_ABOVE = exp1(10 ** (-0.4 * _OFFSETS))


class RedSequence(NamedTuple):
    """Mean colours (n, 3) g-r, r-i, i-z and m* in i against redshift (n,)."""

    redshift: np.ndarray
    colours: np.ndarray
    mstar_i: np.ndarray


def prepare_red_sequence(table, survey: str) -> RedSequence:
    """The red sequence of one survey from the table (columns survey redshift gr ri iz mstar_i)."""
    rows = table[table["survey"] == survey].sort_values("redshift")
    if rows.empty:
        known = ", ".join(sorted(set(table["survey"])))
        raise ValueError(
            f"survey {survey!r} has no rows in the red-sequence table; it has {known} (config key `survey`)"
        )
    return RedSequence(rows["redshift"].to_numpy(), rows[["gr", "ri", "iz"]].to_numpy(), rows["mstar_i"].to_numpy())


def mstar_i(red_sequence: RedSequence, redshift) -> np.ndarray:
    """Characteristic i magnitude; linear in ln z, and beyond the table fainter with its last slope."""
    ln_redshift, knots = np.log(np.maximum(redshift, 1e-3)), np.log(red_sequence.redshift)
    magnitude = np.interp(ln_redshift, knots, red_sequence.mstar_i)
    slope = np.diff(red_sequence.mstar_i[-4:]).sum() / (knots[-1] - knots[-4])
    return magnitude + np.maximum(ln_redshift - knots[-1], 0.0) * slope


def red_colours(red_sequence: RedSequence, redshift) -> np.ndarray:
    """Mean red-sequence colours g-r, r-i, i-z, (n, 3); constant beyond the table."""
    return np.stack([np.interp(redshift, red_sequence.redshift, c) for c in red_sequence.colours.T], axis=-1)


def red_ln_flux(red_sequence: RedSequence, redshift: np.ndarray, bands: list[str]) -> np.ndarray:
    """ln counts at zero point 30 of an L* red galaxy, (n_redshifts, n_bands), bands out of g r i z."""
    gr, ri, iz = red_colours(red_sequence, redshift).T
    from_i = {"g": gr + ri, "r": ri, "i": 0.0 * gr, "z": -iz}
    magnitude = mstar_i(red_sequence, redshift)[:, None] + np.stack([from_i[band] for band in bands], 1)
    return 0.4 * np.log(10) * (ZERO_POINT - magnitude)


def sample_colours(rng: np.random.Generator, red_sequence: RedSequence, redshift, is_red, scatter=1.0) -> np.ndarray:
    """Colours (n, 3) of red and blue galaxies; `scatter` multiplies the red sequence's own width.

    # ASSUME: a blue galaxy has a fraction 0.55 +- 0.12 of the red-sequence colours at its redshift (one
    # fraction for its three colours: its star formation), plus 0.06 mag of independent scatter.
    """
    n_galaxies = len(redshift)
    normal = rng.standard_normal((n_galaxies, 4))
    common = np.sqrt(COLOUR_CORRELATION) * normal[:, :1] + np.sqrt(1.0 - COLOUR_CORRELATION) * normal[:, 1:]
    mean = red_colours(red_sequence, redshift)
    red = mean + COLOUR_SCATTER_MAG * np.reshape(scatter, (-1, 1)) * common
    blue = mean * np.clip(0.55 + 0.12 * normal[:, :1], 0.2, 0.95) + 0.06 * normal[:, 1:]
    return np.where(np.reshape(is_red, (-1, 1)), red, blue)


def sample_star_colours(rng: np.random.Generator, n_stars: int) -> np.ndarray:
    """Colours g-r, r-i, i-z (n, 3) along the stellar locus with 0.04 mag of scatter."""
    place = rng.uniform(size=n_stars)
    knots = np.stack([np.interp(place, _LOCUS_CUMULATIVE, c) for c in (_LOCUS_GR, _LOCUS_RI, _LOCUS_IZ)], axis=-1)
    return knots + 0.04 * rng.standard_normal((n_stars, 3))


def fluxes_of(magnitude_i: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Counts at zero point 30 in g, r, i, z (n, 4) from i magnitudes (n,) and colours (n, 3)."""
    r = magnitude_i + colours[:, 1]
    magnitudes = np.stack([r + colours[:, 0], r, magnitude_i, magnitude_i - colours[:, 2]], axis=-1)
    return 10 ** (0.4 * (ZERO_POINT - magnitudes))


def schechter_number(offset_bright, offset_faint) -> np.ndarray:
    """Galaxies between two offsets per phi*, Schechter with alpha = -1: E1(L_faint) - E1(L_bright)."""
    return np.interp(offset_faint, _OFFSETS, _ABOVE) - np.interp(offset_bright, _OFFSETS, _ABOVE)


def schechter_density(offset) -> np.ndarray:
    """Galaxies per magnitude and phi* at an offset, alpha = -1: 0.4 ln 10 exp(-L / L*)."""
    return 0.4 * np.log(10.0) * np.exp(-(10 ** (-0.4 * np.asarray(offset))))


def sample_schechter(rng: np.random.Generator, offset_bright, offset_faint, n_galaxies: int) -> np.ndarray:
    """Offsets m - m* of a Schechter function with alpha = -1 between two offsets (scalars or (n,))."""
    bright, faint = (np.interp(o, _OFFSETS, _ABOVE) for o in (offset_bright, offset_faint))
    return np.interp(bright + (faint - bright) * rng.uniform(size=n_galaxies), _ABOVE, _OFFSETS)


def central_offset(rng: np.random.Generator, richness: np.ndarray) -> np.ndarray:
    """m_central - m*: -1.395 - 0.293 ln(lambda / 30) with scatter 0.382 (redMaPPer's SDSS calibration)."""
    return -1.395 - 0.293 * np.log(richness / 30.0) + 0.382 * rng.standard_normal(len(richness))


def red_fraction_in_haloes(offset) -> np.ndarray:
    """Share of red galaxies within R_lambda: 0.65 at 0.2 L*, more when brighter, less when fainter.

    # ASSUME: linear in magnitude, 0.09 per magnitude, between 0.3 and 0.9.
    """
    return np.clip(0.65 - 0.09 * (np.asarray(offset) - MEMBER_OFFSET), 0.3, 0.9)


def red_fraction_in_field(offset) -> np.ndarray:
    """Share of red galaxies in the field, about 25 % of all with i < 22.5.

    # ASSUME: linear in magnitude between 0.04 and 0.85.
    """
    return np.clip(0.52 - 0.13 * np.asarray(offset), 0.04, 0.85)


def sample_sizes_arcsec(rng: np.random.Generator, redshift, offset, is_red, is_central) -> np.ndarray:
    """Circularised half-light radii in arcsec, log-normal (0.35 in ln) about a size-luminosity relation.

    # ASSUME: 4.5 kpc (L/L*)^0.55 for red and 5 kpc (L/L*)^0.3 for blue galaxies at z = 0, both shrinking as
    # (1 + z)^-0.75; faint red galaxies stop shrinking at 1.2 kpc; centrals are 1.4 times larger.
    """
    ln_luminosity = -0.4 * np.log(10.0) * np.asarray(offset)
    red_kpc = np.maximum(4.5 * np.exp(0.55 * ln_luminosity), 1.2)
    blue_kpc = np.maximum(5.0 * np.exp(0.30 * ln_luminosity), 1.0)
    kpc = np.where(is_red, red_kpc, blue_kpc) * np.where(is_central, 1.4, 1.0) * (1.0 + redshift) ** -0.75
    kpc = kpc * np.exp(0.35 * rng.standard_normal(len(kpc)))
    arcsec = kpc * 1e-3 / angular_diameter_distance_mpc(np.maximum(redshift, 0.01)) * ARCSEC_PER_RADIAN
    return np.clip(arcsec, 0.05, 10.0)


def sample_shears(rng: np.random.Generator, sigma: np.ndarray, limit: float = 0.8) -> np.ndarray:
    """Reduced shears (n, 2) with `sigma` (n,) per component; those beyond `limit` are drawn again by folding.

    The modulus of a two-dimensional normal is Rayleigh; its distribution function is inverted on the
    range below `limit`, so the truncation is exact and takes one draw.
    """
    n_galaxies = len(sigma)
    share_below = -np.expm1(-0.5 * (limit / sigma) ** 2)
    modulus = sigma * np.sqrt(-2.0 * np.log1p(-share_below * rng.uniform(size=n_galaxies)))
    angle = rng.uniform(0.0, 2.0 * np.pi, n_galaxies)
    return np.stack([modulus * np.cos(angle), modulus * np.sin(angle)], axis=-1)


def sample_bulge_fractions(rng: np.random.Generator, is_red, is_central) -> np.ndarray:
    """De Vaucouleurs flux fractions in steps of 0.1: red 0.6 to 1, blue 0 to 0.4, centrals 1."""
    tenths = np.where(is_red, rng.integers(6, 11, len(is_red)), rng.integers(0, 5, len(is_red)))
    return np.where(is_central, 10, tenths) / 10.0
