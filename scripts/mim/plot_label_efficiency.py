"""Draw the score of every kind of probe against the number of labels, a panel a task."""

from armillary.figures.mim_scores import LABELS, draw_label_curves
from armillary.figures.style import page
from armillary.files import read_json
from armillary.step import run


def plot_label_efficiency(scores: str, figure: str, *, tasks: list[str]) -> None:
    with page(figure, 1000 * len(tasks), 820) as sheet:
        draw_label_curves(sheet, read_json(scores), [f"labels_{task}" for task in tasks], list(LABELS))


if __name__ == "__main__":
    run(plot_label_efficiency, snakemake)
