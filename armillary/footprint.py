"""Which sky a set of tiles covers, who owns it where tiles overlap, and where on it true clusters lie.

A *map* is a probability map of one tile with its place on the sky: dict of name, probability (ny, nx) with
NaN where nothing was observed, wcs, ra, dec (centre, deg) and radius_deg (of the circle round its corners).
Map cells are pixels of the probability map, [row, column] = [y, x].

*Encoder tiles* are the squares that the encoder gives a probability each: a table of x, y (lower-left corner,
native pixels from the corner of the image), size_px, ra, dec (centre, deg) and probability, with the image's wcs.
"""

import numpy as np

from armillary.cosmology import ARCSEC_PER_RADIAN, angular_diameter_distance_mpc, richness_radius_mpc
from armillary.files import read_header, read_image, read_table
from armillary.sky import pixel_of_sky, separation_arcsec, sky_of_pixel, wcs_of_header

NOBODY = -1
MARGIN_ARCSEC = 600.0  # more than an encoder tile
ENCODER_TILE_COLUMNS = ("x", "y", "size_px", "ra", "dec", "probability")


def read_map(path: str) -> dict:
    """The probability map of a FITS file with a celestial WCS."""
    probability, header = read_image(path)
    if not np.isfinite(probability).any():
        raise ValueError(f"{path} holds no finite probability: the tile is masked throughout")
    return map_of(path, probability.astype(float), wcs_of_header(header, path))


def read_encoder_tiles(path: str) -> tuple:
    """Table of the encoder's tiles of one survey tile, and the WCS of its image."""
    table, wcs = read_table(path), wcs_of_header(read_header(path, 1), path)
    missing = [name for name in ENCODER_TILE_COLUMNS if name not in table]
    if missing:
        raise ValueError(f"{path} has no column {', '.join(missing)}; it has {', '.join(table.columns)}")
    return table, wcs


def map_of(name: str, probability: np.ndarray, wcs) -> dict:
    """A map from its cells (ny, nx) and WCS."""
    ny, nx = probability.shape
    ra, dec = sky_of_pixel(nx / 2, ny / 2, wcs)
    corners = sky_of_pixel([0, nx, nx, 0], [0, 0, ny, ny], wcs)
    radius_deg = separation_arcsec(ra, dec, *corners).max() / 3600
    return {
        "name": name,
        "probability": probability,
        "wcs": wcs,
        "ra": float(ra),
        "dec": float(dec),
        "radius_deg": radius_deg,
    }


def owners(ra, dec, maps: list[dict]) -> np.ndarray:
    """Index of the map that owns each position (n,), -1 where none observed it.

    Where tiles overlap the one whose centre is nearest owns the sky, so that nothing is counted twice.
    """
    ra, dec = np.atleast_1d(ra).astype(float), np.atleast_1d(dec).astype(float)
    owner, nearest = np.full(ra.shape, NOBODY), np.full(ra.shape, np.inf)
    for index, each in enumerate(maps):
        distance = separation_arcsec(each["ra"], each["dec"], ra, dec)
        close = np.flatnonzero((distance <= each["radius_deg"] * 3600) & (distance < nearest))
        observed = close[np.isfinite(values_at(ra[close], dec[close], each))]
        owner[observed], nearest[observed] = index, distance[observed]
    return owner


def values_at(ra, dec, each: dict) -> np.ndarray:
    """Probability of the cell that holds each position (n,), NaN outside the map."""
    values = np.full(len(ra), np.nan)
    row, column, inside = cells_of(ra, dec, each)
    values[inside] = each["probability"][row[inside], column[inside]]
    return values


