"""The sky between the clusters: clustered field galaxies and stars.

Expected counts are tabulated once in cells of type, redshift and magnitude. A field draws one log-normal
density map per redshift slice, Poisson counts in the cells and positions in the map, so red galaxies at
one redshift line up by chance as they do on the sky.
"""

from typing import NamedTuple

import numpy as np
import scipy.fft
from scipy.special import gamma

from armillary.cosmology import ARCSEC_PER_RADIAN, HUBBLE_H, comoving_distance_mpc
from armillary.galaxies import RedSequence, mstar_i, red_fraction_in_field
from armillary.haloes import HaloRates
from armillary.members import halo_galaxy_density

I_BRIGHT, I_BREAK, I_NORMALISED = 15.0, 21.0, 25.0
SLOPE_BRIGHT, SLOPE_FAINT = 0.50, 0.33
STAR_SLOPE, STAR_I_BRIGHT, STAR_I_FAINT, STAR_I_NORMALISED = 0.15, 15.0, 24.0, 22.0
ARCSEC2_PER_DEG2, ARCSEC2_PER_ARCMIN2 = 3600.0**2, 60.0**2

# ASSUME: galaxies of one slice cluster as xi(r) = (r / 5 h^-1 Mpc)^-1.8, with a core of 1 Mpc (haloes bring
# the rest), a cut-off of 40 Mpc, and a bias in ln density of 1.3 for red and 0.8 for blue galaxies.
CLUSTERING_LENGTH_MPC, CLUSTERING_SLOPE, CLUSTERING_CORE_MPC, CLUSTERING_CUT_MPC = (
    5.0 / HUBBLE_H,
    1.8,
    1.0,
    40.0,
)
RED_BIAS, BLUE_BIAS = 1.3, 0.8

_REDSHIFT_EDGES = np.linspace(0.0, 2.0, 81)
_CELLS_PER_SLICE = 2
_SMALLEST_SHARE_LEFT = 0.3
_MAP_CELL_ARCSEC = 10.0


class FieldModel(NamedTuple):
    """Expected field galaxies and stars of one image, and how the galaxies cluster.

    `n_galaxies` (2, n_redshift, n_magnitude): expected blue and red galaxies of the image per cell.
    `root_power` (n_slices, n, n / 2 + 1): square root of each slice's power on the periodic map.
    `variance` (n_slices,): variance of the Gaussian map. `n_inside`: map cells along the image's side.
    """

    magnitude_edges: np.ndarray
    redshift_edges: np.ndarray
    n_galaxies: np.ndarray
    n_stars: float
    root_power: np.ndarray
    variance: np.ndarray
    n_inside: int
    image_size: int


def galaxy_counts_per_arcmin2(magnitude_i, density_per_arcmin2: float) -> np.ndarray:
    """Galaxies per arcmin^2 and magnitude: slope 0.33 fainter than i = 21, 0.5 brighter.

    `density_per_arcmin2` is the number brighter than i = 25 of a single slope 0.33.
    """
    at_break = density_per_arcmin2 * 10 ** (SLOPE_FAINT * (I_BREAK - I_NORMALISED)) * SLOPE_FAINT * np.log(10.0)
    distance = np.asarray(magnitude_i) - I_BREAK
    return at_break * 10 ** (np.where(distance < 0, SLOPE_BRIGHT, SLOPE_FAINT) * distance)


def redshift_probability(redshift, magnitude_i, red_sequence: RedSequence) -> np.ndarray:
    """p(z | i), (n_redshift, n_magnitude), each column summing to 1 over the redshifts given.

    A Smail distribution z^2 exp(-z / z0) with z0 = 0.0417 i - 0.744 (LSST Science Book, sec. 3.7.2; at least
    0.04), times a Schechter cut-off.
    # ASSUME: the cut-off exp(-0.4 L / L*) removes galaxies brighter than any at their redshift.
    """
    scale = np.maximum(0.0417 * np.asarray(magnitude_i) - 0.744, 0.04)
    smail = np.asarray(redshift)[:, None] ** 2 * np.exp(-np.asarray(redshift)[:, None] / scale)
    luminosity = 10 ** (-0.4 * (magnitude_i - mstar_i(red_sequence, redshift)[:, None]))
    density = smail * np.exp(-0.4 * luminosity)
    return density / density.sum(axis=0)


