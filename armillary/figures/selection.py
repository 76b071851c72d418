"""Selection function: the share of true haloes found, against richness, in bins of redshift."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from armillary.figures.style import BLUE, GREEN, METHOD_LABELS, ORANGE, PURPLE, light_grid, say_empty

if TYPE_CHECKING:
    from pandas import DataFrame

COLOURS, MARKERS = (BLUE, ORANGE, GREEN, PURPLE), "osD^"


def draw_selection(figure: Figure, table: DataFrame) -> None:
    """Draw one panel a method, one line a redshift bin.

    `table` has a row per method and cell: method, richness_low, richness_high, redshift_low, redshift_high, p_found,
    p_low, p_high (68 %), n (effective number of haloes).
    """
    methods = [method for method in METHOD_LABELS if method in set(table["method"])]
    panels = figure.subplots(1, max(len(methods), 1), sharey=True, squeeze=False)[0]
    for axes, method in zip(panels, methods, strict=False):
        draw_method(axes, table[table["method"] == method])
        axes.set_title(METHOD_LABELS[method])
    panels[0].set_ylabel("share of haloes found")
    if methods:
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    else:
        say_empty(panels[0], "no method")


def draw_method(axes: Axes, table: DataFrame) -> None:
    """Draw P(found) against true richness, a line for each redshift bin, cells without a halo left out."""
    light_grid(axes)
    rows_of_bin = list(table.groupby(["redshift_low", "redshift_high"]))
    for place, ((low, high), rows) in enumerate(rows_of_bin):
        rows = rows[rows["p_found"].notna()]
        middle = np.sqrt(rows["richness_low"] * rows["richness_high"]) * 1.03 ** (place - 0.5 * (len(rows_of_bin) - 1))
        bars = np.clip([rows["p_found"] - rows["p_low"], rows["p_high"] - rows["p_found"]], 0.0, None)
        axes.errorbar(
            middle,
            rows["p_found"],
            yerr=bars,
            color=COLOURS[place % len(COLOURS)],
            marker=MARKERS[place % len(MARKERS)],
            linewidth=1.2,
            label=f"redshift {low:g} to {high:g}",
        )
    edges = np.unique(table[["richness_low", "richness_high"]])
    shown = [edge for edge in edges if edge in (5, 10, 20, 30, 60, 100, 200)] or edges
    axes.set(xscale="log", ylim=(-0.03, 1.05), xlabel="true richness λ")
    axes.xaxis.set_ticks(shown, [f"{edge:g}" for edge in shown])
    axes.xaxis.set_ticks([], minor=True)
