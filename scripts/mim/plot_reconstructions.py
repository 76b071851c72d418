"""Draw what a network fills in where it was shown nothing."""

from armillary.figures.mim import draw_reconstructions
from armillary.figures.style import page
from armillary.files import read_arrays
from armillary.step import run


def plot_reconstructions(reconstructions: str, figure: str, *, bands: list[str]) -> None:
    shown = read_arrays(reconstructions)
    with page(figure, 1000, 60 + 240 * len(shown["image"])) as sheet:
        draw_reconstructions(sheet, shown, bands)


if __name__ == "__main__":
    run(plot_reconstructions, snakemake)
