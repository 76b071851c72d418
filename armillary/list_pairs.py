"""Pairs of two cluster lists: their table, and how positions, redshifts and richnesses of the two agree.

Values are those of the second list relative to the first, over all pairs in the redshift range; errors come from a
bootstrap of `unit`, a column of the table (`armillary.list_comparison`).
"""

import numpy as np
import pandas as pd

from armillary.matching import UNMATCHED, match_radius_arcsec
from armillary.metrics import bootstrap_statistic, estimate, join_notes, measurement
from armillary.residuals import has_error, normalised_mad, weighted_mean, weighted_median, weighted_quantile
from armillary.sky import separation_arcsec

MIN_FITTED = 30  # pairs that the richness relation is fitted on at least, if there are as many
CUT_SIGMA = 2.0  # the relation is fitted where it lies this many scatters above the second list's lowest richness
N_FITS = 10  # the line and the scatter change as pairs go
RELATION = {  # of ln richness
    "slope": "of ln second on ln first richness, least squares",
    "intercept": "ln(second / first richness) on the fitted line at richness_pivot",
    "scatter": "1.4826 MAD of ln second richness about the line, errors of both included",
    "correlation": "Pearson, of both ln richnesses",
}
FLAGS = ("found", "in_footprint", "in_range", "unit")


def match_table(first, second, partner) -> pd.DataFrame:
    """One row a pair and one a cluster without a counterpart, from two samples with the columns `FLAGS`.

    Columns: status (matched, only_first, only_second), first_* and second_* (id, ra, dec and those that the list has),
    separation_arcsec, separation_mpc, dz = (z2 - z1) / (1 + z1), ln_richness_ratio (second over first); in_footprint,
    in_range and unit of the first list's cluster, of the second's where that is alone. NaN, and "-" for an id, is none.
    """
    matched, lost = np.flatnonzero(partner != UNMATCHED), np.flatnonzero(partner == UNMATCHED)
    extra = np.setdiff1d(np.arange(len(second)), partner[matched])
    rows_first = np.concatenate([matched, lost, np.full(len(extra), -1)])
    rows_second = np.concatenate([partner[matched], np.full(len(lost), -1), extra])
    status = np.repeat(["matched", "only_first", "only_second"], [len(matched), len(lost), len(extra)])
    ours, theirs = _picked(first, rows_first, "first_"), _picked(second, rows_second, "second_")
    table = pd.concat([pd.DataFrame({"status": status}), ours, theirs], axis=1)
    table["separation_arcsec"] = separation_arcsec(
        table["first_ra"], table["first_dec"], table["second_ra"], table["second_dec"]
    )
    redshift = next((table[name] for name in ("first_redshift", "second_redshift") if name in table), np.nan)
    table["separation_mpc"] = table["separation_arcsec"] / match_radius_arcsec(redshift, 1.0)
    table["dz"] = _of_both(table, "redshift", lambda z1, z2: (z2 - z1) / (1.0 + z1))
    table["ln_richness_ratio"] = _of_both(table, "richness", lambda one, two: np.log(two / one))
    for name in ("in_footprint", "in_range", "unit"):
        table[name] = np.where(rows_first < 0, second[name].to_numpy()[rows_second], first[name].to_numpy()[rows_first])
    if "redshift" not in first:  # a pair has the second list's redshift
        pair = status == "matched"
        table.loc[pair, "in_range"] = second["in_range"].to_numpy()[partner[matched]]
    return table


def _picked(clusters, rows, prefix: str) -> pd.DataFrame:
    """The columns of a list at these rows; NaN, and "-" for an id, at -1."""
    roles = [name for name in clusters if name not in (*FLAGS, "cell")]
    picked = clusters[roles].iloc[rows].reset_index(drop=True)
    absent = rows < 0
    picked = picked.assign(**{name: picked[name].where(~absent, "-" if name == "id" else np.nan) for name in roles})
    return picked.add_prefix(prefix)


def _of_both(table, role: str, function):
    """`function` of both lists' columns of a role; NaN where a list has none."""
    names = [f"first_{role}", f"second_{role}"]
    return function(table[names[0]], table[names[1]]) if set(names) <= set(table) else np.nan


def statistic_of_pairs(values, statistic, unit, counts, *, quantity_unit: str = "", note: str) -> dict:
    """`statistic(values, weights)` of the finite values with its bootstrap interval."""
    known = np.isfinite(values)
    values, unit = np.asarray(values, float)[known], np.asarray(unit)[known]
    if len(values) == 0:
        return measurement(None, n=0, unit=quantity_unit, note=join_notes(note, "no pair"))
    value, samples = bootstrap_statistic(lambda weights: statistic(values, weights), unit, counts)
    return estimate(value, samples, len(values), quantity_unit, note=note)


