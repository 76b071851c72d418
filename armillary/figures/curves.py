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


LEAST_EXPECTED = 5.0  # expected positives of a bin that is drawn


def part(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Return the arrays whose names begin with `prefix` and an underscore, under the rest of their names."""
    start = f"{prefix}_"
    return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}


RATE_LABELS = {"boosted": "boosted cluster rate (as simulated)", "natural": "natural cluster rate"}


def draw_tile_scores(figure: Figure, curves: dict[str, dict]) -> None:
    """Draw precision against recall and observed against predicted frequency at both cluster rates.

    Args:
        curves: Of each method: recall and precision (K,), and the reliability bins predicted, observed, lo, hi and
            n_expected (B,), all as <rate>_<name> for the rates "boosted" and "natural".
    """
    grid = figure.subplots(2, 2)
    for (precision_axes, reliability_axes), rate in zip(grid, RATE_LABELS, strict=True):
        of_rate = {method: part(arrays, rate) for method, arrays in curves.items()}
        draw_precision_recall(precision_axes, of_rate, rate)
        draw_reliability(reliability_axes, of_rate, rate)
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=len(curves))


def draw_precision_recall(axes: Axes, curves: dict[str, dict], rate: str) -> None:
    """Draw precision against recall of tiles."""
    light_grid(axes)
    for method, curve in curves.items():
        axes.plot(curve["recall"], curve["precision"], color=METHOD_COLOURS[method], label=METHOD_LABELS[method])
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall of tiles with a member", ylabel="precision")
    axes.set_title(f"Tiles, {RATE_LABELS[rate]}")


def draw_reliability(axes: Axes, curves: dict[str, dict], rate: str) -> None:
    """Draw the observed fraction of tiles with a member against the probability they were given."""
    light_grid(axes)
    axes.plot([0, 1], [0, 1], color=PALE, linestyle="--", linewidth=1.2)
    for method, curve in curves.items():
        enough = curve["n_expected"] >= LEAST_EXPECTED
        observed, low, high = (curve[name][enough] for name in ("observed", "lo", "hi"))
        axes.errorbar(
            curve["predicted"][enough],
            observed,
            yerr=np.clip([observed - low, high - observed], 0.0, None),
            color=METHOD_COLOURS[method],
            marker=METHOD_MARKERS[method],
            linewidth=1.2,
        )
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="predicted probability", ylabel="observed fraction")
    axes.set_title(f"Calibration: {RATE_LABELS[rate]}")


def draw_cluster_scores(figure: Figure, bins: DataFrame, curves: DataFrame) -> None:
    """Draw completeness and purity against richness and redshift, and against each other and surface density.

    Args:
        bins: One row per method, score and bin: method, score ("completeness" or "purity"), against
            ("richness" or "redshift"), bin_low, bin_high, value, value_low, value_high
            (68 %), n. The last bin in richness may be open (bin_high infinite).
        curves: By falling probability threshold: method, richness_above, completeness, purity of the whole catalogue,
            per_deg2 (detections above the threshold).
    """
    panels = figure.subplot_mosaic(
        [
            ["completeness richness", "completeness redshift", "trade low", "density low"],
            ["purity richness", "purity redshift", "trade high", "density high"],
        ],
    )
    edges = dict(zip(("low", "high"), np.unique(curves["richness_above"]), strict=False))
    for name, axes in panels.items():
        kind, which = name.split()
        if kind in ("trade", "density"):
            of_edge = curves[curves["richness_above"] == edges.get(which)]
            draw_trade(axes, of_edge, edges.get(which), against="purity" if kind == "trade" else "per_deg2")
            continue
        rows = bins[(bins["score"] == kind) & (bins["against"] == which)]
        draw_binned_score(axes, rows, kind, which)
    lines = {}
    for axes in panels.values():
        lines |= {label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    if lines:
        figure.legend(lines.values(), lines.keys(), loc="outside upper left", ncols=len(lines))


def draw_binned_score(axes: Axes, rows: DataFrame, score: str, against: str) -> None:
    """Draw one score in bins, whose edges are ticks; bars are 68 % intervals."""
    light_grid(axes)
    whose = "true" if score == "completeness" else "estimated"
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
            yerr=bar_lengths(of_method),
            color=METHOD_COLOURS[method],
            marker=METHOD_MARKERS[method],
            linestyle="none",
            linewidth=1.2,
            label=METHOD_LABELS[method],
        )


def mark_bins(axes: Axes, rows: DataFrame, against: str) -> None:
    """Let an axis span all bins, with ticks at their edges."""
    if rows.empty:
        say_empty(axes, "no bin")
        return
    axes.set_xlim(rows["bin_low"].min() * 0.95, closed_bins(rows).max() * 1.05)
    edges = np.unique(rows[["bin_low", "bin_high"]])
    ticks = edges[np.isfinite(edges)]
    if against == "richness":
        axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
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


def draw_trade(axes: Axes, curves: DataFrame, richness_above: float | None, *, against: str) -> None:
    """Draw completeness against purity or surface density as the probability threshold falls."""
    light_grid(axes)
    if len(curves) == 0:
        say_empty(axes, "no detection")
        return
    for method, curve in curves.groupby("method", sort=False):
        axes.plot(curve["completeness"], curve[against], color=METHOD_COLOURS[method], label=METHOD_LABELS[method])
    axes.set(xlim=(0, 1.02), xlabel=f"completeness, true λ > {richness_above:g}")
    if against == "purity":
        axes.set(ylim=(0, 1.02), ylabel="purity (whole catalogue)")
    else:
        axes.set(yscale="log", ylim=(0.1, None), ylabel="detections per deg²")
