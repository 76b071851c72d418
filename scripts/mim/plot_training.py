"""Draw how the networks learned."""

from pathlib import Path

from armillary.figures.mim import draw_progress
from armillary.figures.style import page
from armillary.step import run


def plot_training(histories: list[str], figure: str) -> None:
    import pandas as pd

    with page(figure, 1600, 560) as sheet:
        draw_progress(sheet, {Path(path).parent.name: pd.read_csv(path) for path in histories})


if __name__ == "__main__":
    run(plot_training, snakemake)
