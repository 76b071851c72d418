"""DES coadd tiles: their names, files, headers, pixels and noise.

A DR2 tile is a folder DESHHMM+DDMM with one file a band, `{tile}_r{request}p{attempt}_{band}_nobkg.fits.fz`:
10 000 x 10 000 px of 0.263 arcsec, Rice-compressed, image in HDU 1 (mask and weight, where they are, in HDUs
2 and 3), tangent-plane WCS, zero point 30.
"""

import math
import re
from pathlib import Path

import numpy as np

from armillary.sky import wcs_keywords, wcs_of_header
from armillary.strips import ImageStrips

TILE_PIXELS = 10_000
PIXEL_ARCSEC = 0.263
ZERO_POINT = 30.0
TILE_STEP_DEG = 0.71
MASK_EXTENSION, WEIGHT_EXTENSION = 2, 3
NOISE_LAG_PX = 4
NOISE_SAMPLE_ROWS = 64


# --- names


def tile_name(ra_deg: float, dec_deg: float) -> str:
    """DESHHMM+DDMM of a sky position: right ascension in hours, both coordinates cut off at whole minutes."""
    minutes = math.floor((ra_deg % 360.0) * 4 + 1e-6) % 1440
    arcminutes = math.floor(abs(dec_deg) * 60 + 1e-6)
    sign = "-" if dec_deg < 0 else "+"
    return f"DES{minutes // 60:02d}{minutes % 60:02d}{sign}{arcminutes // 60:02d}{arcminutes % 60:02d}"


def tile_position(tile: str) -> tuple[float, float]:
    """(ra, dec) in degrees that a tile's name spells out; its centre is less than a minute of both away."""
    match = re.fullmatch(r"DES(\d{2})(\d{2})([+-])(\d{2})(\d{2})", tile)
    if match is None:
        raise ValueError(f"{tile!r} is no DES tile name; expected DESHHMM+DDMM, for example DES0456-5914")
    hours, minutes, sign, degrees, arcminutes = match.groups()
    ra_deg = int(hours) * 15 + int(minutes) / 4
    dec_deg = int(degrees) + int(arcminutes) / 60
    if ra_deg >= 360 or dec_deg > 90 or int(minutes) > 59 or int(arcminutes) > 59:
        raise ValueError(f"{tile!r} is no DES tile name: {hours}h{minutes}m {sign}{degrees}d{arcminutes}m is off sky")
    return ra_deg, -dec_deg if sign == "-" else dec_deg


def standin_tile_names(n_tiles: int) -> list[str]:
    """Valid, distinct tile names on a grid like that of DES: stand-ins, not the names of the release."""
    names = {}
    for row in range(math.ceil((90 + 5) / TILE_STEP_DEG)):
        dec = 5 - row * TILE_STEP_DEG
        n_columns = max(int(360 * math.cos(math.radians(dec)) / TILE_STEP_DEG), 1)
        for column in range(n_columns):
            names[tile_name(column * 360 / n_columns, dec)] = None
    if n_tiles > len(names):
        raise ValueError(f"n_tiles is {n_tiles}; the grid has {len(names)} names")
    return list(names)[:n_tiles]


def tile_file_name(tile: str, band: str, request: str = "r4939p01") -> str:
    """File name of one band of a tile as in DR2."""
    return f"{tile}_{request}_{band}_nobkg.fits.fz"


def find_tile_images(folder: str, tile: str, bands: list[str], *, allow_missing: bool) -> list[str | None]:
    """Path of each band's image of a tile, below `folder` or `folder/tile`; the last by name where there are
    several.

    A band without a file is None if `allow_missing`, an error otherwise; a tile without any is always an
    error.
    """
    tile_position(tile)
    places = [Path(folder) / tile, Path(folder)]
    paths: list[str | None] = []
    for band in bands:
        pattern = f"{tile}_*{band}_nobkg.fits*"
        found = next((files for place in places if (files := sorted(place.glob(pattern)))), [])
        paths.append(str(found[-1]) if found else None)
    missing = [band for band, path in zip(bands, paths, strict=True) if path is None]
    if len(missing) == len(bands) or (missing and not allow_missing):
        raise FileNotFoundError(
            f"{folder} has no {tile}_r*p*_{{band}}_nobkg.fits.fz for band {', '.join(missing)} of tile {tile}"
        )
    return paths


def tile_header(tile: str, band: str, image_size: int = TILE_PIXELS) -> dict:
    """FITS keywords of a simulated tile centred where its name says."""
    keywords = wcs_keywords(*tile_position(tile), image_size, PIXEL_ARCSEC)
    return {**keywords, "BAND": band, "TILENAME": tile, "MAGZERO": ZERO_POINT, "BUNIT": "counts at ZP 30"}


# --- pixels


