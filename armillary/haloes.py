"""How many haloes of which mass, richness and redshift there are, and how we draw them.

The natural rate comes from the Tinker et al. (2008) mass function and a mass-richness relation with
scatter; a run usually draws clusters more often than nature and keeps the ratio as a weight.
A halo with richness >= 20 is a cluster, one with 5 <= richness < 20 a group.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from armillary.cosmology import (
    ARCSEC_PER_RADIAN,
    HUBBLE_H,
    HUBBLE_KM_S_MPC,
    LIGHT_SPEED_KM_S,
    OMEGA_MATTER,
    comoving_distance_mpc,
)

RICHNESS_MIN = 5.0
RICHNESS_CLUSTER = 20.0
RICHNESS_BOOSTED = 10.0  # smaller groups are drawn at their natural rate
RICHNESS_MAX = 200.0
ARCSEC_PER_DEG = 3600.0

# McClintock et al. (2019), MNRAS 482, 1352: <M200m | lambda, z> = M0 (lambda / 40)^F ((1 + z) / 1.35)^G
PIVOT_MASS_MSUN, RICHNESS_SLOPE, REDSHIFT_SLOPE = 3.081e14, 1.356, -0.30
RICHNESS_PIVOT, ONE_PLUS_REDSHIFT_PIVOT = 40.0, 1.35

# Richness function of DES Y3: dN / dln(lambda) ~ exp(a x + b x^2), x = ln(lambda / 20), for 20 < lambda < 200.
# Maximum-likelihood fit to the 17,882 clusters at 0.2 < z < 0.65 of DESy3_redmapper.csv.gz (abmantz/clusterdb).
# ASSUME: the list is complete above 20, and the shape does not change with redshift.
Y3_RICHNESS_SHAPE = (-1.6015, -0.6366)

# The published abundance of DES Y1 clusters (richness >= 20) is counted in this range of redshift.
COUNTED_REDSHIFT = (0.2, 0.65)

_LN_MASS = np.log(10.0) * np.linspace(11.8, 16.0, 106)
_LN_RICHNESS = np.log(np.geomspace(0.5, 500.0, 104))


class HaloRates(NamedTuple):
    """Haloes per deg^2 in cells of (ln richness, redshift), natural and as drawn: (n_richness, n_redshift).

    `mean_ln_mass` and `sigma_ln_mass` describe ln(M200m / Msun) at the centre of each cell.
    """

    ln_richness_edges: np.ndarray
    redshift_edges: np.ndarray
    natural: np.ndarray
    proposal: np.ndarray
    mean_ln_mass: np.ndarray
    sigma_ln_mass: np.ndarray


def mean_mass_msun(richness, redshift):
    """Mean M200m in Msun at a richness and redshift. Eq. (57), McClintock et al. (2019).

    # ASSUME: the relation, measured for richness >= 20, holds down to richness 5.
    """
    growth = ((1.0 + np.asarray(redshift)) / ONE_PLUS_REDSHIFT_PIVOT) ** REDSHIFT_SLOPE
    return PIVOT_MASS_MSUN * (np.asarray(richness) / RICHNESS_PIVOT) ** RICHNESS_SLOPE * growth


def richness_at_mean_mass(mass_msun, redshift):
    """The richness at which `mean_mass_msun` has this value: its inverse."""
    growth = ((1.0 + np.asarray(redshift)) / ONE_PLUS_REDSHIFT_PIVOT) ** REDSHIFT_SLOPE
    return RICHNESS_PIVOT * (np.asarray(mass_msun) / (PIVOT_MASS_MSUN * growth)) ** (1.0 / RICHNESS_SLOPE)


def richness_scatter(richness, sigma_intrinsic: float):
    """Standard deviation of ln richness at fixed mass: Var = sigma_intrinsic^2 + (lambda - 1) / lambda^2."""
    richness = np.asarray(richness, float)
    return np.sqrt(sigma_intrinsic**2 + np.maximum(richness - 1.0, 0.0) / richness**2)


def mass_function_per_deg2(ln_mass: np.ndarray, redshift: float) -> np.ndarray:
    """dN / (dlnM dz) per deg^2 at ln(M200m / Msun): Tinker et al. (2008) times the light cone's volume."""
    from colossus.lss import mass_function

    _set_cosmology()
    mass_msun_per_h = np.exp(ln_mass) * HUBBLE_H
    density = mass_function.massFunction(mass_msun_per_h, redshift, mdef="200m", model="tinker08", q_out="dndlnM")
    return density * HUBBLE_H**3 * _volume_mpc3_per_deg2(redshift)


