"""Figures of the challenge photoz_trees: redshift against redshift, over-fitting, importance, and calibration."""

import numpy as np
from matplotlib.figure import Figure

from armillary.figures.style import BLUE, GREEN, INK, ORANGE, PALE, VERMILION, light_grid, note, say_empty

METHODS = {"linear": "linear model", "neighbours": "neighbours", "forest": "random forest", "boosting": "boosting",
           "svr": "support vectors", "mlp": "dense network"}  # fmt: skip
FEATURES = {"colours": BLUE, "fluxes": ORANGE}
LABELS = {"tree": "decision tree", "forest": "notebook's forest", "template_fit": "template fit"} | {
    f"{method}_{features}": f"{label}, {features}" for features in FEATURES for method, label in METHODS.items()
}
SHOWN = ("tree", "forest", "forest_fluxes", "template_fit", "linear_colours", "forest_colours", "boosting_colours",
         "svr_colours")  # fmt: skip


def draw_redshifts(sheet: Figure, data: list[dict], found: dict, metrics: dict) -> None:
    """Estimated against true redshift of eight methods, with the lines that outliers are beyond."""
    names = [name for name in SHOWN if name in found]
    axes = sheet.subplots(2, 4, sharex=True, sharey=True).ravel()
    line = np.array([0, 4.0])
    for one, name in zip(axes, names, strict=False):
        truth, guess = (np.concatenate([run[key] for run in found[name]]) for key in ("truth", "prediction"))
        one.plot(truth, guess, ".", color=BLUE, ms=1.5, alpha=0.5)
        one.plot(line, line, color=INK, lw=0.8)
        for sign in (-1, 1):
            one.plot(line, line + sign * 0.15 * (1 + line), color=PALE, lw=0.8)
        numbers = [metrics[f"photoz_trees_{name}_{key}"]["value"] for key in ("mse", "nmad", "outliers_15")]
        one.set_title(f"{LABELS[name]}\nMSE {numbers[0]:.3f}, NMAD {numbers[1]:.3f}, off {numbers[2]:.0%}", fontsize=8)
        one.set(xlim=(0, 4), ylim=(0, 4))
        light_grid(one)
    sheet.supxlabel("true redshift", fontsize=10)
    sheet.supylabel("estimate", fontsize=10)


def draw_learning(sheet: Figure, data: list[dict], found: dict, metrics: dict) -> None:
    """Error of every method by its features, a tree's error against its depth, and the importance of features."""
    table, depth, importance = sheet.subplots(1, 3)
    for features, colour in FEATURES.items():
        for place, method in enumerate(METHODS):
            entry = metrics.get(f"photoz_trees_{method}_{features}_mse")
            if entry:
                table.plot([entry["lo"], entry["hi"]], [place, place], color=colour, lw=2)
                table.plot(entry["value"], place, "o", color=colour, label=features if method == "forest" else None)
    table.set(yticks=range(len(METHODS)), yticklabels=METHODS.values(), xlabel="mean squared error", xscale="log")
    table.legend(title="features")
    light_grid(table)
    if "tree" in found:
        depths = found["tree"][0]["depths"]
        errors = np.mean([run["depth_errors"] for run in found["tree"]], 0)
        depth.plot(depths, errors[:, 0], "o-", color=PALE, label="what it learned from")
        depth.plot(depths, errors[:, 1], "o-", color=VERMILION, label="what it did not see")
        depth.set(xlabel="depth of the tree", ylabel="mean squared error")
        depth.legend()
    light_grid(depth)
    if "boosting_colours" not in found:
        say_empty(importance, "the variant boosting_colours was not run")
        return
    each = np.array([run["importance"] for run in found["boosting_colours"]])
    order = np.argsort(each.mean(0))
    names = found["boosting_colours"][0]["features"]
    importance.barh(range(len(order)), each.mean(0)[order], xerr=each.std(0)[order], color=BLUE)
    importance.set(yticks=range(len(order)), yticklabels=names[order], xlabel="loss when shuffled (boosting, colours)")
    light_grid(importance)


def draw_dependence(sheet: Figure, data: list[dict], found: dict, metrics: dict) -> None:
    """NMAD and outliers against redshift and magnitude, and the integral transform of the forest's distributions."""
    by_z, by_magnitude, pit = sheet.subplots(1, 3)
    for name, colour in (
        ("forest", ORANGE),
        ("boosting_colours", BLUE),
        ("svr_colours", GREEN),
        ("template_fit", VERMILION),
    ):
        if name not in found:
            continue
        truth, guess, magnitude = (
            np.concatenate([run[key] for run in found[name]]) for key in ("truth", "prediction", "magnitude")
        )
        residual = (guess - truth) / (1 + truth)
        for axes, value in ((by_z, truth), (by_magnitude, magnitude)):
            edges = np.quantile(value, np.linspace(0, 1, 8))
            place = np.clip(np.searchsorted(edges, value) - 1, 0, 6)
            outliers = [np.mean(np.abs(residual[place == k]) > 0.15) for k in range(7)]
            axes.plot(0.5 * (edges[1:] + edges[:-1]), outliers, "o-", color=colour, label=LABELS[name])
    by_z.set(xlabel="true redshift", ylabel="share beyond 0.15 (1 + z)")
    by_magnitude.set(xlabel="F160W magnitude")
    by_z.legend()
    for axes in (by_z, by_magnitude):
        light_grid(axes)
    if "forest_colours" not in found:
        say_empty(pit, "the variant forest_colours was not run")
        return
    values = np.concatenate([run["pit"] for run in found["forest_colours"]])
    pit.hist(values, bins=np.linspace(0, 1, 21), density=True, color=BLUE)
    pit.axhline(1, color=INK, lw=1, ls="--")
    pit.set(xlabel="share of p(z) below the truth", ylabel="density")
    note(pit, f"forest, colours\nwithin 68 %: {metrics['photoz_trees_forest_colours_coverage_68']['value']:.2f}")
