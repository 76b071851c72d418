"""How the red-sequence finder is tuned, on training fields only: red sequence, background, filter knobs,
calibration.

A *field* here is a dict: `galaxies` (photometry of `photometry.measure_field`), `catalog` (its .dat table)
and `truth` (its rows of the halo table). Everything is a moment, a histogram or a logistic fit: nothing is
drawn.
"""

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

from armillary.calibration import fit_logistic
from armillary.cosmology import pixels_per_mpc
from armillary.finder import (
    calibrated,
    detection_features,
    find_clusters,
    tile_features,
    tile_powers,
    tile_probability,
)
from armillary.finder_filters import MAX_CHI2, red_sequence_chi2
from armillary.finder_sequence import initial_finder, tuned_red_sequence, with_matches
from armillary.scoring import average_precision

CLUSTER_RICHNESS = 20.0
MATCH_REDSHIFT = 0.05  # |dz| < this (1 + z) makes a detection a cluster's
MATCH_MPC = 1.0
MIN_CALIBRATORS = 2  # true clusters found, below which nothing is calibrated
BACKGROUND_MAG_EDGES = np.arange(15.0, 25.01, 0.25)
BACKGROUND_CHI2_EDGES = np.array([0, 0.25, 0.5, 1, 1.5, 2, 3, 4, 5, 6.5, 8, 10, 12, 14, 17, MAX_CHI2])
MIN_BACKGROUND = 1e-5  # galaxies per arcmin^2, magnitude and chi2
KNOBS = {
    "scatter_inflation": (1.0, 1.25),
    "scale_radius_mpc": (0.214, 0.14, 0.32),
    "faint_limit_mag": (1.75, 1.5),
    "central_weight": (0.0, 0.5),
}  # tried in this order, each with the best of those before; the first value is the start


