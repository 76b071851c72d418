"""Draw two cluster lists against each other: completeness, redshift, richness, positions."""

from armillary.figures.comparison import draw_comparison
from armillary.figures.style import page
from armillary.files import read_catalog, read_catalog_meta, read_json
from armillary.step import run


def plot_comparison(metrics: str, bins: str, matches: str, figure: str, *, match_radius_mpc: float) -> None:
    names = read_catalog_meta(matches)
    with page(figure, 2400, 1400) as sheet:
        draw_comparison(
            sheet,
            read_catalog(bins),
            read_catalog(matches),
            read_json(metrics),
            names=(names["first"], names["second"]),
            match_radius_mpc=match_radius_mpc,
        )


if __name__ == "__main__":
    run(plot_comparison, snakemake)
