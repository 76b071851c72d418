"""Figures of the challenge xray_mass: clusters, masses against masses, and what turns and radii do to a network."""

import numpy as np
from matplotlib.figure import Figure

from armillary.challenges.xray_mass import RADIUS_BINS
from armillary.figures.style import BLUE, GREEN, INK, ORANGE, PALE, PURPLE, SKY, VERMILION, light_grid, say_empty

LABELS = {
    "luminosity": "luminosity", "core_excised": "core-excised", "core_excised_median": "median of rings",
    "profile_ridge": "ridge on profiles", "boosting": "boosted shapes", "cnn": "CNN",
    "cnn_augmented": "CNN, turned images", "cnn_averaged": "CNN, mean of turns", "p4": "p4 network",
}  # fmt: skip
COLOURS = dict(zip(LABELS, (PALE, ORANGE, "#8B5A2B", INK, GREEN, SKY, BLUE, PURPLE, VERMILION), strict=True))


def draw_examples(sheet: Figure, data: list[dict], found: dict, metrics: dict) -> None:
    """Two views each of clusters from light to heavy."""
    one = data[0]
    names, first, sizes = np.unique(one["cluster"], return_index=True, return_counts=True)
    order = np.argsort(one["log_mass"][first])
    picked = order[np.linspace(0, len(order) - 1, 7).astype(int)]
    for column, k in zip(sheet.subplots(2, 7).T, picked, strict=True):
        for axes, view in zip(column, (first[k], first[k] + (sizes[k] > 1)), strict=True):
            axes.imshow(np.log10(1 + one["images"][view]), cmap="magma", vmin=1.5, vmax=4.5)
            axes.set(xticks=[], yticks=[])
        column[0].set_title(f"{one['log_mass'][first[k]]:.2f}")
    sheet.suptitle("log10 of the mass in solar masses; two views of each cluster", fontsize=10)


def draw_masses(sheet: Figure, data: list[dict], found: dict, metrics: dict) -> None:
    """Estimated against true mass with the residuals below."""
    names = [
        name for name in ("luminosity", "core_excised", "core_excised_median", "profile_ridge", "p4") if name in found
    ]
    if not names:
        say_empty(sheet.subplots(), "none of the methods that are shown here was run")
        return
    axes = sheet.subplots(2, len(names), sharex=True, sharey="row", height_ratios=[2, 1], squeeze=False)
    for (top, bottom), name in zip(axes.T, names, strict=True):
        truth, guess = (np.concatenate([run[key] for run in found[name]]) for key in ("truth", "prediction"))
        top.plot(truth, guess, ".", color=COLOURS[name], ms=2, alpha=0.4)
        top.plot([truth.min(), truth.max()], [truth.min(), truth.max()], color=INK, lw=0.8)
        bottom.plot(truth, guess - truth, ".", color=COLOURS[name], ms=2, alpha=0.4)
        bottom.axhline(0, color=INK, lw=0.8)
        edges = np.quantile(truth, np.linspace(0, 1, 7))
        place = np.clip(np.searchsorted(edges, truth) - 1, 0, 5)
        middle = [np.percentile((guess - truth)[place == k], (16, 50, 84)) for k in range(6)]
        low, centre, high = np.array(middle).T
        bottom.errorbar(0.5 * (edges[1:] + edges[:-1]), centre, [centre - low, high - centre], fmt="o", color=INK, ms=3)
        entry = metrics[f"xray_mass_{name}_scatter_percent"]
        top.set_title(f"{LABELS[name]}\n{entry['value']:.1f} % [{entry['lo']:.1f}, {entry['hi']:.1f}]")
        bottom.set(ylim=(-0.3, 0.3), xlabel="true log10 mass")
        light_grid(top)
        light_grid(bottom)
    axes[0, 0].set_ylabel("estimate")
    axes[1, 0].set_ylabel("residual, dex")


def draw_networks(sheet: Figure, data: list[dict], found: dict, metrics: dict) -> None:
    """What a quarter turn changes, scatter against clusters to learn from, and where the networks look."""
    turns, curve, look = sheet.subplots(1, 3)
    for name in ("cnn", "cnn_augmented", "cnn_averaged", "p4"):
        if name not in found:
            continue
        change = np.concatenate([np.abs(run["turned_90"] - run["prediction"]) for run in found[name]])
        ordered = np.sort(np.maximum(change, 1e-9))
        turns.plot(ordered, np.linspace(0, 1, len(ordered)), color=COLOURS[name], label=LABELS[name])
        each = np.array([run["sensitivity"] for run in found[name]])
        centres = 0.5 * (RADIUS_BINS[1:] + RADIUS_BINS[:-1])
        if name != "cnn_averaged":
            look.plot(centres, (each / each[:, :1]).mean(0), color=COLOURS[name], label=LABELS[name])
    turns.axvline(1e-5, color=PALE, lw=1)
    turns.set(xscale="log", xlabel="change by a quarter turn, dex", ylabel="share of images below")
    look.axvline(0.15, color=PALE, lw=1)
    look.set(xlabel="radius / R500", ylabel="size of the gradient, 1 in the core", yscale="log")
    for name in ("cnn_augmented", "p4"):
        keys = [key for key in metrics if key.startswith(f"xray_mass_{name}_of_")]
        sizes = [int(key.split("_of_")[1].split("_")[0]) for key in keys]
        entries = [metrics[key] for key in keys]
        if name in found:
            n_all = len(np.unique(data[0]["cluster"][data[0]["split"] == 0]))
            sizes, entries = [*sizes, n_all], [*entries, metrics[f"xray_mass_{name}_scatter_percent"]]
        values, low, high = (np.array([entry[end] for entry in entries], float) for end in ("value", "lo", "hi"))
        ends = np.maximum([values - low, high - values], 0)
        curve.errorbar(sizes, values, ends, fmt="o-", color=COLOURS[name], label=LABELS[name])
    for name in ("luminosity", "core_excised", "core_excised_median", "profile_ridge"):
        if name in found:
            value = metrics[f"xray_mass_{name}_scatter_percent"]["value"]
            curve.axhline(value, color=COLOURS[name], ls="--", lw=1.2, label=LABELS[name])
    curve.set(xscale="log", xlabel="clusters to learn from", ylabel="scatter of ln M, %")
    for axes in (turns, curve, look):
        light_grid(axes)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8)
