"""Draw one piece of sky as HSC sees it, reconstructed, and as HST sees it."""

from armillary.figures.galaxies import draw_pair
from armillary.figures.style import page
from armillary.files import read_arrays
from armillary.step import run


def plot_pair(images: str, figure: str, *, bands: list[str]) -> None:
    with page(figure, 1500, 60 + 210 * len(bands)) as sheet:
        draw_pair(sheet, read_arrays(images), bands)


if __name__ == "__main__":
    run(plot_pair, snakemake)
