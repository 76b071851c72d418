"""What makes a galaxy a likely member of a cluster: filters in radius, magnitude and colour over a
background.

The three filters of redMaPPer (Rykoff et al. 2014, ApJ 785, 104): a projected NFW profile, a Schechter
function, and the chi-squared of the colours to the red sequence. Arrays over galaxies are (N,), over
galaxies and the finder's redshifts (N, Z).
"""

import numpy as np
from scipy.special import erf, gamma

from armillary.cosmology import HUBBLE_H, pixels_per_mpc, richness_radius_mpc
from armillary.photometry import COLOURS

CORE_RADIUS_MPC = 0.1 / HUBBLE_H  # the filter is flat inside
PROFILE_RADII_MPC = np.linspace(0, 3, 1501)
MAX_RICHNESS = 400.0
N_RINGS, N_ANGLES = 16, 16
MAX_CHI2 = 20.0
# ASSUME: one galaxy in twenty is a central, 1.4 mag brighter than m*, scatter 0.5 mag (Rykoff et al. 2014)
CENTRAL_SHARE, CENTRAL_OFFSET_MAG, CENTRAL_SCATTER_MAG = 0.05, -1.4, 0.5
UNKNOWN_VARIANCE = 1e4  # mag^2; a colour that was not measured tells nothing


def nfw_surface_density(radius_mpc, scale_mpc: float):
    """Projected NFW profile (arbitrary units), flat inside CORE_RADIUS_MPC. Eq. (11), Bartelmann (1996)."""
    x = np.maximum(radius_mpc, CORE_RADIUS_MPC) / scale_mpc
    x = np.where(np.abs(x - 1) < 1e-4, 1 + 1e-4, x)
    root = np.sqrt(np.abs(x**2 - 1))
    angle = np.where(
        x > 1,
        2 / root * np.arctan(root / (1 + x)),
        2 / root * np.arctanh(np.minimum(root / (1 + x), 1 - 1e-12)),
    )
    return (1 - angle) / (x**2 - 1)


def radial_tables(scale_mpc: float) -> tuple[np.ndarray, np.ndarray]:
    """Profile and its integral 2 pi R dR inside R, on PROFILE_RADII_MPC."""
    profile = nfw_surface_density(PROFILE_RADII_MPC, scale_mpc)
    ring = 2 * np.pi * PROFILE_RADII_MPC * profile
    inside = np.concatenate([[0.0], np.cumsum(0.5 * (ring[1:] + ring[:-1]) * np.diff(PROFILE_RADII_MPC))])
    return profile, inside


def luminosity_filter(mag, mag_error, mstar, faint_limit_mag: float):
    """Members per magnitude, unit integral down to m* + faint_limit_mag. Eq. (7), Rykoff et al. (2014),
    alpha = -1."""
    offset = mag - mstar
    grid = np.linspace(-5, faint_limit_mag, 400)
    norm = np.exp(-(10 ** (-0.4 * grid))).mean() * (faint_limit_mag + 5)
    schechter = np.exp(-(10 ** np.minimum(-0.4 * offset, 2.5))) / norm
    central = (
        np.exp(-0.5 * ((offset - CENTRAL_OFFSET_MAG) / CENTRAL_SCATTER_MAG) ** 2)
        / CENTRAL_SCATTER_MAG
        / np.sqrt(2 * np.pi)
    )
    edge = 0.5 * (1 - erf((offset - faint_limit_mag) / (np.sqrt(2) * np.maximum(mag_error, 0.02))))
    return ((1 - CENTRAL_SHARE) * schechter + CENTRAL_SHARE * central) * edge


def chi2_density(chi2, n_colours):
    """Probability density of chi2 with n_colours degrees of freedom."""
    half = np.maximum(n_colours, 1) / 2
    return np.maximum(chi2, 1e-3) ** (half - 1) * np.exp(-chi2 / 2) / (2**half * gamma(half))


def colour_arrays(galaxies) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Colours (N, 3), their error covariance (N, 3, 3) with shared bands, and the number known (N,)."""
    names = [f"colour_{pair}" for pair in COLOURS]
    missing = [name for name in (*names, *(f"error_{band}" for band in "griz")) if name not in galaxies]
    if missing:
        raise ValueError(f"photometry has no column {', '.join(missing)}; clusters: bands decides which are measured")
    colours = galaxies[names].to_numpy(float)
    variance = galaxies[[f"error_{band}" for band in "griz"]].to_numpy(float) ** 2
    known = np.isfinite(colours) & np.isfinite(variance[:, :-1]) & np.isfinite(variance[:, 1:])
    filled = np.where(np.isfinite(variance), variance, 0)
    covariance = np.zeros((len(colours), 3, 3))
    for k in range(3):
        covariance[:, k, k] = filled[:, k] + filled[:, k + 1]
    for k in range(2):
        covariance[:, k, k + 1] = covariance[:, k + 1, k] = -filled[:, k + 1]
    covariance = np.where(known[:, :, None] & known[:, None, :], covariance, 0)
    covariance[:, range(3), range(3)] += np.where(known, 0, UNKNOWN_VARIANCE)
    return np.where(known, colours, 0), covariance, known.sum(1)


def intrinsic_covariance(finder) -> np.ndarray:
    """Covariance (3, 3) of the red sequence's own colours, one correlation for its three pairs."""
    scatter, correlation = finder["colour_scatter"], finder["colour_correlation"]
    return np.outer(scatter, scatter) * (correlation + (1 - correlation) * np.eye(3))


