"""Picture of a simulated field: its clusters, the tiles that hold members, and what was inferred."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from armillary.figures.style import redshift_colours

if TYPE_CHECKING:
    from pandas import DataFrame

CLUSTER_RICHNESS = 20.0
CLUSTER_LINE = {"linewidth": 1.5, "linestyle": "-"}
GROUP_LINE = {"linewidth": 0.9, "linestyle": "--", "alpha": 0.8}


def draw_field(
    figure: Figure,
    rgb: np.ndarray,
    sources: DataFrame,
    haloes: DataFrame,
    membership: np.ndarray,
    probability: np.ndarray,
    *,
    image_size: int,
    pixel_arcsec: float,
    title: str,
) -> None:
    """Draw one field: large, its clusters on the sky; beside it, true membership and probability by tile.

    Args:
        rgb: Picture of the field, (h, w, 3), of any binning.
        sources: Its catalogue; needs X, Y [px], MEM, CLUSTER_Z.
        haloes: Its rows of the truth table; needs x, y, radius_px [px], redshift, richness.
        membership: True tile membership, (T, T) bool.
        probability: Inferred tile membership probability, (T, T).
        image_size: Side of the field [px].
        pixel_arcsec: Pixel scale [arcsec].
    """
    arcmin_per_px = pixel_arcsec / 60.0
    extent_arcmin = (0.0, image_size * arcmin_per_px) * 2
    panels = figure.subplot_mosaic([["sky", "truth"], ["sky", "inferred"]], width_ratios=[2.05, 1.0])
    for axes in panels.values():
        axes.imshow(rgb, extent=extent_arcmin, interpolation="antialiased")
        frame_sky(axes, extent_arcmin)
    panels["sky"].set(xlabel="x [arcmin]", ylabel="y [arcmin]", title=title)
    draw_haloes(panels["sky"], haloes, arcmin_per_px, members=sources[sources["MEM"] > 0.5])
    panels["truth"].set_title("true member tiles")
    overlay_tiles(panels["truth"], np.asarray(membership, float), extent_arcmin)
    panels["inferred"].set_title("inferred probability")
    overlay = overlay_tiles(panels["inferred"], probability, extent_arcmin)
    for name in ("truth", "inferred"):
        panels[name].tick_params(labelleft=False, labelbottom=False)
    figure.colorbar(
        overlay,
        ax=[panels["truth"], panels["inferred"]],
        label="P(tile holds a member)",
        location="bottom",
        aspect=20,
        pad=0.02,
    )


def frame_sky(axes: Axes, extent_arcmin: tuple[float, ...]) -> None:
    """Show exactly the field, whatever is drawn over it, with a full frame."""
    axes.set(xlim=extent_arcmin[:2], ylim=extent_arcmin[2:], aspect="equal")
    axes.spines[["top", "right"]].set_visible(True)


def draw_haloes(axes: Axes, haloes: DataFrame, arcmin_per_px: float, members: DataFrame) -> None:
    """Draw members, centres and R_lambda circles coloured by redshift; groups (lambda < 20) are dashed."""
    colours, scale = redshift_colours(haloes["redshift"].to_numpy(), on_sky=True)
    for halo in haloes.sort_values("richness").itertuples():
        colour = colours(scale(halo.redshift))
        centre = (halo.x * arcmin_per_px, halo.y * arcmin_per_px)
        is_cluster = halo.richness >= CLUSTER_RICHNESS
        line = CLUSTER_LINE if is_cluster else GROUP_LINE
        axes.add_patch(Circle(centre, halo.radius_px * arcmin_per_px, fill=False, edgecolor=colour, **line))
        if is_cluster:
            axes.plot(*centre, marker="+", markersize=9, markeredgewidth=1.6, color=colour)
            label_halo(axes, halo, centre, colour)
    if len(members):
        colour = colours(scale(members["CLUSTER_Z"].to_numpy()))
        places = (members["X"] * arcmin_per_px, members["Y"] * arcmin_per_px)
        axes.scatter(*places, s=26, facecolors="none", edgecolors=colour, linewidths=0.6, alpha=0.8)
    mappable = axes.scatter([], [], c=[], cmap=colours, norm=scale)
    axes.figure.colorbar(mappable, ax=axes, location="bottom", label="redshift", shrink=0.6, aspect=40, pad=0.02)


def label_halo(axes: Axes, halo, centre: tuple[float, float], colour) -> None:
    """Write richness and redshift under a cluster's centre, if the centre lies in the picture."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    if not (left <= centre[0] <= right and bottom <= centre[1] <= top):
        return
    at_right = centre[0] > left + 0.75 * (right - left)
    axes.annotate(
        f"λ {halo.richness:.0f}, z {halo.redshift:.2f}",
        centre,
        xytext=(-8 if at_right else 8, 7 if centre[1] < top - 0.08 * (top - bottom) else -14),
        textcoords="offset points",
        ha="right" if at_right else "left",
        color=colour,
        fontsize=9,
        fontweight="bold",
        bbox={"facecolor": "black", "edgecolor": "none", "alpha": 0.55, "pad": 1.2},
    )


def overlay_tiles(axes: Axes, values: np.ndarray, extent: tuple[float, ...]):
    """Lay tile values 0..1, (T, T), over a picture: the surer a tile, the less the sky shows through."""
    values = np.asarray(values, float)
    opacity = np.clip(0.1 + 0.6 * np.nan_to_num(values), 0.0, 0.7)
    return axes.imshow(values, extent=extent, cmap="viridis", vmin=0.0, vmax=1.0, alpha=opacity)


def tile_colours(values: np.ndarray) -> np.ndarray:
    """RGBA of tile values 0..1, (T, T, 4), to lay over a picture: clear where a tile is nothing or unknown."""
    values = np.nan_to_num(np.asarray(values, float))
    colours = colormaps["viridis"](values)
    colours[..., 3] = np.clip(3.0 * values, 0.0, 0.8)
    return colours
