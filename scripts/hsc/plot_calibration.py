"""Draw whether posteriors hold what they promise: expected coverage of each problem, with negative controls."""

from armillary.figures.galaxies import draw_calibration
from armillary.figures.style import page
from armillary.files import read_arrays
from armillary.step import run


def plot_calibration(curves: list[str], figure: str, *, problems: list[str]) -> None:
    with page(figure, 1700, 560) as sheet:
        draw_calibration(sheet, {name: read_arrays(path) for name, path in zip(problems, curves, strict=True)})


if __name__ == "__main__":
    run(plot_calibration, snakemake)
