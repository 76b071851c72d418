"""Draw the sampled sky: counts, colours, redshifts, sizes, shapes and the richness function."""

from armillary.figures.catalogs import draw_catalogs
from armillary.figures.style import page
from armillary.files import read_catalog, read_catalog_meta
from armillary.step import run


def plot_catalogs(catalogs: list[str], truths: list[str], figure: str) -> None:
    """Draw all fields of `catalogs` together; `truths` are the tables of the same batches."""
    import pandas as pd

    sources = pd.concat([read_catalog(path) for path in catalogs], ignore_index=True)
    haloes = pd.concat([read_catalog(path) for path in truths], ignore_index=True)
    meta = read_catalog_meta(catalogs[0])
    side_deg = meta["image_size"] * meta["pixel_arcsec"] / 3600.0
    is_inside = haloes["x"].between(0, meta["image_size"]) & haloes["y"].between(0, meta["image_size"])
    with page(figure, 1600, 1000) as sheet:
        draw_catalogs(sheet, sources, haloes[is_inside], area_deg2=len(catalogs) * side_deg**2)


if __name__ == "__main__":
    run(plot_catalogs, snakemake)
