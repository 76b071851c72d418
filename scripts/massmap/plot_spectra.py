"""Draw power and coherence of all methods against the truth of held-out skies."""

from armillary.figures.massmaps import draw_spectra
from armillary.figures.style import page
from armillary.files import read_arrays
from armillary.step import run


def plot_spectra(curves: str, figure: str) -> None:
    arrays = read_arrays(curves)
    with page(figure, 1600, 760) as sheet:
        draw_spectra(sheet, arrays, list(arrays["methods"]))


if __name__ == "__main__":
    run(plot_spectra, snakemake)
