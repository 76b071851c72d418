"""A red-sequence matched filter: clusters from photometry alone, the baseline a user would otherwise use.

After redMaPPer (Rykoff et al. 2014, ApJ 785, 104): at every redshift of a grid a galaxy has the odds
phi(m) rho(chi2) / b(m, chi2) to be a red member over background, a candidate centre has the richness that
solves lambda = sum p, and the likelihood of that solution picks redshift and centre; clusters are taken in
the order of likelihood, each taking its members away from the next. A finder is a dict of arrays and
numbers; see `armillary.finder_training` for where its tuned parts come from. Its detections are calibrated at the
natural rate of clusters, its tiles at two class priors, as the encoder's are: "training", that of the fields, and
"natural".
"""

import heapq

import numpy as np
import pandas as pd

from armillary.cosmology import pixels_per_mpc, richness_radius_mpc
from armillary.finder_filters import (
    CENTRAL_OFFSET_MAG,
    CENTRAL_SCATTER_MAG,
    MAX_RICHNESS,
    PROFILE_RADII_MPC,
    inside_fraction,
    member_odds,
    radial_tables,
    rings_inside,
)
from armillary.natural_tiles import tile_logistic

CANDIDATE_MAX_CHI2 = 10.0
CANDIDATE_FAINT_MAG = 0.5  # candidate centres are brighter than m* + this
MIN_RICHNESS, N_BISECTIONS = 0.5, 13
FULL_PROBABILITY = 0.9999
MIN_CENTRE_LEFT = 0.3  # a galaxy of which earlier clusters left less is no centre
PRIORS = ("training", "natural")
NO_MEMBERS = 1e-3  # added before the logarithm of a tile feature
MEASURED_COLUMNS = ("x", "y", "redshift", "redshift_error", "raw_richness", "likelihood", "inside")
DETECTION_COLUMNS = (
    "field", "ra", "dec", "x", "y", "probability", "redshift", "redshift_error", "richness", "richness_error",
)  # fmt: skip


def read_finder(arrays: dict, name: str) -> dict:
    """The finder that an NPZ file's arrays are, numbers as numbers; ValueError if they are not a trained
    one."""
    wanted = {"redshift", "background", "probability_coefficients", *(f"{prior}_tiles" for prior in PRIORS)}
    missing = wanted - set(arrays)
    if missing:
        raise ValueError(
            f"{name} is not a trained finder: it has no {', '.join(sorted(missing))}; "
            "remake it (rule clusters_train_finder)"
        )
    return {key: value.item() if value.ndim == 0 else value for key, value in arrays.items()}


def member_probabilities(richness, profile, radius_mpc, odds, finder):
    """p = lambda u / (lambda u + b) for centres (C,) and galaxies (C, G). Eq. (1), Rykoff et al. (2014)."""
    limit = richness_radius_mpc(richness)
    surface = richness / np.interp(limit, PROFILE_RADII_MPC, finder["tables"][1])
    ratio = surface[:, None] * profile * odds
    return np.where(radius_mpc < limit[:, None], ratio / (1 + ratio), 0.0)


def solve_richness(radius_mpc, odds, free, rings, finder):
    """Richness that solves sum(free p) = lambda inside, log-likelihood over no cluster, inside, p: (C,)
    thrice, (C, G).

    radius_mpc (C, G): distances of galaxies from centres; odds, free (G,): `member_odds` at one redshift
    and what earlier clusters left of each galaxy; rings: `rings_inside`, from which inside, the share of
    the filter on the image. The likelihood is the Poisson ratio -sum ln(1 - p) - lambda inside. Bisection
    in ln lambda: the equation is monotonic but for the radius' growth."""
    low, high = np.full(len(radius_mpc), np.log(MIN_RICHNESS)), np.full(len(radius_mpc), np.log(MAX_RICHNESS))
    profile = np.interp(radius_mpc, PROFILE_RADII_MPC, finder["tables"][0])
    for _ in range(N_BISECTIONS):
        middle = 0.5 * (low + high)
        richness = np.exp(middle)
        p = member_probabilities(richness, profile, radius_mpc, odds, finder)
        grows = p @ free > richness * inside_fraction(richness, rings, finder)
        low, high = np.where(grows, middle, low), np.where(grows, high, middle)
    richness = np.exp(0.5 * (low + high))
    p = member_probabilities(richness, profile, radius_mpc, odds, finder)
    inside = inside_fraction(richness, rings, finder)
    likelihood = -np.log1p(-np.minimum(p, FULL_PROBABILITY)) @ free - richness * inside
    return richness, likelihood, inside, p * free


