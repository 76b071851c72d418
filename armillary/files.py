"""Every file format of the project but torch's: FITS, ECSV catalogues, NPZ and JSON, in read/write pairs.

The only module that knows fitsio, h5py and np.savez. Readers say which file is at fault in one line.
"""

import json
import os
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import fitsio
import numpy as np


def read_image(path: str, extension: int | None = None) -> tuple[np.ndarray, dict]:
    """Image (y, x) as native float32 and its header; the first extension that holds a 2-D image by default."""
    with open_fits(path) as fits:
        hdu = fits[_image_extension(fits, path) if extension is None else extension]
        try:
            image = hdu.read()
            header = hdu.read_header()
        except OSError as error:
            raise ValueError(f"{path} is truncated or damaged: {_first_line(error)}") from error
    if image is None or image.ndim != 2:
        raise ValueError(f"{path} holds no two-dimensional image in HDU {extension}")
    return np.ascontiguousarray(image, dtype=np.float32), header_values(header)


def header_values(header) -> dict:
    """A fitsio header as a plain dict, comments and structure dropped."""
    return {key: header[key] for key in header if key not in ("COMMENT", "HISTORY", "CONTINUE", None, "")}


def write_image(path: str, image: np.ndarray, header: dict) -> None:
    """One float32 image in the primary HDU."""
    fitsio.write(path, np.asarray(image, np.float32), header=_cards(header), clobber=True)


def write_compressed_image(path: str, image: np.ndarray, header: dict, quantize_level: float = 16) -> None:
    """One Rice-compressed float32 image in HDU 1 with subtractive dithering, as the DES release files have it."""
    with fitsio.FITS(path, "rw", clobber=True) as fits:
        fits.write(
            np.asarray(image, np.float32),
            header=_cards(header),
            compress="RICE",
            qlevel=quantize_level,
            qmethod="SUBTRACTIVE_DITHER_1",
            dither_seed=1,
        )


def write_named_images(path: str, images: Iterable[tuple[str, np.ndarray, dict]]) -> None:
    """Float32 images in one file: (name, image, header) each, an HDU of that EXTNAME after an empty one."""
    with fitsio.FITS(path, "rw", clobber=True) as fits:
        fits.write(None)
        for name, image, header in images:
            fits.write(np.asarray(image, np.float32), header=_cards(header), extname=name)


def read_named_images(path: str, suffix: str = "") -> Iterator[tuple[str, np.ndarray, dict]]:
    """(name, image, header) of every image that `write_named_images` wrote and whose name ends in `suffix`."""
    with open_fits(path) as fits:
        for hdu in fits[1:] if len(fits) > 1 else []:
            name = hdu.get_extname()
            if name.endswith(suffix):
                yield name, hdu.read().astype(np.float32), header_values(hdu.read_header())


class RiceLayout(NamedTuple):
    """Where and how the rows of a Rice-compressed image are stored (FITS standard 4.0, section 10)."""

    heap_offset: int  # byte of the file where the compressed rows begin
    starts: np.ndarray  # int64 (n_rows,), first byte of each row from heap_offset
    sizes: np.ndarray  # int64 (n_rows,), bytes of each row; 0: stored losslessly elsewhere
    scales: np.ndarray  # float64 (n_rows,), ZSCALE
    zeros: np.ndarray  # float64 (n_rows,), ZZERO
    blanks: np.ndarray | None  # int64 (n_rows,), the integer of a missing pixel
    block_size: int
    dither_method: int  # 0 none, 1 SUBTRACTIVE_DITHER_1, 2 SUBTRACTIVE_DITHER_2
    dither_seed: int  # ZDITHER0


def read_image_by_astropy(path: str, extension: int) -> np.ndarray:
    """A whole image as float32 through astropy, the common way that benchmarks compare with."""
    from astropy.io import fits

    with fits.open(path) as hdus:
        return hdus[extension].data.astype(np.float32)


def read_header(path: str, extension: int = 0) -> dict:
    """The header of one HDU as a plain dict."""
    with open_fits(path) as fits:
        if extension >= len(fits):
            raise ValueError(f"{path} has {len(fits)} HDUs; a header was expected in HDU {extension}")
        return header_values(fits[extension].read_header())


