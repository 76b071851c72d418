"""The sampled sky at a glance: counts, colours, redshifts, sizes and the richness function."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from armillary.figures.style import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PALE,
    VERMILION,
    light_grid,
    note,
    redshift_colours,
    say_empty,
)

if TYPE_CHECKING:
    from pandas import DataFrame

ZERO_POINT = 30.0


def magnitude(flux: np.ndarray) -> np.ndarray:
    """Return AB magnitudes of counts at zero point 30; NaN where there is no flux."""
    flux = np.asarray(flux, float)
    return ZERO_POINT - 2.5 * np.log10(np.where(flux > 0, flux, np.nan))


def draw_catalogs(figure: Figure, sources: DataFrame, haloes: DataFrame, *, area_deg2: float) -> None:
    """Draw six views of a batch of catalogues.

    Args:
        sources: All rows of the catalogues (their own columns).
        haloes: All rows of the truth tables; needs richness, redshift, weight, x and y.
        area_deg2: Area that the catalogues cover together [deg^2].
    """
    panels = figure.subplots(2, 3)
    (counts, colours, redshifts), (sizes, shapes, richnesses) = panels
    is_galaxy = sources["SOURCE_TYPE"].to_numpy() > 0
    is_member = sources["MEM"].to_numpy() > 0.5
    mag_i = magnitude(sources["FLUX_I"])
    kinds = {"field": is_galaxy & ~is_member, "members": is_member, "stars": ~is_galaxy}
    draw_counts(counts, mag_i, kinds, area_deg2)
    draw_red_sequence(colours, sources, is_member)
    draw_redshifts(redshifts, sources["Z"].to_numpy(), kinds)
    draw_sizes(sizes, mag_i, sources["HLR"].to_numpy(), kinds)
    draw_shapes(shapes, sources[is_galaxy])
    draw_richness_function(richnesses, haloes, area_deg2)
    for axes in panels.flat:
        light_grid(axes)


KIND_COLOURS = {"field": BLUE, "members": VERMILION, "stars": PALE}


def draw_counts(axes: Axes, mag_i: np.ndarray, kinds: dict[str, np.ndarray], area_deg2: float) -> None:
    """Draw counts per square degree and half magnitude."""
    edges = np.arange(14.0, 27.01, 0.5)
    for name, chosen in kinds.items():
        counts = np.histogram(mag_i[chosen], edges)[0] / area_deg2
        counts = np.where(counts > 0, counts, np.nan)
        axes.stairs(counts, edges, color=KIND_COLOURS[name], label=name, linewidth=1.5)
    axes.set(yscale="log", xlabel="i [mag]", ylabel="n / deg² / 0.5 mag", title="Counts")
    axes.legend(loc="upper left", fontsize=8)


def draw_red_sequence(axes: Axes, sources: DataFrame, is_member: np.ndarray) -> None:
    """Draw g-i against i of members, coloured by redshift, over everything else in grey."""
    mag_i, colour = magnitude(sources["FLUX_I"]), magnitude(sources["FLUX_G"]) - magnitude(sources["FLUX_I"])
    others = np.flatnonzero(~is_member)[:: max(1, (~is_member).sum() // 4000)]
    axes.scatter(mag_i[others], colour[others], s=1, color="#cccccc", linewidths=0, rasterized=True)
    axes.set(xlim=(15, 25.5), ylim=(-0.5, 5.0), xlabel="i [mag]", ylabel="g − i [mag]", title="Red sequence")
    if not is_member.any():
        note(axes, "no member")
        return
    redshift = sources["CLUSTER_Z"].to_numpy()[is_member]
    colours, scale = redshift_colours(redshift, on_sky=False)
    shown = axes.scatter(mag_i[is_member], colour[is_member], s=3, c=redshift, cmap=colours, norm=scale, linewidths=0)
    inset = axes.inset_axes([0.06, 0.9, 0.5, 0.045])
    axes.figure.colorbar(shown, cax=inset, orientation="horizontal")
    inset.tick_params(labelsize=8)
    inset.set_title("cluster z", fontsize=8, pad=2)


def draw_redshifts(axes: Axes, redshift: np.ndarray, kinds: dict[str, np.ndarray]) -> None:
    """Draw the redshift distributions of field galaxies and members, each of unit area."""
    edges = np.linspace(0.0, 2.0, 41)
    for name in ("field", "members"):
        chosen = redshift[kinds[name] & (redshift >= 0)]
        if chosen.size:
            density = np.histogram(chosen, edges)[0] / chosen.size / np.diff(edges)
            axes.stairs(density, edges, color=KIND_COLOURS[name], label=name, linewidth=1.5)
    axes.set(xlabel="redshift", ylabel="fraction per unit z", title="Redshifts", xlim=(0, 2))
    axes.legend(loc="upper right", fontsize=8)


def draw_sizes(axes: Axes, mag_i: np.ndarray, hlr_arcsec: np.ndarray, kinds: dict[str, np.ndarray]) -> None:
    """Draw median and 16-84 % range of the half-light radius against magnitude."""
    edges = np.arange(17.0, 25.51, 0.5)
    for name in ("field", "members"):
        rows = [hlr_arcsec[kinds[name] & (mag_i >= low) & (mag_i < low + 0.5)] for low in edges[:-1]]
        filled = [k for k, row in enumerate(rows) if row.size >= 5]
        if not filled:
            continue
        low, middle, high = np.array([np.quantile(rows[k], [0.16, 0.5, 0.84]) for k in filled]).T
        centre = edges[filled] + 0.25
        axes.fill_between(centre, low, high, color=KIND_COLOURS[name], alpha=0.2, linewidth=0)
        axes.plot(centre, middle, color=KIND_COLOURS[name], label=name)
    axes.set(yscale="log", xlabel="i [mag]", ylabel="half-light radius [arcsec]", title="Sizes")
    axes.set_yticks([0.1, 0.2, 0.5, 1, 2, 5], ["0.1", "0.2", "0.5", "1", "2", "5"])
    axes.set_yticks([], minor=True)
    axes.legend(loc="upper right", fontsize=8)


def draw_shapes(axes: Axes, galaxies: DataFrame) -> None:
    """Draw the distributions of the two components of the intrinsic reduced shear."""
    edges = np.linspace(-0.9, 0.9, 37)
    for name, colour in (("G1", GREEN), ("G2", ORANGE)):
        values = galaxies[name].to_numpy()
        rms = np.sqrt(np.mean(values**2)) if values.size else 0.0
        density = np.histogram(values, edges)[0] / max(values.size, 1) / np.diff(edges)
        axes.stairs(density, edges, color=colour, linewidth=1.5, label=f"{name}, rms {rms:.2f}")
    axes.set(
        xlabel="reduced shear g",
        ylabel="fraction per unit g",
        title="Shapes",
        ylim=(0, 1.4 * axes.get_ylim()[1]),
    )
    axes.legend(loc="upper left", fontsize=8)


def draw_richness_function(axes: Axes, haloes: DataFrame, area_deg2: float) -> None:
    """Draw haloes per square degree above a richness: as sampled, and weighted to the natural rate."""
    axes.set(xlabel="richness λ", ylabel="n(> λ) / deg²", title="Richness function")
    if len(haloes) == 0:
        say_empty(axes, "no halo")
        return
    richest_first = haloes.sort_values("richness", ascending=False)
    richness = richest_first["richness"].to_numpy()
    for label, weight, colour in (
        ("sampled", np.ones(len(richness)), INK),
        ("natural rate", richest_first["weight"].to_numpy(), GREEN),
    ):
        axes.step(richness, np.cumsum(weight) / area_deg2, where="post", color=colour, label=label)
    axes.axvline(20.0, color=PALE, linestyle="--", linewidth=1.0)
    axes.set(xscale="log", yscale="log")
    ticks = [tick for tick in (5, 10, 20, 50, 100, 200) if tick <= 1.3 * richness.max()]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.legend(loc="lower left", fontsize=8)
