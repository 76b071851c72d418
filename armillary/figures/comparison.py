"""Two cluster lists against each other: shares found, redshifts, richnesses, separations and the sky."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from armillary.figures.style import BLUE, INK, ORANGE, PALE, VERMILION, light_grid, note, say_empty

if TYPE_CHECKING:
    from pandas import DataFrame

MANY_PAIRS = 1500  # from here on a density is drawn in place of points
SCORE_COLOURS = {"completeness": BLUE, "purity": VERMILION}


def draw_comparison(
    figure: Figure,
    bins: DataFrame,
    matches: DataFrame,
    metrics: dict[str, dict],
    *,
    names: tuple[str, str],
    match_radius_mpc: float,
) -> None:
    """Draw the results of `armillary.list_comparison.compare_lists`; `names` are the labels of the two lists."""
    panels = figure.subplot_mosaic([["shares", "redshift", "richness"], ["sky", "dz", "separation"]])
    pairs = matches[(matches["status"] == "matched") & matches["in_range"]]
    draw_shares(panels["shares"], bins, names)
    draw_pairs(panels["redshift"], pairs, "redshift", names)
    draw_pairs(panels["richness"], pairs, "richness", names)
    draw_relation(panels["richness"], pairs, metrics)
    draw_sky(figure, panels["sky"], matches[matches["in_footprint"]], names)
    draw_differences(panels["dz"], pairs, metrics)
    draw_separations(panels["separation"], pairs, metrics, match_radius_mpc)


def draw_shares(axes: Axes, bins: DataFrame, names: tuple[str, str]) -> None:
    """Draw completeness and purity in bins of richness with chance, or as one number where a list has no richness."""
    light_grid(axes)
    axes.set(ylim=(0, 1.05), ylabel="share with a counterpart", title="Found in the other list")
    edges = np.unique(bins["bin_low"].dropna())
    labels = {}
    for score, one, other in (("completeness", *names), ("purity", *reversed(names))):
        rows = bins[bins["score"] == score]
        whole = rows[rows["bin_low"].isna()].iloc[0]
        labels[score] = f"{one}\nfound in {other}: {whole['value']:.3f}{half_width(whole, 3)}"
        if rows["bin_low"].notna().any():
            draw_binned_shares(axes, rows, edges, score, labels[score])
        elif len(edges):
            axes.axhline(whole["value"], color=SCORE_COLOURS[score], linewidth=1.2, label=f"{labels[score]} (all)")
    if len(edges) == 0:
        say_empty(axes, "no richness in either list\n" + "\n".join(labels.values()))
        return
    axes.plot([], [], linestyle=":", color=INK, linewidth=1.2, label="chance")
    axes.set(xlabel="richness in their own list", xscale="log")
    plain_ticks(axes.xaxis, edges)
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 0.06)).set_in_layout(False)


def draw_binned_shares(axes: Axes, rows: DataFrame, edges: np.ndarray, score: str, label: str) -> None:
    """Draw the disjoint bins of one score, the last one open, with 68 % intervals and chance."""
    disjoint = rows[np.isfinite(rows["bin_high"]) | (rows["bin_low"] == edges[-1])]
    shift = {"completeness": 0.985, "purity": 1.015}[score]
    centre = shift * np.sqrt(disjoint["bin_low"] * disjoint["bin_high"].clip(upper=1.5 * edges[-1]))
    error = np.abs([disjoint["value"] - disjoint["lo"], disjoint["hi"] - disjoint["value"]])
    colour = SCORE_COLOURS[score]
    axes.errorbar(centre, disjoint["value"], error, fmt="o-", color=colour, linewidth=1.2, label=label)
    axes.plot(centre, disjoint["chance"], linestyle=":", color=colour, linewidth=1.2)


def draw_pairs(axes: Axes, pairs: DataFrame, role: str, names: tuple[str, str]) -> None:
    """Draw a quantity of the second list against that of the first, as points or as a density."""
    light_grid(axes)
    axes.set_title(f"{role.capitalize()} of pairs")
    columns = [f"first_{role}", f"second_{role}"]
    known = pairs[columns].dropna() if set(columns) <= set(pairs) else pairs[:0]
    if known.empty:
        say_empty(axes, f"no pair with a {role} in both lists")
        return
    x, y = (known[column].to_numpy(float) for column in columns)
    scale = "log" if role == "richness" else "linear"
    draw_cloud(axes, x, y, scale)
    low, high = min(x.min(), y.min()), max(x.max(), y.max())
    axes.plot([low, high], [low, high], color=INK, linestyle="--", linewidth=0.9, label="equal")
    axes.legend(loc="lower right")
    axes.set(xlabel=f"{role}, {names[0]}", ylabel=f"{role}, {names[1]}")
    if scale == "log":
        for axis in (axes.xaxis, axes.yaxis):
            plain_ticks(axis, [tick for tick in (5, 10, 20, 40, 80, 160, 320) if low / 1.1 <= tick <= high * 1.1])


def draw_cloud(axes: Axes, x: np.ndarray, y: np.ndarray, scale: str) -> None:
    """Draw points, or their density where they would hide each other."""
    if len(x) < MANY_PAIRS:
        axes.plot(x, y, "o", markersize=3, color=BLUE, alpha=0.5, markeredgewidth=0)
        axes.set(xscale=scale, yscale=scale)
        return
    axes.hexbin(x, y, gridsize=60, xscale=scale, yscale=scale, norm=LogNorm(), mincnt=1, cmap="Blues", linewidths=0.1)


def draw_relation(axes: Axes, pairs: DataFrame, metrics: dict[str, dict]) -> None:
    """Draw the fitted line of ln richness and write its numbers."""
    entries = [metrics.get(f"richness_{name}") for name in ("slope", "intercept", "scatter", "correlation", "pivot")]
    if any(entry is None or entry["value"] is None for entry in entries):
        return
    slope, intercept, scatter, correlation, pivot = (entry["value"] for entry in entries)
    x = pairs["first_richness"].dropna().agg(["min", "max"]).to_numpy(float)
    axes.plot(x, pivot * np.exp(intercept + slope * np.log(x / pivot)), color=ORANGE, linewidth=1.6, label="fit")
    axes.legend(loc="lower right")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * (high / low) ** 0.4)  # room for the numbers
    errors = [half_width(entry, 3) for entry in entries]
    text = [
        f"slope {slope:.3f}{errors[0]}",
        f"ln ratio at {pivot:.0f}: {intercept:+.3f}{errors[1]}",
        f"scatter of ln {scatter:.3f}{errors[2]}",
        f"correlation {correlation:.3f}{errors[3]}",
    ]
    note(axes, "\n".join(text))


def half_width(entry: dict, digits: int) -> str:
    """Half of a 68 % interval as text."""
    return "" if entry["lo"] is None or np.isnan(entry["lo"]) else f" ± {0.5 * (entry['hi'] - entry['lo']):.{digits}f}"


def draw_differences(axes: Axes, pairs: DataFrame, metrics: dict[str, dict]) -> None:
    """Draw the histogram of (z2 - z1) / (1 + z1)."""
    light_grid(axes)
    axes.set(title="Redshift difference of pairs", xlabel="(z$_2$ − z$_1$) / (1 + z$_1$)", ylabel="pairs")
    dz = pairs["dz"].dropna()
    if dz.empty:
        say_empty(axes, "no pair with two redshifts")
        return
    axes.hist(dz, bins=61 if len(dz) >= MANY_PAIRS else 21, color=BLUE, alpha=0.8)
    axes.axvline(0.0, color=INK, linestyle="--", linewidth=0.9)
    text = [
        f"{label} {metrics[key]['value']:{form}}{half_width(metrics[key], 4)}"
        for label, key, form in (("median", "redshift_bias", "+.4f"), ("1.48 MAD", "redshift_scatter", ".4f"))
    ]
    if metrics["redshift_outliers"]["value"] is not None:
        text.append(f"outliers {100 * metrics['redshift_outliers']['value']:.1f} % (by position alone)")
    axes.set_ylim(0, 1.5 * axes.get_ylim()[1])  # room for the numbers
    note(axes, "\n".join(text))


def draw_separations(axes: Axes, pairs: DataFrame, metrics: dict[str, dict], match_radius_mpc: float) -> None:
    """Draw the histogram of separations, with the rise of unrelated pairs where it is in Mpc."""
    light_grid(axes)
    unit, label = ("mpc", "Mpc") if "offset_median_mpc" in metrics else ("arcsec", "arcsec")
    values = pairs[f"separation_{unit}"].dropna()
    axes.set(title="Separation of pairs", xlabel=f"separation [{label}]", ylabel="pairs")
    if values.empty:
        say_empty(axes, "no pair")
        return
    reach = match_radius_mpc if unit == "mpc" else values.max()
    edges = np.linspace(0.0, reach, 51 if len(values) >= MANY_PAIRS else 21)
    axes.hist(values, bins=edges, color=BLUE, alpha=0.8)
    chance, share = metrics["chance_completeness"]["value"], metrics["completeness"]["value"]
    if chance and share:
        n_chance = len(values) * chance / share  # spread evenly over the disc; of clusters without a counterpart only
        per_bin = 2.0 * n_chance * edges * edges[1] / reach**2
        axes.plot(edges, per_bin, color=VERMILION, linewidth=1.2, label="chance, at most")
        axes.legend(loc="center right")
    median, most = (metrics[f"offset_{name}_{unit}"] for name in ("median", "90"))
    axes.set_ylim(0, 1.5 * axes.get_ylim()[1])  # room for the numbers
    text = f"median {median['value']:.3g}{half_width(median, 3)}\n90 % below {most['value']:.3g}{half_width(most, 3)}"
    note(axes, f"{text} {label}", x=0.97)


def draw_sky(figure: Figure, axes: Axes, matches: DataFrame, names: tuple[str, str]) -> None:
    """Draw the clusters of the common footprint on the sky; of many, the share of the first list that is found."""
    light_grid(axes)
    axes.set(xlabel="ra [deg]", ylabel="dec [deg]")
    start = seam(matches["first_ra"].fillna(matches["second_ra"]).to_numpy())
    if len(matches) < MANY_PAIRS:
        draw_positions(axes, matches, names, start)
    else:
        first = matches[matches["status"] != "only_second"]
        found = (first["status"] == "matched").to_numpy(float)
        ra = (first["first_ra"] - start) % 360.0 + start
        share = axes.hexbin(ra, first["first_dec"], C=found, gridsize=40, vmin=0, vmax=1, linewidths=0.1)
        figure.colorbar(share, ax=axes, label="share found", fraction=0.05, pad=0.02)
        axes.set_title(f"{names[0]} found in {names[1]}")
    axes.xaxis.set_major_formatter(lambda degrees, _: f"{degrees % 360.0:g}")
    axes.invert_xaxis()


def draw_positions(axes: Axes, matches: DataFrame, names: tuple[str, str], start: float) -> None:
    """Draw every cluster, with a counterpart or without."""
    kinds = {
        "matched": ("first", PALE, "in both"),
        "only_first": ("first", BLUE, f"only {names[0]}"),
        "only_second": ("second", VERMILION, f"only {names[1]}"),
    }
    for status, (side, colour, label) in kinds.items():
        rows = matches[matches["status"] == status]
        ra = (rows[f"{side}_ra"] - start) % 360.0 + start
        label = f"{label} ({len(rows)})"
        axes.plot(ra, rows[f"{side}_dec"], "o", color=colour, markersize=4, markeredgewidth=0, label=label)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.4 * (high - low))  # room for the legend
    axes.legend(loc="upper left").set_in_layout(False)
    axes.set_title("The common footprint, all redshifts")


def seam(ra: np.ndarray) -> float:
    """Where an axis of right ascension starts so that it is not broken: behind the widest gap."""
    ra = np.unique(ra)
    start = ra[(int(np.argmax(np.diff(ra, append=ra[0] + 360.0))) + 1) % len(ra)]
    return float(start - 360.0 if start > 180.0 and ra[0] < 180.0 else start)


def plain_ticks(axis, ticks) -> None:
    """Ticks of a logarithmic axis as plain numbers."""
    axis.set_ticks(list(ticks), [f"{tick:g}" for tick in ticks])
    axis.set_ticks([], minor=True)