def read_image_header(path: str, extension: int | None = None) -> tuple[int, tuple[int, int], dict]:
    """(HDU number, shape (n_rows, n_columns), header) of an image without reading its pixels."""
    with open_fits(path) as fits:
        number = _image_extension(fits, path) if extension is None else extension
        if number >= len(fits):
            raise ValueError(f"{path} has {len(fits)} HDUs; an image was expected in HDU {number}")
        info = fits[number].get_info()
        if len(info.get("dims") or ()) != 2:
            raise ValueError(f"{path} holds no two-dimensional image in HDU {number}")
        if os.path.getsize(path) < info["data_end"]:
            raise ValueError(
                f"{path} is truncated: {os.path.getsize(path)} bytes, its header promises {info['data_end']}"
            )
        return number, tuple(int(n) for n in info["dims"]), header_values(fits[number].read_header())


def read_image_rows(path: str, extension: int, first_row: int, last_row: int) -> np.ndarray:
    """Rows first_row ... last_row - 1 of an image, float32 (n, n_columns)."""
    with open_fits(path) as fits:
        try:
            return fits[extension][first_row:last_row, :].astype(np.float32)
        except OSError as error:
            raise ValueError(f"{path} is truncated or damaged: {_first_line(error)}") from error


def read_bytes(path: str, offset: int, n_bytes: int) -> np.ndarray:
    """Raw bytes of a file, uint8 (n_bytes,)."""
    block = np.fromfile(path, dtype=np.uint8, count=n_bytes, offset=offset)
    if len(block) < n_bytes:
        raise ValueError(
            f"{path} is truncated: byte {offset + n_bytes} was expected, the file ends at {os.path.getsize(path)}"
        )
    return block


def read_rice_layout(path: str, extension: int) -> RiceLayout | None:
    """The layout of a Rice-compressed float32 image stored row by row; None for any other image."""
    with open_fits(path) as fits:
        info = fits[extension].get_info()
        header = fits[extension].read_header()
    settings = {header.get(f"ZNAME{k}"): header.get(f"ZVAL{k}") for k in range(1, 10)}
    row_tiles = header.get("ZTILE1") == header.get("ZNAXIS1") and header.get("ZTILE2") == 1
    rice = header.get("ZCMPTYPE") in ("RICE_1", "RICE_ONE") and header.get("ZBITPIX") == -32
    if not (rice and row_tiles and settings.get("BYTEPIX", 4) == 4):
        return None
    rows = np.fromfile(path, dtype=_row_type(header), count=header["NAXIS2"], offset=info["data_start"])
    names = rows.dtype.names
    if len(rows) < header["NAXIS2"] or not {"ZSCALE", "ZZERO"} <= set(names):
        return None
    blank = rows["ZBLANK"].astype(np.int64) if "ZBLANK" in names else header.get("ZBLANK")
    methods = {"NO_DITHER": 0, "SUBTRACTIVE_DITHER_1": 1, "SUBTRACTIVE_DITHER_2": 2}
    return RiceLayout(
        heap_offset=info["data_start"] + header.get("THEAP", header["NAXIS1"] * header["NAXIS2"]),
        starts=rows["COMPRESSED_DATA"][:, 1].astype(np.int64),
        sizes=rows["COMPRESSED_DATA"][:, 0].astype(np.int64),
        scales=rows["ZSCALE"].astype(np.float64),
        zeros=rows["ZZERO"].astype(np.float64),
        blanks=None if blank is None else np.broadcast_to(np.int64(blank), len(rows)).copy(),
        block_size=settings.get("BLOCKSIZE", 32),
        dither_method=methods[header.get("ZQUANTIZ", "NO_DITHER")],
        dither_seed=header.get("ZDITHER0", 1),
    )


