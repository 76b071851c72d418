"""CMB maps and their scores: what was recovered, how well it correlates, with which power."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from armillary.figures.style import BLUE, GREEN, INK, ORANGE, PALE, PURPLE, SKY, VERMILION, light_grid

BROWN = "#8C6D31"
COLOURS = {
    "network": BLUE, "k_qe_eb": ORANGE, "k_qe_ee": PALE, "k_qe_eb_ee": SKY, "k_iqe_eb_ee": VERMILION,
    "k_iqe_eb": BROWN, "k_map_eb": PURPLE, "k_map_eb_ee": GREEN, "k_map_delensed": INK,
    "e_observed": ORANGE, "e_delensed": VERMILION,
    "B_pure": ORANGE, "b_template": VERMILION, "remap_of_truth": GREEN, "gradient_of_truth": PURPLE,
}  # fmt: skip
LABELS = {
    "network": "network",
    "k_qe_eb": "quadratic, EB",
    "k_qe_ee": "quadratic, EE",
    "k_qe_eb_ee": "quadratic, EB + EE",
    "k_iqe_eb": "iterated, EB",
    "k_iqe_eb_ee": "iterated, EB + EE",
    "k_map_eb": "most likely, EB, first order",
    "k_map_eb_ee": "most likely, EB + EE, first order",
    "k_map_delensed": "most likely + delensed pairs",
    "e_observed": "observed E",
    "e_delensed": "delensed E",
    "B_pure": "pure B",
    "b_template": "pure B + lensing template",
    "remap_of_truth": "exact lensing of true e, k",
    "gradient_of_truth": "gradient lensing of true e, k",
}
SHORT = {
    "k_qe_eb": "quadratic EB",
    "k_qe_eb_ee": "quadratic EB + EE",
    "k_iqe_eb_ee": "iterated",
    "k_map_eb_ee": "most likely",
    "k_map_delensed": "+ delensed pairs",
    "b_template": "B + template",
} | {name: LABELS[name] for name in ("e_observed", "e_delensed", "B_pure")}
UNITS = {"k": "", "e": " [uK]", "b": " [uK]", "Q": " [uK]", "U": " [uK]"}


def centres(edges: np.ndarray) -> np.ndarray:
    """Middles of bins."""
    return 0.5 * (edges[1:] + edges[:-1])


def draw_maps(figure: Figure, rows: dict[str, dict[str, np.ndarray]], *, patch_deg: float) -> None:
    """A row of maps a target: the truth, each estimate, and what the last one leaves over; one colour scale a row.

    Convergence is shown without its waves above about L = 1000, where most of the quadratic estimate is noise.
    """
    n_columns = max(len(maps) for maps in rows.values()) + 1
    grid = figure.subplots(len(rows), n_columns, squeeze=False)
    for axes_row, (target, maps) in zip(grid, rows.items(), strict=True):
        if target == "k":
            maps = {name: low_passed(values, patch_deg / len(values)) for name, values in maps.items()}
        truth, names = maps["truth"], list(maps)
        limit = float(np.percentile(np.abs(truth), 99.5))
        left = {f"{SHORT.get(names[-1], names[-1])} - truth": maps[names[-1]] - truth}
        shown = {SHORT.get(name, name): values for name, values in maps.items()} | left
        for axes, (label, values) in zip(axes_row, shown.items(), strict=False):
            picture = axes.imshow(values, vmin=-limit, vmax=limit, cmap="RdBu_r", extent=(0, patch_deg, 0, patch_deg))
            axes.set_title(label, fontsize=9)
            axes.set_xticks([0, patch_deg])
            axes.set_yticks([0, patch_deg])
        for axes in axes_row[len(shown) :]:
            axes.set_axis_off()
        axes_row[0].set_ylabel(f"{target}{UNITS[target]}\n[deg]")
        figure.colorbar(picture, ax=list(axes_row), shrink=0.85, pad=0.01)


def low_passed(values: np.ndarray, pixel_deg: float, l_cut: float = 1000.0) -> np.ndarray:
    """A map without its waves above about `l_cut`, by a Gaussian in l."""
    l_y, l_x = np.meshgrid(*[360.0 * np.fft.fftfreq(n, pixel_deg) for n in values.shape], indexing="ij")
    return np.fft.ifft2(np.fft.fft2(values) * np.exp(-0.5 * (l_x**2 + l_y**2) / l_cut**2)).real


def draw_scores(
    figure: Figure, curves: dict[str, np.ndarray], targets: list[str], limits: dict[str, np.ndarray]
) -> None:
    """rho_L of every method, and below it the network's rho minus each baseline's; a column a target."""
    edges = curves["edges"]
    l = centres(edges)  # noqa: E741
    grid = figure.subplots(2, len(targets), squeeze=False, height_ratios=[1.5, 1.0], sharex=True)
    for (upper, lower), target in zip(grid.T, targets, strict=True):
        names = methods_of(curves, target)
        for name in names:
            rho, samples = curves[f"{target}_{name}_rho"], curves[f"{target}_{name}_rho_samples"]
            spread = np.percentile(samples, [16, 84], axis=0)
            front = {"zorder": 5, "linewidth": 1.0} if name == "network" else {}
            upper.plot(
                l, rho, color=COLOURS.get(name, INK), label=LABELS.get(name, name), marker="o", markersize=3, **front
            )
            upper.fill_between(l, *spread, color=COLOURS.get(name, INK), alpha=0.2, linewidth=0)
            if name != "network":
                gain = curves[f"{target}_network_rho_samples"] - samples
                middle = curves[f"{target}_network_rho"] - rho
                low, high = np.percentile(gain, [16, 84], axis=0)
                error = np.maximum([middle - low, high - middle], 0)
                lower.errorbar(l, middle, error, color=COLOURS.get(name, INK), marker="o", markersize=3)
        if target == "k":
            for name, style, label in (("k_limit", "--", "EB + EE"), ("k_limit_eb", ":", "EB alone")):
                label = f"analytic limit of iterating, {label}"
                upper.plot(l, limits[name], color=INK, linestyle=style, linewidth=1.2, label=label)
        lower.axhline(0, color=PALE, linewidth=0.8)
        lower.set_yscale("symlog", linthresh=1e-3)
        upper.set(ylabel=f"correlation with true {target}")
        lower.set(ylabel="network - baseline", xlabel="multipole L")
        upper.legend(loc="lower left", bbox_to_anchor=(0, 1.01), ncols=2, fontsize=6)
        for axes in (upper, lower):
            light_grid(axes)


def methods_of(curves: dict[str, np.ndarray], target: str) -> list[str]:
    """Names of the methods that were scored on a target, the network first."""
    ends = [name for name in curves if name.startswith(f"{target}_") and name.endswith("_rho_samples")]
    names = [name.removeprefix(f"{target}_").removesuffix("_rho_samples") for name in ends]
    return sorted(names, key=lambda name: name != "network")


def draw_spectra(figure: Figure, curves: dict[str, np.ndarray], targets: list[str]) -> None:
    """Power of truth and estimates, response, and effective noise; a row a target."""
    edges = curves["edges"]
    l = centres(edges)  # noqa: E741
    for row, target in zip(figure.subplots(len(targets), 3, squeeze=False), targets, strict=True):
        power, response, noise = row
        truth = curves[f"{target}_network_truth"]
        power.plot(l, truth, color=INK, label="truth")
        noise.plot(l, truth, color=INK, label="truth")
        for name in methods_of(curves, target):
            colour = COLOURS.get(name, INK)
            power.plot(l, curves[f"{target}_{name}_auto"], color=colour, label=LABELS.get(name, name))
            power.plot(l, curves[f"{target}_{name}_cross"], color=colour, linestyle=":", linewidth=1.2)
            response.plot(l, curves[f"{target}_{name}_response"], color=colour, label=LABELS.get(name, name))
            draw_noise(noise, l, curves, f"{target}_{name}", colour)
        power.set(yscale="log", ylabel=f"C_L of {target}", title="Power (dotted: cross with truth)")
        response.set(ylabel="response R_L", title="Response", ylim=(0, 1.3))
        noise.set(yscale="log", ylabel="N_L", title="Effective noise C (1 / rho^2 - 1)")
        (response if target == "k" else power).legend(fontsize=7)
        for axes in row:
            light_grid(axes)
            axes.set_xlabel("multipole L")


def draw_noise(axes: Axes, l: np.ndarray, curves: dict[str, np.ndarray], name: str, colour: str) -> None:  # noqa: E741
    """Effective noise with its 68 % band."""
    band = np.percentile(curves[f"{name}_noise_samples"], [16, 84], axis=0)
    axes.plot(l, curves[f"{name}_noise"], color=colour)
    axes.fill_between(l, *band, color=colour, alpha=0.2, linewidth=0)


def draw_cmb_training(figure: Figure, history) -> None:
    """Loss, spectrum loss and, in adversarial training, the two players, against the epoch."""
    adversarial = history["discriminator_loss"].notna().any()
    grid = figure.subplots(1, 3 if adversarial else 2)
    mark = "o" if len(history) < 30 else None
    grid[0].plot(history["epoch"], history["train_loss"], color=PALE, label="training", marker=mark)
    grid[0].plot(history["epoch"], history["validation_loss"], color=BLUE, label="validation", marker=mark)
    best = history.loc[history["validation_loss"].idxmin()]
    grid[0].plot(best["epoch"], best["validation_loss"], "*", color=INK, markersize=10, label="kept")
    grid[0].set(title="Loss of the maps", ylabel="standardised")
    grid[1].plot(history["epoch"], history["spectrum_loss"], color=GREEN, marker=mark)
    grid[1].set(title="Spectra, validation", ylabel="mean |ln ratio|")
    if adversarial:
        grid[2].plot(history["epoch"], history["adversarial_loss"], color=BLUE, label="generator", marker=mark)
        grid[2].plot(
            history["epoch"], history["discriminator_loss"], color=VERMILION, label="discriminator", marker=mark
        )
        grid[2].set(title="The two players", ylabel="cross-entropy")
        grid[2].legend()
    grid[0].legend()
    for axes in grid:
        light_grid(axes)
        axes.set_xlabel("epoch")
        axes.locator_params(axis="x", integer=True)


def draw_simulations(figure: Figure, curves: dict[str, np.ndarray], estimators: dict[str, np.ndarray]) -> None:
    """Mean spectra over CAMB's; noise of the quadratic estimator, measured and expected, and the limit of iterating."""
    ratio_axes, noise_axes = figure.subplots(1, 2)
    l = centres(curves["edges"])  # noqa: E741
    for name, colour, label in (("ee", BLUE, "EE"), ("bb", VERMILION, "BB")):
        ratio, error = curves[name]
        ratio_axes.errorbar(l, ratio, error, color=colour, marker="o", label=label)
    ratio_axes.axhspan(0.985, 1.015, color=SKY, alpha=0.15, linewidth=0)
    ratio_axes.axhline(1, color=PALE, linewidth=0.8)
    ratio_axes.set(title="Simulated skies over CAMB", xlabel="multipole l", ylabel="ratio of C_l", ylim=(0.97, 1.03))
    ratio_axes.legend()
    edges = estimators["edges"]
    low, high = int(edges[0]), int(edges[-1])
    grid = np.arange(low, high)
    noise_axes.plot(grid, estimators["kk"][low:high], color=INK, label="C_L of kappa")
    noise_axes.plot(
        grid, estimators["k_qe_analytic_noise_curve"][low:high], color=ORANGE, linestyle="--", label="QE, analytic"
    )
    noise_axes.plot(
        grid,
        estimators["k_limit_noise_curve"][low:high],
        color=VERMILION,
        linestyle="--",
        label="iterated, limit",
    )
    for name, colour in (("k_qe_eb_ee", ORANGE), ("k_map_delensed", VERMILION)):
        noise_axes.plot(
            centres(edges), estimators[f"{name}_noise"], "o", color=colour, label=f"{LABELS[name]}, measured"
        )
    noise_axes.set(yscale="log", title="Noise of the convergence", xlabel="multipole L", ylabel="N_L")
    noise_axes.legend(fontsize=7, loc="upper right")
    for axes in (ratio_axes, noise_axes):
        light_grid(axes)


