"""Draw a survey tile with its reference clusters, our detections and the probability map."""

from armillary.figures.rgb import sky_rgb
from armillary.figures.style import page
from armillary.figures.tiles import draw_tile
from armillary.files import read_catalog, read_image
from armillary.step import run
from armillary.tile_pictures import binned_image, placed_objects


def plot_tile(
    images: list[str], probability_map: str, catalog: list[str], matches: str, figure: str, *, tile: str
) -> None:
    """`images` are in wavelength order; `matches` are the score's verdicts on detections and on `catalog`."""
    truth, detections, frame = placed_objects(images[0], catalog, read_catalog(matches))
    probability, map_header = read_image(probability_map)
    with page(figure, 1600, 900) as sheet:
        draw_tile(
            sheet,
            sky_rgb([binned_image(path) for path in images[:3]]),
            probability,
            truth,
            detections,
            **frame,
            cell_arcsec=3600.0 * abs(map_header["CD2_2"]),
            title=tile,
        )


if __name__ == "__main__":
    run(plot_tile, snakemake)