def _row_type(header) -> np.dtype:
    """dtype of one row of a binary table from its TFORM keywords (variable-length columns: size, start)."""
    kinds = {"L": "i1", "B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8", "A": "S1"}
    fields = []
    for column in range(1, header["TFIELDS"] + 1):
        count, kind = re.match(r"(\d*)([A-Z])", header[f"TFORM{column}"]).groups()
        pointer = {"P": ">i4", "Q": ">i8"}.get(kind)
        size = 2 if pointer else int(count or 1)
        fields.append((header[f"TTYPE{column}"].strip(), pointer or kinds[kind], *(() if size == 1 else ((size,),))))
    return np.dtype(fields)


def read_table(path: str, extension: int = 1):
    """A FITS binary table as a DataFrame; a vector column NAME of length n becomes NAME_0 ... NAME_{n-1}."""
    import pandas as pd

    with open_fits(path) as fits:
        if extension >= len(fits):
            raise ValueError(f"{path} has {len(fits)} HDUs; a table was expected in HDU {extension}")
        rows = fits[extension].read()
    columns = {}
    for name in rows.dtype.names:
        values = rows[name]
        values = values.astype(values.dtype.newbyteorder("=")) if values.dtype.kind in "iufb" else values.astype(str)
        if values.ndim == 1:
            columns[name] = values
        else:
            values = values.reshape(len(values), -1)
            columns |= {f"{name}_{k}": values[:, k] for k in range(values.shape[1])}
    return pd.DataFrame(columns)


def write_table(path: str, frame, units: dict[str, str] | None = None, header: dict | None = None) -> None:
    """A DataFrame as a FITS binary table in HDU 1 with TUNITn and the keywords of `header`."""
    units, cards = units or {}, _cards(header or {})
    rows = frame.to_records(index=False)
    names = list(rows.dtype.names)
    units_of_columns = [units.get(name, "") for name in names]
    fitsio.write(path, np.asarray(rows), extname="TABLE", units=units_of_columns, header=cards, clobber=True)


def read_hdf5_table(path: str, group: str):
    """An HDF5 group of columns, or a compound dataset, as a DataFrame; vectors split as by `read_table`."""
    import h5py
    import pandas as pd

    _require(path)
    try:
        with h5py.File(path) as stream:
            if group not in stream:
                raise ValueError(f"{path} has no group {group}; its top level holds {', '.join(stream)}")
            node = stream[group]
            compound = isinstance(node, h5py.Dataset)
            names = node.dtype.names if compound else [n for n in node if isinstance(node[n], h5py.Dataset)]
            columns = {name: node[name][()] for name in names}
    except OSError as error:
        raise ValueError(f"{path} is not an HDF5 file, or is truncated: {_first_line(error)}") from error
    split = {}
    for name, values in columns.items():
        values = values.astype(str) if values.dtype.kind in "SO" else values
        split |= {name: values} if values.ndim == 1 else {f"{name}_{k}": values[:, k] for k in range(values.shape[1])}
    return pd.DataFrame(split)


def write_hdf5_table(path: str, frame, group: str) -> None:
    """A DataFrame as one dataset a column in an HDF5 group; other groups of the file stay."""
    import h5py

    with h5py.File(path, "a") as stream:
        for name, values in frame.items():
            stream[f"{group}/{name}"] = values.to_numpy()


def read_catalog(path: str):
    """An ECSV catalogue as a DataFrame (fast path; `astropy.table.Table.read` gives it with units)."""
    import pandas as pd

    _require(path)
    try:
        frame = pd.read_csv(path, sep=" ", comment="#")
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not an ECSV catalogue: {_first_line(error)}") from error
    return frame.astype(_ecsv_types(path)) if frame.empty else frame


def _ecsv_types(path: str) -> dict[str, str]:
    """Column -> type of the columns that an ECSV header declares to be numbers."""
    with open(path) as stream:
        header = "".join(line for line in stream if line.startswith("# - "))
    return dict(re.findall(r"name: (\w+),.*datatype: ((?:u?int|float)\d+)", header))


def read_catalog_meta(path: str) -> dict:
    """The `meta` mapping of an ECSV catalogue."""
    _require(path)
    with open(path) as stream:
        for line in stream:
            if line.startswith("# meta: "):
                return json.loads(line[len("# meta: ") :])
            if not line.startswith("#"):
                break
    return {}


