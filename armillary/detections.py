"""From tile maps to clusters: peaks of the centre probability, and how likely each of them is a cluster.

Where a cluster's centre lies is one question, whether there is a cluster another: the centre of a rich cluster may be
in any of several tiles, and none of them is sure of it. So peaks are found in the centre probability, and a logistic
model of eight features, fitted to fields whose clusters are known, says how likely a peak is a cluster. The same fields
say by how much its richness is too large on average.
"""

import numpy as np
import pandas as pd

from armillary.calibration import REFERENCE_REDSHIFT, NaturalPrior, expit
from armillary.cosmology import pixels_per_mpc, richness_radius_mpc
from armillary.footprint import disc_inside

COLUMNS = ["x", "y", "probability", "redshift", "redshift_error", "richness", "richness_error"]
PEAK_COLUMNS = [
    "x", "y", "centre_probability", "n_members", "n_members_around", "redshift", "redshift_error", "ln_richness",
    "ln_richness_error", "inside",
]  # fmt: skip
LEAST_CENTRE_PROBABILITY = 0.03  # of a peak, at the cluster rate of the training fields
SAME_REDSHIFT = 0.06  # tiles of one cluster differ by less: another cluster behind it is another peak
FEW_MEMBERS = 0.1  # added to a peak's expected tiles with members before the logarithm


def find_peaks(prediction: dict[str, np.ndarray], *, tile_size: int, pixel_arcsec: float) -> pd.DataFrame:
    """PEAK_COLUMNS of every peak of one window's centre probability.

    `prediction` holds (T, T) maps of `armillary.inference` at the rate of the training fields. A centre near a tile's
    edge shares its probability among neighbours, so a peak's probability is that of a centre in any of its 3 x 3
    tiles of about the same redshift, and its position, redshift and richness are the means over those tiles weighted
    by their centre probability. Those tiles are then taken: no later peak counts them again. n_members is the expected
    number of members, -ln(1 - p) of the membership, in the 3 x 3 tiles, n_members_around that of about this redshift in
    5 x 5; inside is the share of the disc of R_lambda that the window holds; x and y are corner-based native pixels.
    """
    left, redshift = prediction["centre_probability"].astype(float), prediction["redshift"]
    n_members = -np.log1p(-np.clip(prediction["probability"].astype(float), 0, 1 - 1e-9))
    rows = []
    while left.max() > LEAST_CENTRE_PROBABILITY / 9:
        row, column = np.unravel_index(left.argmax(), left.shape)
        block, around = (np.s_[max(row - n, 0) : row + n + 1, max(column - n, 0) : column + n + 1] for n in (1, 2))
        shared = np.where(np.abs(redshift[block] - redshift[row, column]) < SAME_REDSHIFT, left[block], 0.0)
        probability = 1 - np.prod(1 - shared)
        if probability > LEAST_CENTRE_PROBABILITY:
            alike = np.abs(redshift[around] - redshift[row, column]) < SAME_REDSHIFT
            numbers = (probability, n_members[block].sum(), n_members[around][alike].sum())
            rows.append(_describe(prediction, shared, block, tile_size, numbers))
        left[block] -= shared
    peaks = pd.DataFrame(rows, columns=PEAK_COLUMNS[:-1], dtype=float)
    radius = richness_radius_mpc(np.exp(peaks["ln_richness"])) * pixels_per_mpc(
        peaks["redshift"].clip(lower=0.01), pixel_arcsec
    )
    return peaks.assign(inside=disc_inside(peaks["x"], peaks["y"], radius, tile_size * len(redshift)))


def _describe(prediction, shared: np.ndarray, block, tile_size: int, numbers: tuple) -> tuple:
    rows, columns = (index[block] for index in np.indices(prediction["redshift"].shape))
    weight = shared / shared.sum()
    x = (weight * (columns + prediction["offset_x"][block])).sum() * tile_size
    y = (weight * (rows + prediction["offset_y"][block])).sum() * tile_size
    # neighbours see the same galaxies, so the error is the mean error, too
    names = ("redshift", "redshift_error", "ln_richness", "ln_richness_error")
    return x, y, *numbers, *(float((weight * prediction[name][block]).sum()) for name in names)


def peak_features(peaks: pd.DataFrame) -> np.ndarray:
    """What the probability of a peak is a logistic function of, (n, 8)."""
    centre = peaks["centre_probability"].clip(1e-4, 1 - 1e-4)
    return np.stack(
        [
            np.log(centre / (1 - centre)),
            np.log(peaks["n_members"] + FEW_MEMBERS),
            peaks["ln_richness"] - 3.5,
            peaks["redshift"] - 0.45,
            np.log(peaks["redshift_error"]),
            np.log(peaks["n_members_around"] + FEW_MEMBERS),
            peaks["inside"],
            np.log(peaks["ln_richness_error"]),
        ],
        1,
    )


def detect_clusters(
    prediction: dict[str, np.ndarray],
    model: dict,
    prior: NaturalPrior,
    *,
    tile_size: int,
    pixel_arcsec: float,
    threshold: float,
) -> pd.DataFrame:
    """COLUMNS of the clusters of one window whose probability exceeds `threshold`, most probable first.

    `prediction` is at the rate of the training fields. `model` (coefficients (9,) of the peaks' features, the constant
    last; richness_coefficients, richness_error_scale and redshift_bias of `armillary.detection_training`) and `prior`
    carry the rate at which probability and richness are given.
    """
    peaks = find_peaks(prediction, tile_size=tile_size, pixel_arcsec=pixel_arcsec)
    coefficients = np.asarray(model["coefficients"])
    ln_richness, ln_error = prior.ln_richness(peaks["ln_richness"], peaks["ln_richness_error"])
    slope, tilt, constant = model["richness_coefficients"]
    place = peaks["redshift"] - REFERENCE_REDSHIFT
    richness = np.exp(slope * ln_richness + tilt * place + constant)
    clusters = peaks.assign(
        probability=expit(peak_features(peaks) @ coefficients[:-1] + coefficients[-1]),
        redshift=peaks["redshift"] - np.polyval(model["redshift_bias"], place),
        richness=richness,
        richness_error=richness * model["richness_error_scale"] * abs(slope) * ln_error,
    )[COLUMNS]
    clusters = clusters[clusters["probability"] > threshold]
    return clusters.sort_values("probability", ascending=False, ignore_index=True)
