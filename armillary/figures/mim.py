"""Masked networks while they learn: losses and probes step by step, and what they fill in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from armillary.figures.style import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION, light_grid

if TYPE_CHECKING:
    from pandas import DataFrame


def draw_progress(figure: Figure, histories: dict[str, DataFrame]) -> None:
    """Loss above the noise floor, class accuracy and redshift R2 against the step; one line a network."""
    axes = figure.subplots(1, 3)
    names = ("Loss above its noise floor", "Class, linear probe", "Redshift, linear probe")
    for number, (name, history) in enumerate(histories.items()):
        colour = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY)[number % 6]
        for part, style in (("train", ":"), ("validation", "-")):
            excess = history[f"{part}_loss"] - history[f"{part}_floor"]
            label = f"{name}, {part}" if number == 0 else (name if part == "validation" else None)
            axes[0].plot(history["step"], excess, style, color=colour, marker="o", markersize=3, label=label)
        axes[1].plot(history["step"], history["class_accuracy"], color=colour, marker="o", markersize=3)
        axes[2].plot(history["step"], history["redshift_r2"], color=colour, marker="o", markersize=3)
    axes[0].set(yscale="log", ylabel="loss - floor")
    axes[0].legend()
    axes[1].set_ylabel("accuracy")
    axes[2].set_ylabel("R2")
    for one, title in zip(axes, names, strict=True):
        one.set(title=title, xlabel="step")
        light_grid(one)


def draw_reconstructions(figure: Figure, shown: dict[str, np.ndarray], bands: list[str]) -> None:
    """Original, what the network saw, its prediction with what it saw, and the residual over the noise, a row an image.

    `shown` has image, hidden, prediction and noise (n, C, S, S), compressed pixels; colours are three of the bands.
    """
    n_rows = len(shown["image"])
    axes = figure.subplots(n_rows, 4, squeeze=False)
    red, green, blue = (bands.index(b) if b in bands else -1 for b in ("i", "r", "g"))
    for row in range(n_rows):
        image, hidden = shown["image"][row], shown["hidden"][row]
        filled = np.where(hidden, shown["prediction"][row], image)
        planes = [image, np.where(hidden, np.nan, image), filled]
        for one, plane in zip(axes[row], planes, strict=False):
            one.imshow(colours_of(plane[[red, green, blue]].transpose(1, 2, 0) / 3.5))
        residual = np.where(hidden, (image - shown["prediction"][row]) / shown["noise"][row].clip(1e-6), np.nan)
        there = int(np.argmax(np.isfinite(residual).sum((1, 2))))  # the first band that is not missing
        axes[row, 3].imshow(residual[there], vmin=-4, vmax=4, cmap="RdBu_r")
        for one in axes[row]:
            one.set(xticks=[], yticks=[])
    titles = ("original", "seen", "filled in", "residual / noise")
    for one, title in zip(axes[0], titles, strict=True):
        one.set_title(title)


def colours_of(planes: np.ndarray) -> np.ndarray:
    """Colours (S, S, 3) of three bands, NaN where unknown: there the mean of the others, grey where all are."""
    known = np.isfinite(planes)
    mean = np.where(known, planes, 0).sum(-1, keepdims=True) / np.maximum(known.sum(-1, keepdims=True), 1)
    filled = np.where(known, planes, np.where(known.any(-1, keepdims=True), mean, 0.35))
    return np.clip(filled, 0, 1)
