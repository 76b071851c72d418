"""Draw precision-recall and calibration curves of held-out tiles, of every method."""

from armillary.figures.curves import draw_tile_scores, part
from armillary.figures.style import METHOD_LABELS, page
from armillary.files import read_arrays
from armillary.step import run


def plot_pr_curves(curves: str, figure: str) -> None:
    arrays = read_arrays(curves)
    with page(figure, 1600, 1300) as sheet:
        draw_tile_scores(sheet, {method: part(arrays, method) for method in METHOD_LABELS})


if __name__ == "__main__":
    run(plot_pr_curves, snakemake)
