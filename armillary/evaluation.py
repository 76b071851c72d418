"""Scores of a cluster catalogue, and the tables of its figures, from frames of `armillary.splits` or `.skyscores`."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from armillary.completeness import (
    Criteria,
    area_under,
    at_density,
    between,
    catalogue_curve,
    completeness_at_purity,
    fraction_in,
    in_range,
    judge,
    score_boxes,
    weight_of_blank_sky,
)
from armillary.metrics import Score, measurement, over_trainings, poisson_68, sum_by_unit
from armillary.residuals import matched_clusters, residual_scores
from armillary.splits import WHOLE_SHARE

RATE_NOTE = "weighted to the natural cluster rate"
WEIGHT_NOTE = f"{RATE_NOTE}; n is the effective number"
COUNT_NOTE = f"{RATE_NOTE}; n is the plain number"
EVERYTHING = (-np.inf, np.inf)
RESAMPLES_AT_ONCE = 50  # curves of all thresholds are held in memory for these


class Scoring(NamedTuple):
    """How catalogues are scored; the words are those of the config (clusters: scoring)."""

    match_radius_mpc: float
    match_dz: float | None
    outlier_dz: float
    redshift_edges: list[float]
    richness_edges: list[float]
    selection_richness_edges: list[float]
    curve_richness: list[float]
    purity_targets: list[float]
    densities_per_deg2: list[float]
    pure_richness: float
    group_richness: float

    @property
    def criteria(self) -> Criteria:
        """What counts as a match, as pure, and in which redshifts."""
        span = (self.redshift_edges[0], self.redshift_edges[-1])
        return Criteria(self.match_radius_mpc, self.match_dz, self.pure_richness, span)


class Details(NamedTuple):
    """Tables behind the scores: rows of bins and of the selection function (each with its Score), the curve over all
    thresholds, and the found clusters beside their haloes."""

    bins: list[dict]
    selection: list[dict]
    trade: pd.DataFrame
    matches: pd.DataFrame


def cluster_scores(
    detections, truth, threshold: float, counts, scoring: Scoring, *, area_deg2: float
) -> tuple[dict[str, Score], Details]:
    """Scores of a catalogue cut at `threshold`, and of its curve over all thresholds.

    `detections` and `truth` are frames of one sky (`armillary.completeness.judge`), `counts` (B, n_units) resamples.
    """
    criteria, span = scoring.criteria, scoring.criteria.redshift_range
    cut = in_range(detections[detections["probability"] >= threshold], criteria)
    judged, found = judge(cut, truth, **criteria.matching)
    blank_weight = weight_of_blank_sky(truth, criteria.match_radius_mpc)
    rows = bin_rows(judged, found, counts, scoring)
    scores = {f"cluster_{row['key']}": row["score"] for row in rows}
    scores |= catalogue_scores(judged, counts, scoring, area_deg2, blank_weight)
    scores |= true_density(found, counts, scoring, area_deg2, blank_weight)
    if "whole" in judged:
        scores |= whole_scores(judged, found, counts, scoring)
        scores |= as_drawn_scores(judged, found, counts, scoring)
    scores |= curve_scores(detections, truth, counts, scoring, area_deg2)
    matches = matched_clusters(
        detections,
        found,
        threshold=threshold,
        richness_above=scoring.pure_richness,
        redshift_range=span,
        match_radius_mpc=scoring.match_radius_mpc,
    )
    edges = richness_bias_edges(scoring)
    scores |= residual_scores(matches, counts, outlier_dz=scoring.outlier_dz, richness_edges=edges[:-1])
    details = Details(
        bins=rows,
        selection=selection_rows(found, counts, scoring),
        trade=trade_frame(detections, truth, counts, scoring, area_deg2),
        matches=matches,
    )
    return scores, details


# --- one cut


def bin_rows(judged, found, counts, scoring: Scoring) -> list[dict]:
    """Completeness and purity in every bin: rows of key, kind, axis, bin_low, bin_high and score.

    Completeness is binned in true, purity in estimated richness and redshift.
    """
    listed, true = judged[judged["counted"]], found[found["inside"]]
    pure_note = f"pure: matched to a halo of richness >= {scoring.pure_richness:g}"
    rows = []
    for label, axis, limits, richness, redshift in score_boxes(
        scoring.richness_edges, scoring.redshift_edges, scoring.curve_richness[0]
    ):
        completeness = fraction_in(
            true, true["found"], richness, redshift, counts, f"true richness and redshift; {WEIGHT_NOTE}"
        )
        purity = fraction_in(
            listed,
            listed["true_richness"] >= scoring.pure_richness,
            richness,
            redshift,
            counts,
            f"estimated richness and redshift; {pure_note}; {WEIGHT_NOTE}",
        )
        for kind, score in (("completeness", completeness), ("purity", purity)):
            row = {"key": f"{kind}_{label}", "kind": kind, "axis": axis, "score": score}
            rows.append(row | {"bin_low": limits[0], "bin_high": limits[1]})
    return rows


def richness_bias_edges(scoring: Scoring) -> list[float]:
    """The edges of the selection function from the least richness of a cluster on; ValueError if there are too few."""
    edges = [edge for edge in scoring.selection_richness_edges if edge >= scoring.pure_richness]
    if len(edges) < 2:
        raise ValueError(
            f"clusters: scoring: selection_richness_edges are {scoring.selection_richness_edges}; at least two of them "
            f"must be pure_richness ({scoring.pure_richness:g}) or more"
        )
    return edges


def catalogue_scores(judged, counts, scoring: Scoring, area_deg2: float, blank_weight: float) -> dict[str, Score]:
    """Purity of the whole catalogue, and its detections and false detections per square degree.

    Each also with haloes down to `group_richness` counted as true.
    """
    span, listed = scoring.criteria.redshift_range, judged[judged["counted"]]
    note = f"the catalogue; {COUNT_NOTE}"
    scores = {"cluster_detections_per_deg2": density(listed, counts, area_deg2, note, blank_weight)}
    for suffix, least in (("", scoring.pure_richness), (f"_halo{scoring.group_richness:g}", scoring.group_richness)):
        pure = listed["true_richness"] >= least
        rule = f"matched to a halo of richness >= {least:g}"
        scores[f"cluster_purity{suffix}"] = fraction_in(
            listed, pure, EVERYTHING, span, counts, f"whole catalogue; pure: {rule}; {WEIGHT_NOTE}"
        )
        scores[f"cluster_false{suffix}_per_deg2"] = density(
            listed[~pure], counts, area_deg2, f"not {rule}; {COUNT_NOTE}", blank_weight
        )
    return scores


def true_density(found, counts, scoring: Scoring, area_deg2: float, blank_weight: float) -> dict[str, Score]:
    """True clusters per square degree at the natural rate."""
    true = found[found["inside"] & (found["richness"] > scoring.pure_richness)]
    true = true[between(true["redshift"], *scoring.criteria.redshift_range)]
    note = f"true richness > {scoring.pure_richness:g}; {COUNT_NOTE}"
    return {"cluster_truth_per_deg2": density(true, counts, area_deg2, note, blank_weight)}


def density(frame, counts, area_deg2: float, note: str, blank_weight: float) -> Score:
    """Weighted objects per square degree.

    Objects of equal weight, `blank_weight`, have Poisson bounds; so has no object, where resamples do not differ.
    """
    by_unit = sum_by_unit(frame["weight"], frame["unit"].to_numpy(dtype=int), counts.shape[1])
    bounds = None
    if np.allclose(frame["weight"], blank_weight):
        bounds = tuple(blank_weight * bound / area_deg2 for bound in poisson_68(len(frame)))
    return Score(by_unit.sum() / area_deg2, counts @ by_unit / area_deg2, len(frame), "deg^-2", note, bounds)


def whole_scores(judged, found, counts, scoring: Scoring) -> dict[str, Score]:
    """Completeness and purity of clusters that the image's edge does not cut, at the same threshold."""
    listed, true = judged[judged["counted"] & judged["whole"]], found[found["inside"] & found["whole"]]
    note = f"{WHOLE_SHARE:.0%} of the disc of R_lambda or more in the image; {WEIGHT_NOTE}"
    return variant_scores(listed, true, counts, scoring, "whole", note)


