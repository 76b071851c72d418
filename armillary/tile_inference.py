"""A trained encoder over a whole coadd tile: windows in, merged maps and one list of clusters out."""

import os
from typing import NamedTuple

import numpy as np
import pandas as pd

from armillary.des import TileImages
from armillary.inference import Encoder, clusters_of, raw_windows, readable
from armillary.percolation import without_fragments
from armillary.sky import sky_of_pixel
from armillary.step import progress
from armillary.tile_results import CELL_VALUES, MAPS
from armillary.windows import MergedMaps, owner, stream_windows, unique_detections, window_origins


class TileResult(NamedTuple):
    """What the encoder says of one tile."""

    maps: dict[str, np.ndarray]  # MAPS, float32 (n_rows, n_columns) of map pixels, NaN where nothing is valid
    clusters: pd.DataFrame  # ra dec x y probability redshift redshift_error richness richness_error
    sky_sigma: np.ndarray  # (C,) counts per pixel, NaN for a missing band
    valid_fraction: np.ndarray  # (C,) of the pixels that the windows hold
    cells: pd.DataFrame  # tiles of the encoder: x y size_px ra dec CELL_VALUES; see `owned_cells`


def infer_tile_images(
    encoder: Encoder,
    tile: TileImages,
    *,
    min_overlap: int,
    map_pixel_px: int,
    threshold: float,
    min_valid_fraction: float,
    class_prior: str,
    n_threads: int,
) -> TileResult:
    """Stream a tile's windows through the encoder and merge what it says.

    min_overlap [px] of neighbouring windows; map_pixel_px image pixels in a map pixel; threshold of the
    detection probability; tiles with less than min_valid_fraction of valid pixels in the bands present say
    nothing (NaN).
    """
    window_size, origins = (
        encoder.image_size,
        [window_origins(n, encoder.image_size, min_overlap) for n in tile.shape],
    )
    sizes = {"window_size": window_size, "tile_size": encoder.tile_size}
    merged, sky_sigma = MergedMaps(tile.shape, **sizes, map_pixel_px=map_pixel_px), tile.sky_sigma()
    tables, cells, valid_fractions = [], [], []
    windows = stream_windows(
        tile.readers, tile.shape, window_size=window_size, min_overlap=min_overlap, n_threads=n_threads
    )
    for number, window in enumerate(progress(windows, "windows", n_items=len(origins[0]) * len(origins[1]))):
        valid = valid_fraction(window.images, encoder.tile_size)  # (C, T, T)
        valid_fractions.append(valid.mean((1, 2)))
        raw = raw_windows(encoder, window.images[None], sky_sigma)
        seen = valid[np.isfinite(sky_sigma)].mean(0) >= min_valid_fraction
        found = clusters_of(encoder, raw[0], seen, threshold=threshold, class_prior=class_prior)
        tables.append(found.assign(window=number, window_y=window.y, window_x=window.x))
        maps = {name: value[0] for name, value in readable(encoder, raw, class_prior=class_prior).items()}
        maps["richness"] = np.exp(maps["ln_richness"])
        merged.add(window.y, window.x, {name: np.where(seen, maps[name], np.nan) for name in MAPS})
        cells.append(owned_cells(maps, seen, (window.y, window.x), origins, **sizes))
    clusters = joined_detections(tables, origins, window_size, radius_px=encoder.tile_size)
    clusters = without_fragments(clusters, encoder.pixel_arcsec)
    ra, dec = sky_of_pixel(clusters.x, clusters.y, tile.wcs) if len(clusters) else ([], [])
    clusters.insert(0, "ra", ra)
    clusters.insert(1, "dec", dec)
    placed = with_sky_positions(pd.concat(cells, ignore_index=True), tile.wcs)
    return TileResult(merged.result(), clusters, sky_sigma, np.mean(valid_fractions, 0), placed)


def valid_fraction(images: np.ndarray, tile_size: int) -> np.ndarray:
    """Fraction of finite pixels in each tile of each band: (C, H, W) -> (C, T, T)."""
    n_bands, height, width = images.shape
    blocks = np.isfinite(images).reshape(n_bands, height // tile_size, tile_size, width // tile_size, tile_size)
    return blocks.mean((2, 4))


def owned_cells(
    maps: dict[str, np.ndarray],
    seen: np.ndarray,
    corner: tuple[int, int],
    origins: list,
    *,
    window_size: int,
    tile_size: int,
) -> pd.DataFrame:
    """The tiles (T, T) of a window that it owns and that are `seen`, a row each: x y size_px and CELL_VALUES.

    x, y are the native pixels of the lower-left corner, counted from the corner of the image; `corner` is that of the
    window (y, x). A window owns the tiles whose centre is nearest to its own centre, of all windows. Where the grids of
    two windows do not line up, tiles of both meet or overlap by less than a tile along the seam.
    """
    first_px = np.arange(seen.shape[0]) * tile_size
    owned = [
        start[owner(value + first_px + tile_size / 2, start, window_size)] == value
        for value, start in zip(corner, origins, strict=True)
    ]
    row, column = np.nonzero(np.logical_and.outer(*owned) & seen)
    place = {"x": corner[1] + first_px[column], "y": corner[0] + first_px[row]}
    columns = {name: value.astype(np.int32) for name, value in place.items()} | {"size_px": np.int32(tile_size)}
    return pd.DataFrame(columns | {name: maps[name][row, column].astype(np.float32) for name in CELL_VALUES})


def with_sky_positions(cells: pd.DataFrame, wcs) -> pd.DataFrame:
    """The cells with ra, dec [deg] of their centres."""
    half = cells["size_px"] / 2
    ra, dec = sky_of_pixel(cells["x"] + half, cells["y"] + half, wcs) if len(cells) else ([], [])
    placed = cells.copy()
    placed.insert(3, "ra", np.asarray(ra, float))
    placed.insert(4, "dec", np.asarray(dec, float))
    return placed


def joined_detections(tables: list[pd.DataFrame], origins: list, window_size: int, radius_px: float) -> pd.DataFrame:
    """The windows' detections in tile pixels, each cluster once, most probable first.

    Where windows overlap, the window whose centre is nearest owns a position and its detection is kept;
    another window's detection within `radius_px` of it and at its redshift is the same cluster.
    """
    found = pd.concat(tables, ignore_index=True)
    found["x"] += found.window_x
    found["y"] += found.window_y
    y_origins, x_origins = origins
    owned = (y_origins[owner(found.y.to_numpy(), y_origins, window_size)] == found.window_y) & (
        x_origins[owner(found.x.to_numpy(), x_origins, window_size)] == found.window_x
    )
    columns = (found[name].to_numpy(float) for name in ("x", "y", "probability"))
    redshift = found.redshift.to_numpy(float)
    kept = unique_detections(*columns, owned.to_numpy(bool), found.window.to_numpy(), redshift, radius_px)
    clusters = found[kept].drop(columns=["window", "window_y", "window_x"])
    return clusters.sort_values("probability", ascending=False, ignore_index=True)


def images_of_tile(images: list[str], tile: str, bands: list[str]) -> list[str | None]:
    """From the images of many tiles those of one, a path or None for each band."""
    mine = {path for path in images if os.path.basename(path).startswith(f"{tile}_")}
    of_band = [sorted(p for p in mine if f"{band}_nobkg.fits" in os.path.basename(p)) for band in bands]
    if not any(of_band):
        raise FileNotFoundError(f"no image of tile {tile} in bands {', '.join(bands)} among {len(images)} files")
    return [paths[-1] if paths else None for paths in of_band]
