"""Draw the maps of a field by all methods on one colour scale, with its clusters; the truth first where it is known."""

from armillary.figures.massmaps import LABELS, draw_maps
from armillary.figures.style import page
from armillary.mass_pictures import field_maps
from armillary.step import run


def plot_maps(
    shear: str, maps: list[str], truths: list[str], clusters: list[str], figure: str, *, methods: list[str],
    cluster_columns: list[int]
) -> None:  # fmt: skip
    names = [LABELS[method] for method in methods]
    field = field_maps(shear, maps, truths, clusters, names=names, cluster_columns=cluster_columns)
    with page(figure, 2000, 1000) as sheet:
        draw_maps(sheet, *field)


if __name__ == "__main__":
    run(plot_maps, snakemake)
