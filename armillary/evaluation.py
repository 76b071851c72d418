"""From scored frames (`armillary.splits`, `armillary.skyscores`) to metrics and what their figures draw."""

import numpy as np
import pandas as pd

from armillary.completeness import (
    area_under,
    between,
    completeness_at_purity,
    completeness_purity_curve,
    fraction_in,
    judge,
    scores_in_bins,
)  # fmt: skip
from armillary.metrics import estimate, measurement, sum_by_unit
from armillary.residuals import matched_clusters, residual_metrics
from armillary.scoring import precision_recall_curve, reliability
from armillary.splits import WHOLE_SHARE

WEIGHT_NOTE = "weighted to the natural cluster rate; n is the effective number"


def cluster_metrics(
    detections,
    truth,
    operating: dict,
    counts,
    *,
    prefix: str,
    area_deg2: float,
    richness_edges,
    redshift_edges,
    richness_above,
    pure_richness,
    group_richness,
    purity_target,
    match_radius_mpc,
    match_dz,
    outlier_dz,
) -> tuple[dict, dict]:
    """Metrics of a catalogue cut at the threshold of `operating`, and frames for the figures.

    Metrics: completeness and purity in bins, area under the completeness-purity curve, counts per square
    degree, redshift and richness residuals. Frames: bins, trade, matches.
    """
    cuts = {"richness_above": richness_above, "pure_richness": pure_richness}
    span, threshold = (redshift_edges[0], redshift_edges[-1]), operating["threshold"]
    judged, found = judge(detections, truth, match_radius_mpc=match_radius_mpc, match_dz=match_dz)
    rows = scores_in_bins(
        judged, found, threshold, counts, richness_edges=richness_edges, redshift_edges=redshift_edges, **cuts
    )
    metrics = {
        f"{prefix}cluster_{row['key']}": row["measurement"] | {"note": bin_note(row, pure_richness)} for row in rows
    }
    metrics |= catalogue_metrics(
        judged, found, threshold, counts, prefix, span, pure_richness, group_richness, richness_above
    )
    if "whole" in judged:
        metrics |= whole_metrics(judged, found, threshold, counts, prefix, span, pure_richness, richness_above)
    metrics |= surface_densities(judged, found, threshold, counts, prefix, span, pure_richness, area_deg2)
    metrics |= curve_metrics(judged, found, counts, prefix, span, purity_target, **cuts)
    metrics |= as_drawn_metrics(judged, found, threshold, counts, prefix, span, pure_richness, richness_above)
    metrics |= operating_metrics(operating, prefix)
    matches = matched_clusters(
        detections,
        found,
        threshold=threshold,
        richness_above=pure_richness,
        redshift_range=span,
        match_radius_mpc=match_radius_mpc,
    )
    metrics |= {
        f"{prefix}{key}": entry for key, entry in residual_metrics(matches, counts, outlier_dz=outlier_dz).items()
    }
    return metrics, {
        "bins": bin_frame(rows),
        "trade": trade_frame(judged, found, span, pure_richness, richness_edges),
        "matches": matches,
    }


def bin_note(row: dict, pure_richness: float) -> str:
    """How one binned score is defined."""
    if row["score"] == "purity":
        rule = f"pure: matched to a halo of richness >= {pure_richness:g}"
        return f"estimated richness and redshift; {rule}; {WEIGHT_NOTE}"
    return f"true richness and redshift; {WEIGHT_NOTE}"


