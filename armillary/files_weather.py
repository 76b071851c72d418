"""Pictures of the sky with labels: a folder for each class, or a table of files, labels and times."""

import csv
from pathlib import Path

import numpy as np

from armillary.files_challenges import read_png

PICTURES = (".png", ".jpg", ".jpeg", ".fits", ".fit", ".fits.gz", ".fits.bz2")


def read_picture(path: Path) -> np.ndarray:
    """A grey picture (n_y, n_x) from PNG, JPEG or FITS, compressed or not."""
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist (challenges: weather: files)")
    if ".fit" not in path.name.lower():
        return read_png(path)
    from astropy.io import fits

    try:
        with fits.open(path) as hdus:
            image = next((hdu.data for hdu in hdus if hdu.data is not None and np.ndim(hdu.data) == 2), None)
    except (OSError, EOFError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a FITS file, or is truncated: {error}") from error
    if image is None:
        raise ValueError(f"{path} holds no two-dimensional image")
    return np.asarray(image, np.float32)


def list_pictures(path: str) -> list[tuple[Path, str, str]]:
    """(file, label, time or "") of a labels.csv with columns file, label, perhaps time, or of a folder of classes."""
    place = Path(path)
    if place.is_dir() and (place / "labels.csv").exists():
        place = place / "labels.csv"
    if place.is_dir():
        found = [(file, file.parent.name, "") for file in sorted(place.glob("*/*")) if _is_picture(file)]
    else:
        found = _listed(place)
    if not found:
        raise ValueError(f"{path} has no pictures: a folder for each class with {', '.join(PICTURES)}, or labels.csv")
    return found


def _listed(table: Path) -> list[tuple[Path, str, str]]:
    if not table.exists():
        raise FileNotFoundError(f"{table} does not exist (challenges: weather: files)")
    with table.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    if not rows or not {"file", "label"} <= set(rows[0]):
        raise ValueError(f"{table} needs columns file and label; it has {', '.join(rows[0]) if rows else 'no rows'}")
    return [(table.parent / row["file"], row["label"], row.get("time") or "") for row in rows]


def _is_picture(path: Path) -> bool:
    return path.name.lower().endswith(PICTURES)
