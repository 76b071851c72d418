"""Files of mass maps: shear maps as FITS with a WCS, single columns, catalogues, and stacks of maps as HDF5."""

import h5py
import numpy as np
import pandas as pd

from armillary.files import header_values, open_fits, read_named_images, read_table, write_named_images
from armillary.shear_catalogs import Grid, ShearMap


def read_columns(path: str) -> pd.DataFrame:
    """A catalogue as a DataFrame: a FITS binary table, or text with commas (.csv, .csv.gz) or blanks (.txt, .dat)."""
    if path.endswith((".csv", ".csv.gz")):
        return pd.read_csv(path)
    if path.endswith((".txt", ".dat")):
        return pd.read_csv(path, sep=r"\s+", comment="#")
    return read_table(path)


def read_column(path: str) -> np.ndarray:
    """One column that is a file of its own: a one-dimensional FITS image."""
    with open_fits(path) as fits:
        values = fits[0].read()
    if values is None or values.ndim != 1:
        raise ValueError(f"{path} holds no one-dimensional image; a column was expected (config key `columns`)")
    return values.astype(np.float64)


def read_positions(path: str, ra_column: int, dec_column: int) -> np.ndarray:
    """(n, 2) ra and dec in degrees from a text table without a header; columns are counted from 1."""
    rows = np.loadtxt(path, comments="#", usecols=(ra_column - 1, dec_column - 1), ndmin=2)
    if not len(rows):
        raise ValueError(f"{path} lists no position (config key `clusters`)")
    return rows


def map_header(grid: Grid) -> dict:
    """FITS keywords of a grid: tangent plane, north up, east left, and the convention of its shear."""
    return {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CUNIT1": "deg", "CUNIT2": "deg",
        "CRVAL1": grid.ra_deg, "CRVAL2": grid.dec_deg,
        "CRPIX1": grid.shape[1] / 2 + 0.5, "CRPIX2": grid.shape[0] / 2 + 0.5,
        "CD1_1": -grid.pixel_arcmin / 60, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": grid.pixel_arcmin / 60,
        "RADESYS": "ICRS", "SHEARSYS": "PIXEL",
    }  # fmt: skip


def grid_of_header(header: dict, shape: tuple[int, int]) -> Grid:
    """The grid of a map that `map_header` describes."""
    return Grid(header["CRVAL1"], header["CRVAL2"], round(header["CD2_2"] * 60, 9), tuple(shape))


def write_shear_map(path: str, shear: ShearMap, counts: np.ndarray, grid: Grid) -> None:
    """HDUs G1, G2, SIGMA1, SIGMA2, MASK and N (galaxies a pixel)."""
    header = map_header(grid)
    images = {
        "G1": shear.g1,
        "G2": shear.g2,
        "SIGMA1": shear.sigma1,
        "SIGMA2": shear.sigma2,
        "MASK": shear.mask,
        "N": counts,
    }
    write_named_images(path, [(name, image, header) for name, image in images.items()])


def read_shear_map(path: str) -> tuple[ShearMap, Grid, np.ndarray]:
    """A shear map, its grid and the galaxies a pixel."""
    images, header = {}, {}
    for name, image, header_of_image in read_named_images(path):
        images[name], header = image, header_of_image
    missing = {"G1", "G2", "SIGMA1", "SIGMA2", "MASK"} - set(images)
    if missing:
        raise ValueError(f"{path} is not a shear map: HDU {', '.join(sorted(missing))} is missing")
    grid = grid_of_header(header, images["G1"].shape)
    parts = [images[name].astype(np.float64) for name in ("G1", "G2", "SIGMA1", "SIGMA2")]
    return ShearMap(*parts, images["MASK"] > 0, grid.pixel_arcmin), grid, images.get("N")


def read_plain_image(path: str) -> np.ndarray:
    """The first image of a FITS file as float64 (n_y, n_x)."""
    with open_fits(path) as fits:
        image = fits[0].read()
    if image is None or image.ndim != 2:
        raise ValueError(f"{path} holds no two-dimensional image in HDU 0 (config key `maps`)")
    return image.astype(np.float64)


def read_grid(path: str, shape: tuple[int, int]) -> Grid | None:
    """The grid of an image with a tangent-plane WCS, north up and east left; None for an image without a WCS.

    Raises ValueError for any other orientation or projection, and for pixels that are not square.
    """
    with open_fits(path) as fits:
        header = header_values(fits[0].read_header())
    if not {"CRVAL1", "CRVAL2"} <= set(header):
        return None
    scale = {key: header.get(f"CDELT{key[-1]}", 1.0) * header.get(key.replace("CD", "PC"), float(key[2] == key[-1]))
             for key in ("CD1_1", "CD1_2", "CD2_1", "CD2_2")}  # fmt: skip
    scale |= {key: header[key] for key in scale if key in header}
    across, up = scale["CD1_1"], scale["CD2_2"]
    turned = max(abs(scale["CD1_2"]), abs(scale["CD2_1"])) > 1e-3 * abs(up)
    is_tangent = str(header.get("CTYPE1", "RA---TAN")).startswith("RA---TAN")
    if turned or up <= 0 or abs(across / up + 1) > 1e-3 or not is_tangent:
        raise ValueError(
            f"{path}: its WCS must be a tangent plane (RA---TAN) with north up, east left and square pixels; "
            f"CD is [[{across:.4g}, {scale['CD1_2']:.4g}], [{scale['CD2_1']:.4g}, {up:.4g}]] deg (config key `maps`)"
        )
    middle = [
        header.get(f"CRPIX{axis}", n / 2 + 0.5) - n / 2 - 0.5 for axis, n in zip((1, 2), shape[::-1], strict=True)
    ]
    if max(map(abs, middle)) > 0.51:
        raise ValueError(
            f"{path}: the reference pixel of its WCS is {max(map(abs, middle)):.1f} px off the middle of the map; "
            "cut or pad the maps about it (config key `maps`)"
        )
    return grid_of_header(header | {"CD2_2": up}, shape)


def write_stack(path: str, stack: np.ndarray, *, group: str = "maps", append: bool = False) -> None:
    """Maps (n, ..., n_y, n_x) as one float32 dataset, a map a chunk, compressed."""
    stack = np.asarray(stack, np.float32)
    with h5py.File(path, "a" if append else "w") as stream:
        if stack.size:
            chunk = (1,) * (stack.ndim - 2) + stack.shape[-2:]
            stream.create_dataset(group, data=stack, chunks=chunk, compression="gzip", compression_opts=1, shuffle=True)
        else:
            stream.create_dataset(group, data=stack)


def read_stack(path: str, group: str = "maps", first: int | None = None) -> np.ndarray:
    """What `write_stack` wrote, or the first few maps of it."""
    try:
        with h5py.File(path, "r") as stream:
            return stream[group][:first]
    except (OSError, KeyError) as error:
        raise ValueError(f"{path} holds no stack of maps called {group!r}, or is truncated") from error
