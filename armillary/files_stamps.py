"""Images of a user's galaxies as they come: FITS, NPZ or HDF5, named by a pattern; and what is made of them."""

from pathlib import Path

import numpy as np

from armillary.files import header_values, open_fits, open_hdf5, read_arrays

HDF5_ENDINGS = (".h5", ".hdf5", ".hdf")


def read_user_image(source: str, key: str) -> tuple[np.ndarray, dict]:
    """An image (y, x) or a stack (n, y, x) and its header (empty but for FITS) of `file.fits`, `file.fits[2]` (HDU),
    `file.npz:name` or `file.h5:group/dataset`; `file.npz:name[1]` is the second of a stack, as is `file.fits[0][1]`.

    Raises FileNotFoundError or ValueError with one line that names the config key `observed: <key>`.
    """
    path, part, places = _parts(source, key)
    told = f"(config key `observed: {key}`)"
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file {told}")
    read = _read_hdf5 if path.endswith(HDF5_ENDINGS) else _read_npz if path.endswith(".npz") else _read_fits
    image, header = read(path, part, told)
    for place in places:
        if image is None or image.ndim < 3 or not place < len(image):
            shape = None if image is None else image.shape
            raise ValueError(f"{source}: there is no image {place} in an array of shape {shape} {told}")
        image = image[place]
    if image is None or image.ndim != 2 or not np.issubdtype(image.dtype, np.number):
        shape = None if image is None else image.shape
        raise ValueError(f"{source} holds an array of shape {shape}; an image of two axes is needed {told}")
    return image.astype(image.dtype.newbyteorder("=")), header


def user_objects(source: str, key: str) -> list[str]:
    """The groups of the HDF5 file of a pattern `file.h5:{object}/...`: one an object."""
    path, _, part = source.partition(":")
    if not path.endswith(HDF5_ENDINGS) or not part.startswith("{object}"):
        raise ValueError(
            f"{source}: only HDF5 files whose groups are objects can be listed; name them (config key `observed: "
            f"objects`, with {{object}} in `observed: {key}`)"
        )
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file (config key `observed: {key}`)")
    with open_hdf5(path) as stream:
        return sorted(stream)


def pixel_arcsec_of(header: dict) -> float | None:
    """Pixel side that a FITS header's WCS says, in arcsec; None where it says nothing."""
    names = set(header)
    if {"CD1_1", "CD2_2"} <= names:
        x, y = (header[f"CD1_{k}"] for k in (1, 2)) if "CD1_2" in names else (header["CD1_1"], 0.0)
        return float(3600 * np.hypot(x, y))
    if "CDELT1" in names and "CTYPE1" in names:
        x, y = header.get("PC1_1", 1.0), header.get("PC1_2", 0.0)
        return float(3600 * abs(header["CDELT1"]) * np.hypot(x, y))
    return None


def _parts(source: str, key: str) -> tuple[str, str, list[int]]:
    """File, name or HDU, and places in stacks."""
    name, *rest = source.split("[")
    try:
        numbers = [int(text.removesuffix("]")) for text in rest]
    except ValueError:
        raise ValueError(f"{source}: what stands in [ ] must be whole numbers (config key `observed: {key}`)") from None
    if any(number < 0 for number in numbers):
        raise ValueError(f"{source}: numbers in [ ] start at 0 (config key `observed: {key}`)")
    path, _, part = name.partition(":")
    if path.endswith((*HDF5_ENDINGS, ".npz")):
        return path, part, numbers
    return path, str(numbers[0] if numbers else 0), numbers[1:]


def _read_hdf5(path: str, part: str, told: str):
    import h5py

    with open_hdf5(path) as stream:
        if part not in stream or not isinstance(stream[part], h5py.Dataset):
            raise ValueError(f"{path} has no dataset {part!r}; it begins with {', '.join(list(stream)[:8])} {told}")
        return stream[part][()], {}


def _read_npz(path: str, part: str, told: str):
    arrays = read_arrays(path)
    if part not in arrays:
        raise ValueError(f"{path} has no array {part!r}; it has {', '.join(arrays)} {told}")
    return arrays[part], {}


def _read_fits(path: str, part: str, told: str):
    with open_fits(path) as fits:
        if int(part) >= len(fits):
            raise ValueError(f"{path} has {len(fits)} HDUs; HDU {part} was asked for {told}")
        if fits[int(part)].get_exttype() == "BINARY_TBL" or not fits[int(part)].has_data():
            raise ValueError(f"{path} holds no image in HDU {part} {told}")
        return fits[int(part)].read(), header_values(fits[int(part)].read_header())