def draw_observed(figure: Figure, maps: dict[str, np.ndarray], *, pixel_arcmin: float) -> None:
    """A row of convergence maps, without waves above about L = 1000, then one of E and B; all through the window, each
    on its own scale."""
    rows = [
        [name for name in ("k_qe_eb_ee", "k_iqe_eb_ee", "k_map_delensed", "k_network") if name in maps],
        [name for name in ("E", "e_delensed", "B_pure", "b_template") if name in maps],
    ]
    if "k" in maps:
        maps = maps | {"truth": maps["k"] * maps["window"] ** 2}
        rows[0].append("truth")
    n_columns = max(len(row) for row in rows)
    n_y, n_x = maps["window"].shape
    extent = (0, n_x * pixel_arcmin / 60, 0, n_y * pixel_arcmin / 60)
    for axes_row, names in zip(figure.subplots(2, n_columns, squeeze=False), rows, strict=True):
        for axes, name in zip(axes_row, names, strict=False):
            shown = low_passed(maps[name], pixel_arcmin / 60) if names is rows[0] else maps[name]
            limit = float(np.percentile(np.abs(shown), 99.5))
            picture = axes.imshow(shown, vmin=-limit, vmax=limit, cmap="RdBu_r", extent=extent)
            axes.set_title({"k_network": "network"}.get(name, SHORT.get(name, name)), fontsize=9)
            figure.colorbar(picture, ax=axes, orientation="horizontal", shrink=0.9, pad=0.02)
        for axes in axes_row[len(names) :]:
            axes.set_axis_off()
        axes_row[0].set_ylabel("[deg]")