def as_drawn_scores(judged, found, counts, scoring: Scoring) -> dict[str, Score]:
    """Completeness and purity on the crowded sky as it was drawn, where every cluster and detection counts once."""
    listed, true = judged[judged["counted"]].assign(weight=1.0), found[found["inside"]].assign(weight=1.0)
    wanted = between(true["redshift"], *scoring.criteria.redshift_range) & (true["richness"] > scoring.pure_richness)
    per_field = wanted.sum() / counts.shape[1]
    note = f"not weighted: the sky as drawn, {per_field:.1f} clusters of richness > {scoring.pure_richness:g} a field"
    return variant_scores(listed, true, counts, scoring, "as_drawn", note)


def variant_scores(listed, true, counts, scoring: Scoring, suffix, note) -> dict[str, Score]:
    """Purity of the detections `listed` and completeness of the clusters `true`, named with `suffix`."""
    span = scoring.criteria.redshift_range
    pure = listed["true_richness"] >= scoring.pure_richness
    scores = {f"cluster_purity_{suffix}": fraction_in(listed, pure, EVERYTHING, span, counts, note)}
    for edge in scoring.curve_richness:
        scores[f"cluster_completeness_richness_gt{edge:g}_{suffix}"] = fraction_in(
            true, true["found"], (edge, np.inf), span, counts, note
        )
    return scores