def prepare_field(
    red_sequence: RedSequence,
    rates: HaloRates,
    *,
    image_size: int,
    pixel_arcsec: float,
    i_magnitude_limit: float = 24.5,
    galaxy_density_per_arcmin2: float = 45.0,
    star_density_per_arcmin2: float = 0.8,
) -> FieldModel:
    """Everything about the field that does not change from image to image."""
    area_arcmin2 = (image_size * pixel_arcsec) ** 2 / ARCSEC2_PER_ARCMIN2
    magnitude_edges = np.linspace(I_BRIGHT, i_magnitude_limit, max(2, round((i_magnitude_limit - I_BRIGHT) / 0.1)) + 1)
    density = _galaxy_density(red_sequence, rates, magnitude_edges, galaxy_density_per_arcmin2)
    root_power, variance, n_inside = _slice_power(image_size * pixel_arcsec)
    stars = star_density_per_arcmin2 * 10 ** (STAR_SLOPE * (min(i_magnitude_limit, STAR_I_FAINT) - STAR_I_NORMALISED))
    n_stars = stars * area_arcmin2
    return FieldModel(
        magnitude_edges,
        _REDSHIFT_EDGES,
        density * area_arcmin2,
        n_stars,
        root_power,
        variance,
        n_inside,
        image_size,
    )


