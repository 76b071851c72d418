"""Cluster lists made ready for a comparison: rows that can be used, and the sky that two lists share.

A list is a DataFrame with id, ra, dec (deg), `cell` and, where it has them, redshift, redshift_error, richness and
richness_error. A richness of NaN is missing; rows without a position or, in a list with redshifts, without a redshift
have been left out and counted.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from armillary.redmapper import read_cluster_list

MAX_REDSHIFT = 3.0  # beyond it a redshift is a wrong column, and distances are not tabulated
FULL_SKY_DEG2 = 360.0**2 / np.pi


class ClusterList(NamedTuple):
    """One list: its label, its clusters, and how many rows were read or had no value of a kind."""

    name: str
    clusters: pd.DataFrame
    n_rows: int
    n_missing: dict[str, int]  # position, redshift, richness -> rows

    def has(self, role: str) -> bool:
        """Whether the list has a column of this role."""
        return role in self.clusters

    def report(self) -> str:
        """One line: clusters read, and rows left out with the reason."""
        missing = self.n_missing
        parts = [
            f"{missing['position']} rows without a position on the sky left out" if missing["position"] else "",
            f"{missing['redshift']} without a redshift left out" if missing["redshift"] else "",
            f"{missing['richness']} without a richness left out of what needs one" if missing["richness"] else "",
            *(f"no column of {role}" for role in ("redshift", "richness") if not self.has(role)),
        ]
        return ", ".join([f"{self.name}: {len(self.clusters)} of {self.n_rows} clusters", *filter(None, parts)])


def read_list(path: str, settings: dict, key: str, cell_deg2: float) -> ClusterList:
    """The list of a file; `settings` holds its `name` and `columns`, `key` is their config key.

    Missing are: positions that are not finite or off the sky (ra is accepted from -180 to 360 deg), redshifts and
    richnesses that are not finite, 0 or negative, and redshifts above `MAX_REDSHIFT`. Raises ValueError for a list
    without rows, or without one usable value in a column that it has.
    """
    frame = read_cluster_list(path, settings.get("columns"), key)
    if frame.empty:
        raise ValueError(f"{path} holds no cluster ({key}: file)")
    on_sky = frame["ra"].between(-180.0, 360.0) & frame["dec"].between(-90.0, 90.0)
    _require_some(on_sky, path, key, "ra and dec", "in degrees, ra from -180 to 360, dec from -90 to 90")
    frame["ra"] %= 360.0
    n_missing, usable = {"position": int((~on_sky).sum()), "redshift": 0, "richness": 0}, on_sky
    if "redshift" in frame:
        usable = on_sky & (frame["redshift"] > 0) & (frame["redshift"] <= MAX_REDSHIFT)
        _require_some(usable, path, key, "redshift", f"above 0 and at most {MAX_REDSHIFT:g}")
        n_missing["redshift"] = int((on_sky & ~usable).sum())
    if "richness" in frame:
        frame["richness"] = frame["richness"].where((frame["richness"] > 0) & np.isfinite(frame["richness"]))
        _require_some(usable & frame["richness"].notna(), path, key, "richness", "above 0")
        n_missing["richness"] = int((usable & frame["richness"].isna()).sum())
    clusters = frame[usable].reset_index(drop=True)
    clusters["cell"] = sky_cells(clusters["ra"], clusters["dec"], cell_deg2)
    return ClusterList(settings.get("name") or _stem(path), clusters, len(frame), n_missing)


def _require_some(usable, path: str, key: str, role: str, bound: str) -> None:
    if not usable.any():
        raise ValueError(f"none of the {len(usable)} rows of {path} has a usable {role} ({bound}); see {key}: columns")


def _stem(path: str) -> str:
    """Name of a file without its folders and endings."""
    return str(path).replace("\\", "/").rpartition("/")[2].partition(".")[0]


def sky_cells(ra_deg, dec_deg, cell_deg2: float) -> np.ndarray:
    """Number of the cell of the sky that each position lies in: bands of declination cut into nearly square cells.

    Bands are sqrt(cell_deg2) high; a band has the whole number of cells that brings them nearest to `cell_deg2`
    (0.84 deg2 is the area of a HEALPix pixel of nside 64).
    """
    ra, dec = np.mod(np.asarray(ra_deg, float), 360.0), np.asarray(dec_deg, float)
    edges = np.linspace(-90.0, 90.0, max(round(180.0 / np.sqrt(cell_deg2)), 1) + 1)
    share = 0.5 * np.diff(np.sin(np.radians(edges)))
    n_cells = np.maximum(np.round(share * FULL_SKY_DEG2 / cell_deg2), 1).astype(int)
    band = np.clip(np.searchsorted(edges, dec, side="right") - 1, 0, len(n_cells) - 1)
    first = np.cumsum(n_cells) - n_cells
    return first[band] + np.minimum((ra / 360.0 * n_cells[band]).astype(int), n_cells[band] - 1)


def shifted(clusters: pd.DataFrame, distance_deg: float, angle_rad: float, cell_deg2: float) -> pd.DataFrame:
    """The clusters moved by a distance in one direction (from north through east), each along its great circle."""
    dec, distance = np.radians(clusters["dec"].to_numpy()), np.radians(distance_deg)
    sine = np.sin(dec) * np.cos(distance) + np.cos(dec) * np.sin(distance) * np.cos(angle_rad)
    east = np.sin(angle_rad) * np.sin(distance) * np.cos(dec)
    ra = clusters["ra"].to_numpy() + np.degrees(np.arctan2(east, np.cos(distance) - np.sin(dec) * sine))
    moved = clusters.assign(ra=np.mod(ra, 360.0), dec=np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0))))
    return moved.assign(cell=sky_cells(moved["ra"], moved["dec"], cell_deg2))


def in_box(clusters: pd.DataFrame, box: dict) -> np.ndarray:
    """Whether clusters lie in a box of `ra` [west, east] and `dec` [south, north] in deg; it may lie across 0 h."""
    (west, east), (south, north) = box["ra"], box["dec"]
    width = (east - west) % 360.0 or 360.0
    return ((clusters["ra"] - west) % 360.0 <= width).to_numpy() & clusters["dec"].between(south, north).to_numpy()


def box_area_deg2(box: dict) -> float:
    """Area of the box of `in_box`."""
    width = (box["ra"][1] - box["ra"][0]) % 360.0 or 360.0
    return float(width * np.degrees(np.diff(np.sin(np.radians(box["dec"])))[0]))


def rolled(clusters: pd.DataFrame, box: dict, ra_share: float, area_share: float) -> pd.DataFrame:
    """The clusters in a box moved by shares of its width and area; those that leave it come in at the other side."""
    inside = clusters[in_box(clusters, box)].reset_index(drop=True)
    west, width = box["ra"][0], (box["ra"][1] - box["ra"][0]) % 360.0 or 360.0
    low, high = np.sin(np.radians(box["dec"]))
    ra = west + ((inside["ra"] - west) % 360.0 + ra_share * width) % width
    sine = low + (np.sin(np.radians(inside["dec"])) - low + area_share * (high - low)) % (high - low)
    return inside.assign(ra=ra % 360.0, dec=np.degrees(np.arcsin(sine)))


def common_footprint(first: pd.DataFrame, second: pd.DataFrame, partner) -> tuple[np.ndarray, np.ndarray]:
    """Whether each cluster of first and of second lies where the other list looked.

    It does if the other list has a cluster in its cell besides its own counterpart `partner` (n_first,), the row in
    second or -1. Counting the counterpart itself would drop missed clusters more often than found ones.
    # ASSUME: a list has looked at the whole of a cell in which it has a cluster; ragged edges count as misses.
    """
    matched = np.flatnonzero(partner >= 0)
    same_cell = matched[first["cell"].to_numpy()[matched] == second["cell"].to_numpy()[partner[matched]]]
    own_first, own_second = np.zeros(len(first), int), np.zeros(len(second), int)
    own_first[same_cell], own_second[partner[same_cell]] = 1, 1
    return _others(first, second) > own_first, _others(second, first) > own_second


def _others(clusters, others) -> np.ndarray:
    """Number of clusters of `others` in the cell of each cluster."""
    counts = others["cell"].value_counts()
    return clusters["cell"].map(counts).fillna(0).to_numpy(int)