def true_membership(catalog, image_size: int, tile_size: int, min_flux_for_loss: float) -> np.ndarray:
    """(T, T) bool: a source with MEM = 1 and an i flux of at least min_flux_for_loss (counts) lies in the
    tile."""
    n_tiles = image_size // tile_size
    members = catalog[(catalog["MEM"] > 0) & (catalog["FLUX_I"] >= min_flux_for_loss)]
    truth = np.zeros((n_tiles, n_tiles), bool)
    truth[(members["Y"] // tile_size).astype(int), (members["X"] // tile_size).astype(int)] = True
    return truth


def with_background(finder: dict, fields: list[dict], image_size: int) -> dict:
    """The finder with the density of galaxies that are no cluster members, by redshift, magnitude and chi2.

    ASSUME: the background of a cluster is the mean of all fields, their groups and field red galaxies
    included."""
    edges = (BACKGROUND_MAG_EDGES, BACKGROUND_CHI2_EDGES)
    counts = np.zeros((len(finder["redshift"]), len(edges[0]) - 1, len(edges[1]) - 1))
    for field in fields:
        galaxies = field["galaxies"]
        galaxies = galaxies[~galaxies["is_member"].to_numpy() & ~galaxies["is_star"].to_numpy(bool)]
        chi2, _ = red_sequence_chi2(galaxies, finder)
        for z in range(len(finder["redshift"])):
            counts[z] += np.histogram2d(galaxies["mag_i"], chi2[:, z], bins=edges)[0]
    area = len(fields) * (image_size * finder["pixel_arcsec"] / 60) ** 2
    density = counts / area / np.diff(edges[0])[:, None] / np.diff(edges[1])
    smooth = gaussian_filter(density, (1.0, 1.0, 0.5), mode="nearest")
    return {
        **finder, "background": np.maximum(smooth, MIN_BACKGROUND),
        "background_mag_edges": edges[0], "background_chi2_edges": edges[1],
    }  # fmt: skip


def match_detections(detections, truth, pixel_arcsec: float) -> np.ndarray:
    """Row of the truth table (haloes of one field) each detection finds, -1 for none; the richest halo
    within MATCH_MPC and MATCH_REDSHIFT (1 + z), each halo once, detections in the order given."""
    matched, used = np.full(len(detections), -1), set()
    order = np.argsort(-truth["richness"].to_numpy()) if len(truth) else []
    positions = truth[["x", "y", "redshift"]].to_numpy()
    for k, row in enumerate(detections.itertuples()):
        for index in order:
            x, y, redshift = positions[index]
            separation = np.hypot(row.x - x, row.y - y) / pixels_per_mpc(redshift, pixel_arcsec)
            if (
                index not in used
                and separation < MATCH_MPC
                and abs(row.redshift - redshift) < MATCH_REDSHIFT * (1 + redshift)
            ):
                matched[k] = index
                used.add(index)
                break
    return matched


def search_fields(finder: dict, fields: list[dict], image_size: int) -> list[tuple]:
    """(detections, p_member) of every field."""
    return [find_clusters(field["galaxies"], finder, image_size) for field in fields]


def calibrate_detections(finder: dict, fields: list[dict], found: list[tuple]) -> dict:
    """The finder with probability, richness and redshift of a detection tied to the true haloes of
    `fields`."""
    finder = {name: value for name, value in finder.items() if name not in CALIBRATION}
    matched = [match_detections(d, f["truth"], finder["pixel_arcsec"]) for f, (d, _) in zip(fields, found, strict=True)]
    pieces = [true_columns(d, f["truth"], m) for f, (d, _), m in zip(fields, found, matched, strict=True)]
    table = pd.concat(pieces, ignore_index=True)
    is_cluster = (table["true_richness"] >= CLUSTER_RICHNESS).to_numpy(float)
    if is_cluster.sum() < MIN_CALIBRATORS:
        raise ValueError(
            f"the finder found {int(is_cluster.sum())} true clusters among {len(table)} detections in "
            f"{len(fields)} training fields; it needs {MIN_CALIBRATORS}: raise "
            "clusters: nfiles or train_finder: n_tuning_fields"
        )
    finder["probability_coefficients"] = fit_logistic(detection_features(table), is_cluster)
    return finder | richness_and_redshift(table[table["true_richness"] > 0])


CALIBRATION = (
    "probability_coefficients", "richness_coefficients", "richness_scatter_ln", "redshift_bias",
    "redshift_error_scale",
    "redshift_error_floor", "tile_coefficients",
)  # fmt: skip


def true_columns(detections, truth, matched) -> pd.DataFrame:
    """Raw detections with the true richness and redshift of the halo they find (0 for none)."""
    known = matched >= 0
    richness, redshift = np.zeros((2, len(matched)))
    richness[known] = truth["richness"].to_numpy()[matched[known]]
    redshift[known] = truth["redshift"].to_numpy()[matched[known]]
    return detections.assign(true_richness=richness, true_redshift=redshift)


def richness_and_redshift(table) -> dict:
    """Fit of ln true richness (linear), redshift bias (quadratic in z) and errors, from matched detections.

    Detections mostly on the image and within a factor e of their halo count: the rest are chance matches."""
    ratio = np.log(table["raw_richness"] / table["true_richness"])
    table = table[(ratio.abs() < 1) & (table["inside"] > 0.4)]
    z = table["redshift"].to_numpy() - 0.45
    raw, true = np.log(table["raw_richness"].to_numpy()), np.log(table["true_richness"].to_numpy())
    design = np.column_stack([raw, z, np.ones(len(z))])
    # Richer clusters count more: that is where the calibration is used
    weight = np.minimum(table["raw_richness"].to_numpy() / CLUSTER_RICHNESS, 1)
    coefficients = np.linalg.lstsq(design * weight[:, None], true * weight, rcond=None)[0]
    rich = table["true_richness"].to_numpy() >= CLUSTER_RICHNESS
    if rich.sum() < MIN_CALIBRATORS:
        raise ValueError(
            f"only {rich.sum()} detections of true clusters lie well inside the training fields; the finder "
            f"needs {MIN_CALIBRATORS}: raise clusters: nfiles or train_finder: n_tuning_fields"
        )
    scatter = robust_sigma((true - design @ coefficients)[rich])
    error = (table["redshift"] - table["true_redshift"]).to_numpy()[rich]
    good = np.abs(error - np.median(error)) < 0.03
    bias = np.polyfit(z[rich][good], error[good], 2 if good.sum() > 30 else 0)
    left = error - np.polyval(bias, z[rich])
    pull = left / table["redshift_error"].to_numpy()[rich]
    return {
        "richness_coefficients": coefficients,
        "richness_scatter_ln": scatter,
        "redshift_bias": bias,
        "redshift_error_scale": min(robust_sigma(pull), 3.0),
        "redshift_error_floor": 0.3 * robust_sigma(left),
    }


def robust_sigma(values) -> float:
    """Half the central 68 % interval."""
    return float(np.diff(np.percentile(values, (15.865, 84.135)))[0] / 2)


def all_tile_features(
    finder: dict, fields: list[dict], found: list[tuple], image_size: int, tile_size: int
) -> np.ndarray:
    """(N, T, T, 2) tile features of fields whose raw detections are `found`, with the finder's present
    calibration."""
    return np.stack([
        tile_features(f["galaxies"], calibrated(d, finder), p, finder, image_size, tile_size)
        for f, (d, p) in zip(fields, found, strict=True)
    ])  # fmt: skip


def calibrated_finder(finder: dict, fields: list[dict], image_size: int, tile_size: int) -> tuple[dict, float]:
    """The finder calibrated on `fields` (detections, then tiles) and its tile PR-AUC there."""
    bare = {name: value for name, value in finder.items() if name not in CALIBRATION}
    found = search_fields(bare, fields, image_size)
    finder = calibrate_detections(bare, fields, found)
    features = all_tile_features(finder, fields, found, image_size, tile_size)
    truth = np.stack([field["membership"] for field in fields])
    finder["tile_coefficients"] = fit_logistic(
        tile_powers(features).reshape(-1, 5), truth.ravel().astype(float), ridge=1e-4
    )
    return finder, average_precision(tile_probability(features, finder).ravel(), truth.ravel())


def tune_knobs(finder: dict, fields: list[dict], image_size: int, tile_size: int, report) -> dict:
    """Coordinate search over KNOBS by tile PR-AUC, background measured anew for each trial. `report(line)`
    is told each trial."""
    best, best_score = None, -1.0
    for number, (name, values) in enumerate(KNOBS.items()):
        for value in values if number == 0 else values[1:]:
            trial = with_background({**(best or finder), name: value}, fields, image_size)
            trial, score = calibrated_finder(trial, fields, image_size, tile_size)
            report(f"tile PR-AUC {score:.4f} at {name} = {value}")
            if score > best_score:
                best, best_score = trial, score
    return best


def train(
    red_sequence, fields: list[dict], *, n_tuning_fields: int, pixel_arcsec: float, image_size: int,
    tile_size: int, min_flux_for_loss: float, report,
) -> tuple[dict, float]:  # fmt: skip
    """The tuned finder and its tile PR-AUC on the training fields.

    Red sequence, background and the calibration of probabilities come from all `fields`; the knobs from the
    first `n_tuning_fields` of them, to save time. `report(line)` is told what is found."""
    fields = [with_matches(field) for field in fields]
    for field in fields:
        field["membership"] = true_membership(field["catalog"], image_size, tile_size, min_flux_for_loss)
    members = pd.concat([f["galaxies"][f["galaxies"]["is_member"]] for f in fields], ignore_index=True)
    finder = tuned_red_sequence(
        initial_finder(red_sequence, pixel_arcsec, {name: values[0] for name, values in KNOBS.items()}),
        members,
    )
    report(
        f"{len(members)} members give the red sequence; "
        f"scatter {np.round(finder['colour_scatter'], 3).tolist()} mag, "
        f"correlation {finder['colour_correlation']:.2f}"
    )
    finder = tune_knobs(finder, fields[:n_tuning_fields], image_size, tile_size, report)
    finder = with_background(finder, fields, image_size)
    return calibrated_finder(finder, fields, image_size, tile_size)
