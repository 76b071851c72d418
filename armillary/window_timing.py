"""Two ways from a compressed tile to its windows, each timed in a process of its own.

`python -m armillary.window_timing JSON` prints one JSON line for the arguments of `time_windows`. "whole" is
what the reference system
does: astropy reads every band, torch concatenates them, unfolds twice and reshapes, which copies every
window. "strips" is `armillary.windows`. Both hand over each window as one contiguous array.
"""

import json
import resource
import sys
import time
import zlib
from collections.abc import Iterator
from functools import partial

import numpy as np

from armillary.files import read_image_by_astropy

SMALL_WINDOW = 32  # px, for the tile that is cut before the clock starts


def whole_tile_windows(paths: list[str], window_size: int, min_overlap: int) -> Iterator[np.ndarray]:
    """Windows (C, window_size, window_size) by reading, concatenating, unfolding and reshaping the whole
    tile.
    """
    import torch

    bands = [torch.from_numpy(read_image_by_astropy(path, 1)).unsqueeze(0) for path in paths]
    image = torch.cat(bands)  # (C, H, W)
    step = window_size - min_overlap
    patches = image.unfold(1, window_size, step).unfold(2, window_size, step)  # (C, n, n, w, w)
    yield from patches.permute(1, 2, 0, 3, 4).reshape(-1, len(paths), window_size, window_size).numpy()


def strip_windows(paths: list[str], window_size: int, min_overlap: int, n_threads: int) -> Iterator[np.ndarray]:
    """The same windows, streamed."""
    from armillary.des import TileImages
    from armillary.windows import stream_windows

    tile = TileImages(list(paths), use_mask=False, use_weight=False)
    options = {"window_size": window_size, "min_overlap": min_overlap, "n_threads": n_threads}
    for window in stream_windows(tile.readers, tile.shape, **options):
        yield np.ascontiguousarray(window.images)


def time_windows(
    way: str,
    paths: list[str],
    small_paths: list[str],
    window_size: int,
    min_overlap: int,
    n_threads: int,
    check: bool,
) -> dict:
    """Seconds, CPU seconds and peak memory of one way; with `check` also the checksum of each window.

    `small_paths` is a small tile that is cut once before the clock starts, so that imports and the loading of
    compiled code are paid by both ways outside of it.
    """
    if way == "whole":
        import torch

        torch.set_num_threads(n_threads)
        cut = whole_tile_windows
    else:
        cut = partial(strip_windows, n_threads=n_threads)
    for _ in cut(small_paths, SMALL_WINDOW, 0):
        pass
    windows = cut(paths, window_size, min_overlap)
    started, cpu_started, n_windows, checksums = time.perf_counter(), time.process_time(), 0, []
    for window in windows:
        n_windows += 1
        if check:
            checksums.append(zlib.crc32(np.ascontiguousarray(window)))
        del window  # a consumer is done with one window before it asks for the next
    return {
        "way": way,
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu_started,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "n_windows": n_windows,
        "checksums": checksums,
    }


if __name__ == "__main__":
    print(json.dumps(time_windows(**json.loads(sys.argv[1]))))