class TileImages:
    """The bands of one tile as strips of rows: `shape`, `header`, `wcs`, and `readers` for
    `windows.stream_windows`.

    paths: one file a band, None for a missing band, whose pixels are all NaN.
    use_mask, use_weight: pixels with a non-zero mask (HDU 2) or a weight of zero (HDU 3) become NaN where the
    file has those planes.  # ASSUME: every mask bit of a coadd marks a pixel that should not be used

    Raises ValueError, naming the file: not FITS, truncated, no WCS, bands of different shape.
    """

    def __init__(self, paths: list[str | None], *, use_mask: bool = True, use_weight: bool = True) -> None:
        self.bands = [None if path is None else ImageStrips(path, 1) for path in paths]
        present = [band for band in self.bands if band is not None]
        if not present:
            raise ValueError("a tile without any band cannot be read")
        self.shape, self.header = present[0].shape, present[0].header
        self.wcs = wcs_of_header(self.header, present[0].path)
        for band in present:
            wcs_of_header(band.header, band.path)
            if band.shape != self.shape:
                raise ValueError(f"{band.path} has {band.shape} px, {present[0].path} has {self.shape}")
        planes = [MASK_EXTENSION] * use_mask + [WEIGHT_EXTENSION] * use_weight
        self.planes = [[] if band is None else _open_planes(band, planes) for band in self.bands]

    @property
    def readers(self) -> list:
        """`read(first_row, rows)` of each band, None where the band is missing."""
        return [
            None if band is None else _reader(band, planes)
            for band, planes in zip(self.bands, self.planes, strict=True)
        ]

    def sky_sigma(self) -> np.ndarray:
        """Noise of each band per pixel (C,), from strips of rows spread over the tile; NaN for a missing
        band.

        Raises ValueError, naming the file, for a band whose pixels are all invalid.
        """
        return np.array(
            [
                np.nan if read is None else self._band_sigma(band, read)
                for band, read in zip(self.bands, self.readers, strict=True)
            ]
        )

    def _band_sigma(self, band: ImageStrips, read) -> float:
        n_rows, n_columns = self.shape
        rows = np.empty((min(NOISE_SAMPLE_ROWS, n_rows), n_columns), np.float32)
        pieces = []
        for first in np.unique(np.linspace(0, n_rows - len(rows), 16).astype(int)):
            read(int(first), rows)
            pieces.append(rows.copy())
        try:
            return estimate_sky_sigma(np.concatenate(pieces))
        except ValueError as error:
            raise ValueError(f"{band.path}: {error}") from error


def _open_planes(band: ImageStrips, extensions: list[int]) -> list[tuple[int, ImageStrips]]:
    """Mask and weight planes that the file has, with their HDU numbers."""
    opened = []
    for extension in extensions:
        try:
            plane = ImageStrips(band.path, extension)
        except ValueError:
            continue  # coadds without this plane are common
        if plane.shape != band.shape:
            raise ValueError(f"{band.path} HDU {extension} has {plane.shape} px, its image has {band.shape}")
        opened.append((extension, plane))
    return opened


def _reader(band: ImageStrips, planes: list[tuple[int, ImageStrips]]):
    def read(first_row: int, rows: np.ndarray) -> None:
        band.read(first_row, rows)
        for extension, plane in planes:
            values = np.empty_like(rows)
            plane.read(first_row, values)
            bad = values != 0 if extension == MASK_EXTENSION else ~(values > 0)
            rows[bad] = np.nan

    return read


def estimate_sky_sigma(image: np.ndarray, lag_px: int = NOISE_LAG_PX) -> float:
    """Sky noise per pixel of an image (H, W) in its own unit.

    1.4826 times the median absolute difference of pixels `lag_px` apart along a row, over sqrt(2): blind to
    the sky level and to gradients, robust against sources, and, with a lag longer than the resampling kernel
    of a coadd, not fooled by correlated noise. Raises ValueError where fewer than 100 pairs are valid.
    """
    difference = image[:, lag_px:] - image[:, :-lag_px]
    difference = difference[np.isfinite(difference)]
    if difference.size < 100:
        raise ValueError(f"only {difference.size} valid pixel pairs: the image is all NaN, masked or without weight")
    return float(1.4826 * np.median(np.abs(difference)) / math.sqrt(2))


def map_header(header: dict, map_pixel_px: int) -> dict:
    """WCS keywords of a map whose pixels are `map_pixel_px` pixels of the image with WCS `header`."""
    scaled = {
        key: value for key, value in header.items() if key.startswith(("CTYPE", "CUNIT", "CRVAL", "PC", "RADESYS"))
    }
    for key, value in header.items():
        if key.startswith("CRPIX"):
            scaled[key] = (value - 0.5) / map_pixel_px + 0.5
        elif key.startswith(("CD1_", "CD2_", "CDELT")):
            scaled[key] = value * map_pixel_px
    return scaled
