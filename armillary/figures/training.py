"""How a network learned: loss, validation score and learning rate against the optimiser step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from armillary.figures.style import INK, METHOD_COLOURS, PALE, light_grid, note

if TYPE_CHECKING:
    from pandas import DataFrame


def draw_training(figure: Figure, history: DataFrame, *, base_rate: float | None = None) -> None:
    """Draw loss, tile PR-AUC and learning rate against the optimiser step.

    `history` has the columns step, epoch, seconds, train_loss, validation_loss, validation_pr_auc,
    learning_rate; cells of a row that were not measured are NaN.
    """
    loss_axes, score_axes, rate_axes = figure.subplots(1, 3, width_ratios=[1.3, 1.3, 1.0])
    for column, colour, label in (
        ("train_loss", PALE, "training"),
        ("validation_loss", METHOD_COLOURS["encoder"], "validation"),
    ):
        draw_measured(loss_axes, history, column, colour, label)
    loss_axes.set(ylabel="weighted loss", title="Loss")
    loss_axes.legend(loc="upper right")
    draw_measured(score_axes, history, "validation_pr_auc", METHOD_COLOURS["encoder"], "validation")
    mark_best(score_axes, history)
    score_axes.set(ylabel="tile PR-AUC", title="Validation score", ylim=(0, 1))
    if base_rate is not None:
        score_axes.axhline(base_rate, color=PALE, linestyle="--", linewidth=1.2, label="base rate")
        note(score_axes, f"base rate {base_rate:.2f} (dashed)", 0.97, 0.03)
    draw_measured(rate_axes, history, "learning_rate", INK, "learning rate")
    rate_axes.set(ylabel="learning rate", title="Schedule", yscale="log")
    for axes in (loss_axes, score_axes, rate_axes):
        light_grid(axes)
        axes.set_xlabel("optimiser step")
        axes.locator_params(axis="x", nbins=5)


def draw_measured(axes: Axes, history: DataFrame, column: str, colour: str, label: str) -> None:
    """Draw one column of the history where it was measured."""
    measured = history[np.isfinite(history[column])]
    marker = "o" if len(measured) < 30 else None
    axes.plot(measured["step"], measured[column], color=colour, label=label, marker=marker, markersize=3)


def mark_best(axes: Axes, history: DataFrame) -> None:
    """Mark the epoch whose weights are kept: the one of least validation loss."""
    measured = history[np.isfinite(history["validation_loss"])]
    if measured.empty:
        return
    best = measured.loc[measured["validation_loss"].idxmin()]
    axes.plot(best["step"], best["validation_pr_auc"], "*", color=INK, markersize=10)
    minutes = best["seconds"] / 60.0
    note(axes, f"kept: {best['validation_pr_auc']:.3f}\nafter {minutes:.1f} min", 0.97, 0.3)
