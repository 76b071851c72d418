"""Draw the scored survey tiles, a panel each, with their reference clusters and the detections."""

from pathlib import Path

import pandas as pd

from armillary.figures.rgb import sky_rgb
from armillary.figures.style import page
from armillary.figures.tiles import MOST_COLUMNS, count_line, draw_tiles
from armillary.files import read_catalog
from armillary.step import run
from armillary.tile_pictures import binned_image, cluster_label, placed_objects, simulated_from

PANEL_PX = 500


def plot_tiles(
    images: list[str],
    probability_maps: list[str],
    catalog: list[str],
    truths: list[str],
    matches: str,
    figure: str,
    *,
    tiles: list[str],
    redshift_edges: list[float],
    richness_edges: list[float],
) -> None:
    """`images` are those of all `tiles`, each in wavelength order; `truths` are the truth tables of simulated tiles,
    none of observed ones; the rest as in `plot_tile`.
    """
    verdicts, panels = read_catalog(matches), []
    for number, tile in enumerate(tiles):
        own = [path for path in images if Path(path).name.startswith(f"{tile}_")]
        truth, detections, frame = placed_objects(
            own[0],
            tile,
            catalog,
            verdicts,
            probability_maps,
            redshift_edges=redshift_edges,
            richness_edges=richness_edges,
        )
        rgb = sky_rgb([binned_image(path, PANEL_PX) for path in own[:3]])
        kind = simulated_from(truths[number]) if truths else ""
        panels.append({"rgb": rgb, "truth": truth, "detections": detections, "name": tile, "kind": kind, **frame})
    n_rows = -(-len(tiles) // MOST_COLUMNS)
    with page(figure, 1600, 150 + 570 * n_rows) as sheet:
        draw_tiles(sheet, panels, title=sum_title(panels, bool(truths)), cluster_label=cluster_label(truths))


def sum_title(panels: list[dict], is_simulated: bool) -> str:
    """Number and kind of tiles and what was found on all of them."""
    truth, detections = (pd.concat([panel[name] for panel in panels]) for name in ("truth", "detections"))
    kind = "simulated DES tiles" if is_simulated else "DES tiles"
    return f"{len(panels)} {kind}: {count_line(truth, detections)}"


if __name__ == "__main__":
    run(plot_tiles, snakemake)
