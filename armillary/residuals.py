"""Redshifts, richnesses and centres of found clusters against the truth, and whether the quoted errors hold."""

import numpy as np

from armillary.matching import UNMATCHED, match_nearest, match_radius_arcsec
from armillary.metrics import Score, bootstrap_statistic, effective_number, join_notes
from armillary.sky import separation_arcsec

NORMAL_MAD = 1.4826  # standard deviation of a normal distribution over its median absolute deviation
LEAST_RICHNESS = 1e-3


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


# --- weighted statistics


def weighted_mean(values, weights) -> float:
    """Mean; NaN without weight."""
    return float(np.average(values, weights=weights)) if np.sum(weights) > 0 else np.nan


def weighted_std(values, weights) -> float:
    """Standard deviation about the mean; NaN without weight."""
    return float(np.sqrt(weighted_mean((values - weighted_mean(values, weights)) ** 2, weights)))


def weighted_quantile(values, weights, share: float) -> float:
    """Value at which a share of the weight is reached; NaN without weight."""
    values, weights = np.asarray(values)[weights > 0], weights[weights > 0]
    if len(values) == 0:
        return np.nan
    order = np.argsort(values, kind="stable")
    middle = np.cumsum(weights[order]) - 0.5 * weights[order]
    return float(np.interp(share * np.sum(weights), middle, values[order]))


def weighted_median(values, weights) -> float:
    """Value at which half of the weight is reached; NaN without weight."""
    return weighted_quantile(values, weights, 0.5)


def normalised_mad(values, weights) -> float:
    """1.4826 times the median absolute deviation from the median: a scatter that outliers hardly move."""
    return NORMAL_MAD * weighted_median(np.abs(values - weighted_median(values, weights)), weights)


def weighted_covariance(pairs, weights) -> np.ndarray:
    """Covariance (2, 2) of pairs (n, 2); NaN without weight."""
    if np.sum(weights) <= 0:
        return np.full((2, 2), np.nan)
    offset = pairs - np.average(pairs, axis=0, weights=weights)
    return (offset * weights[:, None]).T @ offset / np.sum(weights)


def slope_on_truth(pairs, weights) -> float:
    """Least-squares slope of the first on the second column; NaN where the second does not vary."""
    covariance = weighted_covariance(pairs, weights)
    return float(covariance[0, 1] / covariance[1, 1]) if covariance[1, 1] > 0 else np.nan


def correlation_with_truth(pairs, weights) -> float:
    """Pearson's correlation of the columns; NaN where one does not vary."""
    covariance = weighted_covariance(pairs, weights)
    product = covariance[0, 0] * covariance[1, 1]
    return float(covariance[0, 1] / np.sqrt(product)) if product > 0 else np.nan


# --- scores


def residual_scores(matches, counts, *, outlier_dz: float, richness_edges) -> dict[str, Score]:
    """name -> score of centres, redshifts and richnesses.

    Residuals are (z - z_true) / (1 + z_true) and ln(richness / true richness). Clusters are weighted to the natural
    rate. `pull` is the residual over its quoted error: its scatter is 1 and `within_one_sigma` 0.683 when the errors
    are right. Values are NaN where no error is quoted.
    """
    return (
        centre_scores(matches, counts)
        | redshift_scores(matches, counts, outlier_dz)
        | richness_scores(matches, counts, richness_edges)
    )


def centre_scores(matches, counts) -> dict[str, Score]:
    """Distance to the true centre: half and nine tenths of the clusters lie within these."""
    offset = matches["offset_mpc"].to_numpy(dtype=float)
    everything = np.ones(len(matches), dtype=bool)
    score = summary(offset, everything, weighted_median, matches, counts, "median distance to the true centre")
    outer = summary(
        offset,
        everything,
        lambda values, weights: weighted_quantile(values, weights, 0.9),
        matches,
        counts,
        "distance to the true centre that holds 90 % of the clusters",
    )
    return {"cluster_offset_mpc": score._replace(unit="Mpc"), "cluster_offset_90_mpc": outer._replace(unit="Mpc")}


