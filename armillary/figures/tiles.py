"""Pictures of survey tiles: the sky, the probability map, the reference clusters and the detections."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from armillary.figures.fields import frame_sky, overlay_tiles
from armillary.figures.style import ORANGE, SKY

if TYPE_CHECKING:
    from pandas import DataFrame

N_LABELS = 12
MOST_COLUMNS = 3
COUNTED_WIDTH, UNCOUNTED_WIDTH = 1.4, 0.6


def draw_tile(
    figure: Figure,
    rgb: np.ndarray,
    probability: np.ndarray,
    truth: DataFrame,
    detections: DataFrame,
    *,
    image_size: int,
    pixel_arcsec: float,
    cell_arcsec: float,
    title: str,
    cluster_label: str,
) -> None:
    """Draw a survey tile with its reference clusters and the detections; beside it the probability map.

    Args:
        rgb: Picture of the tile, (h, w, 3), of any binning.
        probability: Membership probability of cells from the lower left corner on, (rows, columns).
        truth: Reference clusters: x, y, radius_px [px], redshift, richness, matched (bool), counted (bool).
        detections: x, y [px], probability, matched (bool), counted (bool).
        image_size: Side of the survey tile [px].
        pixel_arcsec: Pixel scale [arcsec].
        cell_arcsec: Side of a cell of the probability map [arcsec].
        cluster_label: Name of a reference cluster in the legend.
    """
    arcmin_per_px = pixel_arcsec / 60.0
    extent_arcmin = (0.0, image_size * arcmin_per_px) * 2
    map_height, map_width = (cells * cell_arcsec / 60.0 for cells in probability.shape)
    map_extent_arcmin = (0.0, map_width, 0.0, map_height)
    sky_axes, map_axes = figure.subplots(1, 2)
    sky_axes.imshow(rgb, extent=extent_arcmin, interpolation="antialiased")
    map_axes.imshow(rgb, extent=extent_arcmin, interpolation="antialiased")
    overlay = overlay_tiles(map_axes, probability, map_extent_arcmin)
    for axes in (sky_axes, map_axes):
        frame_sky(axes, extent_arcmin)
        axes.set_xlabel("x [arcmin]")
        draw_clusters(axes, truth, arcmin_per_px, label_size=8 if axes is sky_axes else 0)
        draw_detections(axes, detections, arcmin_per_px)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    sky_axes.set(ylabel="y [arcmin]", title=count_line(truth, detections))
    map_axes.set_title("map of the probability of a member")
    figure.colorbar(overlay, ax=map_axes, label="P(tile holds a member)", shrink=0.75)
    draw_legend(figure, sky_axes, cluster_label)


def draw_tiles(figure: Figure, tiles: list[dict], *, title: str, cluster_label: str) -> None:
    """Draw a panel for each survey tile with its reference clusters and the detections.

    tiles: for each its name, kind (a line below the name, or empty), and rgb, truth, detections, image_size and
    pixel_arcsec as `draw_tile` takes them.
    """
    n_columns = min(len(tiles), MOST_COLUMNS)
    panels = figure.subplots(math.ceil(len(tiles) / n_columns), n_columns, squeeze=False).ravel()
    for axes, tile in zip(panels, tiles, strict=False):
        arcmin_per_px = tile["pixel_arcsec"] / 60.0
        extent_arcmin = (0.0, tile["image_size"] * arcmin_per_px) * 2
        axes.imshow(tile["rgb"], extent=extent_arcmin, interpolation="antialiased")
        frame_sky(axes, extent_arcmin)
        draw_clusters(axes, tile["truth"], arcmin_per_px, label_size=6)
        draw_detections(axes, tile["detections"], arcmin_per_px)
        lines = (tile["name"], tile["kind"], count_line(tile["truth"], tile["detections"]))
        axes.set_title("\n".join(line for line in lines if line), fontsize=7.5)
        axes.tick_params(labelsize=7)
    for axes in panels[::n_columns]:
        axes.set_ylabel("y [arcmin]", fontsize=8)
    for axes in panels[max(len(tiles) - n_columns, 0) : len(tiles)]:
        axes.set_xlabel("x [arcmin]", fontsize=8)
    for axes in panels[len(tiles) :]:
        axes.set_axis_off()
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    draw_legend(figure, panels[0], cluster_label)


def count_line(truth: DataFrame, detections: DataFrame) -> str:
    """Found clusters and false detections, of those that count."""
    n_found, n_clusters = int((truth["matched"] & truth["counted"]).sum()), int(truth["counted"].sum())
    n_false = int((~detections["matched"] & detections["counted"]).sum())
    found = f"{n_found} of {n_clusters} clusters found" if n_clusters else "no clusters"
    return f"{found}, {n_false} false detection{'s' if n_false != 1 else ''}"


def draw_legend(figure: Figure, axes: Axes, cluster_label: str) -> None:
    """One legend below all panels."""
    lines = (
        ({"color": SKY, "linestyle": "-"}, f"{cluster_label}, found"),
        ({"color": SKY, "linestyle": ":"}, f"{cluster_label}, missed"),
        ({"color": SKY, "linestyle": "-", "linewidth": UNCOUNTED_WIDTH}, "thin: redshift or richness not scored"),
        ({"color": ORANGE, "linestyle": "", "marker": "+", "markersize": 8}, "detection, matched"),
        ({"color": ORANGE, "linestyle": "", "marker": "x", "markersize": 8}, "detection, false"),
    )
    handles = [axes.plot([], [], label=label, **line)[0] for line, label in lines]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=8)


def draw_clusters(axes: Axes, truth: DataFrame, arcmin_per_px: float, *, label_size: float) -> None:
    """Draw reference clusters as circles of radius R_lambda, solid where matched, thin where not counted.

    The richest that count are labelled in letters of `label_size` points; 0: none.
    """
    for cluster in truth.itertuples():
        centre = (cluster.x * arcmin_per_px, cluster.y * arcmin_per_px)
        look = {
            "linestyle": "-" if cluster.matched else ":",
            "linewidth": COUNTED_WIDTH if cluster.counted else UNCOUNTED_WIDTH,
        }
        axes.add_patch(Circle(centre, cluster.radius_px * arcmin_per_px, fill=False, edgecolor=SKY, **look))
    if label_size:
        for cluster in truth[truth["counted"]].nlargest(N_LABELS, "richness").itertuples():
            label_cluster(axes, cluster, arcmin_per_px, label_size)


def label_cluster(axes: Axes, cluster, arcmin_per_px: float, label_size: float) -> None:
    """Write richness and redshift on top of a cluster's circle, or below where the picture ends."""
    side = axes.get_xlim()[1]
    x = float(np.clip(cluster.x * arcmin_per_px, 0.13 * side, 0.87 * side))
    y, radius = cluster.y * arcmin_per_px, cluster.radius_px * arcmin_per_px
    is_on_top = y + radius < 0.95 * side
    axes.text(
        x,
        y + radius if is_on_top else y - radius,
        f"λ {cluster.richness:.0f}, z {cluster.redshift:.2f}",
        ha="center",
        va="bottom" if is_on_top else "top",
        color=SKY,
        fontsize=label_size,
        fontweight="bold",
        clip_on=True,
    )


def draw_detections(axes: Axes, detections: DataFrame, arcmin_per_px: float) -> None:
    """Draw detections as crosses: upright where they match a cluster, tilted where not, thin where not counted."""
    for row in detections.itertuples():
        axes.plot(
            row.x * arcmin_per_px,
            row.y * arcmin_per_px,
            "+" if row.matched else "x",
            color=ORANGE,
            markersize=8,
            markeredgewidth=1.6 if row.counted else UNCOUNTED_WIDTH,
        )
