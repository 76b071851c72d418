"""Draw E and B of a field's maps and their stacks at clusters beside those of shapes turned at random."""

from armillary.figures.massmaps import draw_nulls
from armillary.figures.style import page
from armillary.files import read_arrays
from armillary.step import run


def plot_nulls(curves: str, figure: str, *, null_methods: list[str]) -> None:
    arrays = read_arrays(curves)
    with page(figure, 1600, 760) as sheet:
        draw_nulls(sheet, arrays, list(arrays["methods"]), null_methods)


if __name__ == "__main__":
    run(plot_nulls, snakemake)
