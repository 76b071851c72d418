"""Shear catalogues: columns by role, calibration, and the binned shear map with its noise.

Shapes are in the frame of a FITS image with north up and east left: e1 > 0 is long from east to west, e2 > 0 from the
lower left to the upper right. A catalogue in another frame is turned by the signs that the config gives (`e1_sign`,
`e2_sign`); which signs are right is a question for the data (`armillary.mass_nulls`).

Calibration is that of HSC's first year (Mandelbaum et al. 2018, sections 3 and 5): distortions are divided by twice the
responsivity R = 1 - <w e_rms^2> / <w>, c is taken off and the result divided by 1 + <w m> / <w>.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

ROLES = ("ra", "dec", "e1", "e2", "weight", "rms_e", "m", "c1", "c2", "photo_z")
NEEDED_ROLES = ROLES[:4]
MAX_SHAPE = 2.0  # regauss and KSB shapes of noisy galaxies go a little beyond 1; anything beyond this is a wrong column
ARCMIN_PER_RADIAN = 180.0 * 60.0 / np.pi


class Grid(NamedTuple):
    """The pixels of a tangent-plane map, north up and east left."""

    ra_deg: float
    dec_deg: float
    pixel_arcmin: float
    shape: tuple[int, int]  # rows, columns


class ShearMap(NamedTuple):
    """A binned shear field: what every method of mass mapping is given. Arrays are (n_y, n_x), 0 where there is no
    data.
    """

    g1: np.ndarray  # reduced shear along the pixel axes x (column) and y (row)
    g2: np.ndarray
    sigma1: np.ndarray  # standard deviation of the noise of g1
    sigma2: np.ndarray
    mask: np.ndarray  # bool, true where there is data
    pixel_arcmin: float


def galaxies_by_role(table: pd.DataFrame, columns: dict[str, str], name: str) -> pd.DataFrame:
    """The columns of a catalogue under the names of their roles; weight is 1, m, c1 and c2 are 0 where there is none.

    Rows with a value that is not finite, or of weight 0, are left out. Raises ValueError for a missing column, shapes
    that cannot be shapes, coordinates off the sky, negative weights or nothing left.
    """
    missing = [role for role in NEEDED_ROLES if not columns.get(role)]
    if missing:
        raise ValueError(f"massmap: fields: {name}: columns: no column is named for {', '.join(missing)}")
    absent = [column for column in columns.values() if column and column not in table]
    if absent:
        raise ValueError(
            f"the catalogue of field {name} has no column {absent[0]!r} (config key `columns`); "
            f"it has {', '.join(table.columns[:12])}"
        )
    given = {role: table[column].to_numpy(float) for role, column in columns.items() if column}
    frame = pd.DataFrame({"weight": 1.0, "m": 0.0, "c1": 0.0, "c2": 0.0} | given)
    finite = np.isfinite(frame.to_numpy()).all(axis=1)
    if (frame["weight"][finite] < 0).any():
        raise ValueError(
            f"field {name}: the least weight is {frame['weight'][finite].min()}; weights must be at least 0"
        )
    frame = frame[finite & (frame["weight"] > 0)].reset_index(drop=True)
    if frame.empty:
        raise ValueError(f"field {name}: no galaxy has finite values and a weight above 0 among {len(table)} rows")
    largest = frame[["e1", "e2"]].abs().to_numpy().max()
    if largest > MAX_SHAPE:
        raise ValueError(
            f"field {name}: a shape component is {largest:.3g}; at most {MAX_SHAPE} is possible (config key `columns`)"
        )
    if frame["dec"].abs().max() > 90 or frame["ra"].min() < -360 or frame["ra"].max() > 360:
        raise ValueError(f"field {name}: ra or dec is off the sky; both must be in degrees (config key `columns`)")
    return frame


def drop_large_shapes(galaxies: pd.DataFrame, max_shape: float, name: str) -> pd.DataFrame:
    """The galaxies with |e| of at most `max_shape`; a ValueError when that leaves none."""
    kept = galaxies[np.hypot(galaxies["e1"], galaxies["e2"]) <= max_shape].reset_index(drop=True)
    if kept.empty:
        raise ValueError(f"field {name}: no galaxy has |e| <= {max_shape} (config key `max_shape`)")
    return kept


def calibrated(galaxies: pd.DataFrame, shape: str, e1_sign: int = 1, e2_sign: int = 1) -> pd.DataFrame:
    """Galaxies whose e1 and e2 estimate reduced shear in the frame of the image.

    `shape` is "shear" (e estimates shear already, as KSB's) or "distortion" ((a^2 - b^2) / (a^2 + b^2), which needs
    rms_e or takes the weighted rms of e itself). m and c are in the units of shear and in the frame of the catalogue.
    """
    weight = galaxies["weight"].to_numpy()
    responsivity = 0.5
    if shape == "distortion":
        if "rms_e" in galaxies:
            square = galaxies["rms_e"].to_numpy() ** 2
        else:
            square = 0.5 * (galaxies["e1"] ** 2 + galaxies["e2"] ** 2).to_numpy()
        responsivity = 1.0 - np.average(square, weights=weight)
    if responsivity <= 0:
        raise ValueError(f"the responsivity is {responsivity:.3g}; it must be above 0 (column of role rms_e, weights)")
    gain = 1.0 + np.average(galaxies["m"], weights=weight)
    if gain <= 0:
        raise ValueError(f"the mean of m is {gain - 1:.3g}; it must be above -1 (column of role m)")
    signs = {"1": e1_sign, "2": e2_sign}
    shear = {
        f"e{k}": sign * (galaxies[f"e{k}"] / (2 * responsivity) - galaxies[f"c{k}"]) / gain for k, sign in signs.items()
    }
    return galaxies.assign(**shear)


def grid_of(galaxies: pd.DataFrame, pixel_arcmin: float, shape: tuple[int, int] | None, centre: tuple | None) -> Grid:
    """The grid that `centre` (ra, dec in degrees) and `shape` ask for; None: the galaxies' middle, and all of them."""
    ra_deg, dec_deg = middle_of(galaxies["ra"], galaxies["dec"]) if centre is None else centre
    grid = Grid(ra_deg, dec_deg, pixel_arcmin, tuple(shape) if shape else (0, 0))
    if shape is None:
        x, y = tangent_plane_arcmin(galaxies["ra"], galaxies["dec"], grid)
        n_x, n_y = (2 * int(np.ceil(np.abs(side).max() / pixel_arcmin)) for side in (x, y))
        grid = grid._replace(shape=(n_y, n_x))
    return grid


