"""Draw one held-out field: its clusters, the tiles that hold members, and what the encoder inferred."""

import numpy as np

from armillary.figures.fields import CLUSTER_RICHNESS, draw_field
from armillary.figures.rgb import sky_rgb
from armillary.figures.style import page
from armillary.files import read_arrays, read_catalog, read_catalog_meta, read_image
from armillary.step import run


def plot_field(
    catalogs: list[str], images: list[str], truth: str, predictions: str, figure: str, *, bands: list[str]
) -> None:
    """Show the field of the batch with most cluster members; `images` are field by field, band by band."""
    haloes = read_catalog(truth)
    numbers = [read_catalog_meta(path)["field"] for path in catalogs]
    k = int(np.argmax([members_inside(haloes[haloes["field"] == number]) for number in numbers]))
    pictures = [read_image(path) for path in images[k * len(bands) : (k + 1) * len(bands)]]
    membership, probability = maps_of_field(predictions, numbers[k])
    with page(figure, 1600, 1080) as sheet:
        draw_field(
            sheet,
            sky_rgb([image for image, _ in pictures], factor=max(1, len(pictures[0][0]) // 1280)),
            read_catalog(catalogs[k]),
            haloes[haloes["field"] == numbers[k]],
            membership,
            probability,
            image_size=len(pictures[0][0]),
            pixel_arcsec=3600.0 * abs(pictures[0][1]["CD2_2"]),
            title=f"Held-out field {numbers[k]}: {' '.join(bands[:3])} and its clusters",
        )


def members_inside(haloes) -> int:
    """Return the number of cluster members in the image."""
    return int(haloes["n_members_inside"][haloes["richness"] >= CLUSTER_RICHNESS].sum())


def maps_of_field(predictions: str, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the true membership and the inferred probability (T, T) of one field."""
    arrays = read_arrays(predictions)
    row = np.flatnonzero(arrays["field"] == number)
    if row.size == 0:
        raise ValueError(f"{predictions} holds no field {number}; infer the batch that the figure shows")
    return arrays["membership"][row[0]], arrays["probability"][row[0]]


if __name__ == "__main__":
    run(plot_field, snakemake)