def write_catalog(path: str, frame, units: dict[str, str] | None = None, meta: dict | None = None) -> None:
    """A DataFrame as space-separated ECSV with units, readable by astropy and, past its header, by anything."""
    units = units or {}
    lines = ["# %ECSV 1.0", "# ---", "# datatype:"]
    for name, dtype in frame.dtypes.items():
        kind = dtype.name if dtype.kind in "iuf" else {"b": "bool"}.get(dtype.kind, "string")
        unit = f"unit: {units[name]}, " if units.get(name) else ""
        lines.append(f"# - {{name: {name}, {unit}datatype: {kind}}}")
    lines += [f"# meta: {json.dumps(meta or {})}", "# schema: astropy-2.0"]
    with open(path, "w") as stream:
        stream.write("\n".join(lines) + "\n")
        if any(dtype.kind not in "iufb" for dtype in frame.dtypes):  # text may need quotes
            frame.to_csv(stream, sep=" ", index=False, na_rep="nan", float_format="%.9g", lineterminator="\n")
            return
        row = " ".join("%.9g" if dtype.kind == "f" else "%s" for dtype in frame.dtypes) + "\n"
        stream.write(" ".join(frame.columns) + "\n")
        stream.writelines(row % values for values in zip(*(frame[name].tolist() for name in frame), strict=True))


def read_psfex(path: str) -> dict:
    """A PSFEx model: basis (n_terms, n_y, n_x), polynomial degree, sampling (chip pixels a basis pixel).

    Reads PSFEx's own `.psf` (keywords in the header) and the Legacy Surveys' one-row tables (keywords as columns).
    """
    with open_fits(path) as fits:
        names = fits[1].get_colnames() if len(fits) > 1 and hasattr(fits[1], "get_colnames") else []
        column = next((name for name in names if name.lower() == "psf_mask"), None)
        if column is None:
            raise ValueError(f"{path} is not a PSFEx model: no column PSF_MASK in HDU 1 (config key `psfex_models`)")
        row = fits[1].read()[0]
        header = fits[1].read_header()
    keywords = {key.lower(): header[key] for key in header if key}
    keywords |= {name.lower(): row[name] for name in names if name != column}
    basis = np.asarray(row[column], np.float64)
    return {"basis": basis, "degree": int(keywords["poldeg1"]), "sampling": float(keywords["psf_samp"])}


def read_arrays(path: str) -> dict[str, np.ndarray]:
    """Every array of an NPZ file."""
    _require(path)
    try:
        with np.load(path) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not a complete NPZ file: {_first_line(error)}") from error


def write_arrays(path: str, **arrays: np.ndarray) -> None:
    """Named arrays as a compressed NPZ file, under exactly this path."""
    with open(path, "wb") as stream:
        np.savez_compressed(stream, **arrays)


def read_json(path: str):
    """A JSON file."""
    _require(path)
    try:
        return json.loads(Path(path).read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error


def write_json(path: str, value) -> None:
    """A JSON file, one key a line; numpy numbers become plain ones."""
    Path(path).write_text(json.dumps(value, indent=1, default=_plain_number) + "\n")


def _plain_number(value):
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _require(path: str) -> None:
    if not os.path.exists(path):
        raise FileNotFoundError(f"{path} does not exist")


def open_fits(path: str):
    """A FITS file, open to be read; a ValueError in one line when it is none."""
    _require(path)
    try:
        return fitsio.FITS(str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a FITS file, or is truncated: {_first_line(error)}") from error


def open_hdf5(path: str):
    """A HDF5 file, open to be read; a ValueError in one line when it is none."""
    import h5py  # scoring and figures start without

    _require(path)
    try:
        return h5py.File(path)
    except OSError as error:
        raise ValueError(f"{path} is not an HDF5 file, or is truncated: {_first_line(error)}") from error


def _image_extension(fits, path: str) -> int:
    for number, hdu in enumerate(fits):
        if hdu.get_info()["hdutype"] == fitsio.IMAGE_HDU and hdu.has_data() and len(hdu.get_info()["dims"]) == 2:
            return number
    raise ValueError(f"{path} holds no two-dimensional image")


def _cards(header: dict) -> list[dict]:
    return [{"name": key, "value": value} for key, value in header.items()]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
