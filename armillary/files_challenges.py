"""Files that people have for the challenges: folders of PNGs with labels, HDF5 and NPZ arrays, text tables.

Readers check what they open and name the file at fault in one line.
"""

import re
from pathlib import Path

import h5py
import numpy as np

from armillary.files import read_arrays, read_json


def read_png(path: str | Path) -> np.ndarray:
    """An 8-bit grey image, uint8 (n_y, n_x), from PNG or JPEG."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("L"))
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f"{path} is not an image, or is truncated: {error}") from error


def write_png(path: str | Path, image: np.ndarray) -> None:
    """The inverse of `read_png`."""
    from PIL import Image

    Image.fromarray(np.asarray(image, np.uint8)).save(path)


def read_numbered_images(folder: str, n_images: int, side_px: int) -> np.ndarray:
    """ring_image_0.png ... of a folder, uint8 (n_images, side_px, side_px), and none missing or left over."""
    found = {
        int(name[1]): path for path in Path(folder).glob("*.png") if (name := re.search(r"_(\d+)\.png$", path.name))
    }
    if len(found) != n_images or set(found) != set(range(n_images)):
        raise ValueError(f"{folder} has {len(found)} numbered images for {n_images} labels: each label needs its image")
    images = [read_png(found[number]) for number in range(n_images)]
    wrong = next((number for number, image in enumerate(images) if image.shape != (side_px, side_px)), None)
    if wrong is not None:
        raise ValueError(f"{found[wrong]} is {images[wrong].shape} px; {side_px} x {side_px} was expected")
    return np.stack(images)


def read_integer_labels(path: str) -> np.ndarray:
    """One integer a line."""
    lines = Path(path).read_text().split()
    try:
        return np.array([int(line) for line in lines])
    except ValueError as error:
        raise ValueError(f"{path} must hold one whole number a line: {error}") from error


def read_ring_labels(path: str) -> np.ndarray:
    """(n, 5) centre x, centre y, radius, thickness, deformation from a JSON list of rings."""
    try:
        rings = [[*ring["center"], ring["radius"], ring["thickness"], ring["deformation"]] for ring in read_json(path)]
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: every ring needs center, radius, thickness and deformation; missing {error}"
        ) from error
    labels = np.array(rings, float)
    if labels.ndim != 2 or labels.shape[1] != 5 or not np.isfinite(labels).all():
        raise ValueError(f"{path}: every ring needs a centre of two numbers and finite labels")
    return labels


def read_hdf5_arrays(path: str, names: dict[str, int], rows: slice = slice(None)) -> dict[str, np.ndarray]:
    """Rows of the named data sets, `names` giving the dimensions each must have; all must be equally long."""
    try:
        with h5py.File(path, "r") as stream:
            missing = [name for name in names if name not in stream]
            if missing:
                raise ValueError(f"{path} has no data set {', '.join(missing)}; it holds {', '.join(stream)}")
            lengths = {name: len(stream[name]) for name in names}
            if len(set(lengths.values())) > 1:
                raise ValueError(f"{path}: data sets differ in length: {lengths}")
            arrays = {name: stream[name][rows] for name in names}
    except OSError as error:
        raise ValueError(f"{path} is not an HDF5 file, or is truncated: {error}") from error
    for name, n_dimensions in names.items():
        if arrays[name].ndim != n_dimensions:
            raise ValueError(f"{path}: {name} has {arrays[name].ndim} dimensions; {n_dimensions} were expected")
    return arrays


def count_hdf5_rows(path: str, name: str) -> int:
    """How many rows a data set has; 0 if there is none of that name."""
    try:
        with h5py.File(path, "r") as stream:
            return len(stream[name]) if name in stream else 0
    except OSError as error:
        raise ValueError(f"{path} is not an HDF5 file, or is truncated: {error}") from error


def read_named_arrays(path: str, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Arrays of an NPZ file that must hold `names`."""
    arrays = read_arrays(path)
    missing = [name for name in names if name not in arrays]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}; it holds {', '.join(arrays)}")
    return arrays


def read_image_folder(folder: str, side_px: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Images of a folder of classes, one folder each: uint8 (n, side_px, side_px) scaled to fit, class numbers (n,),
    and the names of the classes in the order of the alphabet."""
    from PIL import Image

    names = sorted(path.name for path in Path(folder).iterdir() if path.is_dir())
    if len(names) < 2:
        raise ValueError(
            f"{folder} has {len(names)} folders of images; one for each of two or more classes is expected"
        )
    images, label = [], []
    for number, name in enumerate(names):
        kinds = (".png", ".jpg", ".jpeg")
        found = sorted(path for path in Path(folder, name).iterdir() if path.suffix.lower() in kinds)
        if not found:
            raise ValueError(f"{folder}/{name} holds no PNG or JPEG image")
        scaled = (Image.fromarray(read_png(path)).resize((side_px, side_px)) for path in found)
        images += [np.asarray(one) for one in scaled]
        label += [number] * len(found)
    return np.stack(images), np.array(label), names