def central_preference(mag, mstar, weight: float):
    """What a candidate's own brightness adds to its log-likelihood as a centre."""
    return -0.5 * weight * np.clip((mag - mstar - CENTRAL_OFFSET_MAG) / CENTRAL_SCATTER_MAG, 0, None) ** 2


def scan_candidates(field, finder, image_size: int) -> np.ndarray:
    """Score of every candidate centre at every redshift (N, Z); -inf where it is none."""
    score = np.full(field["odds"].shape, -np.inf)
    for z, redshift in enumerate(finder["redshift"]):
        centres = np.flatnonzero(field["is_centre"][:, z])
        members = np.flatnonzero(field["odds"][:, z] > 0)
        if len(centres) == 0:
            continue
        radius = distances_mpc(field, centres, members, redshift, finder)
        rings = rings_inside(field["x"][centres], field["y"][centres], redshift, finder, image_size)
        everything = np.ones(len(members))
        _, likelihood, _, _ = solve_richness(radius, field["odds"][members, z], everything, rings, finder)
        mags = field["mag"][centres]
        score[centres, z] = likelihood + central_preference(mags, finder["mstar_i"][z], finder["central_weight"])
    return score


def distances_mpc(field, centres, members, redshift: float, finder) -> np.ndarray:
    """Projected distances (C, G) in Mpc."""
    x, y = field["x"], field["y"]
    pixels = np.hypot(x[members] - x[centres][:, None], y[members] - y[centres][:, None])
    return pixels / pixels_per_mpc(redshift, finder["pixel_arcsec"])


def measure_cluster(field, finder, image_size: int, centre: int, z: int, free):
    """Score, richness, p (N,) and share on the image of one centre at one redshift, with what earlier
    clusters left."""
    redshift = finder["redshift"][z]
    members = np.flatnonzero(field["odds"][:, z] > 0)
    radius = distances_mpc(field, np.array([centre]), members, redshift, finder)
    rings = rings_inside(field["x"][[centre]], field["y"][[centre]], redshift, finder, image_size)
    richness, likelihood, inside, taken = solve_richness(
        radius, field["odds"][members, z], free[members], rings, finder
    )
    p = np.zeros(len(free))
    p[members] = taken[0]
    score = likelihood[0] + central_preference(field["mag"][centre], finder["mstar_i"][z], finder["central_weight"])
    return score, richness[0], p, inside[0]


def refine_redshift(redshifts, scores, z: int) -> tuple[float, float]:
    """Peak and one-sigma width of a parabola through three grid points of the log-likelihood."""
    step = redshifts[1] - redshifts[0]
    if z in (0, len(redshifts) - 1) or not np.isfinite(scores[z - 1 : z + 2]).all():
        return float(redshifts[z]), float(step)
    left, peak, right = scores[z - 1 : z + 2]
    curvature = left - 2 * peak + right
    shift = 0.5 * (left - right) / curvature if curvature < 0 else 0.0
    width = step / np.sqrt(max(-curvature, 0.05))
    return float(redshifts[z] + np.clip(shift, -1, 1) * step), float(width)


def field_state(galaxies, finder) -> dict[str, np.ndarray]:
    """What the search needs of one field's galaxies."""
    odds, chi2 = member_odds(galaxies, finder)
    mag = galaxies["mag_i"].to_numpy()
    bright = mag[:, None] < finder["mstar_i"] + CANDIDATE_FAINT_MAG
    return {
        "x": galaxies["x"].to_numpy(float), "y": galaxies["y"].to_numpy(float), "mag": mag, "odds": odds,
        "is_centre": bright & (chi2 < CANDIDATE_MAX_CHI2) & (odds > 0),
    }  # fmt: skip


