"""One look for every figure: sizes, fonts and colours, without pyplot and without global state.

A figure is drawn inside `page`, which sets the style for its own duration only, so that two figures of
one process, or a user's own settings, never meet. Colours are Okabe and Ito's (2008) set, which stays
distinct for colour-blind readers; redshift uses a perceptually uniform map. Sizes are such that a
page of 1600 pixels is still legible when a README shows it 800 pixels wide.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure

DOTS_PER_INCH = 200
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
INK, PALE = "#222222", "#9a9a9a"
METHOD_COLOURS = {"encoder": BLUE, "finder": VERMILION, "combined": GREEN, "limit": PALE}
METHOD_LABELS = {
    "encoder": "encoder",
    "finder": "red-sequence finder",
    "combined": "both combined",
    "limit": "limit: true haloes known",
}
METHOD_MARKERS = {"encoder": "o", "finder": "s", "combined": "^", "limit": "D"}

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "errorbar.capsize": 0,
    "image.interpolation": "nearest",
    "image.origin": "lower",
    "figure.facecolor": "white",
    "figure.constrained_layout.w_pad": 0.06,
    "figure.constrained_layout.h_pad": 0.06,
}


@contextmanager
def page(path: str, width_px: int = 1600, height_px: int = 800) -> Iterator[Figure]:
    """Give an empty figure in the house style; write it to `path` as PNG when the block ends without error.

    The written image is exactly `width_px` x `height_px`.
    """
    with matplotlib.rc_context(STYLE):
        size_inch = (width_px / DOTS_PER_INCH, height_px / DOTS_PER_INCH)
        figure = Figure(figsize=size_inch, dpi=DOTS_PER_INCH, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        figure.savefig(path, format="png", metadata={"Software": "Armillary"})


def redshift_colours(redshift: np.ndarray, *, on_sky: bool) -> tuple[Colormap, Normalize]:
    """Return the colour map of redshifts and its scale: light colours on the sky, darker ones on white."""
    ends = ["#5cc4ff", "#fff3b0", "#ff7448"] if on_sky else ["#0d3b8c", "#2aa198", "#e0962c", "#c23b22"]
    colours = LinearSegmentedColormap.from_list("redshift", ends)
    known = np.asarray(redshift, float)[np.isfinite(redshift)]
    low, high = (known.min(), known.max()) if known.size else (0.2, 0.8)
    margin = max(0.02, 0.05 * (high - low))
    return colours, Normalize(max(low - margin, 0.0), high + margin)


def light_grid(axes: Axes) -> None:
    """Draw a faint grid behind the data."""
    axes.grid(True, color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)


def note(axes: Axes, text: str, x: float = 0.03, y: float = 0.97, *, colour: str = INK) -> None:
    """Write a small note at axes coordinates (x, y); it hangs from the nearer edges."""
    axes.text(
        x,
        y,
        text,
        transform=axes.transAxes,
        fontsize=9,
        color=colour,
        horizontalalignment="left" if x < 0.5 else "right",
        verticalalignment="top" if y > 0.5 else "bottom",
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1.5},
    )


def say_empty(axes: Axes, text: str) -> None:
    """Say in place of a plot that there is nothing to plot, and why."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, color=PALE, ha="center", va="center", wrap=True)
    axes.set_xticks([])
    axes.set_yticks([])
