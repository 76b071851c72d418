"""A survey tile for the eye: its pixels binned, and what was found and what was to be found in their places."""

import numpy as np

from armillary.cosmology import pixels_per_mpc, richness_radius_mpc
from armillary.figures.rgb import block_mean, block_rows
from armillary.files import read_image_header, read_image_rows
from armillary.sky import pixel_of_sky, wcs_of_header

PICTURE_PX = 1250


def binned_image(path: str) -> np.ndarray:
    """An image averaged to about PICTURE_PX a side, never holding more than a strip of it."""
    extension, (height, _), _ = read_image_header(path)
    factor = max(1, height // PICTURE_PX)
    return np.concatenate(
        [block_mean(read_image_rows(path, extension, *rows), factor) for rows in block_rows(height, factor)]
    )


def judged_clusters(catalog: list[str], verdicts):
    """The catalogue's clusters that the score took into account, with whether each was found (matched)."""
    from armillary.redmapper import read_cluster_lists  # pandas with it: figure steps start without

    judged = verdicts[verdicts["cluster_id"] > 0]
    found = judged["cluster_id"][judged["status"] == "matched"]
    clusters = read_cluster_lists(catalog)
    clusters = clusters[clusters["cluster_id"].isin(judged["cluster_id"])]
    return clusters.assign(matched=clusters["cluster_id"].isin(found))


def place(objects, header: dict, image_size: int, name: str):
    """The objects inside the image, with their pixel coordinates x and y; `name` for errors."""
    x, y = pixel_of_sky(objects["ra"], objects["dec"], wcs_of_header(header, name))
    is_inside = (x >= 0) & (x < image_size) & (y >= 0) & (y < image_size)
    return objects.assign(x=x, y=y)[is_inside].reset_index(drop=True)


def placed_objects(image: str, catalog: list[str], verdicts) -> tuple:
    """Clusters with x, y, radius_px and matched; detections with x, y and matched; the image's size and pixel."""
    _, (image_size, _), header = read_image_header(image)
    frame = {"image_size": image_size, "pixel_arcsec": 3600.0 * abs(header["CD2_2"])}
    truth = place(judged_clusters(catalog, verdicts), header, image_size, image)
    radius_px = richness_radius_mpc(truth["richness"]) * pixels_per_mpc(truth["redshift"], frame["pixel_arcsec"])
    detections = place(verdicts[verdicts["status"] != "missed"], header, image_size, image)
    matched = detections["status"] == "matched"
    return truth.assign(radius_px=radius_px), detections.assign(matched=matched), frame
