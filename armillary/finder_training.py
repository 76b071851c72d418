"""How the red-sequence finder is tuned: red sequence and background on training fields, filter knobs on selection
fields, calibration on calibration fields.

A *field* here is a dict of `known_field`: `number`, `wcs`, `galaxies` (of `photometry.measure_field`, with the truth of
each source), `truth` (its rows of the halo table) and `membership` (T, T) of its tiles. Everything is a moment, a
histogram or a logistic fit: nothing is drawn.
"""

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

from armillary.detection_training import (
    fit_relations,
    genuine,
    judged_candidates,
    located,
)
from armillary.finder import (
    PRIORS,
    calibrated,
    detection_features,
    find_clusters,
    tile_features,
    tile_powers,
    tile_probability,
)
from armillary.finder_filters import MAX_CHI2, red_sequence_chi2
from armillary.finder_sequence import initial_finder, tuned_red_sequence, with_matches
from armillary.haloes import RICHNESS_CLUSTER
from armillary.limit import limit_of, limit_tile_features, measure_haloes
from armillary.natural_tiles import fit_tiles, weights_of_fields
from armillary.scoring import average_precision

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


def known_field(number: int, wcs, galaxies, catalog, truth, *, image_size, tile_size, min_flux_for_loss) -> dict:
    """A field of this module from its photometry, its catalogue (.dat) and its haloes."""
    field = {"number": number, "wcs": wcs, "galaxies": galaxies, "catalog": catalog}
    return {
        **{name: value for name, value in with_matches(field).items() if name != "catalog"},
        "truth": truth,
        "membership": true_membership(catalog, image_size, tile_size, min_flux_for_loss),
    }


def background_of(finder: dict, fields: list[dict], image_size: int) -> dict:
    """Density of galaxies that are no cluster members, by redshift, magnitude and chi2, as entries of a finder.

    ASSUME: the background of a cluster is the mean of all fields, their groups and field red galaxies
    included."""
    edges = (BACKGROUND_MAG_EDGES, BACKGROUND_CHI2_EDGES)
    shape = (len(finder["redshift"]), len(edges[0]) - 1, len(edges[1]) - 1)
    counts = np.zeros(shape)
    for field in fields:
        galaxies = field["galaxies"]
        galaxies = galaxies[~galaxies["is_member"].to_numpy() & ~galaxies["is_star"].to_numpy(bool)]
        chi2, _ = red_sequence_chi2(galaxies, finder)
        row = np.searchsorted(edges[0], galaxies["mag_i"].to_numpy(), side="right") - 1
        column = np.searchsorted(edges[1], chi2, side="right") - 1  # (N, Z)
        known = ((row >= 0) & (row < shape[1]))[:, None] & (column >= 0) & (column < shape[2])
        bins = (np.arange(shape[0]) * shape[1] + row[:, None]) * shape[2] + column
        counts += np.bincount(bins[known], minlength=counts.size).reshape(shape)
    area = len(fields) * (image_size * finder["pixel_arcsec"] / 60) ** 2
    density = counts / area / np.diff(edges[0])[:, None] / np.diff(edges[1])
    smooth = gaussian_filter(density, (1.0, 1.0, 0.5), mode="nearest")
    return {
        "background": np.maximum(smooth, MIN_BACKGROUND),
        "background_mag_edges": edges[0], "background_chi2_edges": edges[1],
    }  # fmt: skip


def search_fields(finder: dict, fields: list[dict], image_size: int) -> list[tuple]:
    """(measured detections, p_member) of every field."""
    return [find_clusters(field["galaxies"], finder, image_size) for field in fields]


def calibrate_detections(finder: dict, fields: list[dict], found: list[tuple], image_size: int) -> dict:
    """The finder with probability, richness and redshift of a detection tied to the true haloes of `fields`, at the
    natural rate."""
    candidates = pd.concat(
        [located(table, f["number"], f["wcs"]) for f, (table, _) in zip(fields, found, strict=True)], ignore_index=True
    )
    table = judged_candidates(
        candidates.assign(richness=candidates["raw_richness"], probability=candidates["likelihood"]),
        pd.concat([field["truth"] for field in fields], ignore_index=True),
        [field["number"] for field in fields],
        image_size,
    )
    rich = int((genuine(table) & (table["true_richness"] >= RICHNESS_CLUSTER)).sum())
    if rich < MIN_CALIBRATORS:
        raise ValueError(
            f"{rich} true clusters are found among {len(table)} detections in {len(fields)} fields; calibration "
            f"needs {MIN_CALIBRATORS}: raise clusters: nfiles"
        )
    return finder | fit_relations(detection_features(table), table)