# --- all cuts


def curve_scores(detections, truth, counts, scoring: Scoring, area_deg2: float) -> dict[str, Score]:
    """Areas under completeness and purity, completeness at given purities, and both at given surface densities.

    Purity is that of the whole catalogue. Beside it stands the pair that leaves out of the purity what is estimated
    below the richness: it does not see poor detections, so a catalogue can be filled with them.
    """
    criteria, notes = scoring.criteria, {}
    whole = catalogue_curve(detections, truth, criteria)
    rich_only = {
        edge: catalogue_curve(detections, truth, criteria, estimated_above=edge) for edge in scoring.curve_richness
    }

    def values(rows) -> dict[str, np.ndarray]:
        purity, n_listed, n_pure = whole.purity(rows), whole.n_listed(rows), whole.n_pure(rows)
        found = {}
        for per_deg2 in scoring.densities_per_deg2:
            key = f"cluster_purity_at_{per_deg2:g}_per_deg2"
            n_wanted = per_deg2 * area_deg2
            found[key] = at_density(n_pure, n_listed, n_wanted) / n_wanted
            notes[key] = f"purity of the most probable {per_deg2:g} detections per deg2"
        for edge in scoring.curve_richness:
            completeness = whole.completeness(edge, rows)
            key = f"cluster_area_gt{edge:g}"
            found[key] = area_under(completeness, purity)
            notes[key] = f"area under completeness (true richness > {edge:g}) and purity of the whole catalogue"
            for target in scoring.purity_targets:
                key = f"cluster_completeness_gt{edge:g}_at_purity_{100 * target:.0f}"
                found[key] = completeness_at_purity(completeness, purity, target)
                notes[key] = f"completeness (true richness > {edge:g}) at {target:.0%} purity of the whole catalogue"
            for per_deg2 in scoring.densities_per_deg2:
                key = f"cluster_completeness_gt{edge:g}_at_{per_deg2:g}_per_deg2"
                found[key] = at_density(completeness, n_listed, per_deg2 * area_deg2)
                notes[key] = f"completeness (> {edge:g}) of the most probable {per_deg2:g} detections per deg2"
            partial = rich_only[edge]
            key = f"cluster_area_gt{edge:g}_poor_detections_left_out"
            found[key] = area_under(partial.completeness(edge, rows), partial.purity(rows))
            notes[key] = f"purity only of detections estimated above {edge:g}, for comparison with earlier versions"
        return found

    n_units = counts.shape[1]
    measured = values(np.ones((1, n_units)))
    chunks = [values(counts[first : first + RESAMPLES_AT_ONCE]) for first in range(0, len(counts), RESAMPLES_AT_ONCE)]
    return {
        key: Score(
            float(value[0]),
            np.concatenate([chunk[key] for chunk in chunks]),
            n_units,
            "",
            f"{notes[key]}; measured on the very fields that are scored; {RATE_NOTE}; n: units of the bootstrap",
        )
        for key, value in measured.items()
    }


