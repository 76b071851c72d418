"""Windows of a whole tile: where they lie, how they stream from strips of rows, how their maps are merged.

A DES coadd tile (10 000 px) is cut into overlapping windows of the size that the encoder was trained on
(2560 px: origins 0, 2480, 4960, 7440). Windows come row by row of the window grid, from a buffer that holds
one strip of rows while the next strip is being decoded, so memory is two strips and not the tile.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple

import numpy as np

ROWS_PER_TASK = 256
# ASSUME: the redshifts of one cluster in two windows differ by less than this times 1 + z.
DUPLICATE_DZ = 0.05


def check_tiling(image_size: int, tile_size: int, bin_factor: int) -> int:
    """Number of tiles along a side; the image must hold whole tiles and the tile whole binned pixels."""
    if image_size % tile_size:
        raise ValueError(
            f"clusters: image_size is {image_size} px, not a multiple of tile_size {tile_size} px; "
            f"try {image_size // tile_size * tile_size or tile_size}"
        )
    tile_pixels, rest = divmod(tile_size, bin_factor)
    if rest or tile_pixels < 16 or tile_pixels & (tile_pixels - 1):
        raise ValueError(
            f"clusters: tile_size {tile_size} px over bin_factor {bin_factor} must be a power of two, at least 16"
        )
    return image_size // tile_size


class Window(NamedTuple):
    """One window of a tile."""

    y: int  # first row
    x: int  # first column
    images: np.ndarray  # float32 (C, window_size, window_size); a view, valid until the next window is asked for


def window_origins(image_size: int, window_size: int, min_overlap: int) -> np.ndarray:
    """First pixels of the fewest windows that cover an axis and overlap by at least `min_overlap`, int64
    (n,).

    n = ceil((image_size - window_size) / (window_size - min_overlap)) + 1, spread evenly and rounded.
    image_size, window_size and min_overlap in pixels.
    """
    if window_size > image_size:
        raise ValueError(f"window of {window_size} px does not fit an image of {image_size} px (window_size)")
    if not 0 <= min_overlap < window_size:
        raise ValueError(f"min_overlap {min_overlap} px must be in [0, {window_size}), the window (min_overlap)")
    last = image_size - window_size
    n_windows = math.ceil(last / (window_size - min_overlap)) + 1
    return np.rint(np.linspace(0, last, n_windows)).astype(np.int64)


def stream_windows(
    bands: Sequence[Callable[[int, np.ndarray], None] | None],
    image_shape: tuple[int, int],
    *,
    window_size: int,
    min_overlap: int,
    n_threads: int,
) -> Iterator[Window]:
    """Yield every window of a tile in row-major order (y outer), decoding the next strip while one is used.

    Args:
        bands: for each band a thread-safe `read(first_row, rows)` that fills float32 (n, n_columns) rows, as
            `ImageStrips.read`; None is a missing band, NaN everywhere.
        image_shape: (n_rows, n_columns) of every band.
        n_threads: decoding threads; bands and blocks of rows are decoded side by side.

    Peak memory: two strips, 2 * C * window_size * n_columns * 4 bytes.
    """
    n_rows, n_columns = image_shape
    rows = window_origins(n_rows, window_size, min_overlap)
    columns = window_origins(n_columns, window_size, min_overlap)
    n_buffers = min(2, len(rows))
    strips = [np.full((len(bands), window_size, n_columns), np.nan, np.float32) for _ in range(n_buffers)]
    with ThreadPoolExecutor(max_workers=max(1, n_threads)) as pool:
        tasks = _start_strip(pool, bands, strips[0], int(rows[0]), 0)
        for index, first_row in enumerate(rows):
            strip = strips[index % n_buffers]
            _finish(tasks)
            if index + 1 < len(rows):
                following = strips[(index + 1) % n_buffers]
                n_shared = int(first_row) + window_size - int(rows[index + 1])
                following[:, :n_shared] = strip[:, window_size - n_shared :]
                tasks = _start_strip(pool, bands, following, int(rows[index + 1]), n_shared)
            for first_column in columns:
                images = strip[:, :, first_column : first_column + window_size]
                yield Window(int(first_row), int(first_column), images)


def _start_strip(
    pool: ThreadPoolExecutor, bands: Sequence, strip: np.ndarray, first_row: int, n_present: int
) -> list[Future]:
    """Start filling a strip (C, window_size, n_columns) from its row `n_present` on; the running tasks."""
    n_rows = strip.shape[1]
    starts = range(n_present, n_rows, ROWS_PER_TASK)
    return [
        pool.submit(read, first_row + start, strip[band, start : min(start + ROWS_PER_TASK, n_rows)])
        for start in starts
        for band, read in enumerate(bands)
        if read is not None
    ]


def _finish(tasks: list[Future]) -> None:
    wait(tasks)
    for task in tasks:
        task.result()


def edge_weight(window_size: int, n_taper: int, positions: np.ndarray) -> np.ndarray:
    """Weight of positions along a window's axis [px]: 1 inside, falling to 0 at the edge over n_taper px."""
    distance = np.minimum(positions, window_size - positions)
    return np.clip(distance / n_taper, 1e-6, 1.0)