def calibrate_tiles(finder: dict, fields: list[dict], features: np.ndarray, image_size: int, tile_size: int) -> dict:
    """The finder with probabilities of tiles tied to the true membership of `fields`, from features (N, T, T, 2)."""
    truth = pd.concat([field["truth"] for field in fields], ignore_index=True)
    numbers, scale = [field["number"] for field in fields], finder["pixel_arcsec"]
    own = weights_of_fields(truth, numbers, image_size, tile_size, scale)
    membership, powers = np.stack([field["membership"] for field in fields]), tile_powers(features)
    return finder | {
        f"{prior}_tiles": fit_tiles(powers, membership, weight)
        for prior, weight in zip(PRIORS, (None, own), strict=True)
    }


def calibrated_finder(finder: dict, fields: list[dict], image_size: int, tile_size: int) -> tuple[dict, float]:
    """The finder calibrated on `fields` (detections, then tiles) and its tile PR-AUC there."""
    found = search_fields(finder, fields, image_size)
    finder = calibrate_detections(finder, fields, found, image_size)
    features = np.stack([
        tile_features(f["galaxies"], calibrated(d, finder), p, finder, image_size, tile_size)
        for f, (d, p) in zip(fields, found, strict=True)
    ])  # fmt: skip
    finder = calibrate_tiles(finder, fields, features, image_size, tile_size)
    truth = np.stack([field["membership"] for field in fields])
    return finder, average_precision(tile_probability(features, finder, "training").ravel(), truth.ravel())


def calibrated_limit(finder: dict, fields: list[dict], image_size: int, tile_size: int) -> dict:
    """The limit (`armillary.limit`) calibrated on `fields` by the same fits; its redshifts are the true ones."""
    limit = limit_of(finder)
    found = [(measure_haloes(field["galaxies"], field["truth"], limit, image_size), None) for field in fields]
    limit = calibrate_detections(limit, fields, found, image_size)
    limit |= {"redshift_bias": np.zeros(1), "redshift_error_scale": 1.0, "redshift_error_floor": 0.0}
    features = np.stack([limit_tile_features(f["galaxies"], f["truth"], limit, image_size, tile_size) for f in fields])
    return calibrate_tiles(limit, fields, features, image_size, tile_size)


def tune_knobs(
    finder: dict, training: list[dict], selection: list[dict], image_size: int, tile_size: int, report
) -> dict:
    """Coordinate search over KNOBS by the tile PR-AUC of the selection fields. `report(line)` is told each trial.

    The background, of the training fields, depends on one of the knobs: it is measured once for each of its values."""
    best, best_score, backgrounds = None, -1.0, {}
    for number, (name, values) in enumerate(KNOBS.items()):
        for value in values if number == 0 else values[1:]:
            trial = {**(best or finder), name: value}
            inflation = trial["scatter_inflation"]
            if inflation not in backgrounds:
                backgrounds[inflation] = background_of(trial, training, image_size)
            trial, score = calibrated_finder(trial | backgrounds[inflation], selection, image_size, tile_size)
            report(f"tile PR-AUC {score:.4f} at {name} = {value}")
            if score > best_score:
                best, best_score = trial, score
    return best


def train(
    red_sequence, fields: dict[str, list[dict]], *, pixel_arcsec: float, image_size: int, tile_size: int, report
) -> tuple[dict, float]:
    """The tuned finder and its tile PR-AUC on the calibration fields.

    `fields` are those of the splits train (red sequence and background), selection (knobs) and calibration (everything
    that is calibrated). `report(line)` is told what is found."""
    galaxies = (field["galaxies"] for field in fields["train"])
    members = pd.concat([each[each["is_member"]] for each in galaxies], ignore_index=True)
    finder = tuned_red_sequence(
        initial_finder(red_sequence, pixel_arcsec, {name: values[0] for name, values in KNOBS.items()}),
        members,
    )
    report(
        f"{len(members)} members give the red sequence; "
        f"scatter {np.round(finder['colour_scatter'], 3).tolist()} mag, "
        f"correlation {finder['colour_correlation']:.2f}"
    )
    finder = tune_knobs(finder, fields["train"], fields["selection"], image_size, tile_size, report)
    return calibrated_finder(finder, fields["calibration"], image_size, tile_size)