def operating_entry(operating: dict) -> dict:
    """The cut itself, chosen on calibration fields."""
    return measurement(operating["threshold"], note="where completeness and purity balance on calibration fields")


# --- frames of figures and tables


def rows_over_trainings(tables: list[list[dict]], rng) -> list[dict]:
    """Rows of several trainings, the same bins in the same order, as rows of their mean."""
    return [
        rows[0] | {"score": over_trainings([row["score"] for row in rows], rng)} for rows in zip(*tables, strict=True)
    ]


def bin_frame(rows: list[dict]) -> pd.DataFrame:
    """Disjoint bins for the figure: score, against, bin_low, bin_high, value, value_low, value_high, n."""
    last = max(row["bin_low"] for row in rows if row["axis"] == "richness")
    shown = [row for row in rows if np.isfinite(row["bin_high"]) or row["bin_low"] == last]
    names = {"score": "kind", "against": "axis", "bin_low": "bin_low", "bin_high": "bin_high"}
    frame = pd.DataFrame([{name: row[key] for name, key in names.items()} for row in shown])
    return pd.concat([frame, numbers_of(shown, ("value", "value_low", "value_high", "n"))], axis=1)


def selection_frame(rows: list[dict]) -> pd.DataFrame:
    """The selection function as a table: richness and redshift limits, p_found with its 68 % bounds, effective n."""
    limits = pd.DataFrame([{name: row[name] for name in row if name != "score"} for row in rows])
    return pd.concat([limits, numbers_of(rows, ("p_found", "p_low", "p_high", "n"))], axis=1)


def numbers_of(rows: list[dict], names: tuple) -> pd.DataFrame:
    """Value, bounds and n of the rows' scores under these names; NaN where there is none."""
    entries = [row["score"].entry() for row in rows]
    columns = zip(names, ("value", "lo", "hi", "n"), strict=True)
    return pd.DataFrame({name: [entry[key] for entry in entries] for name, key in columns}, dtype=float)


def trade_frame(detections, truth, counts, scoring: Scoring, area_deg2: float) -> pd.DataFrame:
    """Completeness, purity and detections per deg2 at every threshold, one sample a richness edge."""
    curve, one = catalogue_curve(detections, truth, scoring.criteria), np.ones((1, counts.shape[1]))
    shared = {
        "threshold": curve.threshold,
        "purity": curve.purity(one)[0],
        "per_deg2": curve.n_listed(one)[0] / area_deg2,
    }
    frames = [
        pd.DataFrame(shared | {"completeness": curve.completeness(edge, one)[0], "richness_above": edge})
        for edge in scoring.curve_richness
    ]
    return pd.concat(frames, ignore_index=True)


def selection_rows(found, counts, scoring: Scoring) -> list[dict]:
    """P(found | true richness, true redshift) in cells, groups included: rows of limits and score."""
    true = found[found["inside"]]
    edges = (scoring.selection_richness_edges, scoring.redshift_edges)
    richness_cells, redshift_cells = (list(zip(each[:-1], each[1:], strict=True)) for each in edges)
    return [
        {"richness_low": richness[0], "richness_high": richness[1], "redshift_low": redshift[0]}
        | {"redshift_high": redshift[1], "score": fraction_in(true, true["found"], richness, redshift, counts)}
        for richness in richness_cells
        for redshift in redshift_cells
    ]


def prefixed(prefix: str, columns) -> dict:
    """A dict of arrays or a DataFrame as flat arrays `prefix_column`, text as fixed-width strings."""
    arrays = {name: np.asarray(columns[name]) for name in columns}
    return {f"{prefix}_{name}": a.astype(str) if a.dtype.kind in "OUT" else a for name, a in arrays.items()}
