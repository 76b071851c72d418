"""Draw one figure of a challenge."""

import importlib

from armillary.challenges.outcomes import read_outcomes
from armillary.figures.style import page
from armillary.files import read_json
from armillary.step import run


def plot_figure(
    data: list[str],
    outcomes: list[str],
    metrics: str,
    drawing: str,
    *,
    challenge: str,
    figure: str,
    variants: list[str],
) -> None:
    tables, found = read_outcomes(data, outcomes, variants)
    draw = getattr(importlib.import_module(f"armillary.figures.challenge_{challenge}"), f"draw_{figure}")
    with page(drawing, 1600, 800) as sheet:
        draw(sheet, tables, found, read_json(metrics))


if __name__ == "__main__":
    run(plot_figure, snakemake)
