"""Write a page on which a survey tile can be looked at: bands, probabilities, reference clusters, detections."""

from pathlib import Path

from armillary.figures.fields import tile_colours
from armillary.figures.rgb import sky_grey, sky_rgb
from armillary.figures.tiles import count_line
from armillary.files import read_catalog, read_image, read_json
from armillary.pages import picture_address, render_page
from armillary.step import run
from armillary.tile_pictures import binned_image, cluster_label, placed_objects, tile_title


def plot_tile(
    images: list[str],
    probability_map: str,
    probability_maps: list[str],
    catalog: list[str],
    truth: list[str],
    matches: str,
    metrics: str,
    templates: list[str],
    html: str,
    *,
    tile: str,
    bands: list[str],
    source: str,
    redshift_edges: list[float],
    richness_edges: list[float],
    pages: list[dict],
) -> None:
    """`images` are in the order of `bands`; `matches` are the score's verdicts on detections and on `catalog`; `truth`
    is the truth table of a simulated tile, none of an observed one; `probability_maps` are those of all scored tiles.
    """
    edges = {"redshift_edges": redshift_edges, "richness_edges": richness_edges}
    verdicts = read_catalog(matches)
    clusters, detections, frame = placed_objects(images[0], tile, catalog, verdicts, probability_maps, **edges)
    binned = [binned_image(path) for path in images]
    probability, header = read_image(probability_map)
    size = frame["image_size"]
    layers = {"colour": sky_rgb(binned[:3])} | {
        band: sky_grey(image) for band, image in zip(bands, binned, strict=True)
    }
    extent = [n * 3600.0 * abs(header["CD2_2"]) / frame["pixel_arcsec"] / size for n in probability.shape]
    text = render_page(
        Path(templates[0]).parent, "tile.html", here="clusters", title=tile_title(tile, truth, source), root="../",
        pages=pages, counts=count_line(clusters, detections), cluster_label=cluster_label(truth),
        layers={name: picture_address(layer, "JPEG") for name, layer in layers.items()},
        probability=picture_address(tile_colours(probability), "PNG"), map_height=f"{100 * extent[0]:.3f}",
        map_width=f"{100 * extent[1]:.3f}", truth=_shares(clusters, size), detections=_shares(detections, size),
        provenance=read_json(Path(metrics).parent / "provenance/summarise_metrics.json"),
    )  # fmt: skip
    Path(html).write_text(text)


def _shares(objects, image_size: int) -> list[dict]:
    """Places and radii in thousandths of the image's side, y from the top, with a text for each object."""
    scale = 1000.0 / image_size
    return [
        {
            "x": round(row.x * scale, 2),
            "y": round(1000.0 - row.y * scale, 2),
            "radius": round(getattr(row, "radius_px", 0.0) * scale, 2),
            "matched": bool(row.matched),
            "counted": bool(row.counted),
            "text": f"richness {row.richness:.0f}, redshift {row.redshift:.3f}"
            + (f", probability {row.probability:.2f}" if hasattr(row, "probability") else ""),
        }
        for row in objects.itertuples()
    ]


if __name__ == "__main__":
    run(plot_tile, snakemake)