@cache
def _set_cosmology() -> None:
    """Tell colossus our cosmology, once: each time anew it would tabulate sigma(R) again."""
    from colossus.cosmology import cosmology

    cosmology.setCosmology(
        "armillary",
        flat=True,
        H0=HUBBLE_KM_S_MPC,
        Om0=OMEGA_MATTER,
        Ob0=0.049,
        sigma8=0.81,
        ns=0.95,
        persistence="",
    )


def _volume_mpc3_per_deg2(redshift: float) -> float:
    """Comoving volume per unit redshift and deg^2. Eq. (28), Hogg (1999)."""
    expansion = np.sqrt(OMEGA_MATTER * (1.0 + redshift) ** 3 + 1.0 - OMEGA_MATTER)
    depth_mpc = LIGHT_SPEED_KM_S / (HUBBLE_KM_S_MPC * expansion)
    return depth_mpc * comoving_distance_mpc(redshift) ** 2 * (ARCSEC_PER_DEG / ARCSEC_PER_RADIAN) ** 2


def richness_function(redshift: float, sigma_intrinsic: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """dN / (dln lambda dz) per deg^2, and mean and scatter of ln(M200m), on the module's grid of ln richness.

    Richness scatters log-normally about a monotonic relation of mass. That relation is found by
    iteration so that the mean mass at fixed richness, which the scatter and the steep mass function
    lower (Eddington bias), is the measured one.
    """
    abundance = mass_function_per_deg2(_LN_MASS, redshift) * (_LN_MASS[1] - _LN_MASS[0])
    target = np.log(mean_mass_msun(np.exp(_LN_RICHNESS), redshift))
    ln_mass_of_richness = target.copy()
    for _ in range(8):
        joint = abundance * _richness_probability(ln_mass_of_richness, sigma_intrinsic)  # (n_richness, n_mass)
        mean_mass = joint @ np.exp(_LN_MASS) / joint.sum(axis=1)
        ln_mass_of_richness = _raised(ln_mass_of_richness, target - np.log(mean_mass))
    density = joint.sum(axis=1)
    mean = joint @ _LN_MASS / density
    variance = joint @ _LN_MASS**2 / density - mean**2
    return density, mean, np.sqrt(np.maximum(variance, 0.0))


def _raised(ln_mass_of_richness: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """One step of the iteration, smooth: a cubic in ln richness, held flat outside the fitted range."""
    fitted = (np.log(4.0) < _LN_RICHNESS) & (np.log(RICHNESS_MAX) > _LN_RICHNESS)
    cubic = np.polynomial.Polynomial.fit(_LN_RICHNESS[fitted], shift[fitted], 3)
    held = np.clip(_LN_RICHNESS, np.log(4.0), np.log(RICHNESS_MAX))
    return np.maximum.accumulate(ln_mass_of_richness + 0.7 * cubic(held))


def _richness_probability(ln_mass_of_richness: np.ndarray, sigma_intrinsic: float) -> np.ndarray:
    """p(ln lambda | M) on the grid, (n_richness, n_mass); each column integrates to 1 over ln lambda."""
    mean = np.interp(_LN_MASS, ln_mass_of_richness, _LN_RICHNESS)
    mean += np.maximum(_LN_MASS - ln_mass_of_richness[-1], 0.0) / RICHNESS_SLOPE
    mean += np.minimum(_LN_MASS - ln_mass_of_richness[0], 0.0) / RICHNESS_SLOPE
    sigma = richness_scatter(np.exp(np.maximum(mean, 0.0)), sigma_intrinsic)
    distance = (_LN_RICHNESS[:, None] - mean) / sigma
    return np.exp(-0.5 * distance**2) / (sigma * np.sqrt(2.0 * np.pi))


def halo_rates(
    *,
    image_deg2: float,
    cluster_rate: str = "boosted",
    n_clusters_per_field: float = 1.0,
    n_clusters_per_deg2: float = 4.5,
    group_boost: float = 1.0,
    richness_slope: float = 1.5,
    sigma_intrinsic: float = 0.2,
    redshift_min: float = 0.1,
    redshift_max: float = 0.75,
) -> HaloRates:
    """Natural and drawn haloes per deg^2 in cells of richness and redshift.

    The natural rate of clusters follows the richness function of DES Y3 (`y3_correction`); it is scaled to
    `n_clusters_per_deg2` at richness >= 20, 0.2 < z < 0.65.
    # ASSUME: DES Y1 counts (6504 clusters in about 1437 deg^2) rather than the mass function set the
    # normalisation; this mass function alone gives a quarter more (`unscaled_clusters_per_deg2`).

    Drawn at the boosted rate: clusters as in nature plus a part that is flatter (lambda^-richness_slope per ln lambda,
    square root of the natural redshift distribution) such that `n_clusters_per_field` are expected in an image of
    `image_deg2`; groups the oftener the easier they are taken for clusters, `group_boost` times their natural rate at
    richness 20, less by a power law down to richness 10 and not more below. As nature is a part of what is drawn, the
    weight natural / drawn of a cluster never exceeds 1.
    """
    ln_edges, redshift_edges = _edges(redshift_min, redshift_max)
    natural, mean, sigma = _natural_rates(ln_edges, redshift_edges, sigma_intrinsic)
    correction, clusters_per_deg2 = y3_correction(sigma_intrinsic)
    natural *= correction[:, None] * n_clusters_per_deg2 / clusters_per_deg2
    is_cluster = _centres(ln_edges) >= np.log(RICHNESS_CLUSTER)
    proposal = natural.copy()
    if cluster_rate == "boosted":
        proposal[~is_cluster] *= _group_boosts(_centres(ln_edges)[~is_cluster], group_boost)[:, None]
        shape = np.exp(-richness_slope * _centres(ln_edges) * is_cluster)[:, None] * np.diff(ln_edges)[:, None]
        shape = shape * is_cluster[:, None] * np.sqrt(natural[is_cluster].sum(axis=0))
        proposal += shape / shape.sum() * _missing_per_deg2(natural[is_cluster].sum(), n_clusters_per_field, image_deg2)
    elif cluster_rate != "natural":
        raise ValueError(f"cluster_rate is {cluster_rate!r}; use boosted or natural (config key `cluster_rate`)")
    return HaloRates(ln_edges, redshift_edges, natural, proposal, mean, sigma)


def unscaled_clusters_per_deg2(sigma_intrinsic: float) -> float:
    """Clusters per deg^2 (richness >= 20, 0.2 < z < 0.65) of mass function and mass-richness relation."""
    is_cluster, counted = _counted_rates(sigma_intrinsic)
    return float(counted[is_cluster].sum())


def y3_correction(sigma_intrinsic: float) -> tuple[np.ndarray, float]:
    """Factor (n_richness,) on the natural rates that makes richness follow DES Y3, and clusters per deg^2 after it.

    The mass function and a log-normal mass-richness relation give too few rich clusters: a share of 0.0020 above
    richness 100, where DES Y3 has 0.0074. The factor is 1 for groups and at richness 20, so groups join continuously;
    the mean mass at fixed richness stays as measured.
    """
    is_cluster, counted = _counted_rates(sigma_intrinsic)
    ln_edges, _ = _edges(*COUNTED_REDSHIFT)
    distance = _centres(ln_edges)[is_cluster] - np.log(RICHNESS_CLUSTER)
    ln_density = np.log(counted[is_cluster] / np.diff(ln_edges)[is_cluster])
    first, second = Y3_RICHNESS_SHAPE
    ln_factor = first * distance + second * distance**2 - ln_density
    at_20 = 1.5 * ln_factor[0] - 0.5 * ln_factor[1]  # from the centres of two cells to the edge that they begin at
    factor = np.ones(len(counted))
    factor[is_cluster] = np.exp(ln_factor - at_20)
    return factor, float((factor * counted)[is_cluster].sum())


def _counted_rates(sigma_intrinsic: float) -> tuple[np.ndarray, np.ndarray]:
    """Cluster flag and unscaled haloes per deg^2 at 0.2 < z < 0.65 of each richness cell, both (n_richness,)."""
    ln_edges, redshift_edges = _edges(*COUNTED_REDSHIFT)
    natural, _, _ = _natural_rates(ln_edges, redshift_edges, sigma_intrinsic)
    return _centres(ln_edges) >= np.log(RICHNESS_CLUSTER), natural.sum(axis=1)


def sample_haloes(rng: np.random.Generator, rates: HaloRates, area_deg2: float) -> dict[str, np.ndarray]:
    """A Poisson draw of haloes from `rates.proposal`: columns redshift, richness, mass_msun, weight."""
    cumulative = np.cumsum(rates.proposal.ravel())
    n_haloes = rng.poisson(cumulative[-1] * area_deg2)
    cell = np.searchsorted(cumulative, rng.uniform(0.0, cumulative[-1], n_haloes), side="right")
    row, column = np.unravel_index(np.minimum(cell, cumulative.size - 1), rates.proposal.shape)
    ln_richness = _within(rng, rates.ln_richness_edges, row)
    redshift = _within(rng, rates.redshift_edges, column)
    ln_mass = rates.mean_ln_mass[row, column] + rates.sigma_ln_mass[row, column] * rng.standard_normal(n_haloes)
    # Inside a cell the mass follows richness along the mean relation.
    ln_mass += RICHNESS_SLOPE * (ln_richness - _centres(rates.ln_richness_edges)[row])
    weight = rates.natural[row, column] / rates.proposal[row, column]
    return {
        "redshift": redshift,
        "richness": np.exp(ln_richness),
        "mass_msun": np.exp(ln_mass),
        "weight": weight,
    }


def groups_only(rates: HaloRates) -> HaloRates:
    """The same rates with no cluster drawn and groups at their natural rate."""
    is_cluster = _centres(rates.ln_richness_edges) >= np.log(RICHNESS_CLUSTER)
    return rates._replace(proposal=np.where(is_cluster[:, None], 0.0, rates.natural))


def _missing_per_deg2(natural_per_deg2: float, n_clusters_per_field: float, image_deg2: float) -> float:
    missing = n_clusters_per_field / image_deg2 - natural_per_deg2
    if missing <= 0.0:
        raise ValueError(
            f"n_clusters_per_field is {n_clusters_per_field}, below the natural "
            f"{natural_per_deg2 * image_deg2:.3f} of this image size; raise it "
            "or set `sample_catalog: cluster_rate: natural`"
        )
    return missing


def _group_boosts(ln_richness: np.ndarray, group_boost: float) -> np.ndarray:
    climbed = (ln_richness - np.log(RICHNESS_BOOSTED)) / np.log(RICHNESS_CLUSTER / RICHNESS_BOOSTED)
    return group_boost ** np.clip(climbed, 0.0, 1.0)


def _edges(redshift_min: float, redshift_max: float) -> tuple[np.ndarray, np.ndarray]:
    """Cell edges; richness 20 is an edge, so a cell holds groups or clusters, never both."""
    n_redshift = max(1, round((redshift_max - redshift_min) / 0.01))
    groups = np.linspace(np.log(RICHNESS_MIN), np.log(RICHNESS_CLUSTER), 29)
    clusters = np.linspace(np.log(RICHNESS_CLUSTER), np.log(RICHNESS_MAX), 47)
    return np.concatenate([groups, clusters[1:]]), np.linspace(redshift_min, redshift_max, n_redshift + 1)


def _natural_rates(ln_edges: np.ndarray, redshift_edges: np.ndarray, sigma_intrinsic: float):
    """Haloes per deg^2, mean and scatter of ln mass in every cell, before scaling to observed counts."""
    knots = np.linspace(redshift_edges[0], redshift_edges[-1], 8)
    tables = [richness_function(z, sigma_intrinsic) for z in knots]
    ln_density, mean, sigma = (_on_cells(np.array(t), knots, ln_edges, redshift_edges) for t in _columns(tables))
    return np.exp(ln_density) * np.outer(np.diff(ln_edges), np.diff(redshift_edges)), mean, sigma


def _columns(tables):
    density, mean, sigma = zip(*tables, strict=True)
    return np.log(density), mean, sigma


def _on_cells(table: np.ndarray, knots: np.ndarray, ln_edges: np.ndarray, redshift_edges: np.ndarray) -> np.ndarray:
    """Interpolate a table (n_knots, n_grid) to the cell centres, (n_richness, n_redshift)."""
    at_richness = np.array([np.interp(_centres(ln_edges), _LN_RICHNESS, row) for row in table])
    return np.array([np.interp(_centres(redshift_edges), knots, column) for column in at_richness.T])


def _centres(edges: np.ndarray) -> np.ndarray:
    return 0.5 * (edges[1:] + edges[:-1])


def _within(rng: np.random.Generator, edges: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Uniform draws inside cells `index`."""
    return edges[index] + np.diff(edges)[index] * rng.uniform(size=len(index))