def resample_tiles(tiles: np.ndarray, tile_size: int, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Tile-grid map (T, T) at window pixel coordinates y (n,), x (m,): bilinear between tile centres, (n, m).

    Positions beyond the outer tile centres take the outer tile's value. NaN tiles are left out of the
    average; NaN only where every neighbour is NaN.
    """
    valid = np.isfinite(tiles)
    row = _interpolation(tiles.shape[0], tile_size, y)
    column = _interpolation(tiles.shape[1], tile_size, x)
    total = row @ np.where(valid, tiles, 0.0) @ column.T
    weight = row @ valid.astype(float) @ column.T
    return np.divide(total, weight, out=np.full_like(total, np.nan), where=weight > 1e-9)


def _interpolation(n_tiles: int, tile_size: int, positions: np.ndarray) -> np.ndarray:
    """Matrix (n_positions, n_tiles) of linear interpolation between tile centres, constant beyond them."""
    place = np.clip(np.asarray(positions) / tile_size - 0.5, 0, n_tiles - 1)
    return np.maximum(0.0, 1.0 - np.abs(place[:, None] - np.arange(n_tiles)))


class MergedMaps:
    """Maps of a whole tile, blended from the tile-grid maps of its windows as they come.

    A map pixel is `map_pixel_px` image pixels wide. Each window is sampled at the centres of the map pixels
    that it holds, so the tile grids of neighbouring windows need not line up; in an overlap the weights fall
    towards the edge of each window, where half of the context is missing.
    """

    def __init__(self, image_shape: tuple[int, int], *, window_size: int, tile_size: int, map_pixel_px: int) -> None:
        self.window_size, self.tile_size, self.map_pixel_px = window_size, tile_size, map_pixel_px
        self.image_shape = image_shape
        self.shape = tuple(math.ceil(n / map_pixel_px) for n in image_shape)
        self.totals: dict[str, np.ndarray] = {}
        self.weights: dict[str, np.ndarray] = {}

    def add(self, y: int, x: int, maps: dict[str, np.ndarray]) -> None:
        """Blend in the maps (T, T) of the window whose first pixel is (y, x). NaN tiles carry no weight."""
        rows, inside_y = self._pixels_inside(y, self.image_shape[0])
        columns, inside_x = self._pixels_inside(x, self.image_shape[1])
        weight = np.outer(*(edge_weight(self.window_size, self.tile_size, p) for p in (inside_y, inside_x)))
        for name, tiles in maps.items():
            total = self.totals.setdefault(name, np.zeros(self.shape))
            weights = self.weights.setdefault(name, np.zeros(self.shape))
            values = resample_tiles(np.asarray(tiles, float), self.tile_size, inside_y, inside_x)
            seen = np.isfinite(values)
            total[rows, columns] += np.where(seen, weight * np.where(seen, values, 0.0), 0.0)
            weights[rows, columns] += weight * seen

    def result(self) -> dict[str, np.ndarray]:
        """The merged maps, float32 (n_rows, n_columns) of map pixels, NaN where no window saw anything."""
        merged = {}
        for name, total in self.totals.items():
            blank = np.full(self.shape, np.nan)
            merged[name] = np.divide(total, self.weights[name], out=blank, where=self.weights[name] > 0)
        return {name: values.astype(np.float32) for name, values in merged.items()}

    def _pixels_inside(self, origin: int, n_image: int) -> tuple[slice, np.ndarray]:
        """Map pixels of one axis whose centres a window holds, and those centres in window pixels."""
        edges = np.minimum(np.arange(math.ceil(n_image / self.map_pixel_px) + 1) * self.map_pixel_px, n_image)
        centres = (edges[:-1] + edges[1:]) / 2 - origin
        first, stop = np.searchsorted(centres, [0, self.window_size])
        return slice(int(first), int(stop)), centres[first:stop]


def owner(positions: np.ndarray, origins: np.ndarray, window_size: int) -> np.ndarray:
    """Index of the window that owns each position of an axis: the one whose centre is nearest (ties: the
    first).

    The window grid is a product of its axes, so the window with the nearest centre on the sky is the pair of
    the owners along y and x: every position has exactly one. positions (n,) in tile pixels; int64 (n,).
    """
    centres = np.asarray(origins) + window_size / 2
    return np.argmin(np.abs(np.asarray(positions, float)[..., None] - centres), axis=-1)


def unique_detections(
    x: np.ndarray,
    y: np.ndarray,
    probability: np.ndarray,
    owned: np.ndarray,
    window: np.ndarray,
    redshift: np.ndarray,
    radius_px: float,
) -> np.ndarray:
    """Which detections to keep where windows overlap, bool (n,).

    Owned detections come first (then by falling probability); a detection of another window is the double of a kept one
    and goes if it lies within `radius_px` and at the same redshift, DUPLICATE_DZ times 1 + z. A cluster that each
    window places on the other's side is thus kept once, and two clusters on one line of sight are both kept.
    All arguments (n,); x, y in tile pixels, `owned` bool, `window` the index of its window.
    """
    kept = np.zeros(len(x), dtype=bool)
    for index in np.lexsort((-probability, ~owned)):
        near = np.hypot(x[kept] - x[index], y[kept] - y[index]) < radius_px
        lower = np.minimum(redshift[kept], redshift[index])
        same = np.abs(redshift[kept] - redshift[index]) < DUPLICATE_DZ * (1.0 + lower)
        kept[index] = not np.any(near & same & (window[kept] != window[index]))
    return kept
