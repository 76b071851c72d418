"""How far the batched renderer is from GalSim, source by source."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from armillary.figures.style import BLUE, GREEN, INK, VERMILION, light_grid, note, say_empty

QUANTITIES = {
    "residual_sigma": ("largest residual / sky sigma", BLUE),
    "residual_peak": ("largest residual / peak", VERMILION),
    "flux_error": ("relative flux error", GREEN),
}


def draw_residuals(figure: Figure, samples: dict[str, np.ndarray], bounds: dict[str, float]) -> None:
    """Draw histograms of what a random sample of sources, drawn by both engines, differs by.

    Args:
        samples: Of each of QUANTITIES the values of the sample, any shape; non-finite values are left out.
        bounds: Of any of them the bound that is promised; drawn as a line.
    """
    panels = figure.subplots(1, len(QUANTITIES))
    for axes, (name, (label, colour)) in zip(panels, QUANTITIES.items(), strict=True):
        draw_log_histogram(axes, samples[name], label, colour, bounds.get(name))
    panels[0].set_ylabel("sources")


def draw_log_histogram(axes: Axes, values: np.ndarray, label: str, colour: str, bound: float | None) -> None:
    """Draw the histogram of |values| in logarithmic bins, with the median, the maximum and the bound."""
    axes.set_xlabel(label)
    sizes = np.abs(np.ravel(values).astype(float))
    sizes = sizes[np.isfinite(sizes)]
    if sizes.size == 0:
        say_empty(axes, "not measured")
        return
    sizes = np.maximum(sizes, 1e-16)
    low, high = sizes.min(), max(sizes.max(), bound or 0.0)
    edges = np.geomspace(low / 1.5, high * 1.5, 25)
    light_grid(axes)
    axes.hist(sizes, edges, color=colour, alpha=0.85)
    axes.set_xscale("log")
    axes.set_ylim(0, axes.get_ylim()[1] * 1.35)
    if bound is not None:
        axes.axvline(bound, color=INK, linestyle="--", linewidth=1.2)
    bound_text = "" if bound is None else f"\nbound {bound:.1g} (dashed)"
    note(axes, f"n {sizes.size}, median {np.median(sizes):.1e}\nmax {sizes.max():.1e}{bound_text}")
