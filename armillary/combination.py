"""The mean of two methods: tiles and clusters by the mean logit of encoder and red-sequence finder.

Both are calibrated, so neither counts more. A logistic model in the mean logit, fitted on calibration fields, makes it
a probability again: two methods that agree are surer together than each alone.
"""

import numpy as np
import pandas as pd

from armillary.detection_training import MATCH_DZ, MATCH_RADIUS_MPC, fit_probability, judged_candidates
from armillary.finder import DETECTION_COLUMNS, PRIORS
from armillary.matching import UNMATCHED, match_two_way
from armillary.natural_tiles import fit_tiles, tile_logistic, weights_of_fields

MAPS = dict(zip(PRIORS, ("probability", "probability_natural"), strict=True))
LEAST_PROBABILITY = 1e-6  # what a map says is held this far from 0 and 1 before the logarithm


def logit(probability) -> np.ndarray:
    """ln odds of probabilities, held LEAST_PROBABILITY from 0 and 1."""
    p = np.clip(np.asarray(probability, float), LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    return np.log(p / (1 - p))


def same_fields(one: dict, other: dict, names: tuple[str, str]) -> tuple[dict, dict]:
    """Two prediction files' arrays with their fields in one order; ValueError if fields or truth differ."""
    sorted_ones = []
    for arrays in (one, other):
        order = np.argsort(arrays["field"])
        sorted_ones.append({name: arrays[name][order] for name in ("field", "membership", *MAPS.values())})
    for what in ("field", "membership"):
        if not np.array_equal(sorted_ones[0][what], sorted_ones[1][what]):
            raise ValueError(f"{names[0]} and {names[1]} differ in {what}: predict both on the same split")
    return tuple(sorted_ones)


def joined_detections(encoder: pd.DataFrame, finder: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """The union of both lists (DETECTION_COLUMNS), with `mean_logit`; probability is not calibrated yet.

    Detections of one field within MATCH_RADIUS_MPC and MATCH_DZ (1 + z) are one cluster, at the place of the finder's,
    which sits on a galaxy; its redshift is the mean by inverse variance, its ln richness the mean. Both methods see the
    same galaxies, so their errors are taken as fully correlated. A method that has none has at most `threshold`, where
    its list ends.
    """
    match = match_two_way(
        encoder.assign(group=encoder["field"]), finder.assign(group=finder["field"]),
        match_radius_mpc=MATCH_RADIUS_MPC, match_dz=MATCH_DZ,
    )  # fmt: skip
    both = match != UNMATCHED
    mean = _means(encoder[both].reset_index(drop=True), finder.iloc[match[both]].reset_index(drop=True))
    alone = pd.concat([encoder[~both], finder.drop(index=finder.index[match[both]])])
    alone = alone.assign(mean_logit=0.5 * (logit(alone["probability"]) + logit(threshold)))
    joined = pd.concat([mean, alone[mean.columns]], ignore_index=True)
    return joined.assign(probability=tile_logistic(joined[["mean_logit"]].to_numpy(), [1.0, 0.0]))


def _means(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Pairs of detections, row by row, as one; places are those of `other`."""
    weight = 1 / one["redshift_error"] ** 2, 1 / other["redshift_error"] ** 2
    share = weight[0] / (weight[0] + weight[1])
    richness = np.sqrt(one["richness"] * other["richness"])
    relative = 0.5 * (one["richness_error"] / one["richness"] + other["richness_error"] / other["richness"])
    return other[list(DETECTION_COLUMNS)].assign(
        redshift=share * one["redshift"] + (1 - share) * other["redshift"],
        redshift_error=share * one["redshift_error"] + (1 - share) * other["redshift_error"],
        richness=richness,
        richness_error=relative * richness,
        mean_logit=0.5 * (logit(one["probability"]) + logit(other["probability"])),
    )


def fit_combination(encoder: dict, finder: dict, joined: pd.DataFrame, truth: pd.DataFrame, pixel_arcsec: float,
                    image_size: int) -> dict:  # fmt: skip
    """Slope and constant of the mean logit: `detections`, `training_tiles`, `natural_tiles`.

    `encoder` and `finder` are the arrays of `same_fields`, `joined` their `joined_detections`, all of fields with the
    haloes `truth`."""
    judged = judged_candidates(joined, truth, encoder["field"], image_size)
    model = {"detections": fit_probability(judged[["mean_logit"]].to_numpy(), judged, judged["weight"].to_numpy())}
    tile_size = image_size // encoder["membership"].shape[1]
    own = weights_of_fields(truth, encoder["field"], image_size, tile_size, pixel_arcsec)
    for (prior, name), weight in zip(MAPS.items(), (None, own), strict=True):
        features = mean_of_maps(encoder[name], finder[name])
        model[f"{prior}_tiles"] = fit_tiles(features, encoder["membership"], weight)
    return model


def mean_of_maps(one, other) -> np.ndarray:
    """Mean logit (..., 1) of two maps of probabilities (...)."""
    return 0.5 * (logit(one) + logit(other))[..., None]


def combined_maps(encoder: dict, finder: dict, model: dict) -> dict[str, np.ndarray]:
    """field, membership, and the combined probability of tiles at both rates, of the arrays of `same_fields`."""
    maps = {
        name: tile_logistic(mean_of_maps(encoder[name], finder[name]), model[f"{prior}_tiles"])
        for prior, name in MAPS.items()
    }
    return {"field": encoder["field"], "membership": encoder["membership"], **maps}


def combined_detections(joined: pd.DataFrame, model: dict, threshold: float) -> pd.DataFrame:
    """DETECTION_COLUMNS of `joined_detections` whose calibrated probability exceeds `threshold`."""
    probability = tile_logistic(joined[["mean_logit"]].to_numpy(), model["detections"])
    return joined.assign(probability=probability)[probability > threshold][list(DETECTION_COLUMNS)]
