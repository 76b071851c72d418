"""How likely a candidate is a cluster, and how rich, learned from fields whose clusters are known.

Peaks of the encoder, detections of the red-sequence finder and haloes of the limit go through the same two functions:
`judged_candidates` says what each is and what it counts for, `fit_probability` fits a logistic model to that.
"""

import numpy as np
import pandas as pd

from armillary.calibration import NaturalPrior, expit, fit_logistic
from armillary.completeness import judge
from armillary.detections import find_peaks, peak_features
from armillary.haloes import RICHNESS_CLUSTER
from armillary.matching import UNMATCHED
from armillary.sky import sky_of_pixel, wcs_of_header
from armillary.splits import field_truth

MATCH_RADIUS_MPC, MATCH_DZ = 1.0, 0.05  # a candidate and a halo are the same within these
RIDGE = 0.3


def located(table: pd.DataFrame, number: int, wcs) -> pd.DataFrame:
    """Objects of one field (x, y in pixels) with `field` and their sky position ra, dec in degrees."""
    ra, dec = sky_of_pixel(table["x"], table["y"], wcs)
    return table.assign(field=number, ra=ra, dec=dec)


def judged_candidates(candidates: pd.DataFrame, truth: pd.DataFrame, fields, image_size: int) -> pd.DataFrame:
    """Candidates of the `fields` (their numbers) with what is true of them.

    `candidates` needs field, ra, dec, redshift, richness and probability (which decides ties), `truth` the columns of a
    truth table. Added are true_richness and true_redshift, 0 where no halo is matched, and weight: what the candidate
    counts for at the natural rate (`completeness.natural_weights`). Candidates of haloes centred outside the image are
    left out.
    """
    numbers = np.sort(np.asarray(fields))
    place = np.searchsorted(numbers, candidates["field"])
    haloes = field_truth(truth, numbers, image_size, "the truth of the fields")
    judged, _ = judge(
        candidates.assign(unit=place, group=place), haloes, match_radius_mpc=MATCH_RADIUS_MPC, match_dz=MATCH_DZ
    )
    redshift = np.append(haloes["redshift"].to_numpy(float), 0.0)[judged["halo"]]
    judged = judged.assign(true_redshift=np.where(judged["halo"] == UNMATCHED, 0.0, redshift))
    return judged[judged["counted"]].reset_index(drop=True)


def fit_probability(features: np.ndarray, judged: pd.DataFrame, weight: np.ndarray) -> np.ndarray:
    """Coefficients, the constant last, of the probability that a candidate is a cluster of RICHNESS_CLUSTER or richer;
    `features` (n, k) of the judged candidates, `weight` (n,): ones give the rate of the fields, their own the sky's."""
    is_cluster = judged["true_richness"].to_numpy() >= RICHNESS_CLUSTER
    return fit_logistic(features, is_cluster.astype(float), weight, ridge=RIDGE)


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
    peaks = [
        located(find_peaks(maps, **scale), field["field"], wcs_of_header(field["wcs"], f"field {field['field']}"))
        for maps, field in zip(predictions, fields, strict=True)
    ]
    peaks = pd.concat(peaks, ignore_index=True)
    truth = pd.concat([pd.DataFrame(field["truth"]) for field in fields], ignore_index=True)
    judged = judged_candidates(
        peaks.assign(probability=peaks["centre_probability"], richness=np.exp(peaks["ln_richness"])),
        truth, [field["field"] for field in fields], image_size,
    )  # fmt: skip
    return {
        "training": _model(judged, np.ones(len(judged)), NaturalPrior()),
        "natural": _model(judged, judged["weight"].to_numpy(), natural),
    }


def _model(judged: pd.DataFrame, weight: np.ndarray, prior: NaturalPrior) -> dict:
    features, is_cluster = peak_features(judged), (judged["true_richness"] >= RICHNESS_CLUSTER).to_numpy()
    coefficients = fit_probability(features, judged, weight)
    found = weight * expit(features @ coefficients[:-1] + coefficients[-1])
    ln_richness, _ = prior.ln_richness(judged["ln_richness"][is_cluster], judged["ln_richness_error"][is_cluster])
    residual = ln_richness - np.log(judged["true_richness"][is_cluster])
    bias = np.average(residual, weights=found[is_cluster]) if is_cluster.any() else 0.0
    return {"coefficients": coefficients.tolist(), "ln_richness_bias": float(bias)}
