"""Draw completeness and purity of the cluster catalogue, the encoder's beside the baseline finder's."""

from armillary.figures.curves import draw_cluster_scores, part
from armillary.figures.style import page
from armillary.files import read_arrays
from armillary.step import run


def plot_completeness(curves: str, figure: str) -> None:
    from pandas import DataFrame

    arrays = read_arrays(curves)
    with page(figure, 2000, 1000) as sheet:
        draw_cluster_scores(sheet, DataFrame(part(arrays, "bins")), DataFrame(part(arrays, "trade")))


if __name__ == "__main__":
    run(plot_completeness, snakemake)
