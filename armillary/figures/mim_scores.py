"""What embeddings are worth, as pictures: scores against the number of labels, and what looks like an example."""

import numpy as np
from matplotlib.figure import Figure

from armillary.cutouts import band_noise
from armillary.figures.mim import colours_of
from armillary.figures.style import BLUE, GREEN, INK, ORANGE, PALE, PURPLE, SKY, VERMILION, light_grid, say_empty

LABELS = {
    "mim": "learned, linear probe", "mim_neighbours": "learned, nearest neighbours", "random": "untrained network",
    "pca": "principal components", "colours": "magnitudes and colours", "photometry": "these and concentrations",
    "trees": "all of these, boosted trees", "shapes": "shapes", "photometry_shapes": "photometry and shapes",
    "attentive": "learned, attentive probe", "finetuned": "fine-tuned", "cnn": "small CNN, labels alone",
}  # fmt: skip
COLOURS = {
    "mim": BLUE, "mim_neighbours": SKY, "random": PALE, "pca": ORANGE, "colours": GREEN, "photometry": "#006644",
    "trees": VERMILION, "shapes": "#aa4499", "photometry_shapes": "#661155", "attentive": PURPLE, "finetuned": INK,
    "cnn": "#777777",
}  # fmt: skip
TITLES = {
    "class": "galaxy, quasar or star", "missing_band": "class with bands missing", "redshift": "redshift of galaxies",
    "blend": "blend or one galaxy", "ellipticity": "ellipticity", "class_seeing": "class, judged in worse seeing",
    "blend_seeing": "blend, judged in worse seeing", "faint_arcs": "faint arcs or none", "tidal": "tidal tail or none",
}  # fmt: skip
UNITS = {"accuracy": "accuracy", "r2": "R2", "auc": "area under ROC"}


def draw_label_curves(figure: Figure, metrics: dict[str, dict], tasks: list[str], names: list[str]) -> None:
    """Score of each kind of features against the number of labels, a panel a task, from a metrics file; more than four
    panels stand in two rows."""
    n_rows = 1 if len(tasks) <= 4 else 2
    axes = figure.subplots(n_rows, -(-len(tasks) // n_rows), squeeze=False).ravel()
    for one in axes[len(tasks) :]:
        one.set_axis_off()
    for one, task in zip(axes, tasks, strict=False):
        unit, asked = "", set()
        for number, name in enumerate(names):
            prefix = f"{task}_{name}_"
            points = sorted(
                (int(key.removeprefix(prefix)), entry)
                for key, entry in metrics.items()
                if key.startswith(prefix) and key.removeprefix(prefix).isdigit()
            )
            if not points:
                continue
            unit = points[0][1]["unit"]
            asked |= {n for n, _ in points}
            counts = np.array([n for n, _ in points]) * 1.02 ** (number - len(names) / 2)
            values = np.array([[entry["value"], entry["lo"], entry["hi"]] for _, entry in points]).T
            errors = np.maximum([values[0] - values[1], values[2] - values[0]], 0)
            one.errorbar(counts, values[0], errors, color=COLOURS[name], label=LABELS[name], marker="o", markersize=3)
        one.set(
            xscale="log",
            xlabel="labels",
            title=TITLES.get(task.removeprefix("labels_"), task),
            ylabel=UNITS.get(unit, unit),
        )
        one.set_xticks(sorted(asked), [f"{n}" for n in sorted(asked)])
        one.set_xticks([], minor=True)
        if unit == "r2":
            one.set_ylim(bottom=max(one.get_ylim()[0], -0.1))
        light_grid(one)
    drawn = [axis.get_legend_handles_labels() for axis in axes]
    handles = {label: handle for lines in drawn for handle, label in zip(*lines, strict=True)}
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=4, fontsize=8)


def draw_found(
    figure: Figure, examples: np.ndarray, images: np.ndarray, is_right: np.ndarray, cosine: np.ndarray
) -> None:
    """Colour images (n, S, S, 3) of the examples of a query and of the objects nearest to it; right ones are framed."""
    n_columns = 8
    n_rows = 1 + -(-len(images) // n_columns)
    axes = figure.subplots(n_rows, n_columns, squeeze=False)
    for one in axes.flat:
        one.set_axis_off()
    for one, image in zip(axes[0], examples, strict=False):
        one.imshow(image)
    axes[0, 0].set_title("examples", fontsize=8)
    for one, image, right, value in zip(axes[1:].flat, images, is_right, cosine, strict=False):
        one.imshow(image)
        one.set_axis_on()
        one.set(xticks=[], yticks=[])
        one.set_title(f"{value:.2f}", fontsize=7, color=INK if right else PALE, pad=2)
        for spine in one.spines.values():
            spine.set(visible=bool(right), color=GREEN, linewidth=2.5)
    if len(images) == 0:
        say_empty(axes[0, 0], "nothing found")


def stamps_of(file, rows: np.ndarray) -> np.ndarray:
    """Colour pictures (n, S, S, 3) of some rows of an open file of cutouts, in units of its bands' typical noise."""
    some = file.read(0, min(len(file), 500), with_columns=False)
    noise = band_noise(some.images, some.variance, some.mask)
    images = [file.read(int(row), int(row) + 1, with_columns=False).images for row in rows]
    return colour_images(np.concatenate(images), noise, file.facts["bands"])


def colour_images(images: np.ndarray, noise: np.ndarray, bands: list[str]) -> np.ndarray:
    """(n, C, S, S) in counts -> (n, S, S, 3) between 0 and 1, i r g as red, green and blue; a band that is missing
    looks like the mean of the others."""
    which = [bands.index(band) if band in bands else 0 for band in ("i", "r", "g")]
    scaled = np.arcsinh(images[:, which] / (4 * noise[which][:, None, None])) / 4
    return colours_of(scaled.transpose(0, 2, 3, 1))
