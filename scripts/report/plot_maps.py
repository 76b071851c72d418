"""Write a page on which the mass maps of a field can be looked at, one method after the other, on one colour scale."""

from pathlib import Path

import numpy as np

from armillary.figures.massmaps import LABELS, map_colours, map_range
from armillary.files import read_json
from armillary.mass_pictures import field_maps
from armillary.pages import picture_address, render_page
from armillary.step import run

MARGIN_PX = 3  # of a map, around its data
PICTURE_PX = 800  # least side of a picture: small maps are enlarged by whole pixels


def plot_maps(
    shear: str, maps: list[str], truths: list[str], clusters: list[str], metrics: str, templates: list[str], html: str,
    *, field: str, methods: list[str], cluster_columns: list[int], pages: list[dict],
) -> None:  # fmt: skip
    names = [LABELS[method] for method in methods]
    shown, mask, _, places = field_maps(shear, maps, truths, clusters, names=names, cluster_columns=cluster_columns)
    low, high = map_range(shown, mask)
    row, column = (_around(mask.any(axis=1 - axis)) for axis in (0, 1))
    side = max(row.stop - row.start, column.stop - column.start)
    enlarged = -(-PICTURE_PX // side)
    layers = {}
    for name, image in shown.items():
        colours = map_colours(image, mask, low, high)[row, column]
        picture = np.ones((side, side, 3))
        picture[: len(colours), : colours.shape[1]] = colours
        layers[name] = picture_address(picture.repeat(enlarged, 0).repeat(enlarged, 1), "PNG")
    text = render_page(
        Path(templates[0]).parent, "maps.html", here="massmap", title=f"Mass maps of {field}", root="../", pages=pages,
        layers=layers, clusters=_shares(places, side, column.start, row.start),
        scale=f"convergence {low:.3f} (black) to {high:.3f} (pale)",
        provenance=read_json(Path(metrics).parent / "provenance/summarise_metrics.json"),
    )  # fmt: skip
    Path(html).write_text(text)


def _around(has_data: np.ndarray) -> slice:
    """The part of an axis that has data, with MARGIN_PX of the rest."""
    (places,) = np.nonzero(has_data)
    return slice(max(places[0] - MARGIN_PX, 0), min(places[-1] + 1 + MARGIN_PX, len(has_data)))


def _shares(places: np.ndarray | None, side: int, first_column: int, first_row: int) -> list[dict]:
    """Places in thousandths of the picture's side, y from the top."""
    if places is None:
        return []
    x, y = 1000.0 * (places - [first_column, first_row]).T / side
    return [{"x": round(one, 1), "y": round(1000.0 - other, 1)} for one, other in zip(x, y, strict=True)]


if __name__ == "__main__":
    run(plot_maps, snakemake)
