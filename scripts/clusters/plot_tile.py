"""Draw a survey tile with its reference clusters, our detections and the probability map."""

import numpy as np

from armillary.cosmology import pixels_per_mpc, richness_radius_mpc
from armillary.figures.rgb import block_mean, block_rows, sky_rgb
from armillary.figures.style import page
from armillary.figures.tiles import draw_tile
from armillary.files import read_catalog, read_image, read_image_header, read_image_rows
from armillary.sky import pixel_of_sky, wcs_of_header
from armillary.step import run

PICTURE_PX = 1250


def plot_tile(
    images: list[str], probability_map: str, catalog: list[str], matches: str, figure: str, *, tile: str
) -> None:
    """`images` are in wavelength order; `matches` are the score's verdicts on detections and on `catalog`."""
    _, (image_size, _), header = read_image_header(images[0])
    pixel_arcsec = 3600.0 * abs(header["CD2_2"])
    verdicts = read_catalog(matches)
    truth = place(judged_clusters(catalog, verdicts), header, image_size, images[0])
    detections = place(verdicts[verdicts["status"] != "missed"], header, image_size, images[0])
    radius_px = richness_radius_mpc(truth["richness"]) * pixels_per_mpc(truth["redshift"], pixel_arcsec)
    probability, map_header = read_image(probability_map)
    with page(figure, 1600, 900) as sheet:
        draw_tile(
            sheet,
            sky_rgb([binned_image(path) for path in images[:3]]),
            probability,
            truth.assign(radius_px=radius_px),
            detections.assign(matched=detections["status"] == "matched"),
            image_size=image_size,
            pixel_arcsec=pixel_arcsec,
            cell_arcsec=3600.0 * abs(map_header["CD2_2"]),
            title=tile,
        )


def judged_clusters(catalog: list[str], verdicts):
    """Return the catalogue's clusters that the score took into account, with whether each was found."""
    from armillary.redmapper import read_cluster_lists

    judged = verdicts[verdicts["cluster_id"] > 0]
    found = judged["cluster_id"][judged["status"] == "matched"]
    clusters = read_cluster_lists(catalog)
    clusters = clusters[clusters["cluster_id"].isin(judged["cluster_id"])]
    return clusters.assign(matched=clusters["cluster_id"].isin(found))


def place(objects, header: dict, image_size: int, name: str):
    """Return the objects inside the image, with their pixel coordinates x and y."""
    x, y = pixel_of_sky(objects["ra"], objects["dec"], wcs_of_header(header, name))
    is_inside = (x >= 0) & (x < image_size) & (y >= 0) & (y < image_size)
    return objects.assign(x=x, y=y)[is_inside].reset_index(drop=True)


def binned_image(path: str) -> np.ndarray:
    """Return an image averaged to about PICTURE_PX a side, never holding more than a strip of it."""
    extension, (height, _), _ = read_image_header(path)
    factor = max(1, height // PICTURE_PX)
    return np.concatenate(
        [block_mean(read_image_rows(path, extension, *rows), factor) for rows in block_rows(height, factor)]
    )


if __name__ == "__main__":
    run(plot_tile, snakemake)
