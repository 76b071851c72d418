"""Matching of two cluster lists: which detection is which halo, for completeness and purity.

Detections and truth are DataFrames with `ra`, `dec` (deg), `redshift` and, where several fields are matched at once,
`group` (int; objects of different groups never match). A match is returned as an array over detections: the row of its
halo, or -1.

Candidates are pairs within a radius (physical, at the halo's redshift) and a redshift difference. They are ranked by
one distance, sqrt((separation / radius)^2 + (dz / largest dz)^2), on both sides: a detection prefers the nearer halo,
a halo the nearer detection. With one ranking for both sides there is exactly one stable match, and taking pairs in
the order of their distance finds it. Of pairs at equal distance the more probable detection goes first, then the
lower row of detections, then the lower row of haloes. Richness plays no part.
"""

from typing import NamedTuple

import numpy as np

from armillary.cosmology import ARCSEC_PER_RADIAN, angular_diameter_distance_mpc
from armillary.sky import separation_arcsec

UNMATCHED, ABSENT = -1, -2
GROUP_STEP_DEG = 1000.0  # groups are set apart by this much in one sorted declination key


class RankedPairs(NamedTuple):
    """Candidate pairs, nearest first: rows of detection and halo, and their distance in units of the criteria."""

    detection: np.ndarray
    halo: np.ndarray
    distance: np.ndarray


def match_two_way(detections, truth, *, match_radius_mpc: float, match_dz: float | None) -> np.ndarray:
    """Halo (n_detections,) of each detection, -1 for none; every halo is used once.

    Candidates lie within `match_radius_mpc` and, unless `match_dz` is None, within |dz| <= match_dz (1 + z_halo); how
    they are ranked is said at the top of this module.
    """
    pairs = ranked_pairs(detections, truth, match_radius_mpc=match_radius_mpc, match_dz=match_dz)
    matched = np.full(len(detections), UNMATCHED)
    halo_taken = np.zeros(len(truth), dtype=bool)
    for detection, halo in zip(pairs.detection.tolist(), pairs.halo.tolist(), strict=True):
        if matched[detection] == UNMATCHED and not halo_taken[halo]:
            matched[detection] = halo
            halo_taken[halo] = True
    return matched


def ranked_pairs(detections, truth, *, match_radius_mpc: float, match_dz: float | None) -> RankedPairs:
    """The candidate pairs of two lists in the order of their distance, ties as said at the top of this module."""
    detection, halo, separation = candidate_pairs(detections, truth, match_radius_mpc)
    redshift = truth["redshift"].to_numpy(float)[halo]
    distance = separation / match_radius_arcsec(redshift, match_radius_mpc)
    if match_dz is not None:
        difference = detections["redshift"].to_numpy(float)[detection] - redshift
        offset = np.abs(difference) / (match_dz * (1.0 + redshift))
        close = offset <= 1.0
        detection, halo, distance = detection[close], halo[close], np.hypot(distance, offset)[close]
    probability = (
        detections["probability"].to_numpy(float) if "probability" in detections else np.zeros(len(detections))
    )
    order = np.lexsort((halo, detection, -probability[detection], distance))
    return RankedPairs(detection[order], halo[order], distance[order])


class MatchChanges(NamedTuple):
    """What changes in the match as detections join in the order of falling probability: one row a change.

    `step` counts the detections that have joined; `detection` goes from halo `before` (-2: it was not there yet) to
    `after` (-1: none). Rows of one step are one change of the catalogue.
    """

    step: np.ndarray
    detection: np.ndarray
    before: np.ndarray
    after: np.ndarray


def match_as_threshold_falls(
    detections, truth, *, match_radius_mpc: float, match_dz: float | None
) -> tuple[np.ndarray, MatchChanges]:
    """Rows of detections in the order of falling probability, and how `match_two_way` of the first k of them changes.

    A detection that joins proposes to its haloes in order of distance. A halo that is matched to a farther detection
    accepts, and the detection that loses it proposes to its next halo (Gale and Shapley 1962). Cutting the catalogue at
    any probability and matching it anew gives the same match.
    """
    pairs = ranked_pairs(detections, truth, match_radius_mpc=match_radius_mpc, match_dz=match_dz)
    order = np.argsort(-detections["probability"].to_numpy(float), kind="stable")
    choices = [[] for _ in range(len(detections))]  # of each detection: its haloes, nearest first, with the pair's rank
    for rank, (detection, halo) in enumerate(zip(pairs.detection.tolist(), pairs.halo.tolist(), strict=True)):
        choices[detection].append((rank, halo))
    n_proposed = [0] * len(detections)
    holder = {}  # halo -> (rank of the pair, detection)
    match = {}  # detection -> halo
    rows = []
    for step, joining in enumerate(order.tolist(), start=1):
        before = {}
        proposing = joining
        while proposing is not None:
            before.setdefault(proposing, match.get(proposing, ABSENT))
            match[proposing] = UNMATCHED
            displaced = None
            while n_proposed[proposing] < len(choices[proposing]):
                rank, halo = choices[proposing][n_proposed[proposing]]
                n_proposed[proposing] += 1
                if halo not in holder or rank < holder[halo][0]:
                    displaced = holder[halo][1] if halo in holder else None
                    holder[halo], match[proposing] = (rank, proposing), halo
                    break
            proposing = displaced
        rows += [(step, detection, was, match[detection]) for detection, was in before.items()]
    columns = np.array(rows, dtype=int).reshape(-1, 4).T
    return order, MatchChanges(*columns)


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


def _declination_key(frame) -> np.ndarray:
    group = frame["group"].to_numpy(dtype=float) if "group" in frame else 0.0
    return GROUP_STEP_DEG * group + frame["dec"].to_numpy(dtype=float)


def _nearest(one, other, separation, n_one: int) -> np.ndarray:
    """For each of `n_one` objects the partner at the smallest separation, or -1."""
    nearest = np.full(n_one, UNMATCHED)
    order = np.argsort(-separation, kind="stable")
    nearest[one[order]] = other[order]
    return nearest
