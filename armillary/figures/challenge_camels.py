"""Figures of the challenge camels: slabs of both codes, true against inferred by code, and error bars under shift."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FormatStrFormatter, NullFormatter

from armillary.challenges.camels import CODES, PARAMETERS
from armillary.figures.style import BLUE, GREEN, INK, PALE, VERMILION, light_grid, note, say_empty

LABELS = {
    "ridge_density": "ridge, density", "mlp_density": "network, density", "mlp_density_counts": "density, counts",
    "mlp_pressure_counts": "pressure, counts", "mlp_all": "all four fields", "mlp_density_adapted": "density, adapted",
    "mlp_density_both": "density, both codes", "summaries_matter": "summaries, matter",
    "summaries_pressure": "summaries, pressure", "cnn_matter": "CNN, matter",
    "cnn_contrast": "CNN, contrast", "cnn_pressure": "CNN, pressure",
}  # fmt: skip
SYMBOLS = (r"$\Omega_m$", r"$\sigma_8$")


def draw_slabs(sheet: Figure, data: list[dict], found: dict, metrics: dict) -> None:
    """Matter and pressure of three simulations of each code, and the spectra of both codes."""
    left, right = sheet.subfigures(1, 2, width_ratios=[1.6, 1])
    grid = left.subplots(4, 3)
    one = data[0]
    for row, (code, field) in enumerate((code, field) for code in CODES for field in (0, 1)):
        maps = one[f"maps_{code}"]
        low, high = np.percentile(maps[:, field], (5, 99.7))
        order = np.argsort(one[f"map_parameters_{code}"][:, 0])
        for axes, place in zip(grid[row], (0.1, 0.5, 0.9), strict=True):
            number = order[int(place * (len(order) - 1))]
            axes.imshow(maps[number, field], cmap=("viridis", "magma")[field], vmin=low, vmax=high)
            axes.set(xticks=[], yticks=[])
            if row == 0:
                axes.set_title(f"{SYMBOLS[0]} = {one[f'map_parameters_{code}'][number, 0]:.2f}")
        grid[row, 0].set_ylabel(f"{CODES[code].removeprefix('Illustris')}\n{('matter', 'pressure')[field]}", fontsize=8)
    axes = right.subplots()
    for code, colour in zip(CODES, (BLUE, VERMILION), strict=True):
        for field, style in ((0, "-"), (1, "--")):
            k, power = mean_power(one[f"maps_{code}"][:, field])
            axes.plot(k, power, style, color=colour, label=f"{CODES[code]}, {('matter', 'pressure')[field]}")
    axes.set(xscale="log", yscale="log", xlabel="k, h/Mpc", ylabel="power of the log map")
    axes.xaxis.set_major_locator(FixedLocator([0.3, 1, 3, 10]))
    axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.legend()
    light_grid(axes)


def mean_power(maps: np.ndarray, box_mpc_h: float = 25.0) -> tuple[np.ndarray, np.ndarray]:
    """Mean power of maps (n, side, side) in bins of k."""
    side = maps.shape[1]
    power = (np.abs(np.fft.fft2(maps - maps.mean((1, 2), keepdims=True))) ** 2).mean(0)
    waves = 2 * np.pi * np.hypot(*np.meshgrid(*[np.fft.fftfreq(side, box_mpc_h / side)] * 2))
    edges = np.geomspace(0.2, waves.max() / 1.4, 10)
    bins = [(waves >= low) & (waves < high) for low, high in zip(edges[:-1], edges[1:], strict=True)]
    kept = [one for one in bins if one.any()]
    return np.array([waves[one].mean() for one in kept]), np.array([power[one].mean() for one in kept])


def draw_transfer(sheet: Figure, data: list[dict], found: dict, metrics: dict) -> None:
    """True against inferred parameters, learned from each code and tested on each."""
    names = [name for name in ("mlp_density", "mlp_density_counts", *found) if "sigma_tng" in found.get(name, [{}])[0]]
    if not names:
        say_empty(sheet.subplots(), "no regression was run")
        return
    name, run = names[0], found[names[0]][0]
    axes = sheet.subplots(2, 4)
    codes = list(CODES)
    for column, (learned, tested) in enumerate((a, b) for a in codes for b in codes):
        rows = np.flatnonzero(run["code"] == codes.index(tested))
        rows = rows[:: max(len(rows) // 120, 1)]
        for k in range(2):
            one, truth = axes[k, column], run["truth"][rows, k]
            mean, sigma = run[f"mean_{learned}"][rows, k], run[f"sigma_{learned}"][rows, k]
            one.errorbar(truth, mean, sigma, fmt=".", ms=3, lw=0.6, alpha=0.6,
                         color=BLUE if learned == tested else VERMILION)  # fmt: skip
            ends = np.array([0.08, 0.52] if k == 0 else [0.56, 1.04])
            one.plot(ends, ends, color=INK, lw=0.8)
            low, high = np.percentile(mean, (2, 98))
            one.set(xlim=ends, ylim=(min(ends[0] - 0.1, low - 0.1), max(ends[1] + 0.2, high + 0.2)))
            value = metrics[f"camels_{name}_{learned}_{tested}_r2_{PARAMETERS[k]}"]["value"]
            note(one, f"$R^2$ = {value:.2f}")
            light_grid(one)
        short = [CODES[code].removeprefix("Illustris") for code in (learned, tested)]
        axes[0, column].set_title(f"{short[0]}, tested on {short[1]}", fontsize=8)
    for k in range(2):
        axes[k, 0].set_ylabel(f"inferred {SYMBOLS[k]}")
    sheet.supxlabel(f"true parameter ({LABELS[name]}, one seed)", fontsize=10)


def draw_shift(sheet: Figure, data: list[dict], found: dict, metrics: dict) -> None:
    """R2 of Omega_m at home and abroad, growth of the error bars, and how far errors exceed them."""
    names = [name for name in LABELS if name in found]
    axes = sheet.subplots(1, 3, sharey=True)
    place = np.arange(len(names))[::-1]
    for offset, learned, other in ((0.15, "tng", "simba"), (-0.15, "simba", "tng")):
        home = {"r2": f"{learned}_{learned}_r2_omega_m", "chi2": f"{learned}_{learned}_chi2_omega_m"}
        away = {"r2": f"{learned}_{other}_r2_omega_m", "chi2": f"{learned}_{other}_chi2_omega_m"}
        marker = "o" if learned == "tng" else "s"
        short = CODES[learned].removeprefix("Illustris")
        for keys, colour, label in ((home, BLUE, "same code"), (away, VERMILION, "other code")):
            for column, what in ((0, "r2"), (2, "chi2")):
                _points(axes[column], metrics, names, keys[what], place + offset, marker, colour,
                        f"learned from {short}, {label}")  # fmt: skip
        _points(axes[1], metrics, names, f"{learned}_sigma_growth_omega_m", place + offset, marker, GREEN,
                f"learned from {short}")  # fmt: skip
    axes[0].set(yticks=place, yticklabels=[LABELS[name] for name in names], xlabel=r"$R^2$ of $\Omega_m$")
    axes[0].set_xscale("symlog", linthresh=1)
    axes[1].set(xlabel="error bar on the other code / own", xscale="log")
    axes[2].set(xlabel=r"$\chi^2$ a test object", xscale="log")
    for one, line in zip(axes, (0, 1, 1), strict=True):
        one.axvline(line, color=PALE, lw=1)
        light_grid(one)
    handles, labels = axes[0].get_legend_handles_labels()
    sheet.legend(handles, labels, loc="outside upper center", ncols=2, fontsize=8)


def _points(axes, metrics, names, key, place, marker, colour, label) -> None:
    entries = [metrics[f"camels_{name}_{key}"] for name in names]
    value, low, high = (np.array([entry[end] for entry in entries], float) for end in ("value", "lo", "hi"))
    axes.errorbar(value, place, xerr=np.abs([value - low, high - value]), fmt=marker, color=colour, label=label, ms=4)
