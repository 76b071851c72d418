"""Estimated redshifts, richnesses and centres of the clusters that were found, against the truth."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from armillary.figures.style import (
    BLUE,
    METHOD_COLOURS,
    METHOD_LABELS,
    METHOD_MARKERS,
    PALE,
    light_grid,
    note,
    say_empty,
)

if TYPE_CHECKING:
    from pandas import DataFrame


def draw_estimates(figure: Figure, matches: DataFrame, measured: dict[str, dict]) -> None:
    """Draw estimated against true redshift and richness with residuals, bias of richness in bins, and centring.

    `matches` has a row per found cluster: method, redshift_true, redshift, redshift_error, richness_true, richness,
    richness_error (errors are one sigma), offset_mpc, weight. `measured` is the metrics file: its entries
    <method>_redshift_bias and so on (value, lo and hi, 68 %) are written in. Points are of the encoder, the last two
    panels of every method.
    """
    panels = figure.subplot_mosaic(
        [["redshift", "richness", "bias"], ["redshift residual", "richness residual", "centre"]],
        height_ratios=[1.6, 1.0],
    )
    for name in ("redshift", "richness"):
        panels[name].sharex(panels[f"{name} residual"])
        panels[name].tick_params(labelbottom=False)
    points = matches[matches["method"] == "encoder"]
    if len(points) == 0:
        for axes in panels.values():
            say_empty(axes, "no cluster was matched")
        return
    draw_redshift(panels["redshift"], panels["redshift residual"], points)
    write_measured(panels["redshift"], len(points), measured, "redshift", ("bias", "scatter"), digits=4)
    draw_richness(panels["richness"], panels["richness residual"], points)
    write_measured(panels["richness"], len(points), measured, "richness", ("slope", "correlation", "scatter"), digits=2)
    draw_richness_bias(panels["bias"], measured)
    draw_centring(panels["centre"], matches)


def draw_richness_bias(axes: Axes, measured: dict[str, dict]) -> None:
    """Draw the mean of ln(estimated / true richness) in bins of true richness, of every method."""
    light_grid(axes)
    axes.axhline(0.0, color=PALE, linestyle="--", linewidth=1.2, zorder=1)
    for place, method in enumerate(METHOD_COLOURS):
        rows = richness_bias_bins(measured, method)
        if len(rows) == 0:
            continue
        low, high, value, value_low, value_high = rows.T
        middle = low * (high / low) ** (0.35 + 0.1 * place)
        bars = np.clip([value - value_low, value_high - value], 0.0, None)
        axes.errorbar(
            middle,
            value,
            yerr=bars,
            fmt=METHOD_MARKERS[method],
            color=METHOD_COLOURS[method],
            linewidth=1.2,
            label=METHOD_LABELS[method],
        )
    axes.set(xscale="log", xlabel="true richness λ", ylabel="mean of Δ ln λ", title="Bias of richness")
    ticks = [20, 30, 40, 60, 100, 200]
    axes.xaxis.set_ticks(ticks, [str(tick) for tick in ticks])
    axes.xaxis.set_ticks([], minor=True)
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom - 0.5 * (top - bottom), top)  # room for the legend
    axes.legend(fontsize=8, loc="lower left")


def richness_bias_bins(measured: dict[str, dict], method: str) -> np.ndarray:
    """Return low, high, value, lo and hi (n, 5) of the bins of richness bias that have a value."""
    rows = []
    for key, entry in measured.items():
        found = re.fullmatch(rf"{method}_richness_bias_(?:gt)?(\d+)(?:_(\d+))?", key)
        if found and entry["value"] is not None:
            low = float(found[1])
            high = float(found[2]) if found[2] else 2.0 * low
            rows.append((low, high, entry["value"], entry["lo"], entry["hi"]))
    return np.array(sorted(rows), dtype=float).reshape(-1, 5)


def draw_centring(axes: Axes, matches: DataFrame) -> None:
    """Draw the share of clusters whose centre is found within a distance, weighted to the natural rate."""
    light_grid(axes)
    for method, rows in matches.groupby("method", sort=False):
        ordered = rows.sort_values("offset_mpc")
        share = ordered["weight"].cumsum() / ordered["weight"].sum()
        axes.step(ordered["offset_mpc"], share, where="post", color=METHOD_COLOURS[method])
    axes.set(
        xlim=(0, 0.6), ylim=(0, 1.02), xlabel="distance to the true centre [Mpc]", ylabel="share of found clusters"
    )
    axes.set_title("Centring")


def draw_redshift(axes: Axes, residual_axes: Axes, matches: DataFrame) -> None:
    """Draw redshifts and (z - z_true) / (1 + z_true)."""
    truth, value, error = columns(matches, "redshift")
    residual, residual_error = (value - truth) / (1.0 + truth), error / (1.0 + truth)
    draw_points(axes, truth, value, error)
    draw_points(residual_axes, truth, residual, residual_error)
    axes.set(ylabel="estimated redshift", title="Redshift of found clusters")
    residual_axes.set(xlabel="true redshift", ylabel="Δz / (1 + z)", ylim=symmetric_limits(residual))
    mark_truth(axes, residual_axes, truth)


def draw_richness(axes: Axes, residual_axes: Axes, matches: DataFrame) -> None:
    """Draw richnesses on logarithmic axes and ln(lambda / lambda_true)."""
    truth, value, error = columns(matches, "richness")
    residual, residual_error = np.log(value / truth), error / value
    for each in (axes, residual_axes):
        each.set_xscale("log")
    axes.set_yscale("log")
    draw_points(axes, truth, value, error)
    draw_points(residual_axes, truth, residual, residual_error)
    axes.set(ylabel="estimated richness λ", title="Richness of found clusters")
    residual_axes.set(xlabel="true richness λ", ylabel="Δ ln λ", ylim=symmetric_limits(residual))
    mark_truth(axes, residual_axes, truth)
    limits = (0.85 * min(truth.min(), value.min()), 1.3 * max(truth.max(), value.max()))
    axes.set(xlim=limits, ylim=limits)
    ticks = [tick for tick in (5, 10, 20, 30, 50, 100, 200) if limits[0] <= tick <= limits[1]]
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(ticks, [str(tick) for tick in ticks])
        axis.set_ticks([], minor=True)


def columns(matches: DataFrame, quantity: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return truth, value and error; the error is 0 where none is quoted."""
    names = (f"{quantity}_true", quantity, f"{quantity}_error")
    truth, value, error = (matches[name].to_numpy(float) for name in names)
    return truth, value, np.nan_to_num(error)