def redshift_scores(matches, counts, outlier_dz: float) -> dict[str, Score]:
    """Bias, scatter, outliers and errors of redshift."""
    residual = ((matches["redshift"] - matches["redshift_true"]) / (1 + matches["redshift_true"])).to_numpy(dtype=float)
    pull = residual * (1 + matches["redshift_true"]).to_numpy() / matches["redshift_error"].to_numpy(dtype=float)
    of_all, quoted = np.ones(len(matches), dtype=bool), has_error(matches["redshift_error"])
    outlier = np.abs(residual) > outlier_dz
    table = {
        "bias": (residual, of_all, weighted_median, "median of (z - z_true) / (1 + z_true)"),
        "scatter": (residual, of_all, normalised_mad, "1.4826 MAD of (z - z_true) / (1 + z_true), matched in position"),
        "std": (residual, of_all, weighted_std, "standard deviation of the same, outliers included"),
        "outlier_fraction": (outlier, of_all, weighted_mean, f"|z - z_true| / (1 + z_true) > {outlier_dz:g}"),
        "pull_scatter": (pull, quoted, normalised_mad, "1 if the errors are right"),
        "within_one_sigma": (np.abs(pull) < 1, quoted, weighted_mean, "0.683 if the errors are right"),
    }
    return {
        f"redshift_{name}": summary(values, chosen, statistic, matches, counts, note)
        for name, (values, chosen, statistic, note) in table.items()
    }


def richness_scores(matches, counts, edges) -> dict[str, Score]:
    """Slope, correlation, bias (also in bins of true richness), scatter and errors of ln richness."""
    true = matches["richness_true"].to_numpy(dtype=float)
    estimated = matches["richness"].clip(lower=LEAST_RICHNESS).to_numpy(dtype=float)
    residual = np.log(estimated / true)
    pull = residual * estimated / matches["richness_error"].to_numpy(dtype=float)
    pairs = np.stack([np.log(estimated), np.log(true)], axis=1)
    of_all, quoted = np.ones(len(matches), dtype=bool), has_error(matches["richness_error"])
    note_slope = "slope of ln(estimated) on ln(true richness), least squares"
    table = {
        "slope": (pairs, of_all, slope_on_truth, f"{note_slope}; 1 for a perfect estimate, 0 for a constant guess"),
        "correlation": (pairs, of_all, correlation_with_truth, "Pearson's, of ln(estimated) and ln(true richness)"),
        "bias": (residual, of_all, weighted_mean, "mean of ln(richness / true richness)"),
        "scatter": (residual, of_all, weighted_std, "standard deviation of ln(richness / true richness)"),
        "true_scatter": (
            np.log(true),
            of_all,
            weighted_std,
            "standard deviation of ln(true richness): a constant guess",
        ),
        "pull_scatter": (pull, quoted, normalised_mad, "1 if the errors are right"),
        "within_one_sigma": (np.abs(pull) < 1, quoted, weighted_mean, "0.683 if the errors are right"),
    }
    for low, high in zip(edges, [*edges[1:], np.inf], strict=True):
        label = f"bias_{low:g}_{high:g}" if np.isfinite(high) else f"bias_gt{low:g}"
        inside = (true >= low) & (true < high)
        table[label] = (residual, inside, weighted_mean, "mean of ln(richness / true richness), by true richness")
    scores = {
        f"richness_{name}": summary(values, chosen, statistic, matches, counts, note)
        for name, (values, chosen, statistic, note) in table.items()
    }
    drawn = matches.assign(weight=1.0)
    scores["richness_slope_as_drawn"] = summary(
        pairs, of_all, slope_on_truth, drawn, counts, f"{note_slope}; every found cluster of the drawn sky counts once"
    )
    return scores


def has_error(error) -> np.ndarray:
    """Where a positive, finite error is quoted."""
    error = np.asarray(error, dtype=float)
    return np.isfinite(error) & (error > 0)


def summary(values, chosen, statistic, matches, counts, note: str) -> Score:
    """`statistic(values, weights)` of the chosen matches, with bootstrap samples; NaN of none."""
    values = values[chosen]
    weight, unit = (matches[name].to_numpy()[chosen] for name in ("weight", "unit"))
    if len(values) == 0:
        nothing = np.full(len(counts), np.nan)
        return Score(np.nan, nothing, 0, "", join_notes(note, "no matched cluster (with an error)"))
    value, samples = bootstrap_statistic(lambda resampled: statistic(values, weight * resampled), unit, counts)
    return Score(value, samples, round(effective_number(weight), 1), "", note)