def catalogue_metrics(
    judged, truth, threshold, counts, prefix, span, pure_richness, group_richness, richness_above
) -> dict:
    """Purity of the whole catalogue, also when haloes down to `group_richness` count as pure."""
    kept = judged[judged["counted"] & (judged["probability"] >= threshold)]
    everything, rich = (-np.inf, np.inf), (richness_above, np.inf)
    note = f"all estimated richnesses; pure: matched to a halo of richness >= {{:g}}; {WEIGHT_NOTE}"
    return {
        f"{prefix}cluster_purity": fraction_in(
            kept, kept["true_richness"] >= pure_richness, everything, span, counts, note.format(pure_richness)
        ),
        f"{prefix}cluster_purity_halo{group_richness:g}": fraction_in(
            kept,
            kept["true_richness"] >= group_richness,
            everything,
            span,
            counts,
            note.format(group_richness),
        ),
        f"{prefix}cluster_purity_halo{group_richness:g}_richness_gt{richness_above:g}": fraction_in(
            kept,
            kept["true_richness"] >= group_richness,
            rich,
            span,
            counts,
            f"estimated richness > {richness_above:g}; " + note.format(group_richness),
        ),
    }


def whole_metrics(judged, truth, threshold, counts, prefix, span, pure_richness, richness_above) -> dict:
    """Completeness and purity of clusters that the image's edge does not cut, at the same threshold."""
    kept = judged[judged["counted"] & judged["whole"] & (judged["probability"] >= threshold)]
    true, rich = truth[truth["inside"] & truth["whole"]], (richness_above, np.inf)
    note = f"{WHOLE_SHARE:.0%} of the disc of R_lambda or more in the image; {{}}; {WEIGHT_NOTE}"
    label = f"richness_gt{richness_above:g}_whole"
    return {
        f"{prefix}cluster_completeness_{label}": fraction_in(
            true, true["found_probability"] >= threshold, rich, span, counts, note.format("true richness and redshift")
        ),
        f"{prefix}cluster_purity_{label}": fraction_in(
            kept, kept["true_richness"] >= pure_richness, rich, span, counts,
            note.format(f"estimated richness and redshift; pure: matched to a halo of richness >= {pure_richness:g}"),
        ),
    }  # fmt: skip


def as_drawn_metrics(judged, truth, threshold, counts, prefix, span, pure_richness, richness_above) -> dict:
    """Completeness and purity on the crowded sky as it was drawn, where every cluster and detection counts once."""
    kept = judged[judged["counted"] & (judged["probability"] >= threshold)].assign(weight=1.0)
    true, rich = truth[truth["inside"]].assign(weight=1.0), (richness_above, np.inf)
    wanted = between(true["redshift"], *span) & (true["richness"] > pure_richness)
    per_field = wanted.sum() / counts.shape[1]
    note = f"not weighted: the sky as drawn, {per_field:.1f} clusters of richness > {pure_richness:g} a field"
    label = f"richness_gt{richness_above:g}_as_drawn"
    return {
        f"{prefix}cluster_completeness_{label}": fraction_in(
            true, true["found_probability"] >= threshold, rich, span, counts, note
        ),
        f"{prefix}cluster_purity_{label}": fraction_in(
            kept, kept["true_richness"] >= pure_richness, rich, span, counts, note
        ),
    }


def surface_densities(judged, truth, threshold, counts, prefix, span, pure_richness, area_deg2) -> dict:
    """Detections and true clusters per square degree at the natural rate."""
    kept = judged[judged["counted"] & (judged["probability"] >= threshold) & between(judged["redshift"], *span)]
    true = truth[truth["inside"] & (truth["richness"] > pure_richness) & between(truth["redshift"], *span)]
    baseline = f"{prefix}cluster_truth_per_deg2"
    note = f"true richness > {pure_richness:g}, weighted to the natural rate; n is the plain number"
    return {
        f"{prefix}cluster_detections_per_deg2": density(
            kept, counts, area_deg2, baseline, "the catalogue, same weights"
        ),
        baseline: density(true, counts, area_deg2, None, note),
    }


def density(frame, counts, area_deg2: float, baseline, note: str) -> dict:
    """Weighted objects per square degree, with field bootstrap."""
    by_unit = sum_by_unit(frame["weight"], frame["unit"].to_numpy(dtype=int), counts.shape[1])
    return estimate(by_unit.sum() / area_deg2, counts @ by_unit / area_deg2, len(frame), "deg^-2", baseline, note)


