"""A user's own images as observations: what is wrong with them is said in one line before anything is computed."""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from armillary.stamp_evaluation import ProblemData
from armillary.stamp_psfs import centred_psf, padded, psf_fwhm_arcsec
from armillary.stamp_scores import shapes
from armillary.stamp_sets import Observations, missing_pixels
from armillary.step import announce

PIXEL_TOLERANCE = 0.02  # between the pixel side that is configured and that of a header
SEEING_ARCSEC = (0.3, 3.0)  # a PSF outside does not belong to a ground-based image with these pixels
CLIP_SIGMA, N_CLIPS = 3.0, 8
NARROW_PX, WIDE_PX = 1.0, 3.0  # Gaussians whose difference makes peaks of blended galaxies stand out
PEAK_SIGMA = 5.0


class Given(NamedTuple):
    """One image of a user with what belongs to it."""

    name: str
    image: np.ndarray  # (n_y, n_x) counts a pixel; NaN is missing
    psf: np.ndarray
    variance: np.ndarray | None
    mask: np.ndarray | None  # bits
    pixel_arcsec: float | None  # that the file says


def observations_of(
    clean: list[Given], pixel_arcsec: float, positions: np.ndarray, noise_correlation: float = 0.0
) -> Observations:
    """Scenes without truth, one an image that is `checked`, in frames and PSF frames of one size: edges that were added
    are missing.

    `positions` (n, n_sources, 2) are (dy, dx) in arcsec from each image's own middle. Raises ValueError for one that is
    outside.
    """
    for one, places in zip(clean, positions, strict=True):
        half = np.array(one.image.shape) / 2 * pixel_arcsec
        if (np.abs(places) > half).any():
            first = places[(np.abs(places) > half).any(1)][0].tolist()
            raise ValueError(
                f"{one.name}: a galaxy at {first} arcsec from the middle is outside the image, which ends at "
                f"{half.round(2).tolist()} (config key `observed: positions_arcsec`)"
            )
    shape = tuple(np.max([one.image.shape for one in clean], axis=0))
    side = max(len(one.psf) for one in clean) // 2 * 2 + 1
    moved = [_middle_of_padded(one.image.shape, shape) * pixel_arcsec for one in clean]
    n, n_sources = positions.shape[:2]
    return Observations(
        image=np.array([padded(one.image, shape, np.nan) for one in clean]),
        variance=np.array([padded(one.variance, shape, 1.0) for one in clean]),
        mask=np.array([padded(one.mask, shape, 0) for one in clean]),
        psf=np.array([_odd(one.psf, side) for one in clean]), pixel_arcsec=pixel_arcsec,
        position=positions + np.array(moved)[:, None], truth=np.zeros((n, n_sources, 0, 0)),
        truth_variance=np.zeros((n, n_sources, 1, 1)), true_flux=np.full((n, n_sources), np.nan),
        flux_sigma=np.full((n, n_sources), np.nan), hidden=np.zeros((n, 0, 0)), noise_correlation=noise_correlation,
    )  # fmt: skip


def _middle_of_padded(shape: tuple[int, int], wanted: tuple[int, int]) -> np.ndarray:
    """Where the middle of an image is from the middle of its padded frame, in pixels (y, x)."""
    low = (np.array(wanted) - shape) // 2
    return low + (np.array(shape) - 1) / 2 - (np.array(wanted) - 1) / 2


def _odd(psf: np.ndarray, side: int) -> np.ndarray:
    """The PSF on a frame of an odd side; one between four pixels is moved by half a pixel in Fourier space."""
    if len(psf) % 2:
        return padded(psf, (side, side), 0.0)
    frame = padded(psf, (side, side), 0.0)  # its middle is half a pixel too low
    wave = np.exp(-2j * np.pi * np.fft.fftfreq(side) * 0.5)
    return np.fft.ifft2(np.fft.fft2(frame) * wave[:, None] * wave).real


def checked(
    one: Given, pixel_arcsec: float, planes: dict[str, int], missing: list[str], subtract_sky: bool
) -> Given:  # fmt: skip
    """The image with all that belongs to it, missing pixels NaN. Raises ValueError with one line that names the image
    and the config key."""
    image, psf = np.asarray(one.image, float), centred_psf(one.psf, one.name)
    check_pixel_side(one._replace(psf=psf), pixel_arcsec)
    mask = np.zeros(image.shape, np.uint32) if one.mask is None else np.asarray(one.mask)
    for name, plane in (("mask", mask), ("variance", one.variance)):
        if plane is not None and plane.shape != image.shape:
            raise ValueError(
                f"{one.name}: {name} has shape {plane.shape}, image {image.shape} (config key `observed: {name}`)"
            )
    if not np.issubdtype(mask.dtype, np.integer):
        raise ValueError(f"{one.name}: a mask of {mask.dtype} holds no bits; integers are needed (`observed: mask`)")
    out = missing_pixels(mask, planes, missing) | ~np.isfinite(image)
    if out.all():
        raise ValueError(
            f"{one.name}: all {image.size} pixels are masked or not finite: nothing constrains a galaxy (config keys "
            "`observed: mask`, `missing_planes`)"
        )
    n_nan = int((~np.isfinite(image)).sum())
    if n_nan:
        announce(f"{one.name}: {n_nan} pixels are not finite and taken as missing")
    sky, sigma = sky_of(image[~out])
    variance = np.full(image.shape, sigma**2) if one.variance is None else np.asarray(one.variance, float)
    bad = int(np.sum(~(np.isfinite(variance) & (variance > 0)) & ~out))
    if bad:
        raise ValueError(
            f"{one.name}: {bad} unmasked pixels have a variance that is not above 0 (least "
            f"{np.nanmin(variance):.3g}): mask them (config keys `observed: variance`, `observed: mask`)"
        )
    variance = np.where(out, 1.0, variance)
    image = np.where(out, np.nan, image - sky if subtract_sky else image)
    return one._replace(image=image, variance=variance, mask=mask.astype(np.uint32), psf=psf)