def sample_field_galaxies(rng: np.random.Generator, model: FieldModel) -> dict[str, np.ndarray]:
    """Field galaxies of one image: columns x y redshift magnitude_i is_red."""
    parts = []
    for number in range(len(model.variance)):
        maps = _density_maps(rng, model, number)
        cells = slice(number * _CELLS_PER_SLICE, (number + 1) * _CELLS_PER_SLICE)
        parts += [_galaxies_of_slice(rng, model, cells, maps[kind], kind) for kind in (0, 1)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def sample_stars(rng: np.random.Generator, model: FieldModel) -> dict[str, np.ndarray]:
    """Stars of one image: columns x y magnitude_i; counts grow as 10^(0.15 i) between i = 15 and 24."""
    n_stars = rng.poisson(model.n_stars)
    faint = min(model.magnitude_edges[-1], STAR_I_FAINT)
    low, high = 10 ** (STAR_SLOPE * STAR_I_BRIGHT), 10 ** (STAR_SLOPE * faint)
    x, y = rng.uniform(0.0, model.image_size, (2, n_stars))
    return {"x": x, "y": y, "magnitude_i": np.log10(rng.uniform(low, high, n_stars)) / STAR_SLOPE}


def _galaxy_density(red_sequence, rates, magnitude_edges, density_per_arcmin2) -> np.ndarray:
    """Field galaxies per arcmin^2, (2, n_redshift, n_magnitude): all galaxies less those in sampled haloes.

    # ASSUME: where haloes would take more than 70 % of the galaxies of a cell, 30 % stay in the field.
    """
    magnitude, redshift = _centres(magnitude_edges), _centres(_REDSHIFT_EDGES)
    counts = galaxy_counts_per_arcmin2(magnitude, density_per_arcmin2) * np.diff(magnitude_edges)
    total = counts * redshift_probability(redshift, magnitude, red_sequence)
    offset = magnitude - mstar_i(red_sequence, redshift)[:, None]
    red = red_fraction_in_field(offset)
    density = np.stack([total * (1.0 - red), total * red])
    richness = _richness_per_arcmin2(rates)
    in_haloes = np.stack([halo_galaxy_density(offset, is_red) for is_red in (False, True)])
    in_haloes = in_haloes * richness[:, None] * np.diff(magnitude_edges)
    return np.maximum(density - in_haloes, _SMALLEST_SHARE_LEFT * density)


def _richness_per_arcmin2(rates: HaloRates) -> np.ndarray:
    """Summed richness of natural haloes per arcmin^2 in each redshift cell."""
    richness = np.exp(_centres(rates.ln_richness_edges)) @ rates.natural
    cell = np.histogram(_centres(rates.redshift_edges), _REDSHIFT_EDGES, weights=richness)[0]
    return cell * ARCSEC2_PER_ARCMIN2 / ARCSEC2_PER_DEG2


def projected_correlation(separation_mpc, depth_mpc: float) -> np.ndarray:
    """Correlation of the density of a slice `depth_mpc` deep, projected: Limber's integral of xi."""
    slope = CLUSTERING_SLOPE
    amplitude = np.sqrt(np.pi) * gamma((slope - 1.0) / 2.0) / gamma(slope / 2.0) * CLUSTERING_LENGTH_MPC**slope
    softened = np.hypot(separation_mpc, CLUSTERING_CORE_MPC)
    return amplitude * softened ** (1.0 - slope) / depth_mpc * np.exp(-separation_mpc / CLUSTERING_CUT_MPC)


def _slice_power(side_arcsec: float) -> tuple[np.ndarray, np.ndarray, int]:
    """Square root of power and variance of ln density in each slice, on a periodic map of twice the side."""
    n_inside = int(np.ceil(side_arcsec / _MAP_CELL_ARCSEC))
    n_map = scipy.fft.next_fast_len(2 * n_inside, real=True)
    lag = np.minimum(np.arange(n_map), n_map - np.arange(n_map)) * side_arcsec / n_inside / ARCSEC_PER_RADIAN
    lag = np.hypot(lag[:, None], lag)
    distance = comoving_distance_mpc(_REDSHIFT_EDGES[::_CELLS_PER_SLICE])
    roots, variances = [], []
    for near, far in zip(distance[:-1], distance[1:], strict=True):
        correlation = np.log1p(projected_correlation(lag * 0.5 * (near + far), far - near))
        power = np.maximum(scipy.fft.rfft2(correlation).real, 0.0)
        root = np.sqrt(power).astype(np.float32)
        roots.append(root)
        variances.append(scipy.fft.irfft2(power, s=lag.shape)[0, 0])
    return np.stack(roots), np.array(variances), n_inside


def _density_maps(rng: np.random.Generator, model: FieldModel, number: int) -> list[np.ndarray]:
    """Relative density of blue and red galaxies in one slice over the image, mean 1 over many fields."""
    n_map = model.root_power.shape[1]
    white = rng.standard_normal((n_map, n_map), dtype=np.float32)
    gaussian = scipy.fft.irfft2(scipy.fft.rfft2(white) * model.root_power[number], s=white.shape)
    gaussian = gaussian[: model.n_inside, : model.n_inside]
    variance = model.variance[number]
    return [np.exp(bias * gaussian - 0.5 * bias**2 * variance) for bias in (BLUE_BIAS, RED_BIAS)]


def _galaxies_of_slice(
    rng, model: FieldModel, cells: slice, density_map: np.ndarray, kind: int
) -> dict[str, np.ndarray]:
    """Poisson galaxies of one type in the redshift cells of one slice, placed by its density map."""
    counts = rng.poisson(model.n_galaxies[kind, cells] * density_map.mean(dtype=np.float64))
    row, column = (np.repeat(index.ravel(), counts.ravel()) for index in np.indices(counts.shape))
    x, y = _positions(rng, model, density_map, len(row))
    return {
        "x": x,
        "y": y,
        "redshift": _within(rng, model.redshift_edges, row + cells.start),
        "magnitude_i": _within(rng, model.magnitude_edges, column),
        "is_red": np.full(len(row), kind == 1),
    }


def _positions(rng: np.random.Generator, model: FieldModel, density_map: np.ndarray, n_galaxies: int):
    """Pixel coordinates drawn from a density map, uniform within its cells."""
    cumulative = np.cumsum(density_map.ravel(), dtype=np.float64)
    cell = np.searchsorted(cumulative, rng.uniform(0.0, cumulative[-1], n_galaxies), side="right")
    row, column = np.unravel_index(np.minimum(cell, cumulative.size - 1), density_map.shape)
    pixels_per_cell = model.image_size / model.n_inside
    inside = rng.uniform(size=(2, n_galaxies))
    return (column + inside[0]) * pixels_per_cell, (row + inside[1]) * pixels_per_cell


def _centres(edges: np.ndarray) -> np.ndarray:
    return 0.5 * (edges[1:] + edges[:-1])


def _within(rng: np.random.Generator, edges: np.ndarray, index: np.ndarray) -> np.ndarray:
    return edges[index] + np.diff(edges)[index] * rng.uniform(size=len(index))
