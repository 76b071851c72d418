"""HDF5 files of cutouts and of embeddings.

A file of cutouts has `cutouts`, `variance` and `mask` (N, C, S, S), the last two optional, and one dataset a column
(ra, dec, class, zspec, ...); its attributes say `bands`, `zero_point` and `pixel_arcsec`. A file of embeddings has
`embedding` (N, d) and the same columns.
"""

import json

import numpy as np

from armillary.cutouts import Cutouts, check_cutouts, estimated_variance
from armillary.files import open_hdf5

CHUNK_ROWS = 16
PLANES = ("cutouts", "variance", "mask")
LARGEST = {np.dtype(np.float16): 65000.0}


def create_cutouts(path: str, n_rows: int, example: Cutouts, dtype: str) -> "CutoutFile":
    """A new file of `n_rows` cutouts with planes and columns like those of `example`, open to be filled."""
    import h5py

    stream = h5py.File(path, "w", rdcc_nbytes=2**27)
    shape = (n_rows, *example.images.shape[1:])
    chunks = (max(min(CHUNK_ROWS, n_rows), 1), *shape[1:])
    for name in PLANES:
        stream.create_dataset(name, shape, np.uint8 if name == "mask" else dtype, chunks=chunks)
    for name, values in example.columns.items():
        stream.create_dataset(name, (n_rows, *values.shape[1:]), values.dtype)
    for name, value in example.facts.items():
        stream.attrs[name] = json.dumps(value) if isinstance(value, list | tuple | dict) else value
    return CutoutFile(path, stream, example.facts)


def write_cutouts(path: str, cutouts: Cutouts, dtype: str = "float32") -> None:
    """All of them at once."""
    with create_cutouts(path, len(cutouts.images), cutouts, dtype) as file:
        file.fill(0, cutouts)


class CutoutFile:
    """An open file of cutouts; `len` is their number."""

    def __init__(self, path: str, stream, facts: dict):
        self.path, self.stream, self.facts = path, stream, facts

    def __enter__(self) -> "CutoutFile":
        return self

    def __exit__(self, *error) -> None:
        self.stream.close()

    def __len__(self) -> int:
        return len(self.stream["cutouts"])

    @property
    def size(self) -> int:
        """Pixels along a side of a cutout."""
        return self.stream["cutouts"].shape[-1]

    def column(self, name: str) -> np.ndarray:
        """One column (N,); ValueError if the file has none of that name."""
        if name not in self.stream:
            raise ValueError(f"{self.path} has no {name}; it holds {', '.join(self.stream)}")
        return self.stream[name][()]

    def columns(self) -> dict[str, np.ndarray]:
        """Every column by name."""
        return {name: self.stream[name][()] for name in self.stream if name not in PLANES}

    def read(self, first: int, last: int, with_columns: bool = True) -> Cutouts:
        """Cutouts first ... last - 1 as float32; a missing variance is estimated, a missing mask empty."""
        images = self.stream["cutouts"][first:last].astype(np.float32)
        has = {name: name in self.stream for name in PLANES}
        variance = self.stream["variance"][first:last].astype(np.float32) if has["variance"] else None
        mask = self.stream["mask"][first:last] if has["mask"] else np.zeros(images.shape, np.uint8)
        columns = {name: self.stream[name][first:last] for name in self.stream if name not in PLANES}
        variance = estimated_variance(images) if variance is None else variance
        return Cutouts(images, variance, mask, columns if with_columns else {}, self.facts)

    def read_stored(self) -> Cutouts:
        """All cutouts in the number format of the file."""
        if "variance" not in self.stream or "mask" not in self.stream:
            return self.read(0, len(self))
        return Cutouts(*(self.stream[name][()] for name in PLANES), self.columns(), self.facts)

    @property
    def n_bytes(self) -> int:
        """Memory that all cutouts take."""
        return int(
            sum(self.stream[name].size * self.stream[name].dtype.itemsize for name in PLANES if name in self.stream)
        )

    def fill(self, first: int, cutouts: Cutouts) -> None:
        """Write cutouts from row `first` on; values that the format cannot hold are cut off."""
        for name, values in (dict(zip(PLANES, cutouts[:3], strict=True)) | cutouts.columns).items():
            target = self.stream[name]
            largest = LARGEST.get(target.dtype)
            if largest is not None and values.dtype != target.dtype:
                values = np.clip(values, -largest, largest).astype(target.dtype)
            target[first : first + len(values)] = values


def open_cutouts(path: str, bands: list[str] | None = None) -> CutoutFile:
    """A file of cutouts, open to be read; `bands` are those that its planes must be, in this order.

    Files that name no bands of their own are taken at the word of `bands`. Raises FileNotFoundError or ValueError, in
    one line, for a file that is missing, truncated, has no `cutouts`, or has other bands.
    """
    stream = open_hdf5(path)
    if "cutouts" not in stream or stream["cutouts"].ndim != 4:
        raise ValueError(
            f"{path} has no dataset `cutouts` of shape (N, bands, size, size); it holds {', '.join(stream)}"
        )
    facts = {name: value.item() if hasattr(value, "item") else value for name, value in stream.attrs.items()}
    named = json.loads(facts["bands"]) if "bands" in facts else None
    if named is None and bands is None:
        raise ValueError(f"{path} does not name its bands: give it an attribute `bands`, a JSON list")
    if named is not None and bands is not None and list(named) != list(bands):
        raise ValueError(f"{path} has the bands {' '.join(named)}, in this order; {' '.join(bands)} are wanted")
    facts["bands"] = list(named or bands)
    n_planes = stream["cutouts"].shape[1]
    if len(facts["bands"]) != n_planes:
        raise ValueError(f"{path}: cutouts have {n_planes} planes for the bands {' '.join(facts['bands'])}")
    for name in set(stream) - {"cutouts"}:
        if len(stream[name]) != len(stream["cutouts"]):
            raise ValueError(f"{path}: {name} has {len(stream[name])} rows, cutouts has {len(stream['cutouts'])}")
    return CutoutFile(path, stream, {"zero_point": 27.0, "pixel_arcsec": 0.168} | facts)


def read_cutouts(path: str, bands: list[str] | None = None) -> Cutouts:
    """A whole file, checked."""
    with open_cutouts(path, bands) as file:
        cutouts = file.read(0, len(file))
    check_cutouts(cutouts, path)
    return cutouts


def write_embeddings(path: str, embedding: np.ndarray, columns: dict[str, np.ndarray], facts: dict) -> None:
    """Embeddings (N, d) as float32 with the columns of their objects."""
    import h5py

    with h5py.File(path, "w") as stream:
        stream.create_dataset("embedding", data=np.asarray(embedding, np.float32))
        for name, values in columns.items():
            stream.create_dataset(name, data=values)
        for name, value in facts.items():
            stream.attrs[name] = json.dumps(value) if isinstance(value, list | tuple | dict) else value


def read_embeddings(path: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Embeddings (N, d) and columns by name."""
    with open_hdf5(path) as stream:
        if "embedding" not in stream:
            raise ValueError(f"{path} has no dataset `embedding`; it holds {', '.join(stream)}")
        columns = {name: stream[name][()] for name in stream if name != "embedding"}
        return stream["embedding"][()], columns
