"""Draw the user's images beside reconstructions, samples and residuals."""

from armillary.figures.galaxies import draw_galaxies
from armillary.figures.style import page
from armillary.files import read_arrays
from armillary.files_hsc import read_posteriors, read_set
from armillary.stamp_basis import StampBasis
from armillary.stamp_evaluation import ProblemData
from armillary.stamp_sets import Observations
from armillary.step import run

N_SCENES = 12


def plot_observed(observations: str, basis: str, posteriors: str, figure: str, *, fine_pixel_arcsec: float) -> None:
    found = read_posteriors(posteriors)
    stack = StampBasis(**read_arrays(basis)).stack
    data = ProblemData("", read_set(observations, Observations), found, stack, fine_pixel_arcsec)
    n_rows = min(N_SCENES, len(data.seen.image))
    with page(figure, 1400, 60 + 160 * n_rows) as sheet:
        draw_galaxies(sheet, data, N_SCENES)


if __name__ == "__main__":
    run(plot_observed, snakemake)
