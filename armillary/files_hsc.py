"""Files of galaxy stamps: sets, observations and posteriors as HDF5."""

from typing import TypeVar

import h5py
import numpy as np

from armillary.files import open_hdf5
from armillary.stamp_sets import Observations, StampSet

Kind = TypeVar("Kind", StampSet, Observations)
COMPRESSED_ABOVE = 1 << 16  # values


def write_set(path: str, values: StampSet | Observations) -> None:
    """A named tuple of arrays and numbers, a dataset each."""
    with h5py.File(path, "w") as stream:
        write_arrays_to(stream, values._asdict())


def read_set(path: str, kind: type[Kind]) -> Kind:
    """What `write_set` wrote."""
    with open_hdf5(path) as stream:
        arrays = {name: stream[name][()] for name in stream}
    missing = set(kind._fields) - set(arrays)
    if missing:
        raise ValueError(f"{path} is no {kind.__name__}: it lacks {', '.join(sorted(missing))}")
    return kind(**{name: arrays[name] for name in kind._fields})


def write_arrays_to(stream: h5py.Group, arrays: dict[str, np.ndarray]) -> None:
    """Arrays by name into an open file or group, doubles as float32, large ones compressed."""
    for name, array in arrays.items():
        array = np.asarray(array)
        array = array.astype(np.float32) if array.dtype == np.float64 and array.ndim else array
        big = {"compression": "gzip", "compression_opts": 1, "shuffle": True} if array.size > COMPRESSED_ABOVE else {}
        stream.create_dataset(name, data=array, **big)


def write_posteriors(path: str, posteriors: dict[str, dict[str, np.ndarray]]) -> None:
    """A group a method, in their order, with its arrays."""
    with h5py.File(path, "w", track_order=True) as stream:
        for method, arrays in posteriors.items():
            write_arrays_to(stream.create_group(method), arrays)


def read_posteriors(path: str) -> dict[str, dict[str, np.ndarray]]:
    """What `write_posteriors` wrote."""
    with open_hdf5(path) as stream:
        return {method: {name: group[name][()] for name in group} for method, group in stream.items()}
