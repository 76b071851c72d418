"""Files of CMB maps: HDF5 with units and conventions in attributes, and whatever a user brings (HDF5, NPZ, FITS)."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from armillary.files import open_hdf5, read_arrays, read_image

if TYPE_CHECKING:
    from armillary.band_powers import BandPowers

UNITS = {"q": "uK", "u": "uK", "e": "uK", "b": "uK", "k": "", "box": ""}
CONVENTION = "COSMO: E = Q cos 2 phi_l + U sin 2 phi_l, phi_l = atan2(l_y, l_x); rows are y, columns x, both rising"
CHUNK = 32
BAND_POWERS = {
    "power": "mean C_kk of the bin, without unit: (auto - rdn0 - n1) / response^2",
    "covariance": "of power, from the scatter of the maps over their number",
    "rdn0": "disconnected bias, from E of one map with B of another",
    "n1": "connected bias, from reference skies, scaled by the power of lensing B",
    "response": "cross-power with the truth over that of the truth, from reference skies",
    "truth": "C_kk of these very skies",
}


def write_maps(path: str, maps: dict[str, np.ndarray], facts: dict) -> None:
    """Maps (n, n_y, n_x) as float32 datasets, one a channel; other arrays as they are; `facts` as attributes."""
    import h5py

    with h5py.File(path, "w") as stream:
        for name, values in maps.items():
            if values.ndim == 3:
                values = np.asarray(values, np.float32)
                node = stream.create_dataset(name, data=values, chunks=(min(CHUNK, len(values)), *values.shape[1:]))
            else:
                node = stream.create_dataset(name, data=values)
            node.attrs["unit"] = UNITS.get(name, "")
        stream.attrs["convention"] = CONVENTION
        for name, value in facts.items():
            stream.attrs[name] = json.dumps(value) if isinstance(value, dict | list) else value


def read_maps(path: str, names: list[str] | None = None) -> dict[str, np.ndarray]:
    """Channels of a file that `write_maps` wrote, all of them unless named."""
    import h5py

    stream = open_hdf5(path)
    with stream:
        wanted = list(stream) if names is None else names
        missing = [name for name in wanted if name not in stream]
        if missing:
            raise ValueError(f"{path} has no maps {', '.join(missing)}; it holds {', '.join(stream)}")
        return {name: stream[name][()] for name in wanted if isinstance(stream[name], h5py.Dataset)}


def read_many_maps(paths: list[str], names: list[str]) -> dict[str, np.ndarray]:
    """The same channels of several files, one after the other."""
    parts = [read_maps(path, names) for path in paths]
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def read_facts(path: str) -> dict:
    """Attributes of a file of maps."""
    with open_hdf5(path) as stream:
        return {name: value.item() if hasattr(value, "item") else value for name, value in stream.attrs.items()}


def write_band_powers(path: str, found: dict[str, "BandPowers"], edges: list[float], facts: dict) -> None:
    """Band powers of C_kk by name ("set/method"), a group each, as HDF5; bins of L in `L_low` and `L_high`."""
    import h5py

    with h5py.File(path, "w") as stream:
        stream["L_low"], stream["L_high"] = np.array(edges[:-1], float), np.array(edges[1:], float)
        for name, powers in found.items():
            for part, values in powers._asdict().items():
                node = stream.create_dataset(f"{name}/{part}", data=values)
                node.attrs["meaning"] = BAND_POWERS[part]
        for name, value in facts.items():
            stream.attrs[name] = value


def read_user_maps(path: str, names: dict[str, str]) -> dict[str, np.ndarray]:
    """Two-dimensional maps of a user's HDF5, NPZ or FITS file as float64 (n_y, n_x).

    `names` gives for each of our channels its name in the file: dataset, array, or for FITS the number of the HDU.
    Raises ValueError where a map is missing, is not two-dimensional, has another shape than the first or holds NaN.
    """
    suffix = Path(path).suffix.lower()
    if not Path(path).exists():
        raise FileNotFoundError(f"{path} does not exist (config key `cmb: observed: file`)")
    if suffix in (".fits", ".fit", ".fz"):
        maps = {channel: read_image(path, _hdu_number(path, name))[0] for channel, name in names.items()}
    else:
        held = read_maps(path) if suffix in (".h5", ".hdf5") else read_arrays(path)
        missing = [name for name in names.values() if name not in held]
        if missing:
            raise ValueError(
                f"{path} has no map {', '.join(missing)}; it holds {', '.join(held)} (config key `cmb: observed: maps`)"
            )
        maps = {channel: held[name] for channel, name in names.items()}
    return {channel: _checked(path, channel, values, maps) for channel, values in maps.items()}


def _checked(path: str, channel: str, values: np.ndarray, maps: dict) -> np.ndarray:
    shape = np.shape(next(iter(maps.values())))
    if np.ndim(values) != 2:
        raise ValueError(f"{path}: {channel} has {np.ndim(values)} axes; a map has two (config key `cmb: observed`)")
    if values.shape != shape:
        raise ValueError(f"{path}: {channel} is {values.shape[0]} x {values.shape[1]}, the first map {shape}")
    n_bad = int(np.count_nonzero(~np.isfinite(values)))
    if n_bad:
        raise ValueError(
            f"{path}: {channel} has {n_bad} pixels that are not finite; set them to 0 and give a `mask` that leaves "
            "them out (config key `cmb: observed: maps`)"
        )
    return np.asarray(values, np.float64)


def _hdu_number(path: str, name: str) -> int:
    if not str(name).isdigit():
        raise ValueError(f"{path}: FITS maps are named by the number of their HDU; got {name!r}")
    return int(name)
