"""Figures of the challenge snia_lasso: errors of all models, the path of the LASSO, what is selected how often."""

import numpy as np
from matplotlib.figure import Figure

from armillary.figures.style import BLUE, INK, ORANGE, PALE, VERMILION, light_grid, note

LABELS = {
    "mean": "mean", "ols_c_x1": "c and x1, chosen in advance", "lasso_min": "LASSO, least error",
    "lasso_1se": "LASSO, one standard error", "lasso_unpenalised": "LASSO, c and x1 unpenalised",
    "relaxed": "relaxed LASSO", "adaptive": "adaptive LASSO",
    "elastic_net": "elastic net", "best_three": "best three of 16",
}  # fmt: skip


def draw_errors(sheet: Figure, data: list[dict], found: dict, metrics: dict) -> None:
    """Nested errors of all models, and held-out against true magnitudes of two of them."""
    bars, scatter = sheet.subplots(1, 2, width_ratios=[1.25, 1])
    names = [name for name in LABELS if name in found]
    for place, name in enumerate(reversed(names)):
        entry = metrics[f"snia_lasso_{name}_rmse"]
        bars.plot([entry["lo"], entry["hi"]], [place, place], color=BLUE if name != "ols_c_x1" else ORANGE, lw=3)
        bars.plot(entry["value"], place, "o", color=INK)
    bars.set(yticks=range(len(names)), yticklabels=[LABELS[n] for n in reversed(names)], xlabel="nested RMSE, mag")
    bars.set_title("error on supernovae that neither fit nor tuning saw")
    light_grid(bars)
    y = data[0]["y"]
    for name, colour, marker in (("ols_c_x1", ORANGE, "s"), ("lasso_min", BLUE, "o")):
        if name in found:
            scatter.plot(y, found[name][0]["prediction"], marker, color=colour, ms=4, alpha=0.8, label=LABELS[name])
    ends = [y.min() - 0.1, y.max() + 0.1]
    scatter.plot(ends, ends, color=PALE, lw=1)
    scatter.set(xlabel="magnitude at maximum", ylabel="held-out prediction")
    scatter.legend(loc="upper left")
    light_grid(scatter)


def draw_path(sheet: Figure, data: list[dict], found: dict, metrics: dict) -> None:
    """Cross-validation curve with its standard errors, and coefficients along the path."""
    curve, path = sheet.subplots(1, 2)
    one = found["lasso_min"][0]
    alphas, rmse, error = one["alphas"], one["cv_rmse"], one["cv_error"]
    curve.fill_between(alphas, rmse - error, rmse + error, color=BLUE, alpha=0.2, lw=0)
    curve.plot(alphas, rmse, color=BLUE)
    for axes in (curve, path):
        axes.axvline(one["alpha_min"], color=INK, lw=1, ls="--")
        axes.axvline(one["alpha_1se"], color=INK, lw=1, ls=":")
        axes.set(xscale="log", xlabel="penalty")
        axes.invert_xaxis()
        light_grid(axes)
    curve.set_ylabel("cross-validated RMSE, mag")
    note(curve, "dashed: least error\ndotted: one standard error", 0.97, 0.97)
    names, coefficients = data[0]["names"], one["coefficients"]
    at = int(np.argmin(np.abs(alphas - one["alpha_min"])))
    largest = np.argsort(-np.abs(coefficients[:, at]))[:6]
    path.plot(alphas, coefficients.T, color=PALE, lw=0.7)
    for place, colour in zip(largest, (VERMILION, BLUE, ORANGE, "#009E73", "#CC79A7", "#56B4E9"), strict=True):
        path.plot(alphas, coefficients[place], color=colour, label=names[place])
    path.set_ylabel("coefficient, mag per standard deviation")
    path.legend(loc="upper left", ncols=2)


def draw_stability(sheet: Figure, data: list[dict], found: dict, metrics: dict) -> None:
    """Selection frequencies against wavelength, with those of shuffled magnitudes; and how large an effect is found."""
    axes, power = sheet.subplots(1, 2, width_ratios=[2.5, 1])
    if "power" in found:
        share = np.mean([run["found"].mean(1) for run in found["power"]], 0)
        power.plot(found["power"][0]["injected_mag"], share, "o-", color=BLUE)
        power.set_title(f"p of this table: {metrics['snia_lasso_power_p_value']['value']:.2f}")
    power.set(xlabel="effect, mag", ylabel="share found", ylim=(0, 1.02))
    light_grid(power)
    frequency = np.mean([run["frequency"] for run in found["stability"]], 0)
    null = np.mean([run["null_frequency"] for run in found["stability"]], 0)
    names, wavelength = data[0]["names"], data[0]["wavelength_a"]
    bins = np.isfinite(wavelength)
    for start, colour, label in (("f", BLUE, "flux in magnitudes"), ("s", ORANGE, "flux over continuum")):
        kind = bins & np.char.startswith(names, start)
        axes.plot(wavelength[kind], frequency[kind], "o", color=colour, label=label, ms=4)
        axes.vlines(wavelength[kind], 0, frequency[kind], color=colour, lw=1)
    axes.plot(wavelength[bins], null[bins], ".", color=PALE, ms=3, label="magnitudes shuffled")
    for k in np.flatnonzero(~bins):
        if frequency[k] > 0.05:
            axes.axhline(frequency[k], color=VERMILION, lw=1, ls="--" if names[k] == "c" else ":")
            axes.annotate(names[k], (0.995, frequency[k]), xycoords=("axes fraction", "data"), ha="right", va="bottom",
                          color=VERMILION, fontsize=9)  # fmt: skip
    axes.set(xlabel="rest wavelength, Angstrom", ylabel="selected in this share of half-samples", ylim=(0, 1.02))
    axes.set_title("stability selection: among the first six variables of the path")
    axes.legend(loc="upper center", ncols=3, fontsize=7, bbox_to_anchor=(0.5, 0.95))
    light_grid(axes)