def red_sequence_chi2(galaxies, finder) -> tuple[np.ndarray, np.ndarray]:
    """Chi-squared of every galaxy's colours to the red sequence at every redshift (N, Z), and degrees of
    freedom (N,)."""
    colours, covariance, n_colours = colour_arrays(galaxies)
    inverse = np.linalg.inv(covariance + intrinsic_covariance(finder) * finder["scatter_inflation"] ** 2)
    offset = np.clip(galaxies["mag_i"].to_numpy()[:, None] - finder["mstar_i"], -3, 3)  # (N, Z)
    mean = finder["colour_mean"] + finder["colour_slope"] * offset[:, :, None]  # (N, Z, 3)
    residual = colours[:, None, :] - mean
    return np.einsum("nzi,nzi->nz", np.matmul(residual, inverse), residual), n_colours


def background_density(finder, mag, chi2) -> np.ndarray:
    """Background galaxies per arcmin^2, magnitude and unit chi2 at each (N, Z)."""
    row = np.clip(np.searchsorted(finder["background_mag_edges"], mag) - 1, 0, len(finder["background_mag_edges"]) - 2)
    column = np.searchsorted(finder["background_chi2_edges"], chi2.ravel()) - 1
    column = np.clip(column, 0, len(finder["background_chi2_edges"]) - 2).reshape(chi2.shape)
    return finder["background"][np.arange(chi2.shape[1]), row[:, None], column]


def member_odds(galaxies, finder) -> tuple[np.ndarray, np.ndarray]:
    """phi rho / b of every galaxy at every redshift (N, Z), in Mpc^2: times a surface density of members
    per Mpc^2 it is the odds of member over background. And chi2 (N, Z)."""
    chi2, n_colours = red_sequence_chi2(galaxies, finder)
    mag = galaxies["mag_i"].to_numpy()
    light = luminosity_filter(
        mag[:, None],
        galaxies["mag_i_error"].to_numpy()[:, None],
        finder["mstar_i"],
        finder["faint_limit_mag"],
    )
    arcmin2_per_mpc2 = (pixels_per_mpc(finder["redshift"], finder["pixel_arcsec"]) * finder["pixel_arcsec"] / 60) ** 2
    background = background_density(finder, mag, chi2) * arcmin2_per_mpc2
    usable = (chi2 < MAX_CHI2) & (n_colours > 0)[:, None] & ~galaxies["is_star"].to_numpy(bool)[:, None]
    return np.where(usable, light * chi2_density(chi2, n_colours[:, None]) / background, 0.0), chi2


def rings_inside(x, y, redshift: float, finder, image_size: int) -> np.ndarray:
    """How much of the radial filter's first k rings of equal weight falls on the image, (C, N_RINGS + 1),
    in rings.

    x, y: centres (C,) in pixels. The outermost ring ends at the radius of MAX_RICHNESS."""
    inside = finder["tables"][1]
    total = np.interp(richness_radius_mpc(MAX_RICHNESS), PROFILE_RADII_MPC, inside)
    radii = np.interp((np.arange(N_RINGS) + 0.5) / N_RINGS * total, inside, PROFILE_RADII_MPC)
    angles = 2 * np.pi / N_ANGLES * (np.arange(N_ANGLES) + 0.5)
    scale = pixels_per_mpc(redshift, finder["pixel_arcsec"])
    px = np.asarray(x)[:, None, None] + radii[:, None] * np.cos(angles) * scale  # (C, rings, angles)
    py = np.asarray(y)[:, None, None] + radii[:, None] * np.sin(angles) * scale
    on_image = ((px >= 0) & (px < image_size) & (py >= 0) & (py < image_size)).mean(2)
    return np.concatenate([np.zeros((len(on_image), 1)), np.cumsum(on_image, 1)], 1)


def inside_fraction(richness, rings, finder) -> np.ndarray:
    """Share of the radial filter of each centre's richness (C,) that falls on the image, from
    `rings_inside`."""
    inside = finder["tables"][1]
    widest = np.interp(richness_radius_mpc(MAX_RICHNESS), PROFILE_RADII_MPC, inside)
    position = N_RINGS * np.interp(richness_radius_mpc(richness), PROFILE_RADII_MPC, inside) / widest
    whole = np.minimum(position.astype(int), N_RINGS - 1)
    row = np.arange(len(rings))
    before = rings[row, whole]
    return np.maximum((before + (position - whole) * (rings[row, whole + 1] - before)) / position, 0.02)
