"""Draw what simulations and estimators are against theory."""

from armillary.figures.cmb import draw_simulations
from armillary.figures.style import page
from armillary.files import read_arrays
from armillary.step import run


def plot_simulations(curves: str, estimators: str, figure: str) -> None:
    """Mean spectra over CAMB's, and noise of kappa."""
    with page(figure, 1600, 640) as sheet:
        draw_simulations(sheet, read_arrays(curves), read_arrays(estimators))


if __name__ == "__main__":
    run(plot_simulations, snakemake)