def offset_metrics(pairs, counts, resampled: str) -> dict:
    """Median and 90 % of the separations of pairs, in Mpc, or in arcsec where no list has a redshift."""
    unit = "mpc" if {"first_redshift", "second_redshift"} & set(pairs) else "arcsec"
    values, label = pairs[f"separation_{unit}"].to_numpy(float), {"mpc": "Mpc", "arcsec": "arcsec"}[unit]
    return {
        f"offset_{name}_{unit}": statistic_of_pairs(
            values, lambda v, w, s=share: weighted_quantile(v, w, s), pairs["unit"], counts, quantity_unit=label,
            note=f"{text} separation of pairs; {resampled}",
        )
        for name, share, text in (("median", 0.5, "median"), ("90", 0.9, "90 %"))
    }  # fmt: skip


def redshift_metrics(pairs, counts, resampled: str) -> dict:
    """Bias and scatter of dz = (z2 - z1) / (1 + z1) of the pairs and, with errors in both lists, of its pull."""
    dz = pairs["dz"].to_numpy(float)
    if not {"first_redshift", "second_redshift"} <= set(pairs):
        return {}
    bias = statistic_of_pairs(
        dz, weighted_median, pairs["unit"], counts, note=f"median of (z2 - z1) / (1 + z1) of pairs; {resampled}"
    )
    scatter = statistic_of_pairs(
        dz, normalised_mad, pairs["unit"], counts, note=f"1.4826 MAD of (z2 - z1) / (1 + z1) of pairs; {resampled}"
    )
    metrics = {"redshift_bias": bias, "redshift_scatter": scatter}
    if {"first_redshift_error", "second_redshift_error"} <= set(pairs):
        quoted = has_error(pairs["first_redshift_error"]) & has_error(pairs["second_redshift_error"])
        error = np.hypot(pairs["first_redshift_error"], pairs["second_redshift_error"])
        pull = ((pairs["second_redshift"] - pairs["first_redshift"]) / error).where(quoted).to_numpy(float)
        note = "1.4826 MAD of (z2 - z1) over the combined error; 1 if errors are right and independent"
        metrics["redshift_pull_scatter"] = statistic_of_pairs(pull, normalised_mad, pairs["unit"], counts, note=note)
    return metrics


def richness_metrics(pairs, counts, resampled: str, limits: str) -> dict:
    """Slope, intercept, scatter and correlation of ln richness, second on first, of the pairs.

    `limits` says the range of the second list, for the notes.
    """
    if not {"first_richness", "second_richness"} <= set(pairs):
        return {}
    known = pairs[pairs["ln_richness_ratio"].notna()]
    if known.empty:
        return {f"richness_{name}": measurement(None, n=0, note="no pair with two richnesses") for name in RELATION}
    ln_first = np.log(known["first_richness"].to_numpy(float))
    ln_second = ln_first + known["ln_richness_ratio"].to_numpy(float)
    fitted = above_cut(ln_first, ln_second, ln_second.min())
    ln_first, ln_second, unit = ln_first[fitted], ln_second[fitted], known["unit"].to_numpy()[fitted]
    pivot = float(np.median(ln_first))
    x, y = ln_first - pivot, ln_second - pivot
    value, samples = bootstrap_statistic(lambda weights: relation(x, y, weights), unit, counts)
    cut = f"{fitted.sum()} of {len(fitted)} pairs, {CUT_SIGMA:g} scatters above the lowest richness; {limits}"
    metrics = {
        f"richness_{name}": estimate(value[k], samples[:, k], len(unit), note=join_notes(note, cut, resampled))
        for k, (name, note) in enumerate(RELATION.items())
    }
    pivot_note = "median first richness of the fitted pairs"
    return metrics | {"richness_pivot": measurement(np.exp(pivot), n=len(unit), note=pivot_note)}


def above_cut(ln_first, ln_second, lowest: float) -> np.ndarray:
    """Pairs that the cut of the second list in richness does not select: the line `CUT_SIGMA` scatters above it.

    Pairs near the cut exist only if scatter put them above it, which would flatten the line. All pairs where fewer than
    `MIN_FITTED` would be left.
    """
    chosen = np.ones(len(ln_first), bool)
    for _ in range(N_FITS):
        if chosen.sum() < MIN_FITTED:
            break
        slope, intercept, scatter, _ = relation(ln_first[chosen], ln_second[chosen], np.ones(chosen.sum()))
        chosen = intercept + slope * ln_first > lowest + CUT_SIGMA * scatter
    return chosen if chosen.sum() >= MIN_FITTED else np.ones(len(ln_first), bool)


def relation(x, y, weights) -> np.ndarray:
    """Slope, intercept, scatter (1.4826 MAD) and correlation of y on x; NaN for fewer than three points."""
    if np.count_nonzero(weights) < 3:
        return np.full(4, np.nan)
    centre_x, centre_y = weighted_mean(x, weights), weighted_mean(y, weights)
    xx, yy = (weighted_mean((v - c) ** 2, weights) for v, c in ((x, centre_x), (y, centre_y)))
    xy = weighted_mean((x - centre_x) * (y - centre_y), weights)
    if xx == 0 or yy == 0:
        return np.full(4, np.nan)
    slope, intercept = xy / xx, centre_y - xy / xx * centre_x
    return np.array([slope, intercept, normalised_mad(y - intercept - slope * x, weights), xy / np.sqrt(xx * yy)])