def curve_metrics(judged, truth, counts, prefix, span, purity_target, *, richness_above, pure_richness) -> dict:
    """Area under completeness against purity, both for richness > `richness_above`, and where it has a given purity."""

    def summary(row):
        resampled = [f.assign(weight=f["weight"] * row[f["unit"].to_numpy(dtype=int)]) for f in (judged, truth)]
        kept = [frame[frame["weight"] > 0] for frame in resampled]
        curve = completeness_purity_curve(
            *kept, richness_above=richness_above, pure_richness=pure_richness, redshift_range=span
        )
        return area_under(curve), completeness_at_purity(curve, purity_target)

    n_fields, note = counts.shape[1], f"both for richness > {richness_above:g}; {WEIGHT_NOTE}"
    area, completeness = summary(np.ones(n_fields))
    areas, completenesses = zip(*(summary(row) for row in counts), strict=True)
    what = "completeness (true richness) against purity (estimated richness)"
    return {
        f"{prefix}cluster_curve_area": estimate(area, areas, n_fields, note=f"area under {what}, {note}"),
        f"{prefix}cluster_completeness_richness_gt{richness_above:g}_at_purity_{100 * purity_target:.0f}": estimate(
            completeness, completenesses, n_fields, note=f"largest on the curve of {what} of these very fields, {note}"
        ),
    }


def operating_metrics(operating: dict, prefix: str) -> dict:
    """The cut itself, chosen on validation fields."""
    note = "where completeness and purity balance on validation fields"
    return {f"{prefix}cluster_threshold": measurement(operating["threshold"], note=note)}


def bin_frame(rows: list[dict]):
    """Disjoint bins for the figure: score, against, bin_low, bin_high, value, value_low, value_high, n."""
    last = max(row["bin_low"] for row in rows if row["against"] == "richness")
    shown = [row for row in rows if np.isfinite(row["bin_high"]) or row["bin_low"] == last]
    return pd.DataFrame(
        [
            {
                "score": row["score"],
                "against": row["against"],
                "bin_low": row["bin_low"],
                "bin_high": row["bin_high"],
                "value": row["measurement"]["value"],
                "value_low": row["measurement"]["lo"],
                "value_high": row["measurement"]["hi"],
                "n": row["measurement"]["n"],
            }
            for row in shown
        ]
    ).astype({"value": float, "value_low": float, "value_high": float, "n": float})


def trade_frame(judged, truth, span, pure_richness, richness_edges):
    """Completeness against purity as the threshold falls, one sample a richness edge."""
    frames = []
    for edge in richness_edges[:2]:
        curve = completeness_purity_curve(
            judged, truth, richness_above=edge, pure_richness=pure_richness, redshift_range=span
        )
        frames.append(pd.DataFrame(curve).assign(sample=f"λ > {edge:g}"))
    return pd.concat(frames, ignore_index=True)


def tile_curves(tiles: dict, counts, n_bins: int, n_points: int = 1000) -> dict:
    """Arrays of the tile-level figure: recall, precision, threshold (K,) and the reliability bins.

    At most `n_points` of the curve are kept, evenly in rank.
    """
    precision, recall, threshold = precision_recall_curve(tiles["probability"], tiles["truth"])
    kept = np.unique(np.linspace(0, len(recall) - 1, min(n_points, len(recall))).astype(int))
    bins = reliability(tiles["probability"], tiles["truth"], tiles["unit"], counts, n_bins)
    return {
        "precision": precision[kept], "recall": recall[kept], "threshold": threshold[kept],
        "predicted": bins["probability"], "observed": bins["fraction"],
        "observed_error": 0.5 * (bins["hi"] - bins["lo"]), "n_tiles": bins["n"],
    }  # fmt: skip


def prefixed(prefix: str, columns) -> dict:
    """A dict of arrays or a DataFrame as flat arrays `prefix_column`, text as fixed-width strings."""
    arrays = {name: np.asarray(columns[name]) for name in columns}
    return {f"{prefix}_{name}": a.astype(str) if a.dtype.kind in "OUT" else a for name, a in arrays.items()}
