"""Curves of how well tiles and clusters are found: precision-recall, reliability, completeness, purity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from armillary.figures.style import (
    METHOD_COLOURS,
    METHOD_LABELS,
    METHOD_MARKERS,
    PALE,
    light_grid,
    say_empty,
)

if TYPE_CHECKING:
    from pandas import DataFrame


def part(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Return the arrays whose names begin with `prefix` and an underscore, under the rest of their names."""
    start = f"{prefix}_"
    return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}


def draw_tile_scores(figure: Figure, curves: dict[str, dict], *, base_rate: float) -> None:
    """Draw precision against recall and observed against predicted frequency, one line a method.

    Args:
        curves: Of each method ("encoder", "finder"): recall, precision (K,), pr_auc, ece, and the reliability
            bins predicted, observed, observed_error (B,).
        base_rate: Fraction of tiles that hold a member: the precision of a guess.
    """
    precision_axes, reliability_axes = figure.subplots(1, 2)
    draw_precision_recall(precision_axes, curves, base_rate)
    draw_reliability(reliability_axes, curves)


def draw_precision_recall(axes: Axes, curves: dict[str, dict], base_rate: float) -> None:
    """Draw precision against recall of tiles, with the base rate as the floor."""
    light_grid(axes)
    for method, curve in curves.items():
        label = f"{METHOD_LABELS[method]}: area {curve['pr_auc']:.2f}"
        axes.plot(curve["recall"], curve["precision"], color=METHOD_COLOURS[method], label=label)
    axes.axhline(base_rate, color=PALE, linestyle="--", linewidth=1.2, label=f"base rate: {base_rate:.2f}")
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall of member tiles", ylabel="precision")
    axes.set_title("Held-out tiles: precision and recall")
    axes.legend(loc="lower left", frameon=True, framealpha=0.85, edgecolor="none")


def draw_reliability(axes: Axes, curves: dict[str, dict]) -> None:
    """Draw the observed member fraction of tiles against the probability they were given."""
    light_grid(axes)
    axes.plot([0, 1], [0, 1], color=PALE, linestyle="--", linewidth=1.2, label="perfect")
    for method, curve in curves.items():
        axes.errorbar(
            curve["predicted"],
            curve["observed"],
            yerr=curve["observed_error"],
            color=METHOD_COLOURS[method],
            marker=METHOD_MARKERS[method],
            linewidth=1.2,
            label=f"{METHOD_LABELS[method]}: ECE {curve['ece']:.3f}",
        )
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="predicted probability", ylabel="observed member fraction")
    axes.set_title("Calibration")
    axes.legend(loc="upper left", frameon=True, framealpha=0.85, edgecolor="none")


def draw_cluster_scores(figure: Figure, bins: DataFrame, curves: DataFrame) -> None:
    """Draw completeness and purity against richness and redshift, and the one against the other.

    Args:
        bins: One row per method, score and bin: method, score ("completeness" or "purity"), against
            ("richness" or "redshift"), bin_low, bin_high, value, value_low, value_high
            (68 %), n. The last bin in richness may be open (bin_high infinite).
        curves: By falling probability threshold: method, sample, completeness, purity.
    """
    panels = figure.subplot_mosaic(
        [
            ["completeness richness", "completeness redshift", "trade"],
            ["purity richness", "purity redshift", "trade"],
        ],
        width_ratios=[1.0, 1.0, 1.25],
    )
    for name, axes in panels.items():
        if name == "trade":
            draw_trade(axes, curves)
            continue
        score, against = name.split()
        rows = bins[(bins["score"] == score) & (bins["against"] == against)]
        draw_binned_score(axes, rows, score, against)
    handles, labels = panels["completeness richness"].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=2)


def draw_binned_score(axes: Axes, rows: DataFrame, score: str, against: str) -> None:
    """Draw one score in bins: horizontal bars span the bin, vertical ones are 68 % intervals."""
    light_grid(axes)
    whose = "true" if score == "completeness" else "inferred"
    axes.set(ylim=(-0.03, 1.05), ylabel=score)
    axes.set_xlabel(f"{whose} {'richness λ' if against == 'richness' else 'redshift'}")
    mark_bins(axes, rows, against)
    counted = rows[rows["n"] > 0]
    methods = list(dict.fromkeys(counted["method"]))
    for place, method in enumerate(methods):
        of_method = counted[counted["method"] == method]
        low, high = of_method["bin_low"], closed_bins(of_method)
        middle = between(low, high, 0.5 + 0.14 * (place - 0.5 * (len(methods) - 1)), against)
        axes.errorbar(
            middle,
            of_method["value"],
            xerr=[middle - low, high - middle],
            yerr=bar_lengths(of_method),
            color=METHOD_COLOURS[method],
            marker=METHOD_MARKERS[method],
            linestyle="none",
            linewidth=1.2,
            label=METHOD_LABELS[method],
        )


def mark_bins(axes: Axes, rows: DataFrame, against: str) -> None:
    """Let an axis span all bins, with ticks at the edges of bins in richness."""
    if rows.empty:
        say_empty(axes, "no bin")
        return
    axes.set_xlim(rows["bin_low"].min() * 0.95, closed_bins(rows).max() * 1.05)
    if against == "richness":
        edges = np.unique(rows[["bin_low", "bin_high"]])
        ticks = edges[np.isfinite(edges)]
        axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{tick:.0f}" for tick in ticks])
        axes.minorticks_off()


def closed_bins(rows: DataFrame) -> DataFrame:
    """Return the upper edges, that of an open bin drawn at twice its lower edge."""
    return rows["bin_high"].where(np.isfinite(rows["bin_high"]), 2.0 * rows["bin_low"])


def between(low: np.ndarray, high: np.ndarray, fraction: float, against: str) -> np.ndarray:
    """Return the point at a fraction of the way through bins, geometric in richness, linear in redshift."""
    return low * (high / low) ** fraction if against == "richness" else low + fraction * (high - low)


def bar_lengths(rows: DataFrame) -> np.ndarray:
    """Return the lengths (2, N) of error bars from value to value_low and value_high; 0 where not finite."""
    value, low, high = (rows[name].to_numpy(float) for name in ("value", "value_low", "value_high"))
    return np.clip(np.nan_to_num([value - low, high - value]), 0.0, None)


def draw_trade(axes: Axes, curves: DataFrame) -> None:
    """Draw purity against completeness as the probability threshold falls."""
    light_grid(axes)
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="completeness", ylabel="purity")
    axes.set_title("As the threshold falls")
    for (method, sample), curve in curves.groupby(["method", "sample"], sort=False):
        line = "-" if sample == curves["sample"].iloc[0] else ":"
        label = f"{METHOD_LABELS[method]}, {sample}" if sample else METHOD_LABELS[method]
        axes.plot(curve["completeness"], curve["purity"], line, color=METHOD_COLOURS[method], label=label)
    if len(curves):
        axes.legend(loc="lower left", fontsize=8)
    else:
        say_empty(axes, "no detection")
