"""Inferred against true redshift and richness of the clusters that were found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from armillary.figures.style import BLUE, PALE, light_grid, note, say_empty

if TYPE_CHECKING:
    from pandas import DataFrame


def draw_estimates(figure: Figure, matches: DataFrame, measured: dict[str, dict]) -> None:
    """Draw inferred against true redshift and richness, with residuals below.

    `matches` has a row per found cluster: redshift_true, redshift, redshift_error, richness_true, richness,
    richness_error (errors are one sigma). `measured` holds redshift_bias, redshift_scatter, richness_bias and
    richness_scatter, each with value, lo and hi (68 %), as they stand in the metrics; they are written in.
    """
    panels = figure.subplot_mosaic(
        [["redshift", "richness"], ["redshift residual", "richness residual"]], height_ratios=[2.6, 1.0]
    )
    for name in ("redshift", "richness"):
        panels[name].sharex(panels[f"{name} residual"])
        panels[name].tick_params(labelbottom=False)
    if len(matches) == 0:
        for axes in panels.values():
            say_empty(axes, "no cluster was matched")
        return
    draw_redshift(panels["redshift"], panels["redshift residual"], matches)
    write_measured(panels["redshift"], len(matches), measured, "redshift", "Δz/(1+z)", digits=4)
    draw_richness(panels["richness"], panels["richness residual"], matches)
    write_measured(panels["richness"], len(matches), measured, "richness", "Δ ln λ", digits=2)


def draw_redshift(axes: Axes, residual_axes: Axes, matches: DataFrame) -> None:
    """Draw redshifts and (z - z_true) / (1 + z_true)."""
    truth, value, error = columns(matches, "redshift")
    residual, residual_error = (value - truth) / (1.0 + truth), error / (1.0 + truth)
    draw_points(axes, truth, value, error)
    draw_points(residual_axes, truth, residual, residual_error)
    axes.set(ylabel="inferred redshift", title="Redshift of found clusters")
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
    axes.set(ylabel="inferred richness λ", title="Richness of found clusters")
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
    axes: Axes, n_clusters: int, measured: dict[str, dict], quantity: str, symbol: str, *, digits: int
) -> None:
    """Write the number of clusters, and bias and scatter with half the width of their 68 % intervals."""
    lines = [f"{n_clusters} clusters, {symbol}"]
    for statistic in ("bias", "scatter"):
        entry = measured[f"{quantity}_{statistic}"]
        if entry["value"] is not None:
            error = "" if entry["lo"] is None else f" ± {0.5 * (entry['hi'] - entry['lo']):.{digits}f}"
            sign = "+" if statistic == "bias" else ""
            lines.append(f"{statistic} {entry['value']:{sign}.{digits}f}{error}")
    note(axes, "\n".join(lines))
