"""Draw the first scenes of a problem: data, truth, reconstructions, samples, residual."""

from armillary.figures.galaxies import draw_galaxies
from armillary.figures.style import page
from armillary.stamp_evaluation import read_problem
from armillary.step import run

N_SCENES = 5


def plot_galaxies(observations: str, basis: str, posteriors: str, figure: str, *, fine_pixel_arcsec: float) -> None:
    data = read_problem(observations, basis, posteriors, fine_pixel_arcsec=fine_pixel_arcsec)
    n_rows = min(N_SCENES, len(data.seen.image))
    with page(figure, 1700, 60 + 150 * n_rows) as sheet:
        draw_galaxies(sheet, data, N_SCENES)


if __name__ == "__main__":
    run(plot_galaxies, snakemake)
