"""The limit: photometry where the true haloes are known.

Tiles: position, redshift and richness of every true halo are given, and memberships are computed from the true profile
and the colour model of true members on the measured photometry. No finder can beat that. Clusters: candidates are all
true haloes at their true positions and redshifts; the richness of each is measured there from the photometry, all
others known, and the probability of a cluster comes from that. So it misses and invents no halo, and errs only by
ranking; a finder that ranks by more than richness may come near it, or, at one purity, pass it.
It goes through the finder's functions and is calibrated on the same fields by the same fits.
"""

import numpy as np
import pandas as pd

from armillary.cosmology import pixels_per_mpc
from armillary.finder import (
    FULL_PROBABILITY,
    MEASURED_COLUMNS,
    NO_MEMBERS,
    expected_members,
    member_probabilities,
    solve_richness,
)
from armillary.finder_filters import PROFILE_RADII_MPC, member_odds, radial_tables, rings_inside
from armillary.galaxies import MEMBER_OFFSET
from armillary.haloes import RICHNESS_CLUSTER
from armillary.members import SCALE_RADIUS_MPC

REDSHIFT_ERROR = 1e-3  # given with the true redshifts: an error of 0 divides nothing


def limit_of(finder: dict) -> dict:
    """The finder with the simulation's own profile and magnitude limit, to be calibrated for the true haloes."""
    return {**finder, "scale_radius_mpc": SCALE_RADIUS_MPC, "faint_limit_mag": MEMBER_OFFSET}


def at_redshifts(finder: dict, redshift) -> dict:
    """The finder with its tables at given redshifts (H,) in place of its grid, linear in between."""
    grid = finder["redshift"]
    position = np.interp(redshift, grid, np.arange(len(grid)))
    low = np.minimum(position.astype(int), len(grid) - 2)
    share = position - low
    at_halo = {
        name: np.einsum("h,h...->h...", 1 - share, finder[name][low])
        + np.einsum("h,h...->h...", share, finder[name][low + 1])
        for name in ("colour_mean", "colour_slope", "mstar_i", "background")
    }
    return {**finder, **at_halo, "redshift": redshift, "tables": radial_tables(finder["scale_radius_mpc"])}


def radii_mpc(galaxies, haloes, finder: dict) -> np.ndarray:
    """Projected distances (H, N) in Mpc of galaxies from haloes."""
    x, y, redshift = (haloes[name].to_numpy(float)[:, None] for name in ("x", "y", "redshift"))
    pixels = np.hypot(galaxies["x"].to_numpy(float) - x, galaxies["y"].to_numpy(float) - y)
    return pixels / pixels_per_mpc(redshift, finder["pixel_arcsec"])


def odds_of_haloes(galaxies, truth, limit: dict) -> tuple[dict, np.ndarray, np.ndarray, np.ndarray]:
    """The limit at the haloes' redshifts, distances (H, N) in Mpc of galaxies, their odds (H, N) of `member_odds`, and,
    with the true richness, their odds (H, N) of being a member of each halo over background."""
    here = at_redshifts(limit, truth["redshift"].to_numpy(float))
    odds, radius = member_odds(galaxies, here)[0].T, radii_mpc(galaxies, truth, limit)
    profile = np.interp(radius, PROFILE_RADII_MPC, here["tables"][0])
    p = member_probabilities(truth["richness"].to_numpy(float), profile, radius, odds, here)
    return here, radius, odds, p / np.maximum(1 - p, 1e-6)


def limit_tile_features(galaxies, truth, limit: dict, image_size: int, tile_size: int) -> np.ndarray:
    """`finder.tile_features` (T, T, 2) of the true haloes of a field.

    A galaxy is a member of any cluster with the odds of all clusters over background and groups. The tile of a
    cluster's centre holds its central galaxy.
    """
    n_tiles = image_size // tile_size
    clusters = truth[truth["richness"] >= RICHNESS_CLUSTER]
    both = np.zeros((2, n_tiles, n_tiles))
    if len(galaxies) and len(truth):
        *_, ratio = odds_of_haloes(galaxies, truth, limit)
        is_cluster = (truth["richness"] >= RICHNESS_CLUSTER).to_numpy()
        over_rest = ratio[is_cluster].sum(0) / (1 + ratio[~is_cluster].sum(0))
        row, column = (np.clip(galaxies[axis] // tile_size, 0, n_tiles - 1).astype(int) for axis in "yx")
        np.add.at(both[0], (row, column), np.log1p(over_rest))
    both[1] = expected_members(clusters.assign(probability=1.0), limit, image_size, tile_size)
    centred = clusters[clusters["x"].between(0, image_size, "left") & clusters["y"].between(0, image_size, "left")]
    row, column = (centred[axis].to_numpy(float) // tile_size for axis in "yx")
    np.add.at(both[0], (row.astype(int), column.astype(int)), -np.log1p(-FULL_PROBABILITY))
    return np.log(np.moveaxis(both, 0, -1) + NO_MEMBERS)


def measure_haloes(galaxies, truth, limit: dict, image_size: int) -> pd.DataFrame:
    """MEASURED_COLUMNS of the true haloes that are centred in the image: true positions and redshifts, richness and
    likelihood from the photometry. To each halo the members of all others, also outside, are background."""
    here, radius, odds, ratio = odds_of_haloes(galaxies, truth, limit)
    everything, rows = np.ones(len(galaxies)), []
    for k, halo in enumerate(truth.itertuples()):
        rings = rings_inside(np.array([halo.x]), np.array([halo.y]), halo.redshift, here, image_size)
        over_rest = odds[k] / (1 + ratio.sum(0) - ratio[k])
        richness, likelihood, inside, _ = solve_richness(radius[[k]], over_rest, everything, rings, here)
        rows.append((halo.x, halo.y, halo.redshift, REDSHIFT_ERROR, richness[0], likelihood[0], inside[0]))
    table = pd.DataFrame(rows, columns=list(MEASURED_COLUMNS), dtype=float)
    return table[table["x"].between(0, image_size, "left") & table["y"].between(0, image_size, "left")]
