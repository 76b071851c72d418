"""How likely a peak is a cluster, learned from fields whose clusters are known."""

import numpy as np
import pandas as pd

from armillary.calibration import fit_logistic
from armillary.completeness import judge
from armillary.detections import find_peaks, peak_features
from armillary.sky import sky_of_pixel, wcs_of_header
from armillary.splits import field_truth
from armillary.tiles import CLUSTER_RICHNESS

MATCH_RADIUS_MPC, MATCH_DZ = 1.0, 0.05  # a peak and a halo are the same within these
RIDGE = 3.0


def fit_detections(predictions: list[dict], fields: list[dict], *, image_size: int, tile_size: int) -> dict:
    """Coefficients (6,) of `detections.peak_features` by class prior, "training" and "natural".

    `predictions`: one field's (T, T) maps at the rate of the training fields; `fields`: field number, wcs header and
    truth table of each. At the natural rate a peak counts with the weight of the halo that causes it.
    """
    peaks = pd.concat(
        [_located(find_peaks(maps, tile_size), field) for maps, field in zip(predictions, fields, strict=True)],
        ignore_index=True,
    )
    truth = pd.concat([pd.DataFrame(field["truth"]) for field in fields], ignore_index=True)
    numbers = np.sort([field["field"] for field in fields])
    peaks = peaks.assign(unit=np.searchsorted(numbers, peaks["field"]), group=np.searchsorted(numbers, peaks["field"]))
    haloes = field_truth(truth, numbers, image_size, "the truth of the fields")
    judged, _ = judge(
        peaks.assign(probability=peaks["centre_probability"], richness=np.exp(peaks["ln_richness"])), haloes,
        match_radius_mpc=MATCH_RADIUS_MPC, match_dz=MATCH_DZ,
    )  # fmt: skip
    judged = judged[judged["counted"]]
    features, is_cluster = peak_features(judged), (judged["true_richness"] >= CLUSTER_RICHNESS).to_numpy(float)
    weights = {"training": np.ones(len(judged)), "natural": judged["weight"].to_numpy()}
    return {
        prior: fit_logistic(features, is_cluster, weight, ridge=RIDGE).tolist() for prior, weight in weights.items()
    }


def _located(peaks: pd.DataFrame, field: dict) -> pd.DataFrame:
    """Peaks with their field and sky position."""
    ra, dec = sky_of_pixel(peaks["x"], peaks["y"], wcs_of_header(field["wcs"], f"field {field['field']}"))
    return peaks.assign(field=field["field"], ra=ra, dec=dec)
