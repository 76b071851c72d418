"""Which detection is which halo: the two-way matching that completeness and purity rest on.

Detections and truth are DataFrames with `ra`, `dec` (deg), `redshift`, `richness` and, where several
fields are matched at once, `group` (int; objects of different groups never match); detections also have
`probability`. A match is returned as an array over detections: the row of its halo, or -1.
"""

import numpy as np

from armillary.cosmology import ARCSEC_PER_RADIAN, angular_diameter_distance_mpc
from armillary.sky import separation_arcsec

UNMATCHED = -1
GROUP_STEP_DEG = 1000.0  # groups are set apart by this much in one sorted declination key


def match_two_way(detections, truth, *, match_radius_mpc: float, match_dz: float | None) -> np.ndarray:
    """Unique assignment: the most probable detection takes the richest free halo among its candidates, and
    so on.

    Candidates lie within `match_radius_mpc` (physical, at the halo's redshift) and, unless `match_dz` is
    None, within |dz| <= match_dz (1 + z_halo). Since every detection prefers richer haloes and every halo
    more probable detections, the greedy order of either side ends in the same, the only stable, assignment:
    the match is two-way by construction. Dropping detections below a probability leaves the matches above it
    as they are.
    """
    pair_detection, pair_truth = _candidates(detections, truth, match_radius_mpc, match_dz)
    order = np.lexsort((
        -truth["richness"].to_numpy()[pair_truth],
        pair_detection,
        -detections["probability"].to_numpy()[pair_detection],
    ))  # fmt: skip
    return _assign(pair_detection[order], pair_truth[order], len(detections), len(truth))


def _candidates(detections, truth, match_radius_mpc: float, match_dz: float | None) -> tuple[np.ndarray, np.ndarray]:
    pair_detection, pair_truth, _ = candidate_pairs(detections, truth, match_radius_mpc)
    if match_dz is not None:
        close = redshift_close(detections, truth, pair_detection, pair_truth, match_dz)
        pair_detection, pair_truth = pair_detection[close], pair_truth[close]
    return pair_detection, pair_truth


def match_nearest(detections, truth, *, match_radius_mpc: float) -> np.ndarray:
    """Mutual nearest neighbours on the sky within `match_radius_mpc`; redshifts are not looked at.

    This is the sample for redshift errors: a match that asks for similar redshifts would cut their tail off.
    """
    pair_detection, pair_truth, separation = candidate_pairs(detections, truth, match_radius_mpc)
    halo_of_detection = _nearest(pair_detection, pair_truth, separation, len(detections))
    detection_of_halo = _nearest(pair_truth, pair_detection, separation, len(truth))
    matched = np.flatnonzero(halo_of_detection != UNMATCHED)
    mutual = detection_of_halo[halo_of_detection[matched]] == matched
    halo_of_detection[matched[~mutual]] = UNMATCHED
    return halo_of_detection


def candidate_pairs(detections, truth, match_radius_mpc: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of detection and halo of every pair within the radius, and their separation in arcsec.

    Sorted declinations bound the search, so an all-sky list costs little more than its true pairs. Right
    ascension enters through the great-circle separation only: there is nothing to wrap.
    """
    radius_arcsec = match_radius_arcsec(truth["redshift"].to_numpy(), match_radius_mpc)
    key = _declination_key(detections)
    order = np.argsort(key, kind="stable")
    middle = _declination_key(truth)
    low = np.searchsorted(key[order], middle - radius_arcsec / 3600 - 1e-6, side="left")
    high = np.searchsorted(key[order], middle + radius_arcsec / 3600 + 1e-6, side="right")
    size = high - low
    pair_truth = np.repeat(np.arange(len(truth)), size)
    within = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
    pair_detection = order[np.repeat(low, size) + within]
    separation = separation_arcsec(
        detections["ra"].to_numpy()[pair_detection], detections["dec"].to_numpy()[pair_detection],
        truth["ra"].to_numpy()[pair_truth], truth["dec"].to_numpy()[pair_truth],
    )  # fmt: skip
    close = separation <= radius_arcsec[pair_truth]
    return pair_detection[close], pair_truth[close], separation[close]


def match_radius_arcsec(redshift, match_radius_mpc: float) -> np.ndarray:
    """Angle of `match_radius_mpc` at a redshift above 0, in arcsec."""
    return match_radius_mpc / angular_diameter_distance_mpc(redshift) * ARCSEC_PER_RADIAN


def redshift_close(detections, truth, pair_detection, pair_truth, match_dz: float) -> np.ndarray:
    """Which pairs satisfy |dz| <= match_dz (1 + z_halo)."""
    redshift = truth["redshift"].to_numpy()[pair_truth]
    difference = detections["redshift"].to_numpy()[pair_detection] - redshift
    return np.abs(difference) <= match_dz * (1.0 + redshift)


def _declination_key(frame) -> np.ndarray:
    group = frame["group"].to_numpy(dtype=float) if "group" in frame else 0.0
    return GROUP_STEP_DEG * group + frame["dec"].to_numpy(dtype=float)


def _assign(pair_detection, pair_truth, n_detections: int, n_truth: int) -> np.ndarray:
    """Walk down the pairs, taking each whose two ends are both free."""
    matched = np.full(n_detections, UNMATCHED)
    halo_taken = np.zeros(n_truth, dtype=bool)
    for detection, halo in zip(pair_detection.tolist(), pair_truth.tolist(), strict=True):
        if matched[detection] == UNMATCHED and not halo_taken[halo]:
            matched[detection] = halo
            halo_taken[halo] = True
    return matched


def _nearest(one, other, separation, n_one: int) -> np.ndarray:
    """For each of `n_one` objects the partner at the smallest separation, or -1."""
    nearest = np.full(n_one, UNMATCHED)
    order = np.argsort(-separation, kind="stable")
    nearest[one[order]] = other[order]
    return nearest
