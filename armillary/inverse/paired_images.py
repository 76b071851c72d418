"""One piece of sky seen by a space telescope and by a ground-based camera: the operator and reconstructions against it.

Positions are (dy, dx) in arcsec, from the middle of the ground-based frame.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from scipy import ndimage, optimize

from armillary.inverse.stamp_operator import observed_stamp, stamp_operator
from armillary.stamp_sets import shifted_images


class SpaceImage(NamedTuple):
    """The space telescope's image and PSF, and where its middle is."""

    image: np.ndarray  # (n_y, n_x)
    psf: np.ndarray
    pixel_arcsec: float
    middle: np.ndarray  # (2,)


def middle_from_headers(space: dict, space_shape: tuple, ground: dict, ground_shape: tuple, pixel_arcsec: float):
    """(dy, dx) of the space image's middle, from the headers' world coordinates (2,).

    # ASSUME: both frames are aligned with the sky; what their tangent points turn them by is below 1e-4 rad.
    """
    from astropy.wcs import WCS

    sky = WCS(space).celestial.pixel_to_world((space_shape[1] - 1) / 2, (space_shape[0] - 1) / 2)
    x, y = WCS(ground).celestial.world_to_pixel(sky)
    return (np.array([y, x]) - (np.array(ground_shape) - 1) / 2) * pixel_arcsec


def as_seen(
    space: SpaceImage, psf: np.ndarray, pixel_arcsec: float, shape: tuple[int, int], psf_pixel_arcsec: float
) -> np.ndarray:
    """The space image through another PSF, on pixels of `pixel_arcsec` in a frame about the ground frame's middle."""
    operator = stamp_operator(
        space.psf, psf, fine_size=len(space.image), fine_pixel_arcsec=space.pixel_arcsec, ground_shape=shape,
        ground_pixel_arcsec=pixel_arcsec, psf_pixel_arcsec=psf_pixel_arcsec,
    )  # fmt: skip
    return np.asarray(observed_stamp(operator, jnp.asarray(space.image, jnp.float32), jnp.asarray(space.middle)))


def footprint(space: SpaceImage, shape: tuple[int, int], pixel_arcsec: float, border_arcsec: float) -> np.ndarray:
    """Pixels of a frame about the ground frame's middle that lie inside the space image, `border_arcsec` from its
    edges."""
    half = len(space.image) * space.pixel_arcsec / 2 - border_arcsec
    rows, columns = ((np.arange(n) - (n - 1) / 2) * pixel_arcsec for n in shape)
    return (np.abs(rows - space.middle[0]) < half)[:, None] & (np.abs(columns - space.middle[1]) < half)


def correlation(one: np.ndarray, other: np.ndarray, where: np.ndarray) -> float:
    """Pearson's, of the pixels `where`: gain and background do not matter."""
    return float(np.corrcoef(one[where], other[where])[0, 1])


def registered_middle(space: SpaceImage, see, image: np.ndarray, where: np.ndarray, reach_arcsec: float) -> np.ndarray:
    """The middle (2,), near that of the headers, at which `see(space)` correlates best with `image` (Nelder-Mead)."""

    def lacking(step):
        if np.abs(step).max() > reach_arcsec:
            return 1.0
        return 1.0 - correlation(see(space._replace(middle=space.middle + step)), image, where)

    first = np.array([[0.0, 0.0], [0.03, 0.0], [0.0, 0.03]])
    found = optimize.minimize(
        lacking, first[0], method="Nelder-Mead",
        options={"initial_simplex": first, "xatol": 2e-3, "fatol": 1e-7, "maxfev": 40},
    )  # fmt: skip
    return space.middle + found.x


def assembled(images: np.ndarray, positions: np.ndarray, shape: tuple[int, int], pixel_arcsec: float) -> np.ndarray:
    """Sources (..., n_sources, size, size), each centred on its position (n_sources, 2), in one frame (..., n_y, n_x)
    of the same pixels."""
    size = images.shape[-1]
    frame = np.zeros((*images.shape[:-3], *(n + 2 * size for n in shape)))
    for source, place in enumerate(positions):
        corner = (np.array(shape) - size) / 2 + place / pixel_arcsec
        whole = np.round(corner).astype(int)
        moved = shifted_images(images[..., source, :, :], (corner - whole) * pixel_arcsec, pixel_arcsec)
        top, left = np.clip(whole + size, 0, np.array(shape) + size)
        frame[..., top : top + size, left : left + size] += moved
    return frame[..., size:-size, size:-size]


def interpolated(image: np.ndarray, from_arcsec: float, shape: tuple[int, int], to_arcsec: float) -> np.ndarray:
    """A ground-based image on finer pixels about the same middle, by cubic splines."""
    places = [
        (np.arange(n) - (n - 1) / 2) * to_arcsec / from_arcsec + (old - 1) / 2
        for n, old in zip(shape, image.shape, strict=True)
    ]
    return ndimage.map_coordinates(image, np.meshgrid(*places, indexing="ij"), order=3, mode="nearest")


def smoothed_as(space: SpaceImage, fwhm_arcsec: float, pixel_arcsec: float, shape: tuple[int, int]) -> np.ndarray:
    """What needs no operator: the space image smoothed by a Gaussian and interpolated to the ground-based pixels."""
    wide = ndimage.gaussian_filter(space.image, fwhm_arcsec / 2.3548 / space.pixel_arcsec)
    places = [
        (((np.arange(n) - (n - 1) / 2) * pixel_arcsec - middle) / space.pixel_arcsec + (len(wide) - 1) / 2)
        for n, middle in zip(shape, space.middle, strict=True)
    ]
    return ndimage.map_coordinates(wide, np.meshgrid(*places, indexing="ij"), order=1, mode="constant")