def cells_of(ra, dec, each: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row and column of the cell that holds each position, and which positions are on the map."""
    if len(ra) == 0:
        return np.zeros(0, int), np.zeros(0, int), np.zeros(0, bool)
    x, y = pixel_of_sky(ra, dec, each["wcs"])
    row, column = np.floor(y).astype(int), np.floor(x).astype(int)
    ny, nx = each["probability"].shape
    return row, column, (row >= 0) & (row < ny) & (column >= 0) & (column < nx)


def cell_centres(each: dict) -> tuple[np.ndarray, np.ndarray]:
    """(ra, dec) of the cell centres, each (ny, nx)."""
    rows, columns = np.mgrid[: each["probability"].shape[0], : each["probability"].shape[1]]
    ra, dec = sky_of_pixel(columns.ravel() + 0.5, rows.ravel() + 0.5, each["wcs"])
    return ra.reshape(rows.shape), dec.reshape(rows.shape)


def cell_area_deg2(each: dict) -> float:
    """Area of the map's central cell."""
    ny, nx = each["probability"].shape
    x, y = nx / 2 + np.array([0, 1, 0]), ny / 2 + np.array([0, 0, 1])
    ra, dec = sky_of_pixel(x, y, each["wcs"])
    sides = separation_arcsec(ra[0], dec[0], ra[1:], dec[1:]) / 3600
    return float(sides[0] * sides[1])


def member_presence(members, tiles, wcs) -> np.ndarray:
    """Probability that each encoder tile holds a member, 1 - prod(1 - p_mem) of the members in its square, (n,).

    A square holds its left and lower edge, not the right and upper one. members: ra, dec (deg), p_mem.
    """
    x, y, size = (tiles[name].to_numpy(float) for name in ("x", "y", "size_px"))
    absent = np.ones(len(tiles))
    near = members[near_tiles(members["ra"].to_numpy(), members["dec"].to_numpy(), tiles, MARGIN_ARCSEC)]
    if len(near) == 0:
        return 1.0 - absent
    member_x, member_y = pixel_of_sky(near["ra"], near["dec"], wcs)
    for column, row, p_mem in zip(member_x, member_y, near["p_mem"], strict=True):
        absent[(x <= column) & (column < x + size) & (y <= row) & (row < y + size)] *= 1.0 - p_mem
    return 1.0 - absent


def truth_from_discs(clusters, tiles) -> np.ndarray:
    """Which encoder tiles (n,) have their centre within R_lambda of a cluster.

    # ASSUME: without a member list, members fill the disc of R_lambda.
    """
    ra, dec = tiles["ra"].to_numpy(), tiles["dec"].to_numpy()
    truth = np.zeros(len(tiles), dtype=bool)
    radius = radius_arcsec(clusters["redshift"].to_numpy(), clusters["richness"].to_numpy())
    near = near_tiles(clusters["ra"].to_numpy(), clusters["dec"].to_numpy(), tiles, radius)
    for cluster_ra, cluster_dec, size in clusters.assign(size=radius)[near][["ra", "dec", "size"]].itertuples(
        index=False
    ):
        truth |= separation_arcsec(cluster_ra, cluster_dec, ra, dec) <= size
    return truth


def near_tiles(ra, dec, tiles, margin_arcsec) -> np.ndarray:
    """Which positions (n,) are no farther from the first encoder tile than the farthest tile and a margin."""
    if len(tiles) == 0:
        return np.zeros(len(ra), bool)
    first = tiles["ra"].iloc[0], tiles["dec"].iloc[0]
    extent = separation_arcsec(*first, tiles["ra"].to_numpy(), tiles["dec"].to_numpy()).max()
    return separation_arcsec(*first, ra, dec) <= extent + margin_arcsec


def radius_arcsec(redshift, richness) -> np.ndarray:
    """Angle of R_lambda."""
    return richness_radius_mpc(richness) / angular_diameter_distance_mpc(redshift) * ARCSEC_PER_RADIAN


def disc_inside(x, y, radius_px, image_size: int) -> np.ndarray:
    """Share of discs (n,) that lies in an image of image_size x image_size pixels, to about a hundredth."""
    radii = np.sqrt((np.arange(10) + 0.5) / 10)  # of rings of equal area
    angles = 2 * np.pi / 40 * (np.arange(40) + 0.5)
    offset_x, offset_y = (np.outer(radii, f(angles)).ravel() for f in (np.cos, np.sin))
    radius = np.asarray(radius_px, float)[:, None]
    px, py = np.asarray(x)[:, None] + radius * offset_x, np.asarray(y)[:, None] + radius * offset_y
    return ((px >= 0) & (px < image_size) & (py >= 0) & (py < image_size)).mean(1)


def corner_boxes(corners_ra, corners_dec) -> np.ndarray:
    """Boxes (n, 4) of (ra_centre, half width in ra, dec_min, dec_max) round tile corners (n, 4) each, in
    degrees.

    Right ascensions are taken relative to the first corner, so a tile across 0 h keeps its true width.
    """
    corners_ra, corners_dec = np.atleast_2d(corners_ra), np.atleast_2d(corners_dec)
    offset = (corners_ra - corners_ra[:, :1] + 180.0) % 360.0 - 180.0
    middle, half = 0.5 * (offset.max(1) + offset.min(1)), 0.5 * np.ptp(offset, axis=1)
    return np.column_stack([(corners_ra[:, 0] + middle) % 360.0, half, corners_dec.min(1), corners_dec.max(1)])


def in_boxes(ra, dec, boxes: np.ndarray) -> np.ndarray:
    """Which positions (n,) lie in at least one box of `corner_boxes`."""
    ra, dec = np.asarray(ra, dtype=float), np.asarray(dec, dtype=float)
    inside = np.zeros(ra.shape, dtype=bool)
    for centre, half, low, high in boxes:
        inside |= (np.abs((ra - centre + 180.0) % 360.0 - 180.0) <= half) & (dec >= low) & (dec <= high)
    return inside


def restrict(catalog, inside, name: str):
    """The rows inside the footprint; ValueError naming the catalogue when there is none."""
    inside = np.asarray(inside, dtype=bool)
    if not inside.any():
        raise ValueError(
            f"none of the {len(inside)} clusters of {name} lies in the footprint of the tiles: give the tiles of "
            "that sky (clusters: infer_tile: tiles), or a list of this one (clusters: score_redmapper: clusters_file)"
        )
    return catalog[inside].reset_index(drop=True)
