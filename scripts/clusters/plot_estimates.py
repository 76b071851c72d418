"""Draw inferred against true redshift and richness of the held-out clusters that the encoder found."""

from armillary.figures.curves import part
from armillary.figures.estimates import draw_estimates
from armillary.figures.style import page
from armillary.files import read_arrays, read_json
from armillary.step import run


def plot_estimates(curves: str, metrics: str, figure: str) -> None:
    from pandas import DataFrame

    matches = DataFrame(part(read_arrays(curves), "matches"))
    with page(figure, 2000, 1000) as sheet:
        draw_estimates(sheet, matches, read_json(metrics))


if __name__ == "__main__":
    run(plot_estimates, snakemake)
