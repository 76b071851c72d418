"""Draw loss, validation score and learning rate of the encoder's training."""

import numpy as np

from armillary.figures.style import page
from armillary.figures.training import draw_training
from armillary.files import read_arrays
from armillary.step import run


def plot_training(history: str, predictions: str, figure: str) -> None:
    """`predictions` of the validation fields give the base rate, the score of a guess."""
    import pandas as pd

    base_rate = float(np.mean(read_arrays(predictions)["membership"]))
    with page(figure, 1600, 560) as sheet:
        draw_training(sheet, pd.read_csv(history), base_rate=base_rate)


if __name__ == "__main__":
    run(plot_training, snakemake)