def check_pixel_side(one: Given, pixel_arcsec: float) -> None:
    """Raise ValueError where `pixel_arcsec` contradicts the image's header, or makes the seeing absurd."""
    if one.pixel_arcsec is not None and abs(one.pixel_arcsec / pixel_arcsec - 1) > PIXEL_TOLERANCE:
        raise ValueError(
            f"{one.name}: pixel_arcsec is {pixel_arcsec:g}; the image's header says {one.pixel_arcsec:.4g} (config key "
            "`observed: pixel_arcsec`)"
        )
    fwhm = psf_fwhm_arcsec(one.psf, pixel_arcsec)
    if not SEEING_ARCSEC[0] < fwhm < SEEING_ARCSEC[1]:
        raise ValueError(
            f"{one.name}: with pixel_arcsec {pixel_arcsec:g} the PSF is {fwhm:.3g} arcsec wide, not "
            f"{SEEING_ARCSEC[0]:g} to {SEEING_ARCSEC[1]:g}: is it of another scale? (config keys `observed: "
            "pixel_arcsec`, `observed: psf`)"
        )


def sky_of(pixels: np.ndarray) -> tuple[float, float]:
    """Median and standard deviation of what is left after clipping at 3 sigma from the median.

    # ASSUME: half of the pixels or more are empty sky.
    """
    left = np.asarray(pixels, float).ravel()
    for _ in range(N_CLIPS):
        middle, sigma = np.median(left), left.std()
        left = left[np.abs(left - middle) <= CLIP_SIGMA * sigma]
    return float(np.median(left)), float(max(left.std(), 1e-12))


def found_positions(images: list[np.ndarray], pixel_arcsec: float) -> np.ndarray:
    """(n, 2) positions of galaxies in images (n_y, n_x), one a band, of one piece of sky, (dy, dx) in arcsec from the
    middle, brightest peak first. Peaks are those of the bands' summed signal-to-noise, sharpened by the difference of
    two Gaussians, above 5 sigma. Raises ValueError if there is none."""
    total = np.zeros(images[0].shape)
    for image in images:
        sky, sigma = sky_of(image[np.isfinite(image)])
        total += np.where(np.isfinite(image), image - sky, 0.0) / sigma
    sharp = ndimage.gaussian_filter(total, NARROW_PX) - ndimage.gaussian_filter(total, WIDE_PX)
    sharp = sharp / sky_of(sharp)[1]
    rows, columns = np.nonzero((sharp == ndimage.maximum_filter(sharp, 5)) & (sharp > PEAK_SIGMA))
    if not len(rows):
        raise ValueError(f"no galaxy stands out by {PEAK_SIGMA:g} sigma: highest peak {sharp.max():.2g}")
    order = np.argsort(-sharp[rows, columns])
    middle = (np.array(total.shape) - 1) / 2
    return (np.stack([rows, columns], -1)[order] - middle) * pixel_arcsec


def galaxy_rows(
    data: ProblemData, samples: np.ndarray, method: str, scenes: list[dict], zero_point_mag: float
) -> list[dict]:
    """A row a source: flux, size and ellipticity of the samples (n, n_draws, n_sources, size, size), mean and standard
    deviation, and how well the model fits."""
    rows = []
    for scene, (named, images) in enumerate(zip(scenes, samples, strict=True)):
        fit = data.posteriors[method]
        for source, place in enumerate(data.seen.position[scene]):
            found = shapes(images[:, source], data.fine_pixel_arcsec)
            row = named | {"source": source, "method": method, "dy_arcsec": place[0], "dx_arcsec": place[1]}
            for name, values in zip(("flux", "size_arcsec", "e1", "e2"), found.T, strict=True):
                row |= {name: values.mean(), f"{name}_error": values.std()}
            row["mag"] = zero_point_mag - 2.5 * np.log10(max(row["flux"], 1e-30))
            row |= {"chi2_per_pixel": fit["chi2"][scene] / fit["n_pixels"][scene]}
            row |= {name: fit[name][scene] for name in ("r_hat", "ess", "ln_evidence") if name in fit}
            rows.append(row)
    return rows
