"""Figures of the challenge weather: frames with their cells, tests on simulated nights, and the real frames."""

import numpy as np
from matplotlib.figure import Figure

from armillary.challenges.fisheye import CELLS, INSIDE
from armillary.challenges.weather import relative
from armillary.figures.style import BLUE, GREEN, INK, ORANGE, PALE, VERMILION, light_grid, say_empty

LABELS = {"stars": "stars", "boosting": "boosting", "trees": "trees", "cnn": "network"}
REAL_ARMS = {"real": "simulated nights", "real_only": "real frames", "real_adapted": "both"}
ARM_COLOURS = {"real": PALE, "real_only": ORANGE, "real_adapted": BLUE}
COLOURS = {"stars": ORANGE, "boosting": GREEN, "trees": VERMILION, "cnn": BLUE}


def draw_frames(sheet: Figure, data: list[dict], found: dict, metrics: dict) -> None:
    """Simulated test frames above, real ones below; cells that are cloudy are outlined, misjudged ones filled."""
    one, run = data[0], (found.get("cnn") or found.get("boosting") or [{}])[0]
    test = np.flatnonzero(one["split"] == 2)
    picked = np.unique(np.linspace(0, len(test) - 1, 8).astype(int))
    rows = [(one["images"][test[picked]], one["cell"][test[picked]], run.get("cell_probability"), picked)]
    if "real_images" in one:
        real = np.unique(np.linspace(0, len(one["real_images"]) - 1, 8).astype(int))
        rows.append((one["real_images"][real], one["real_cell"][real], run.get("real_probability"), real))
    for axes, (images, cells, chance, numbers) in zip(sheet.subplots(len(rows), 8, squeeze=False), rows, strict=True):
        for k, (place, image) in enumerate(zip(axes, relative(images), strict=False)):
            place.imshow(np.where(INSIDE, image, -1), cmap="gray", vmin=-0.6, vmax=1.0, origin="upper")
            if cells[k].min() >= 0 and chance is not None:
                wrong = (chance[numbers[k]] > 0.5) != cells[k]
                filled = np.where(INSIDE & wrong[np.maximum(CELLS, 0)], 1.0, np.nan)
                place.imshow(filled, cmap="autumn", alpha=0.35, vmin=0, vmax=2, origin="upper")
                place.contour(INSIDE & (cells[k][np.maximum(CELLS, 0)] == 1), [0.5], colors="#56B4E9", linewidths=0.8)
                place.set_title(f"{33 - wrong.sum()} of 33 right", fontsize=8)
        for place in axes:
            place.set(xticks=[], yticks=[])
        axes[0].set_ylabel("simulated" if axes is not None and images is rows[0][0] else "real")
    sheet.suptitle("outlined: cloudy cells; tinted: misjudged by what learned on simulated skies", fontsize=9)


def draw_nights(sheet: Figure, data: list[dict], found: dict, metrics: dict) -> None:
    """Confusion of kinds of frames, clear frames opened against others, calibration, and one night by the hour."""
    top, bottom = sheet.subfigures(2, 1, height_ratios=[2.2, 1])
    confusion, roc, calibration = top.subplots(1, 3)
    strip = bottom.subplots()
    name = "cnn" if "cnn" in found else next(iter(found), None)
    if name is None:
        say_empty(confusion, "no method was run")
        return
    label = np.concatenate([one["label"][one["split"] == 2] for one in data])
    classes = data[0]["classes"]
    guess = np.concatenate([run["class_probability"].argmax(1) for run in found[name]])
    share = np.array([[np.mean(guess[label == t] == g) for g in range(len(classes))] for t in range(len(classes))])
    confusion.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for t, g in np.ndindex(*share.shape):
        colour = "white" if share[t, g] > 0.5 else INK
        confusion.text(g, t, f"{share[t, g]:.2f}", ha="center", va="center", color=colour)
    ticks = range(len(classes))
    confusion.set(xticks=ticks, xticklabels=classes, yticks=ticks, yticklabels=classes, xlabel=f"{LABELS[name]} says",
                  ylabel="truth")  # fmt: skip
    for method, runs in found.items():
        chance = np.concatenate([run["class_probability"][:, 0] for run in runs])
        cuts = np.quantile(chance, np.linspace(0, 1, 200))
        opened = [[np.mean(chance[part] >= cut) for cut in cuts] for part in (label != 0, label == 0)]
        roc.plot(*opened, color=COLOURS[method], label=LABELS[method])
        if "cell_probability" in runs[0]:
            p = np.concatenate([run["cell_probability"].ravel() for run in runs])
            truth = np.concatenate([one["cell"][one["split"] == 2].ravel() for one in data])
            place = np.clip((p * 10).astype(int), 0, 9)
            known = np.bincount(place, minlength=10) > 20
            means = [
                np.bincount(place, value, 10)[known] / np.bincount(place, minlength=10)[known] for value in (p, truth)
            ]
            calibration.plot(*means, "o-", color=COLOURS[method])
    roc.axvline(0.05, color=PALE, lw=1)
    roc.set(xlabel="other frames opened in", ylabel="clear frames opened in", xlim=(0, 0.4))
    roc.legend(loc="lower right")
    calibration.plot([0, 1], [0, 1], color=PALE, lw=1)
    calibration.set(xlabel="chance of cloud in a cell", ylabel="share that is cloudy")
    for axes in (roc, calibration):
        light_grid(axes)
    _strip(strip, data[0], found, name)


