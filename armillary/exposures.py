"""Single DECam exposures as the legacy pipeline keeps them: calibrated, sky-subtracted and put on one pixel
grid.

A crop has an image (`ooi`, HDU 1, ADU of one exposure), an inverse-variance weight (`oow`), an integer mask
(`ood`) and a sky model (`splinesky`, a spline over the CCD). CCDs differ in orientation, and their WCS is
TPV.
"""

from typing import NamedTuple

import numpy as np

from armillary.des import ZERO_POINT
from armillary.files import read_header, read_image, read_table
from armillary.sky import pixel_of_sky, sky_of_pixel, tan_wcs, wcs_of_header

# ASSUME: zero points of one ADU per second at airmass about 1, the nominal DECam values; the crops' headers
# have none.
DECAM_ZERO_POINTS = {"g": 25.0, "r": 25.2, "i": 25.0, "z": 24.9}


class Exposure(NamedTuple):
    """One band of one CCD, counts at zero point 30, NaN where invalid."""

    image: np.ndarray  # float32 (H, W)
    wcs: object  # astropy WCS
    band: str
    exposure_seconds: float
    fwhm_arcsec: float
    sky_counts: float  # ADU that were subtracted, median


def read_exposure(
    image: str, weight: str, mask: str, sky: str | None, *, zero_points: dict[str, float], pixel_arcsec: float
) -> Exposure:
    """Read one exposure: sky subtracted, scaled to zero point 30, masked and weightless pixels NaN.

    sky: file of the sky spline; None subtracts the median. zero_points: magnitude of one ADU per second by
    band.
    """
    pixels, header = read_image(image, 1)
    header = {**read_header(image, 0), **header}  # the extension inherits the primary keywords
    band = str(header["FILTER"]).strip()[0]
    if band not in zero_points:
        raise ValueError(f"{image} is in band {band!r}, for which zero_points has no value")
    valid = np.isfinite(pixels) & (read_image(weight, 1)[0] > 0) & (read_image(mask, 1)[0] == 0)
    if not valid.any():
        raise ValueError(f"{image} has no valid pixel: mask and weight leave nothing")
    level = sky_level(sky, pixels.shape) if sky else np.full(pixels.shape, np.median(pixels[valid]))
    seconds = float(header["EXPTIME"])
    scale = 10 ** (0.4 * (ZERO_POINT - zero_points[band])) / seconds
    counts = np.where(valid, (pixels - level) * scale, np.nan).astype(np.float32)
    fwhm_arcsec = float(header.get("FWHM", np.nan)) * pixel_arcsec
    return Exposure(counts, wcs_of_header(header, image), band, seconds, fwhm_arcsec, float(np.median(level)))


def sky_level(path: str, shape: tuple[int, int]) -> np.ndarray:
    """Sky of a crop (H, W) in ADU: the bicubic spline through the grid of a `splinesky` file, at the crop's
    place.
    """
    from scipy.interpolate import RectBivariateSpline

    row = read_table(path, 1).iloc[0]
    n_x, n_y = int(row.gridw), int(row.gridh)
    x_grid, y_grid = (np.array([row[f"{axis}grid_{k}"] for k in range(n)]) for axis, n in (("x", n_x), ("y", n_y)))
    values = np.array([row[f"gridvals_{k}"] for k in range(n_x * n_y)], float).reshape(n_y, n_x)
    degree = int(row.order)
    spline = RectBivariateSpline(x_grid, y_grid, values.T, kx=degree, ky=degree)
    y, x = np.arange(shape[0]) + row.y0, np.arange(shape[1]) + row.x0
    return spline(x, y).T


def common_grid(exposures: list[Exposure], image_size: int, pixel_arcsec: float):
    """A north-up TAN WCS of `image_size` px centred on the mean sky position of the exposures' centres."""
    centres = []
    for exposure in exposures:
        height, width = exposure.image.shape
        centres.append([float(v) for v in sky_of_pixel(width / 2, height / 2, exposure.wcs)])
    ra, dec = np.transpose(centres)
    ra = ra[0] + np.mean((ra - ra[0] + 180) % 360 - 180)
    return tan_wcs(ra % 360, np.mean(dec), image_size, pixel_arcsec)


def resample(exposure: Exposure, wcs, image_size: int) -> np.ndarray:
    """The exposure on the grid of `wcs`, float32 (image_size, image_size), bilinear; NaN outside and at
    invalid pixels.
    """
    from scipy.ndimage import map_coordinates

    height, width = exposure.image.shape
    corners = sky_of_pixel(np.array([0, width, width, 0]), np.array([0, 0, height, height]), exposure.wcs)
    # only where the exposure is, and a little around it
    columns, rows = (_pixels_about(axis, image_size) for axis in pixel_of_sky(*corners, wcs))
    y, x = np.mgrid[rows, columns] + 0.5
    x_in, y_in = pixel_of_sky(*sky_of_pixel(x, y, wcs), exposure.wcs)
    image = np.full((image_size, image_size), np.nan, np.float32)
    image[rows, columns] = map_coordinates(
        exposure.image, [y_in - 0.5, x_in - 0.5], order=1, mode="constant", cval=np.nan, prefilter=False
    )
    return image


def _pixels_about(positions: np.ndarray, image_size: int) -> slice:
    """The pixels of an axis that hold these positions, and eight on each side."""
    first, last = int(np.floor(positions.min())) - 8, int(np.ceil(positions.max())) + 8
    return slice(min(max(first, 0), image_size), min(max(last, 0), image_size))
