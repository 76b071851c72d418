"""Draw a survey tile with its reference clusters, the detections and the probability map."""

from armillary.figures.rgb import sky_rgb
from armillary.figures.style import page
from armillary.figures.tiles import draw_tile
from armillary.files import read_catalog, read_image
from armillary.step import run
from armillary.tile_pictures import binned_image, cluster_label, placed_objects, tile_title


def plot_tile(
    images: list[str],
    probability_map: str,
    probability_maps: list[str],
    catalog: list[str],
    truth: list[str],
    matches: str,
    figure: str,
    *,
    tile: str,
    source: str,
    redshift_edges: list[float],
    richness_edges: list[float],
) -> None:
    """`images` are in wavelength order; `matches` are the score's verdicts on detections and on `catalog`; `truth` is
    the truth table of a simulated tile, none of an observed one; `probability_maps` are those of all scored tiles.
    """
    edges = {"redshift_edges": redshift_edges, "richness_edges": richness_edges}
    verdicts = read_catalog(matches)
    clusters, detections, frame = placed_objects(images[0], tile, catalog, verdicts, probability_maps, **edges)
    probability, map_header = read_image(probability_map)
    with page(figure, 1600, 900) as sheet:
        draw_tile(
            sheet,
            sky_rgb([binned_image(path) for path in images[:3]]),
            probability,
            clusters,
            detections,
            **frame,
            cell_arcsec=3600.0 * abs(map_header["CD2_2"]),
            title=tile_title(tile, truth, source),
            cluster_label=cluster_label(truth),
        )


if __name__ == "__main__":
    run(plot_tile, snakemake)
