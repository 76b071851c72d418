"""Draw how often 68 % intervals of posterior samples hold the truth of held-out skies, in bins of convergence."""

from armillary.figures.massmaps import draw_calibration
from armillary.figures.style import page
from armillary.files import read_arrays
from armillary.step import run


def plot_calibration(curves: str, figure: str) -> None:
    arrays = read_arrays(curves)
    methods = [
        name
        for name in [*arrays["methods"], "control"]
        if {f"{name}_coverage_sky", f"{name}_interval_sky"} & set(arrays)
    ]
    with page(figure, 1600, 700) as sheet:
        draw_calibration(sheet, arrays, methods)


if __name__ == "__main__":
    run(plot_calibration, snakemake)
