"""Mass maps side by side on one scale, and what is known of their quality: spectra, peaks, calibration, nulls."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from armillary.figures.style import BLUE, GREEN, INK, ORANGE, PALE, PURPLE, SKY, VERMILION, light_grid, say_empty

COLOURS = {
    "kaiser_squires": VERMILION, "inpainted": "#8c564b", "wiener": BLUE, "cubic": "#7f7f7f", "polynomial": "#bcbd22",
    "sparse": ORANGE, "lognormal": INK, "learned": GREEN, "score": PURPLE, "control": SKY,
}  # fmt: skip
LABELS = {
    "kaiser_squires": "Kaiser-Squires, smoothed", "inpainted": "Kaiser-Squires, inpainted", "wiener": "Wiener",
    "cubic": "cubic of Wiener", "polynomial": "polynomial of features", "sparse": "sparse + Gaussian",
    "lognormal": "log-normal prior", "learned": "learned residual", "score": "score prior",
    "control": "exact posterior, Gaussian skies",
}  # fmt: skip
MARKERS = {
    "kaiser_squires": "o", "inpainted": "h", "wiener": "s", "cubic": "<", "polynomial": ">", "sparse": "^",
    "lognormal": "P", "learned": "D", "score": "v", "control": "x",
}  # fmt: skip


COLOUR_MAP, NO_DATA = "magma", "#cfcfcf"


def map_range(maps: dict[str, np.ndarray], mask: np.ndarray) -> tuple[float, float]:
    """Least and largest convergence of a colour scale that serves all maps, those without a bright peak too."""
    high = np.percentile([np.percentile(image[mask], 99.7) for image in maps.values()], 75)
    return -0.4 * float(high), float(high)


def map_colours(image: np.ndarray, mask: np.ndarray, low: float, high: float) -> np.ndarray:
    """RGB of a map, (n_y, n_x, 3), grey outside the mask."""
    colours = colormaps[COLOUR_MAP](np.clip((image - low) / (high - low), 0, 1))[..., :3]
    return np.where(mask[..., None], colours, to_rgb(NO_DATA))


def draw_maps(
    figure: Figure, maps: dict[str, np.ndarray], mask: np.ndarray, pixel_arcmin: float, clusters: np.ndarray | None
) -> None:
    """Draw convergence maps (title -> (n_y, n_x)) on one colour scale, grey outside the mask, clusters as rings.

    Args:
        clusters: (n, 2) columns and rows in pixels, or None.
    """
    n_columns = -(-len(maps) // 2)
    panels = figure.subplots(2, n_columns, squeeze=False)
    rows, columns = np.nonzero(mask)
    extent = np.array([columns.min(), columns.max() + 1, rows.min(), rows.max() + 1])
    low, high = map_range(maps, mask)
    for axes, (title, image) in zip(panels.ravel(), maps.items(), strict=False):
        shown = axes.imshow(
            np.where(mask, image, np.nan), cmap=COLOUR_MAP, vmin=low, vmax=high,
            extent=np.array([0, mask.shape[1], 0, mask.shape[0]]) * pixel_arcmin,
        )  # fmt: skip
        axes.set_facecolor(NO_DATA)
        axes.set(xlim=extent[:2] * pixel_arcmin, ylim=extent[2:] * pixel_arcmin)
        axes.set_title(title, fontsize=10)
        axes.spines[:].set_visible(False)
        if clusters is not None:
            axes.plot(
                *(clusters.T * pixel_arcmin),
                "o",
                color="none",
                markeredgecolor="#7fe0ff",
                markersize=5,
                markeredgewidth=0.6,
            )
    for axes in panels.ravel()[len(maps) :]:
        axes.set_axis_off()
    for axes in panels[0]:
        axes.set_xticklabels([])
    for axes in panels[:, 1:].ravel():
        axes.set_yticklabels([])
    figure.supxlabel("arcmin", fontsize=10)
    figure.supylabel("arcmin", fontsize=10)
    figure.colorbar(shown, ax=panels, shrink=0.8, label="convergence, mean of the mask taken off", extend="both")


def draw_spectra(figure: Figure, curves: dict[str, np.ndarray], methods: list[str]) -> None:
    """Draw power over the truth's and coherence with it against l, one line a method."""
    ratio_axes, coherence_axes = figure.subplots(1, 2)
    middle = np.sqrt(curves["multipole_edges"][1:] * curves["multipole_edges"][:-1])
    for axes, name in ((ratio_axes, "power_ratio"), (coherence_axes, "coherence")):
        light_grid(axes)
        for method in methods:
            axes.plot(
                middle, curves[f"{method}_{name}"], marker=MARKERS[method], color=COLOURS[method], label=LABELS[method]
            )
        axes.set(xscale="log", xlabel="multipole l")
    ratio_axes.axhline(1, color=PALE, linestyle="--", linewidth=1.2)
    ratio_axes.set(yscale="log", ylim=(1e-3, 5), ylabel="power over the truth's")
    ratio_axes.set_title("Mean maps lose power where noise rules")
    coherence_axes.set(ylim=(0, 1.02), ylabel="coherence with the truth")
    coherence_axes.set_title("How much of the truth is in them")
    ratio_axes.legend(loc="lower left")