def _strip(axes, one: dict, found: dict, name: str) -> None:
    """The cloudy share of the night of the test set that changes most."""
    rows = np.flatnonzero(one["split"] == 2)
    if "cell_probability" not in found[name][0] or np.isnan(one["hour"]).any():
        say_empty(axes, "no hours or cells are known")
        return
    share, night = one["cell"][rows].mean(1), one["night"][rows]
    best = max(np.unique(night), key=lambda k: np.ptp(share[night == k]))
    part = night == best
    axes.plot(one["hour"][rows][part], share[part], "o-", color=INK, label="truth")
    for method, runs in found.items():
        p = (runs[0]["cell_probability"] > 0.5).mean(1)[part]
        axes.plot(one["hour"][rows][part], p, "s--", color=COLOURS[method], label=LABELS[method], ms=4, lw=1.2)
    axes.set(xlabel="hours from midnight, one test night", ylabel="cloudy share", ylim=(-0.05, 1.05))
    axes.legend(ncols=4, fontsize=8)
    light_grid(axes)


def draw_real(sheet: Figure, data: list[dict], found: dict, metrics: dict) -> None:
    """Real cells: accuracy of each method after simulated nights, real frames, and both; and frame by frame."""
    bars, frames = sheet.subplots(1, 2, width_ratios=[1, 1.4])
    if "real_cell" not in data[0] or not found:
        say_empty(bars, "no real cells were given")
        return
    truth = data[0]["real_cell"]
    for k, name in enumerate(found):
        for shift, (arm, colour) in zip((-0.27, 0, 0.27), ARM_COLOURS.items(), strict=True):
            entry = metrics[f"weather_{name}_{arm}_accuracy"]
            bars.bar(k + shift, entry["value"], 0.25, color=colour, label=REAL_ARMS[arm] if k == 0 else None)
            ends = np.maximum([[entry["value"] - entry["lo"]], [entry["hi"] - entry["value"]]], 0)
            bars.errorbar(k + shift, entry["value"], ends, color=INK)
        for arm, fill in (("real_only", "none"), ("real_adapted", COLOURS[name])):
            right = np.mean([(run[f"{arm}_probability"] > 0.5) == truth for run in found[name]], (0, 2))
            label = LABELS[name] if arm == "real_adapted" else None
            place = np.arange(len(truth)) + 0.15 * (k - 1)
            frames.plot(place, right, "o", ms=4, mfc=fill, color=COLOURS[name], label=label)
    bars.axhline(metrics["weather_majority_real_accuracy"]["value"], color=INK, lw=1, ls="--")
    bars.set(xticks=range(len(found)), xticklabels=[LABELS[name] for name in found], ylim=(0, 1.25),
             yticks=np.arange(0, 1.01, 0.2), ylabel="accuracy of real cells (dashed: one answer)")  # fmt: skip
    bars.legend(title="learned from")
    for edge in np.flatnonzero(np.diff(data[0]["real_block"])) + 0.5:
        frames.axvline(edge, color=INK, lw=0.8, ls=":")
    frames.set(xlabel="real frame (blocks between dotted lines)", ylabel="share of its 33 cells", ylim=(0, 1.03))
    frames.locator_params(axis="x", integer=True)
    frames.legend(title="open: real frames alone, filled: both", loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4)
    light_grid(frames)
