"""Draw the selection function of every method: share of true haloes found against richness and redshift."""

from armillary.figures.selection import draw_selection
from armillary.figures.style import page
from armillary.files import read_catalog
from armillary.step import run


def plot_selection(selection: str, figure: str) -> None:
    with page(figure, 2000, 640) as sheet:
        draw_selection(sheet, read_catalog(selection))


if __name__ == "__main__":
    run(plot_selection, snakemake)
