"""A tile's images on the node's own disk: brought just before they are needed, dropped as soon as they were used."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from armillary.datasets import fetch, manifest_entry
from armillary.des import find_tile_images, tile_file_name

RELEASE = "clusters/des_dr2/{tile}/{tile}_{band}_nobkg.fits.fz"


def scratch_folder() -> str:
    """A new folder on the node's own disk: $SLURM_TMPDIR (DRAC), $LOCAL (Bridges-2), else Python's temporary folder."""
    places = [os.environ.get(name) for name in ("SLURM_TMPDIR", "LOCAL")]
    place = next((place for place in places if place and os.path.isdir(place)), None)
    return tempfile.mkdtemp(prefix="tiles-", dir=place)


def fetch_tile(tile: str, bands: list[str], folder: Path, manifest: dict) -> list[str | None]:
    """The images of a DR2 tile in `folder`, from the mirror folder (ARMILLARY_MIRROR), else from the archive."""
    paths = []
    for band in bands:
        entry = manifest_entry(manifest, RELEASE.format(tile=tile, band=band))
        path = folder / tile_file_name(tile, band)
        fetch(path, entry, partial=folder / f"{path.name}.part", mirror=os.environ.get("ARMILLARY_MIRROR"))
        paths.append(str(path))
    return paths


def copy_tile(tile: str, bands: list[str], folder: Path, source: str) -> list[str | None]:
    """The images of a tile copied from a folder of tiles; a band that it lacks is None."""
    found = find_tile_images(source, tile, bands, allow_missing=True)
    folder.mkdir(parents=True, exist_ok=True)
    return [path and shutil.copyfile(path, str(folder / Path(path).name)) for path in found]


def staged_tiles(
    tiles: list[str], stage: Callable[[str, Path], list[str | None]], folder: str
) -> Iterator[tuple[str, Callable[[], list[str | None]]]]:
    """Yield each tile with a function that gives its images, or raises what kept them from coming.

    `stage(tile, folder of the tile)` brings them. While one tile is used the next one comes in the background, and
    a tile's folder is removed when the loop goes on: at most two tiles lie on the disk.
    """
    with ThreadPoolExecutor(1) as pool:
        ahead: Future | None = None
        for number, tile in enumerate(tiles):
            current = ahead or pool.submit(stage, tile, Path(folder, tile))
            current.exception()  # wait, so that only one tile comes at a time
            following = tiles[number + 1 : number + 2]
            ahead = pool.submit(stage, following[0], Path(folder, following[0])) if following else None
            try:
                yield tile, current.result
            finally:
                shutil.rmtree(Path(folder, tile), ignore_errors=True)
