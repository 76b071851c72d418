"""Draw what was made of a user's maps."""

from armillary.figures.cmb import draw_observed
from armillary.figures.style import page
from armillary.files_cmb import read_facts, read_maps
from armillary.step import run


def plot_observed(maps: str, figure: str) -> None:
    """Convergence by every method, then E and B."""
    found = {name: values[0] for name, values in read_maps(maps).items()}
    with page(figure, 1800, 1000) as sheet:
        draw_observed(sheet, found, pixel_arcmin=read_facts(maps)["pixel_arcmin"])


if __name__ == "__main__":
    run(plot_observed, snakemake)
