"""Draw the training of the learned residual and of the score prior."""

from armillary.figures.massmaps import draw_training
from armillary.figures.style import page
from armillary.files import read_json
from armillary.step import run


def plot_training(residual: str, score: str, figure: str) -> None:
    with page(figure, 1600, 700) as sheet:
        draw_training(sheet, {"Learned residual": read_json(residual), "Score prior": read_json(score)})


if __name__ == "__main__":
    run(plot_training, snakemake)
