"""Draw held-out galaxies, the same decoded from their latents, and galaxies that both priors draw."""

from armillary.figures.galaxies import draw_prior
from armillary.figures.style import page
from armillary.files import read_arrays
from armillary.files_hsc import read_set
from armillary.stamp_sets import StampSet
from armillary.step import run


def plot_prior(stamps: str, checks: str, figure: str) -> None:
    found = read_arrays(checks)
    truth = read_set(stamps, StampSet).of_split("test").image
    with page(figure, 1600, 820) as sheet:
        draw_prior(sheet, truth, found["decoded"], found["drawn"], found["drawn_by_score"])


if __name__ == "__main__":
    run(plot_prior, snakemake)
