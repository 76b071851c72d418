"""How likely a candidate is a cluster, and how rich, learned from fields whose clusters are known.

Peaks of the encoder, detections of the red-sequence finder and haloes of the limit go through the same functions:
`judged_candidates` finds the halo and the natural weight of each, `fit_relations` fits a logistic model of the
probability, and richness and redshift to the truth.
"""

import numpy as np
import pandas as pd

from armillary.calibration import NaturalPrior, error_scale, expit, fit_logistic
from armillary.completeness import judge
from armillary.detections import find_peaks, peak_features
from armillary.haloes import RICHNESS_CLUSTER
from armillary.matching import UNMATCHED
from armillary.percolation import without_fragments
from armillary.sky import sky_of_pixel, wcs_of_header
from armillary.splits import field_truth

MATCH_RADIUS_MPC, MATCH_DZ = 1.0, 0.05  # a candidate and a halo are the same within these
RIDGE = 0.3
RICHNESS_PRIOR = 0.5  # mean-weighted matches that hold the richness relation to ln true = ln raw


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


def fit_relations(features: np.ndarray, judged: pd.DataFrame) -> dict:
    """Calibration of the judged candidates with weights `weight` (n,): probability_coefficients of `fit_probability`,
    and the entries of `richness_relation` and `redshift_relation`.

    Estimates are fitted to candidates as a catalogue lists them: each counts with its probability to be a cluster, too.
    """
    weight = judged["weight"].to_numpy()
    coefficients = fit_probability(features, judged, weight)
    listed = judged.assign(weight=weight * expit(features @ coefficients[:-1] + coefficients[-1]))
    return {"probability_coefficients": coefficients} | richness_relation(listed) | redshift_relation(listed)


def genuine(table) -> pd.Series:
    """Detections mostly on the image and within a factor e of the halo they match: the rest are chance matches."""
    ratio = np.log(table["raw_richness"] / table["true_richness"].clip(lower=1e-3))
    return (table["true_richness"] > 0) & (ratio.abs() < 1) & (table["inside"] > 0.4)


def richness_relation(table) -> dict:
    """Fit of ln true richness (linear in its raw value and redshift) of genuine matches, and its scatter.

    Where `table` has errors of the raw ln richness, raw_ln_error, `richness_error_scale` makes them hold 68 %.
    """
    table = table[genuine(table)]
    known = np.array([1.0, 0.0, 0.0])
    if table.empty:
        return {"richness_coefficients": known, "richness_scatter_ln": 0.0, "richness_error_scale": 1.0}
    raw, true = (np.log(table[name].to_numpy()) for name in ("raw_richness", "true_richness"))
    design = np.column_stack([raw, table["redshift"].to_numpy() - 0.45, np.ones(len(table))])
    weight = table["weight"].to_numpy()
    # ASSUME: a weak prior at ln true = ln raw keeps the fit finite where few clusters are known
    normal = (design * weight[:, None]).T @ design + RICHNESS_PRIOR * weight.mean() * np.eye(3)
    coefficients = known + np.linalg.solve(normal, (design * weight[:, None]).T @ (true - design @ known))
    is_rich = table["true_richness"].to_numpy() >= RICHNESS_CLUSTER
    residual = (true - design @ coefficients)[is_rich]
    scatter = robust_sigma(residual) if len(residual) else 0.0
    relation = {"richness_coefficients": coefficients, "richness_scatter_ln": scatter}
    if "raw_ln_error" in table:
        quoted = abs(coefficients[0]) * table["raw_ln_error"].to_numpy()[is_rich]
        relation["richness_error_scale"] = error_scale(residual, quoted)
    return relation


def redshift_relation(table) -> dict:
    """Bias of redshift (quadratic in z) and scale and floor of its errors, from genuine matches of clusters."""
    table = table[genuine(table) & (table["true_richness"] >= RICHNESS_CLUSTER)]
    z, error = table["redshift"].to_numpy() - 0.45, (table["redshift"] - table["true_redshift"]).to_numpy()
    if table.empty:
        return {"redshift_bias": np.zeros(1), "redshift_error_scale": 1.0, "redshift_error_floor": 0.0}
    good = np.abs(error - np.median(error)) < 0.03
    bias = np.polyfit(z[good], error[good], 2 if good.sum() > 30 else 0)
    left = error - np.polyval(bias, z)
    return {
        "redshift_bias": bias,
        "redshift_error_scale": min(robust_sigma(left / table["redshift_error"].to_numpy()), 3.0),
        "redshift_error_floor": 0.3 * robust_sigma(left),
    }


def robust_sigma(values) -> float:
    """Half the central 68 % interval."""
    return float(np.diff(np.percentile(values, (15.865, 84.135)))[0] / 2)


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

    That is coefficients (9,) of the peaks' features, richness_coefficients and richness_error_scale of
    `richness_relation`, and redshift_bias of `redshift_relation`.

    `predictions`: one field's (T, T) maps at the rate of the training fields; `fields`: field number, wcs header and
    truth table of each. The network must not have learned from them: of those that it has, it is too sure. At the
    natural rate a peak counts with the weight of the halo that causes it.
    """
    scale = {"tile_size": tile_size, "pixel_arcsec": pixel_arcsec}
    peaks = []
    for maps, field in zip(predictions, fields, strict=True):
        found = find_peaks(maps, **scale)
        found = without_fragments(found.assign(probability=found["centre_probability"]), pixel_arcsec)
        peaks.append(located(found, field["field"], wcs_of_header(field["wcs"], f"field {field['field']}")))
    peaks = pd.concat(peaks, ignore_index=True)
    truth = pd.concat([pd.DataFrame(field["truth"]) for field in fields], ignore_index=True)
    judged = judged_candidates(
        peaks.assign(richness=np.exp(peaks["ln_richness"])),
        truth, [field["field"] for field in fields], image_size,
    )  # fmt: skip
    return {
        "training": _model(judged, np.ones(len(judged)), NaturalPrior()),
        "natural": _model(judged, judged["weight"].to_numpy(), natural),
    }


def _model(judged: pd.DataFrame, weight: np.ndarray, prior: NaturalPrior) -> dict:
    ln_richness, ln_error = prior.ln_richness(judged["ln_richness"], judged["ln_richness_error"])
    table = judged.assign(raw_richness=np.exp(ln_richness), raw_ln_error=ln_error, weight=weight)
    relations = fit_relations(peak_features(judged), table)
    return {
        "coefficients": relations["probability_coefficients"].tolist(),
        "richness_coefficients": relations["richness_coefficients"].tolist(),
        "richness_error_scale": relations["richness_error_scale"],
        "redshift_bias": relations["redshift_bias"].tolist(),
    }