def middle_of(ra_deg, dec_deg) -> tuple[float, float]:
    """The direction of the mean of unit vectors, so that a field across ra = 0 has its middle inside."""
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    x, y, z = (np.cos(dec) * np.cos(ra)).mean(), (np.cos(dec) * np.sin(ra)).mean(), np.sin(dec).mean()
    return float(np.degrees(np.arctan2(y, x)) % 360), float(np.degrees(np.arctan2(z, np.hypot(x, y))))


def tangent_plane_arcmin(ra_deg, dec_deg, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Gnomonic projection about the grid's centre: x to the west, y to the north. Eq. (4.13), Calabretta & Greisen
    (2002).
    """
    ra, dec = np.radians(np.asarray(ra_deg, float)) - np.radians(grid.ra_deg), np.radians(np.asarray(dec_deg, float))
    dec0 = np.radians(grid.dec_deg)
    cosine = np.sin(dec0) * np.sin(dec) + np.cos(dec0) * np.cos(dec) * np.cos(ra)
    if (cosine <= 0).any():
        raise ValueError("a galaxy is 90 degrees or more from the field's centre; a tangent plane cannot hold it")
    x = np.cos(dec) * np.sin(ra) / cosine
    y = (np.cos(dec0) * np.sin(dec) - np.sin(dec0) * np.cos(dec) * np.cos(ra)) / cosine
    return -x * ARCMIN_PER_RADIAN, y * ARCMIN_PER_RADIAN


def pixels_of(ra_deg, dec_deg, grid: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(row, column, inside) of sky positions; rows and columns of those outside are 0."""
    x, y = tangent_plane_arcmin(ra_deg, dec_deg, grid)
    n_y, n_x = grid.shape
    column = np.floor(x / grid.pixel_arcmin + n_x / 2).astype(int)
    row = np.floor(y / grid.pixel_arcmin + n_y / 2).astype(int)
    inside = (column >= 0) & (column < n_x) & (row >= 0) & (row < n_y)
    return np.where(inside, row, 0), np.where(inside, column, 0), inside


def binned_shear(galaxies: pd.DataFrame, grid: Grid, min_galaxies: int, name: str) -> tuple[ShearMap, np.ndarray]:
    """Weighted means of calibrated shapes in pixels, and the galaxies in each.

    A pixel with fewer than `min_galaxies` is masked. The noise of a component is sqrt(sum w^2 s^2) / sum w, with s^2
    its weighted variance over all galaxies: shape noise is thousands of times the variance of shear.
    """
    row, column, inside = pixels_of(galaxies["ra"], galaxies["dec"], grid)
    place = (row * grid.shape[1] + column)[inside]
    weight = galaxies["weight"].to_numpy()[inside]
    shapes = [galaxies[f"e{k}"].to_numpy()[inside] for k in "12"]
    n_pixels = grid.shape[0] * grid.shape[1]
    counts = np.bincount(place, minlength=n_pixels)
    mask = counts >= max(min_galaxies, 1)
    if not mask.any():
        raise ValueError(
            f"field {name}: all pixels are masked: none has {min_galaxies} galaxies "
            "(keys `min_galaxies`, `pixel_arcmin`, `centre`)"
        )
    total, square = (np.bincount(place, w, n_pixels) for w in (weight, weight**2))
    safe = np.where(mask, total, 1.0)
    means = [np.where(mask, np.bincount(place, weight * e, n_pixels) / safe, 0.0) for e in shapes]
    spread = [np.sqrt(np.average((e - np.average(e, weights=weight)) ** 2, weights=weight**2)) for e in shapes]
    sigmas = [np.where(mask, s * np.sqrt(square) / safe, 0.0) for s in spread]
    maps = [array.reshape(grid.shape) for array in (*means, *sigmas, mask, counts)]
    return ShearMap(*maps[:5], grid.pixel_arcmin), maps[5]


def turned_at_random(galaxies: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Galaxies with every shape turned by an angle of its own: the same noise, no lensing."""
    turned = (galaxies["e1"] + 1j * galaxies["e2"]).to_numpy() * np.exp(2j * np.pi * rng.random(len(galaxies)))
    return galaxies.assign(e1=turned.real, e2=turned.imag)


def turned_by_45_degrees(shear: ShearMap) -> ShearMap:
    """(g1, g2) -> (-g2, g1): what was E becomes B, and what was B becomes -E. Their noise changes places, too."""
    return shear._replace(g1=-shear.g2, g2=shear.g1, sigma1=shear.sigma2, sigma2=shear.sigma1)


def pixels_turned_at_random(shear: ShearMap, rng: np.random.Generator) -> ShearMap:
    """A shear map with every pixel turned by an angle of its own: the null of a field of which only maps are known."""
    turned = (shear.g1 + 1j * shear.g2) * np.exp(2j * np.pi * rng.random(shear.g1.shape))
    return shear._replace(g1=turned.real, g2=turned.imag)
