"""Picture of a survey tile: the sky, the probability map, the reference clusters and our detections."""

from __future__ import annotations

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
) -> None:
    """Draw a survey tile with its reference clusters and our detections; beside it the probability map.

    Args:
        rgb: Picture of the tile, (h, w, 3), of any binning.
        probability: Membership probability of cells from the lower left corner on, (rows, columns).
        truth: Reference clusters: x, y, radius_px [px], redshift, richness, matched (bool).
        detections: Ours: x, y [px], probability, matched (bool).
        image_size: Side of the survey tile [px].
        pixel_arcsec: Pixel scale [arcsec].
        cell_arcsec: Side of a cell of the probability map [arcsec].
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
        draw_clusters(axes, truth, arcmin_per_px, with_labels=axes is sky_axes)
        draw_detections(axes, detections, arcmin_per_px)
    sky_axes.set(ylabel="y [arcmin]", title=title)
    n_found = int(truth["matched"].sum())
    map_axes.set_title(f"{n_found} of {len(truth)} clusters found, {len(detections)} detections")
    figure.colorbar(overlay, ax=map_axes, label="P(tile holds a member)", shrink=0.75)
    legend = figure.legend(*sky_axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    for handle in legend.legend_handles:
        handle.set_alpha(1.0)


def draw_clusters(axes: Axes, truth: DataFrame, arcmin_per_px: float, *, with_labels: bool) -> None:
    """Draw reference clusters as circles of radius R_lambda, solid where matched; label the richest."""
    lines = ((True, "-", "reference cluster, found"), (False, ":", "reference cluster, missed"))
    for matched, line, label in lines:
        axes.plot([], [], color=SKY, linestyle=line, label=label)
        for cluster in truth[truth["matched"] == matched].itertuples():
            centre = (cluster.x * arcmin_per_px, cluster.y * arcmin_per_px)
            radius = cluster.radius_px * arcmin_per_px
            axes.add_patch(Circle(centre, radius, fill=False, edgecolor=SKY, linestyle=line, linewidth=1.4))
    if with_labels:
        for cluster in truth.nlargest(N_LABELS, "richness").itertuples():
            label_cluster(axes, cluster, arcmin_per_px)


def label_cluster(axes: Axes, cluster, arcmin_per_px: float) -> None:
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
        fontsize=8,
        fontweight="bold",
        clip_on=True,
    )


def draw_detections(axes: Axes, detections: DataFrame, arcmin_per_px: float) -> None:
    """Draw our detections as crosses, upright where they match a reference cluster and tilted where not."""
    markers = ((True, "+", "detection, matched"), (False, "x", "detection, not in reference"))
    for matched, marker, label in markers:
        rows = detections[detections["matched"] == matched]
        places = (rows["x"] * arcmin_per_px, rows["y"] * arcmin_per_px)
        axes.plot(*places, marker, color=ORANGE, markersize=8, markeredgewidth=1.6, label=label)