def find_clusters(galaxies, finder, image_size: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Clusters of one field and the probabilities (D, N) that each of its N galaxies belongs to each.

    Detections carry x, y, redshift, redshift_error, raw_richness, likelihood and inside; `calibrated` adds to it."""
    finder = {**finder, "tables": radial_tables(finder["scale_radius_mpc"])}
    rows, taken = [], []
    if len(galaxies):
        field = field_state(galaxies, finder)
        scores = scan_candidates(field, finder, image_size)
        for row, p in percolate(field, scores, finder, image_size):
            rows.append(row)
            taken.append(p)
    detections = pd.DataFrame(rows, columns=list(MEASURED_COLUMNS), dtype=float)
    return detections, np.array(taken).reshape(len(rows), len(galaxies))


def percolate(field, scores, finder, image_size: int):
    """Yield (row, p (N,)) of clusters in the order of likelihood; galaxies taken by one are lost to the next.

    Scores only fall as galaxies are taken, so a candidate is measured anew only when it comes to the top."""
    best = scores.argmax(1)
    heap = [(-scores[k, best[k]], int(k), 0) for k in np.flatnonzero(scores.max(1) > finder["min_likelihood"])]
    heapq.heapify(heap)
    free, n_taken = np.ones(len(best)), 0
    while heap:
        _, centre, measured_at = heapq.heappop(heap)
        if free[centre] < MIN_CENTRE_LEFT:
            continue
        score, richness, p, inside = measure_cluster(field, finder, image_size, centre, best[centre], free)
        if score < finder["min_likelihood"] or richness < finder["min_richness"]:
            continue
        if measured_at < n_taken and heap and score < -heap[0][0]:
            heapq.heappush(heap, (-score, centre, n_taken))
            continue
        redshift, width = refine_redshift(finder["redshift"], scores[centre], best[centre])
        yield (field["x"][centre], field["y"][centre], redshift, width, richness, score, inside), p
        free = free * (1 - p)
        n_taken += 1


def detection_features(detections) -> np.ndarray:
    """What the probability of a detection is a logistic function of, (D, 5)."""
    richness, likelihood = (
        np.log(detections["raw_richness"].to_numpy()),
        np.log(detections["likelihood"].clip(0.1).to_numpy()),
    )
    redshift = detections["redshift"].to_numpy() - 0.45
    return np.stack([richness, likelihood, redshift, redshift**2, 1 - detections["inside"].to_numpy()], 1)


def calibrated(detections, finder) -> pd.DataFrame:
    """Measured detections with probability, richness and redshift on the scale of true haloes at the natural rate."""
    slope, tilt, constant = finder["richness_coefficients"]
    z = detections["redshift"] - 0.45
    richness = np.exp(slope * np.log(detections["raw_richness"]) + tilt * z + constant)
    return detections.assign(
        probability=tile_logistic(detection_features(detections), finder["probability_coefficients"]),
        richness=richness,
        richness_error=finder["richness_scatter_ln"] * richness,
        redshift=detections["redshift"] - np.polyval(finder["redshift_bias"], z),
        redshift_error=np.hypot(
            finder["redshift_error_scale"] * detections["redshift_error"], finder["redshift_error_floor"]
        ),
    )


def tile_features(galaxies, detections, p_member, finder, image_size: int, tile_size: int) -> np.ndarray:
    """Two numbers a tile (T, T, 2), natural logarithms: -ln of the probability that no detected galaxy in
    it is a member, and the number of members expected from the detections' richness and profile.

    `detections` are `calibrated`."""
    n_tiles = image_size // tile_size
    both = np.zeros((2, n_tiles, n_tiles))
    weight = detections["probability"].to_numpy()
    if len(galaxies) and len(detections):
        column = np.clip(galaxies["x"].to_numpy() // tile_size, 0, n_tiles - 1).astype(int)
        row = np.clip(galaxies["y"].to_numpy() // tile_size, 0, n_tiles - 1).astype(int)
        in_any = -np.log1p(-FULL_PROBABILITY * p_member * weight[:, None]).sum(0)
        np.add.at(both[0], (row, column), in_any)
        both[1] = expected_members(detections, finder, image_size, tile_size)
    return np.log(np.moveaxis(both, 0, -1) + NO_MEMBERS)


def expected_members(detections, finder, image_size: int, tile_size: int, n_samples: int = 6) -> np.ndarray:
    """Members expected in each tile (T, T), weighted by each detection's probability; n_samples^2 points a
    tile."""
    profile, inside = radial_tables(finder["scale_radius_mpc"])
    centres = (np.arange(image_size // tile_size * n_samples) + 0.5) * tile_size / n_samples
    n_tiles = image_size // tile_size
    total = np.zeros((n_tiles, n_tiles))
    for row in detections.itertuples():
        scale = pixels_per_mpc(row.redshift, finder["pixel_arcsec"])
        limit = richness_radius_mpc(row.richness)
        radius = np.hypot(centres - row.x, (centres - row.y)[:, None]) / scale
        surface = np.where(radius < limit, np.interp(radius, PROFILE_RADII_MPC, profile), 0)
        surface *= row.probability * row.richness / np.interp(limit, PROFILE_RADII_MPC, inside) / scale**2
        total += surface.reshape(n_tiles, n_samples, n_tiles, n_samples).mean((1, 3)) * tile_size**2
    return total


def tile_powers(features) -> np.ndarray:
    """Tile features (..., 2) with their squares and product, (..., 5)."""
    first, second = features[..., 0], features[..., 1]
    return np.stack([first, second, first**2, second**2, first * second], -1)


def tile_probability(features, finder, class_prior: str) -> np.ndarray:
    """Probability that a tile holds a member at a class prior, (..., 2) features -> (...)."""
    return tile_logistic(tile_powers(features), finder[f"{class_prior}_tiles"])
