"""X-ray images of galaxy clusters with masses, in the layouts that people have them in."""

from pathlib import Path

import numpy as np

from armillary.files import open_fits, open_hdf5, read_arrays

NAMES = ("images", "log10M500c", "M500c", "cluster_id", "r500", "z")


def read_mass_images(path: str) -> dict[str, np.ndarray]:
    """Those of NAMES that a file has: NPZ, HDF5, a folder of images.npy and others, or FITS (a cube, and a table)."""
    place = Path(path)
    if not place.exists():
        raise FileNotFoundError(f"{path} does not exist (challenges: xray_mass: files)")
    if place.is_dir():
        arrays = {name: _read_npy(place / f"{name}.npy") for name in NAMES if (place / f"{name}.npy").exists()}
    elif place.suffix in (".h5", ".hdf5"):
        with open_hdf5(path) as stream:
            arrays = {name: stream[name][()] for name in NAMES if name in stream}
    elif place.suffix in (".fits", ".fit"):
        arrays = _read_cube(path)
    else:
        arrays = {name: array for name, array in read_arrays(path).items() if name in NAMES}
    if "images" not in arrays or not {"log10M500c", "M500c"} & set(arrays):
        raise ValueError(
            f"{path} needs images (n, y, x) and log10M500c or M500c (n,); it has {', '.join(arrays) or 'none'}"
        )
    return arrays


def _read_cube(path: str) -> dict[str, np.ndarray]:
    """The first image cube, and columns of the first table."""
    with open_fits(path) as fits:
        arrays = {}
        for hdu in fits:
            if hdu.get_exttype() in ("BINARY_TBL", "ASCII_TBL"):
                arrays |= {name: hdu.read_column(name) for name in hdu.get_colnames() if name in NAMES}
            elif hdu.has_data() and "images" not in arrays:
                arrays["images"] = hdu.read()
    return arrays


def _read_npy(path: Path) -> np.ndarray:
    try:
        return np.load(path)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{path} is not a complete NPY file: {error}") from error
