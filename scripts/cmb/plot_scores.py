"""Draw the correlation of network and baselines with the truth against the multipole."""

from armillary.figures.cmb import draw_scores
from armillary.figures.style import page
from armillary.files import read_arrays
from armillary.step import run


def plot_scores(curves: str, limits: str, figure: str, *, targets: list[str]) -> None:
    """`limits` are the curves of the estimators on the same sky."""
    found = read_arrays(limits)
    analytic = {name: found[f"{name}_rho"] for name in ("k_limit", "k_limit_eb")}
    with page(figure, 800 * len(targets), 900) as sheet:
        draw_scores(sheet, read_arrays(curves), targets, analytic)


if __name__ == "__main__":
    run(plot_scores, snakemake)
