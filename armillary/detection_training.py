"""How likely a peak is a cluster, and how rich, learned from fields whose clusters are known."""

import numpy as np
import pandas as pd

from armillary.calibration import NaturalPrior, expit, fit_logistic
from armillary.completeness import judge
from armillary.detections import find_peaks, peak_features
from armillary.sky import sky_of_pixel, wcs_of_header
from armillary.splits import field_truth
from armillary.tiles import CLUSTER_RICHNESS

MATCH_RADIUS_MPC, MATCH_DZ = 1.0, 0.05  # a peak and a halo are the same within these
RIDGE = 0.3


def fit_detections(
    predictions: list[dict],
    fields: list[dict],
    natural: NaturalPrior,
    *,
    image_size: int,
    tile_size: int,
    pixel_arcsec: float,
) -> dict[str, dict]:
    """What `detections.detect_clusters` needs, by class prior, "training" and "natural".

    That is coefficients (9,) of the peaks' features, and ln_richness_bias, the mean of ln(estimated / true richness) of
    the clusters that are found.

    `predictions`: one field's (T, T) maps at the rate of the training fields; `fields`: field number, wcs header and
    truth table of each. The network must not have learned from them: of those that it has, it is too sure. At the
    natural rate a peak counts with the weight of the halo that causes it.
    """
    scale = {"tile_size": tile_size, "pixel_arcsec": pixel_arcsec}
    peaks = pd.concat(
        [_located(find_peaks(maps, **scale), field) for maps, field in zip(predictions, fields, strict=True)],
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
    return {
        "training": _model(judged, np.ones(len(judged)), NaturalPrior()),
        "natural": _model(judged, judged["weight"].to_numpy(), natural),
    }


def _model(judged: pd.DataFrame, weight: np.ndarray, prior: NaturalPrior) -> dict:
    features, is_cluster = peak_features(judged), (judged["true_richness"] >= CLUSTER_RICHNESS).to_numpy()
    coefficients = fit_logistic(features, is_cluster.astype(float), weight, ridge=RIDGE)
    found = weight * expit(features @ coefficients[:-1] + coefficients[-1])
    ln_richness, _ = prior.ln_richness(judged["ln_richness"][is_cluster], judged["ln_richness_error"][is_cluster])
    residual = ln_richness - np.log(judged["true_richness"][is_cluster])
    bias = np.average(residual, weights=found[is_cluster]) if is_cluster.any() else 0.0
    return {"coefficients": coefficients.tolist(), "ln_richness_bias": float(bias)}


def _located(peaks: pd.DataFrame, field: dict) -> pd.DataFrame:
    """Peaks with their field and their sky position."""
    ra, dec = sky_of_pixel(peaks["x"], peaks["y"], wcs_of_header(field["wcs"], f"field {field['field']}"))
    return peaks.assign(field=field["field"], ra=ra, dec=dec)