def draw_points(axes: Axes, truth: np.ndarray, value: np.ndarray, error: np.ndarray) -> None:
    """Draw points with one-sigma bars, fainter the more there are."""
    light_grid(axes)
    opacity = float(np.clip(8.0 / np.sqrt(max(len(truth), 1)), 0.25, 0.9))
    axes.errorbar(truth, value, yerr=error, fmt="o", markersize=3, linewidth=0.8, color=BLUE, alpha=opacity)


def mark_truth(axes: Axes, residual_axes: Axes, truth: np.ndarray) -> None:
    """Draw where the inferred equals the true value."""
    ends = [0.9 * truth.min(), 1.1 * truth.max()]
    axes.plot(ends, ends, color=PALE, linestyle="--", linewidth=1.2, zorder=1)
    residual_axes.axhline(0.0, color=PALE, linestyle="--", linewidth=1.2, zorder=1)


def symmetric_limits(residual: np.ndarray) -> tuple[float, float]:
    """Return limits around zero that hold all but the worst two per cent of residuals."""
    reach = 1.4 * float(np.quantile(np.abs(residual), 0.98)) if len(residual) else 1.0
    return -max(reach, 1e-3), max(reach, 1e-3)


def write_measured(
    axes: Axes, n_clusters: int, measured: dict[str, dict], quantity: str, statistics: tuple[str, ...], *, digits: int
) -> None:
    """Write the number of clusters and the encoder's statistics with half the width of their 68 % intervals."""
    lines = [f"encoder, {n_clusters} clusters"]
    for statistic in statistics:
        entry = measured[f"encoder_{quantity}_{statistic}"]
        if entry["value"] is not None:
            error = "" if entry["lo"] is None else f" ± {0.5 * (entry['hi'] - entry['lo']):.{digits}f}"
            sign = "+" if statistic == "bias" else ""
            lines.append(f"{statistic} {entry['value']:{sign}.{digits}f}{error}")
    note(axes, "\n".join(lines))
