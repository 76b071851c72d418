"""Many overlapping tiles as one survey: who owns which sky, one list of clusters, the area that was seen.

A *map* is a probability map of one tile as `armillary.footprint` describes it.
"""

import numpy as np
from scipy.spatial import cKDTree

from armillary.footprint import cell_area_deg2, owners
from armillary.sky import sky_of_pixel

AREA_STEP = 4  # every fourth cell along a side is asked who owns it


def unit_vectors(ra_deg, dec_deg) -> np.ndarray:
    """Directions on the sky as vectors of length one (n, 3)."""
    ra, dec = np.radians(np.asarray(ra_deg, float)), np.radians(np.asarray(dec_deg, float))
    return np.column_stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])


def chord(angle_deg: float) -> float:
    """Distance of two unit vectors this angle apart."""
    return 2 * np.sin(np.radians(angle_deg) / 2)


def maps_nearby(maps: list[dict]) -> list[list[int]]:
    """For each map the indices of all maps that can share sky with it, its own first."""
    if not maps:
        return []
    tree = cKDTree(unit_vectors([each["ra"] for each in maps], [each["dec"] for each in maps]))
    reach = chord(2 * max(each["radius_deg"] for each in maps))
    return [[i, *sorted(set(near) - {i})] for i, near in enumerate(tree.query_ball_point(tree.data, reach))]


def owned_clusters(clusters, maps: list[dict]) -> np.ndarray:
    """Which rows (n,) of a catalogue with columns tile, ra and dec were found by the tile that owns their sky.

    The tile that observed a position and whose centre is nearest owns it, so no cluster is listed by two tiles.
    """
    owned = np.zeros(len(clusters), bool)
    rows_of = clusters.groupby("tile").indices
    for each, near in zip(maps, maps_nearby(maps), strict=True):
        rows = rows_of.get(each["name"], np.zeros(0, int))
        if len(rows):
            ra, dec = (clusters[name].to_numpy()[rows] for name in ("ra", "dec"))
            owned[rows] = owners(ra, dec, [maps[index] for index in near]) == 0
    return owned


def most_probable(clusters, radius_arcsec: float, max_dz: float) -> np.ndarray:
    """Which rows (n,) have no more probable cluster of another tile within the radius at the same redshift.

    `clusters` has columns tile, ra, dec, redshift and probability; redshifts are the same if they differ by less than
    max_dz (1 + z), z the lower one. A cluster on the border of two tiles may be seen by each on its own side.
    """
    kept = np.ones(len(clusters), bool)
    if len(clusters) == 0:
        return kept
    tree = cKDTree(unit_vectors(clusters["ra"], clusters["dec"]))
    first, second = tree.query_pairs(chord(radius_arcsec / 3600), output_type="ndarray").T
    tile, probability = clusters["tile"].to_numpy(), clusters["probability"].to_numpy()
    redshift = clusters["redshift"].to_numpy(float)
    lower = np.minimum(redshift[first], redshift[second])
    same = np.abs(redshift[first] - redshift[second]) < max_dz * (1.0 + lower)
    double = (tile[first] != tile[second]) & same
    first, second = first[double], second[double]
    kept[np.where(probability[first] >= probability[second], second, first)] = False
    return kept


def owned_areas_deg2(maps: list[dict]) -> np.ndarray:
    """Area (n,) that each map saw and owns; they add up to the area of the survey."""
    areas = np.zeros(len(maps))
    for index, (each, near) in enumerate(zip(maps, maps_nearby(maps), strict=True)):
        ny, nx = each["probability"].shape
        rows, columns = np.mgrid[0:ny:AREA_STEP, 0:nx:AREA_STEP]
        ra, dec = sky_of_pixel(columns.ravel() + 0.5, rows.ravel() + 0.5, each["wcs"])
        mine = owners(ra, dec, [maps[k] for k in near]) == 0
        areas[index] = mine.mean() * nx * ny * cell_area_deg2(each)
    return areas
