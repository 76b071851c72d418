"""Survey tiles as pictures: binned pixels, reference clusters and detections in their places, names for titles."""

import re
from pathlib import Path

import numpy as np

from armillary.cosmology import pixels_per_mpc, richness_radius_mpc
from armillary.figures.rgb import block_mean, block_rows
from armillary.files import read_catalog_meta, read_image_header, read_image_rows
from armillary.sky import pixel_of_sky, wcs_of_header

PICTURE_PX = 1250
DES_LIST = re.compile(r"\bDES[ _]?(Y\d)[ _](?:redmapper|clusters)", re.IGNORECASE)


def binned_image(path: str, picture_px: int = PICTURE_PX) -> np.ndarray:
    """An image averaged to about `picture_px` a side, never holding more than a strip of it."""
    extension, (height, _), _ = read_image_header(path)
    factor = max(1, height // picture_px)
    return np.concatenate(
        [block_mean(read_image_rows(path, extension, *rows), factor) for rows in block_rows(height, factor)]
    )


def tile_title(tile: str, truth: list[str], source: str) -> str:
    """Name of a tile that tells simulated from observed pixels and names the list that simulated clusters come from.

    truth: the truth table of a simulated tile, none of an observed one; source: `infer_tile: source`.
    """
    if not truth:
        return f"DES DR2 tile {tile}" if source == "release" else f"DES tile {tile}"
    return f"{tile}, {simulated_from(truth[0])}"


def simulated_from(truth: str) -> str:
    """Origin of the clusters of a simulated tile, from the header of its truth table."""
    source = read_catalog_meta(truth).get("source", "prior")
    return "simulated sky" if "prior" in source else f"simulated: clusters of {list_name(source)}"


def list_name(source: str) -> str:
    """Name of a cluster list for a title, from the words or the path that end in its file."""
    known = DES_LIST.search(Path(source).name)
    return f"DES {known[1].upper()} redMaPPer" if known else Path(source).name.partition(".")[0]


def cluster_label(truth: list[str]) -> str:
    """Name of a reference cluster in legends; `truth` as in `tile_title`."""
    return "simulated cluster" if truth else "redMaPPer cluster"


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


def placed_objects(
    image: str,
    tile: str,
    catalog: list[str],
    verdicts,
    probability_maps: list[str],
    *,
    redshift_edges: list[float],
    richness_edges: list[float],
) -> tuple:
    """Clusters with x, y, radius_px; detections with x, y; both with matched and counted; size and pixel of the image.

    Counted are those that `score_redmapper` counts for this tile: in the part of the sky that it owns (of all
    `probability_maps`, its own among them), between the first and the last redshift edge, clusters from the first
    richness edge on.
    """
    from armillary.footprint import owners, read_map  # pandas with them: figure steps start without
    from armillary.skyscores import between, is_scored

    _, (image_size, _), header = read_image_header(image)
    frame = {"image_size": image_size, "pixel_arcsec": 3600.0 * abs(header["CD2_2"])}
    maps = [read_map(path) for path in probability_maps]
    own = [Path(path).name for path in probability_maps].index(f"{tile}_probability.fits")
    span = redshift_edges[0], redshift_edges[-1]
    truth = place(judged_clusters(catalog, verdicts), header, image_size, image)
    radius_px = richness_radius_mpc(truth["richness"]) * pixels_per_mpc(truth["redshift"], frame["pixel_arcsec"])
    owned = owners(truth["ra"], truth["dec"], maps) == own
    truth = truth.assign(radius_px=radius_px, counted=owned & is_scored(truth, span, richness_edges[0]))
    detections = place(verdicts[verdicts["status"] != "missed"], header, image_size, image)
    owned = owners(detections["ra"], detections["dec"], maps) == own
    counted = owned & between(detections["redshift"], *span)
    return truth, detections.assign(matched=detections["status"] == "matched", counted=counted), frame
