"""Figures of the challenge transfer: the targets, learning curves of all arms, and gain over scratch."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter

from armillary.challenges.transfer import ARMS, SCRATCH, UNITS
from armillary.figures.style import BLUE, GREEN, INK, ORANGE, PALE, PURPLE, SKY, VERMILION, light_grid, say_empty

LOOK = {
    "probe": (BLUE, "o", "frozen, linear probe"), "finetune": (GREEN, "s", "fine-tuned"),
    "scratch": (VERMILION, "^", "same network, scratch"), "small": (ORANGE, "v", "small network, scratch"),
    "random": (PALE, "x", "random features"), "filters": (INK, "P", "filters"),
    "imagenet": (PURPLE, "D", "ImageNet features"),
}  # fmt: skip
TITLES = {"sky": "far: patches of sky", "cloud": "far: pixels of cloud",
          "maps": "near: maps of another code"}  # fmt: skip
AXES = {"sky": "accuracy", "cloud": "overlap with the true mask", "maps": r"$R^2$ of $\Omega_m$"}
LEAST_SHOWN = -0.5  # of an R2: what is worse is lost altogether


def draw_targets(sheet: Figure, data: list[dict], found: dict, metrics: dict) -> None:
    """Patches of each class; broken clouds with their masks; maps of the code that was learned from and of the other at
    like parameters."""
    axes = sheet.subplots(4, 8)
    one = data[0]
    for row, label in ((0, 0), (1, 1)):
        for panel, image in zip(axes[row], one["sky_images"][one["sky_label"] == label][:8], strict=False):
            panel.imshow(image, cmap="gray", vmin=0, vmax=1)
        axes[row, 0].set_ylabel(f"class {label}", fontsize=8)
    for panel, image, mask in zip(axes[2], one["cloud_images"], one["cloud_mask"], strict=False):
        panel.imshow(image, cmap="gray", vmin=0, vmax=1)
        panel.contour(mask, [0.5], colors=[SKY], linewidths=0.8)
    axes[2, 0].set_ylabel("cloud: outlined", fontsize=8)
    low, high = np.percentile(one["source_maps"], (5, 99.8))
    for column in range(8):
        name = "source" if column < 4 else "target"
        order = np.argsort(one[f"{name}_parameters"][:, 0])
        number = order[int((0.1 + 0.8 * (column % 4) / 3) * (len(order) - 1))]
        axes[3, column].imshow(one[f"{name}_maps"][number], cmap="magma", vmin=low, vmax=high)
        axes[3, column].set_title(f"{name}, {one[f'{name}_parameters'][number, 0]:.2f}", fontsize=7)
    axes[3, 0].set_ylabel(r"pressure, $\Omega_m$", fontsize=8)
    for panel in axes.ravel():
        panel.set(xticks=[], yticks=[])


def draw_curves(sheet: Figure, data: list[dict], found: dict, metrics: dict) -> None:
    """Accuracy or R2 against the number of labels, every arm with its 68 % interval."""
    for axes, (target, title) in zip(sheet.subplots(1, 3), TITLES.items(), strict=True):
        unit = UNITS[target]
        if not _draw(axes, metrics, found, target, lambda name, n, unit=unit: f"transfer_{name}_{unit}_{n}"):
            say_empty(axes, f"no arm of {target} was run")
            continue
        for kind, style, label in (("direct", ":", "no label"), ("settled", "--", "norms of unlabelled maps")):
            found_without = metrics.get(f"transfer_{target}_{kind}_r2")
            if found_without and found_without["value"] >= LEAST_SHOWN:
                axes.axhline(found_without["value"], color=INK, ls=style, lw=1, label=label)
            elif found_without:
                axes.plot([], [], " ", label=f"{label}: {found_without['value']:.1f}, below")
        axes.set(title=title, ylabel=AXES[target], ylim=(max(axes.get_ylim()[0], LEAST_SHOWN), None))
        axes.legend(fontsize=7)


def draw_gain(sheet: Figure, data: list[dict], found: dict, metrics: dict) -> None:
    """What each arm has over a network from scratch; below the line, transfer does harm."""
    for axes, (target, title) in zip(sheet.subplots(1, 3), TITLES.items(), strict=True):
        if f"{target}_{SCRATCH[target]}" not in found:
            say_empty(axes, f"{target}_{SCRATCH[target]} was not run")
            continue
        _draw(axes, metrics, found, target, lambda name, n: f"transfer_{name}_minus_scratch_{n}")
        axes.axhline(0, color=VERMILION, lw=1)
        axes.set(title=title, ylabel=f"{AXES[target]} minus that from scratch")
        axes.set_ylim(bottom=max(axes.get_ylim()[0], LEAST_SHOWN))
        axes.legend(fontsize=7)


def _draw(axes, metrics, found, target: str, key) -> int:
    """Curves of all arms that have the metrics; how many there are."""
    arms = [arm for arm in ARMS[target] if f"{target}_{arm}" in found]
    drawn, sizes = 0, []
    for number, arm in enumerate(arms):
        colour, marker, label = LOOK[arm]
        sizes = found[f"{target}_{arm}"][0]["sizes"]
        entries = [metrics.get(key(f"{target}_{arm}", n)) for n in sizes]
        if None in entries:
            continue
        value, low, high = (np.array([entry[end] for entry in entries], float) for end in ("value", "lo", "hi"))
        place = sizes * (1 + 0.03 * (number - 2))
        axes.errorbar(
            place, value, np.abs([value - low, high - value]), color=colour, marker=marker, label=label, lw=1.3
        )
        drawn += 1
    if drawn:
        axes.set(xscale="log", xlabel="labels of the target")
        axes.xaxis.set_major_locator(FixedLocator(sizes))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xticklabels([str(n) for n in sizes])
        light_grid(axes)
    return drawn
