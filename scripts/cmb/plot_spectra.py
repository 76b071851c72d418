"""Draw power, response and effective noise of network and baselines."""

from armillary.figures.cmb import draw_spectra
from armillary.figures.style import page
from armillary.files import read_arrays
from armillary.step import run


def plot_spectra(curves: str, figure: str, *, targets: list[str]) -> None:
    """A row a target."""
    with page(figure, 1800, 560 * len(targets)) as sheet:
        draw_spectra(sheet, read_arrays(curves), targets)


if __name__ == "__main__":
    run(plot_spectra, snakemake)
