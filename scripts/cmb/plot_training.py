"""Draw the losses of a network's training."""

from armillary.figures.cmb import draw_cmb_training
from armillary.figures.style import page
from armillary.step import run


def plot_training(history: str, figure: str) -> None:
    """`history` is the table that training wrote, a row an epoch."""
    import pandas as pd

    with page(figure, 1600, 560) as sheet:
        draw_cmb_training(sheet, pd.read_csv(history))


if __name__ == "__main__":
    run(plot_training, snakemake)
