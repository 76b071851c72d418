"""Draw peak counts and pixel distributions of all methods against the truth of held-out skies."""

from armillary.figures.massmaps import draw_peaks
from armillary.figures.style import page
from armillary.files import read_arrays
from armillary.step import run


def plot_peaks(curves: str, figure: str, *, peak_smoothing_arcmin: float) -> None:
    arrays = read_arrays(curves)
    with page(figure, 1600, 760) as sheet:
        draw_peaks(sheet, arrays, list(arrays["methods"]), peak_smoothing_arcmin)


if __name__ == "__main__":
    run(plot_peaks, snakemake)
