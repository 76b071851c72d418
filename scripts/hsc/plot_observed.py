"""Draw the user's images beside reconstructions, samples and residuals."""

from armillary.figures.galaxies import draw_galaxies
from armillary.figures.style import page
from armillary.stamp_evaluation import read_problem
from armillary.step import run

N_SCENES = 12


def plot_observed(observations: str, basis: str, posteriors: str, figure: str, *, fine_pixel_arcsec: float) -> None:
    data = read_problem(observations, basis, posteriors, fine_pixel_arcsec=fine_pixel_arcsec)
    n_rows = min(N_SCENES, len(data.seen.image))
    with page(figure, 1400, 60 + 160 * n_rows) as sheet:
        draw_galaxies(sheet, data, N_SCENES)


if __name__ == "__main__":
    run(plot_observed, snakemake)
