"""Draw the score of every kind of features against the number of labels, a panel a task."""

from armillary.figures.mim_scores import draw_label_curves
from armillary.figures.style import page
from armillary.files import read_json
from armillary.metrics import merge_metrics
from armillary.step import run


def plot_probes(parts: list[str], figure: str, *, tasks: list[str], names: list[str]) -> None:
    with page(figure, 560 * max(-(-len(tasks) // 2), 2), 1180) as sheet:
        draw_label_curves(sheet, merge_metrics({path: read_json(path) for path in parts}), tasks, names)


if __name__ == "__main__":
    run(plot_probes, snakemake)
