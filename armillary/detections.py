"""From tile maps to clusters: peaks of the centre probability, and how likely each of them is a cluster.

Where a cluster's centre lies is one question, whether there is a cluster another: the centre of a rich cluster may be
in any of several tiles, and none of them is sure of it. So peaks are found in the centre probability, and a logistic
model of five features, fitted to fields whose clusters are known, says how likely a peak is a cluster.
"""

import numpy as np
import pandas as pd

from armillary.calibration import NaturalPrior, expit

COLUMNS = ["x", "y", "probability", "redshift", "redshift_error", "richness", "richness_error"]
PEAK_COLUMNS = [
    "x", "y", "centre_probability", "n_members", "redshift", "redshift_error", "ln_richness", "ln_richness_error",
]  # fmt: skip
LEAST_CENTRE_PROBABILITY = 0.03  # of a peak, at the cluster rate of the training fields
SAME_REDSHIFT = 0.06  # tiles of one cluster differ by less: another cluster behind it is another peak
FEW_MEMBERS = 0.1  # added to a peak's expected tiles with members before the logarithm


def find_peaks(prediction: dict[str, np.ndarray], tile_size: int) -> pd.DataFrame:
    """PEAK_COLUMNS of every peak of one window's centre probability.

    `prediction` holds (T, T) maps of `armillary.inference` at the rate of the training fields. A centre near a tile's
    edge shares its probability among neighbours, so a peak's probability is that of a centre in any of its 3 x 3
    tiles of about the same redshift, and its position, redshift and richness are the means over those tiles weighted
    by their centre probability. Those tiles are then taken: no later peak counts them again. n_members is the expected
    number of members, -ln(1 - p) of the membership, in the 3 x 3 tiles; x and y are corner-based native pixels of the
    window.
    """
    left, redshift = prediction["centre_probability"].astype(float), prediction["redshift"]
    n_members = -np.log1p(-np.clip(prediction["probability"].astype(float), 0, 1 - 1e-9))
    rows = []
    while left.max() > LEAST_CENTRE_PROBABILITY / 9:
        row, column = np.unravel_index(left.argmax(), left.shape)
        block = np.s_[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        shared = np.where(np.abs(redshift[block] - redshift[row, column]) < SAME_REDSHIFT, left[block], 0.0)
        probability = 1 - np.prod(1 - shared)
        if probability > LEAST_CENTRE_PROBABILITY:
            rows.append(_describe(prediction, shared, block, tile_size, probability, n_members[block].sum()))
        left[block] -= shared
    return pd.DataFrame(rows, columns=PEAK_COLUMNS, dtype=float)


def _describe(prediction, shared: np.ndarray, block, tile_size: int, probability: float, n_members: float) -> tuple:
    rows, columns = (index[block] for index in np.indices(prediction["redshift"].shape))
    weight = shared / shared.sum()
    x = (weight * (columns + prediction["offset_x"][block])).sum() * tile_size
    y = (weight * (rows + prediction["offset_y"][block])).sum() * tile_size
    # neighbours see the same galaxies, so the error is the mean error, too
    names = ("redshift", "redshift_error", "ln_richness", "ln_richness_error")
    return x, y, probability, n_members, *(float((weight * prediction[name][block]).sum()) for name in names)


def peak_features(peaks: pd.DataFrame) -> np.ndarray:
    """What the probability of a peak is a logistic function of, (n, 5)."""
    centre = peaks["centre_probability"].clip(1e-4, 1 - 1e-4)
    return np.stack(
        [
            np.log(centre / (1 - centre)),
            np.log(peaks["n_members"] + FEW_MEMBERS),
            peaks["ln_richness"] - 3.5,
            peaks["redshift"] - 0.45,
            np.log(peaks["redshift_error"]),
        ],
        1,
    )


def detect_clusters(
    prediction: dict[str, np.ndarray], coefficients, prior: NaturalPrior, *, tile_size: int, threshold: float
) -> pd.DataFrame:
    """COLUMNS of the clusters of one window whose probability exceeds `threshold`, most probable first.

    `prediction` is at the rate of the training fields; `coefficients` (6,) of the peaks' features, the constant last,
    and `prior` carry the rate at which probability and richness are given.
    """
    peaks = find_peaks(prediction, tile_size)
    features = peak_features(peaks)
    ln_richness, ln_error = prior.ln_richness(peaks["ln_richness"], peaks["ln_richness_error"])
    richness = np.exp(ln_richness)
    clusters = peaks.assign(
        probability=expit(features @ np.asarray(coefficients[:-1]) + coefficients[-1]),
        richness=richness,
        richness_error=richness * ln_error,
    )[COLUMNS]
    clusters = clusters[clusters["probability"] > threshold]
    return clusters.sort_values("probability", ascending=False, ignore_index=True)
