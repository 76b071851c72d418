"""How far redshifts and richnesses of found clusters lie from the truth, and whether their errors say so."""

import numpy as np

from armillary.matching import UNMATCHED, match_nearest, match_radius_arcsec
from armillary.metrics import bootstrap_statistic, effective_number, estimate, measurement
from armillary.sky import separation_arcsec

NORMAL_MAD = 1.4826  # standard deviation of a normal distribution over its median absolute deviation


def matched_clusters(detections, truth, *, threshold, richness_above, redshift_range, match_radius_mpc):
    """One row per found cluster, for its residuals.

    Columns: redshift, redshift_error, richness, richness_error as estimated, offset_mpc from the true centre,
    redshift_true, richness_true, weight, unit. Detections at or above `threshold` and true clusters of
    richness > `richness_above` are matched as mutual nearest neighbours in position alone; kept are clusters
    inside the image and the true redshift range. No redshift criterion and no cut in estimated richness: both
    would trim the residuals that are measured.
    """
    kept = detections[detections["probability"] >= threshold].reset_index(drop=True)
    clusters = truth[truth["richness"] > richness_above].reset_index(drop=True)
    halo = match_nearest(kept, clusters, match_radius_mpc=match_radius_mpc)
    pairs = kept[halo != UNMATCHED].reset_index(drop=True)
    true = clusters.iloc[halo[halo != UNMATCHED]].reset_index(drop=True)
    matches = pairs[["redshift", "redshift_error", "richness", "richness_error"]].assign(
        offset_mpc=separation_arcsec(pairs["ra"], pairs["dec"], true["ra"], true["dec"])
        / match_radius_arcsec(true["redshift"].to_numpy(), 1.0),
        redshift_true=true["redshift"],
        richness_true=true["richness"],
        weight=true["weight"],
        unit=true["unit"],
    )
    low, high = redshift_range
    return matches[true["inside"] & (true["redshift"] >= low) & (true["redshift"] < high)].reset_index(drop=True)


def weighted_mean(values, weights) -> float:
    """Mean; NaN without weight."""
    return float(np.average(values, weights=weights)) if np.sum(weights) > 0 else np.nan


def weighted_std(values, weights) -> float:
    """Standard deviation about the mean; NaN without weight."""
    return float(np.sqrt(weighted_mean((values - weighted_mean(values, weights)) ** 2, weights)))


def weighted_median(values, weights) -> float:
    """Value at which half of the weight is reached; NaN without weight."""
    return weighted_quantile(values, weights, 0.5)


def weighted_quantile(values, weights, share: float) -> float:
    """Value at which this share of the weight is reached; NaN without weight."""
    values, weights = np.asarray(values)[weights > 0], weights[weights > 0]
    if len(values) == 0:
        return np.nan
    order = np.argsort(values, kind="stable")
    middle = np.cumsum(weights[order]) - 0.5 * weights[order]
    return float(np.interp(share * np.sum(weights), middle, values[order]))


def normalised_mad(values, weights) -> float:
    """1.4826 times the median absolute deviation from the median: a scatter that outliers hardly move."""
    return NORMAL_MAD * weighted_median(np.abs(values - weighted_median(values, weights)), weights)


def residual_metrics(matches, counts, *, outlier_dz: float) -> dict:
    """name -> measurement of bias, scatter, outliers and error calibration.

    Residuals are (z - z_true) / (1 + z_true) and ln(richness / true richness). Clusters are weighted to the
    natural rate. `pull` is the residual over its quoted error: its scatter is 1 and `within_one_sigma` 0.683
    when the errors are right. Values are None where no error is quoted.
    """
    redshift = ((matches["redshift"] - matches["redshift_true"]) / (1 + matches["redshift_true"])).to_numpy(dtype=float)
    richness = np.log(matches["richness"].clip(lower=1e-3) / matches["richness_true"]).to_numpy(dtype=float)
    redshift_pull = redshift * (1 + matches["redshift_true"]) / matches["redshift_error"]
    richness_pull = richness * matches["richness"] / matches["richness_error"]
    table = {
        "cluster_offset_mpc": (
            matches["offset_mpc"].to_numpy(dtype=float),
            weighted_median,
            "median distance to the true centre",
        ),
        "redshift_bias": (redshift, weighted_median, "median of (z - z_true) / (1 + z_true)"),
        "redshift_scatter": (
            redshift,
            normalised_mad,
            "1.4826 MAD of (z - z_true) / (1 + z_true), matched in position only",
        ),
        "redshift_std": (redshift, weighted_std, "standard deviation of the same, outliers included"),
        "redshift_outlier_fraction": (
            np.abs(redshift) > outlier_dz,
            weighted_mean,
            f"|z - z_true| / (1 + z_true) > {outlier_dz:g}",
        ),
        "redshift_pull_scatter": (redshift_pull, normalised_mad, "1 if the errors are right"),
        "redshift_within_one_sigma": (
            np.abs(redshift_pull) < 1,
            weighted_mean,
            "0.683 if the errors are right",
        ),
        "richness_bias": (richness, weighted_mean, "mean of ln(richness / true richness)"),
        "richness_scatter": (richness, weighted_std, "standard deviation of ln(richness / true richness)"),
        "richness_pull_scatter": (richness_pull, normalised_mad, "1 if the errors are right"),
        "richness_within_one_sigma": (
            np.abs(richness_pull) < 1,
            weighted_mean,
            "0.683 if the errors are right",
        ),
    }
    quoted = {
        "redshift": has_error(matches["redshift_error"]),
        "richness": has_error(matches["richness_error"]),
    }
    everything = np.ones(len(matches), dtype=bool)
    metrics = {
        name: summary(values, _error_sample(name, quoted, everything), statistic, matches, counts, note)
        for name, (values, statistic, note) in table.items()
    }
    metrics["cluster_offset_mpc"]["unit"] = "Mpc"
    return metrics


def has_error(error) -> np.ndarray:
    """Where a positive, finite error is quoted."""
    error = np.asarray(error, dtype=float)
    return np.isfinite(error) & (error > 0)


def _error_sample(name: str, quoted: dict, everything) -> np.ndarray:
    needs_error = name.endswith(("pull_scatter", "within_one_sigma"))
    return quoted[name.split("_")[0]] if needs_error else everything


def summary(values, chosen, statistic, matches, counts, note: str) -> dict:
    """One weighted statistic of the chosen matches as a measurement."""
    values = np.asarray(values, dtype=float)[chosen]
    weight, unit = (
        matches["weight"].to_numpy(dtype=float)[chosen],
        matches["unit"].to_numpy(dtype=int)[chosen],
    )
    if len(values) == 0:
        return measurement(None, n=0, note=f"{note}; no matched cluster (with an error)")
    value, samples = bootstrap_statistic(lambda resampled: statistic(values, weight * resampled), unit, counts)
    return estimate(value, samples, round(effective_number(weight), 1), note=note)