def draw_peaks(figure: Figure, curves: dict[str, np.ndarray], methods: list[str], smoothing_arcmin: float) -> None:
    """Draw peak counts and the distribution of convergence against the truth's."""
    peak_axes, pdf_axes = figure.subplots(1, 2)
    for axes, name, edges in ((peak_axes, "peaks", "peak_edges"), (pdf_axes, "distribution", "pdf_edges")):
        light_grid(axes)
        edges = curves[f"{methods[0]}_{edges}"]
        axes.stairs(curves[f"{methods[0]}_true_{name}"], edges, color=INK, linewidth=1.8, label="truth")
        middle = 0.5 * (edges[1:] + edges[:-1])
        for method in methods:
            axes.plot(
                middle,
                curves[f"{method}_{name}"],
                marker=MARKERS[method],
                markersize=4,
                linewidth=1.2,
                color=COLOURS[method],
                label=LABELS[method],
            )
        axes.set(yscale="log", xlabel="convergence")
    peak_axes.set(ylabel="peaks a map and bin", ylim=(0.05, None))
    peak_axes.set_title(f"Peaks, all maps through {smoothing_arcmin:g} arcmin more")
    pdf_axes.set(ylabel="share of pixels / bin width", ylim=(1e-2, None))
    pdf_axes.set_title("Distribution of pixels")
    peak_axes.legend(loc="upper right")


def draw_calibration(figure: Figure, curves: dict[str, np.ndarray], methods: list[str]) -> None:
    """Draw coverage in bins of inferred and of true convergence, filled and joined for a map's 68 % intervals, open and
    dotted for central ones; and the ranks of the truth among samples.
    """
    inferred_axes, true_axes, rank_axes = figure.subplots(1, 3)
    edges = curves["convergence_edges"]
    places = np.arange(len(edges) - 1)
    for axes, name in ((inferred_axes, "by_inferred"), (true_axes, "by_true")):
        light_grid(axes)
        axes.axhline(0.6827, color=PALE, linestyle="--", linewidth=1.2)
        for method in methods:
            for kind, style in (
                ("interval", {"label": LABELS[method]}),
                ("coverage", {"linestyle": ":", "linewidth": 1.0, "markerfacecolor": "white"}),
            ):
                if f"{method}_{kind}_{name}" not in curves:
                    continue
                number = curves[f"{method}_{kind}_n_{name}"]
                enough = number >= 0.002 * number.sum()
                values = curves[f"{method}_{kind}_{name}"][enough]
                axes.plot(places[enough], values, marker=MARKERS[method], color=COLOURS[method], **style)
        labels = [
            f"< {edges[1]:g}",
            *(f"{low:g} to {top:g}" for low, top in zip(edges[1:-2], edges[2:-1], strict=True)),
            f"> {edges[-2]:g}",
        ]
        axes.set_xticks(places, labels, rotation=40, ha="right")
        axes.set(ylim=(0, 1), ylabel="inside the 68 % interval")
    inferred_axes.set(xlabel="inferred convergence", title="Where the map says so")
    true_axes.set(xlabel="true convergence", title="Where the truth is so")
    handles, names = inferred_axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=4)
    light_grid(rank_axes)
    rank_axes.axhline(1, color=PALE, linestyle="--", linewidth=1.2)
    for method in methods:
        if f"{method}_coverage_rank" in curves:
            density = curves[f"{method}_coverage_rank"]
            rank_axes.stairs(density, np.linspace(0, 1, len(density) + 1), color=COLOURS[method], linewidth=1.5)
    rank_axes.set(xlabel="rank of the truth among samples", ylabel="density", ylim=(0, None), xlim=(0, 1))
    rank_axes.set_title("Ranks: flat is right")


def draw_nulls(figure: Figure, curves: dict[str, np.ndarray], methods: list[str], null_methods: list[str]) -> None:
    """Draw rms of E and B maps beside those of turned shapes, and stacks at clusters beside theirs."""
    rms_axes, stack_axes = figure.subplots(1, 2)
    places = {method: place for place, method in enumerate(methods)}
    for axes, name, label in (
        (rms_axes, "rms", "rms of the map"),
        (stack_axes, "stack", "stack over spread of shifted ones"),
    ):
        light_grid(axes)
        if f"{methods[0]}_{name}" not in curves:
            say_empty(axes, "no list of clusters")
            continue
        for method, place in places.items():
            e_value, b_value = curves[f"{method}_{name}"]
            axes.plot(place, e_value, "o", color=COLOURS[method], markersize=8)
            axes.plot(place, b_value, "o", color=COLOURS[method], markersize=8, markerfacecolor="white")
            if method in null_methods:
                null = curves[f"{method}_null_{name}"]
                axes.plot(np.full(len(null), place + 0.25), null, "_", color=PALE, markersize=9)
        axes.set_xticks(
            list(places.values()), [LABELS[method] for method in places], fontsize=8, rotation=35, ha="right"
        )
        axes.set(ylabel=label, xlim=(-0.5, len(places) - 0.3))
    rms_axes.set_ylim(bottom=0)
    rms_axes.set_title("Filled: E mode. Open: B mode. Grey: shapes turned at random")
    if "signs" in curves:
        pairs = zip(curves["signs"], curves["sign_scores"], strict=True)
        stack_axes.set_title("signs of the shear: " + ", ".join(f"{s} {v:.1f}" for s, v in pairs), fontsize=8)


def draw_training(figure: Figure, histories: dict[str, list[dict]]) -> None:
    """Draw training and validation loss of the networks, in units of what the Gaussian filter leaves."""
    panels = figure.subplots(1, len(histories), squeeze=False)[0]
    for axes, (title, rows) in zip(panels, histories.items(), strict=True):
        _draw_history(axes, title, rows)


def _draw_history(axes: Axes, title: str, rows: list[dict]) -> None:
    light_grid(axes)
    steps = [row["step"] for row in rows]
    axes.axhline(1, color=PALE, linestyle="--", linewidth=1.2, label="Gaussian filter")
    axes.plot(steps, [row["train_loss"] for row in rows], color=PALE, label="training")
    axes.plot(steps, [row["validation_loss"] for row in rows], color=BLUE, label="validation")
    axes.set(xlabel="step", ylabel="squared error, Gaussian filter = 1", title=title)
    axes.legend()
