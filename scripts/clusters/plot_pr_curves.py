"""Draw precision-recall and calibration curves of held-out tiles, the encoder beside the baseline finder."""

from armillary.figures.curves import draw_tile_scores, part
from armillary.figures.style import page
from armillary.files import read_arrays
from armillary.step import run


def plot_pr_curves(curves: str, figure: str) -> None:
    arrays = read_arrays(curves)
    with page(figure, 1600, 760) as sheet:
        methods = {method: part(arrays, method) for method in ("encoder", "finder")}
        draw_tile_scores(sheet, methods, base_rate=float(arrays["base_rate"]))


if __name__ == "__main__":
    run(plot_pr_curves, snakemake)
