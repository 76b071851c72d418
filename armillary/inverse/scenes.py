"""From observations to scenes for inference, and from galaxies to observations: the camera's side of the problems."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from armillary.inverse.stamp_likelihood import POSITION_SIGMA_ARCSEC, Scene, whitening
from armillary.inverse.stamp_operator import MARGIN_FWHM, image_of, images_and_slopes, modes_of, stamp_operator
from armillary.stamp_psfs import psf_fwhm_arcsec
from armillary.stamp_sets import Observations, flux_of_mag, shifted_images
from armillary.step import progress


class Camera(NamedTuple):
    """A ground-based camera and its sky."""

    size_px: int
    pixel_arcsec: float
    psf_fwhm_arcsec: tuple[float, float]  # from, to
    psf_beta: float
    sky_sigma: float  # of a pixel, counts at zero point 27
    background_share: float  # sigma of what is left of the sky, in units of sky_sigma
    noise_correlation: float


class Problem(NamedTuple):
    """What scenes of a problem hold."""

    n_sources: int = 1
    separation_arcsec: tuple[float, float] = (0.6, 2.0)
    n_hidden_px: int = 0  # about the centre
    ln_flux_ratio: tuple[float, float] = (-0.3, 0.5)  # mean, sigma


def moffat_psf(size_px: int, pixel_arcsec: float, fwhm_arcsec: float, beta: float, g1: float, g2: float) -> np.ndarray:
    """A sheared Moffat profile at the pixels' centres, flux 1 (size, size)."""
    places = (np.arange(size_px) - (size_px - 1) / 2) * pixel_arcsec
    x, y = np.meshgrid(places, places)
    radius = fwhm_arcsec / 2 / np.sqrt(2 ** (1 / beta) - 1)
    u, v = (1 - g1) * x - g2 * y, (1 + g1) * y - g2 * x
    profile = (1 + (u**2 + v**2) / radius**2 / (1 - g1**2 - g2**2)) ** -beta
    return profile / profile.sum()


def simulated(
    stamps: np.ndarray, mags: np.ndarray, variances: np.ndarray, fine_psf: np.ndarray, fine_pixel_arcsec: float, camera:
    Camera, problem: Problem, hidden_bit: int, rng: np.random.Generator,
) -> Observations:  # fmt: skip
    """Scenes of stamps (n, n_sources, size, size) of flux 1 through the camera, each with its own PSF.

    `variances` (n, n_sources, size or 1, size or 1) are of the stamps' own noise.
    The first source of a scene has the flux of `mags` (n,), others log-normal ratios to it. Centres scatter about
    their positions as the likelihood assumes, noise is Gaussian, of one sigma.
    """
    rows = []
    for number in progress(range(len(stamps)), "scenes"):
        fwhm, (g1, g2) = rng.uniform(*camera.psf_fwhm_arcsec), rng.normal(0, 0.03, 2)
        psf = moffat_psf(camera.size_px, camera.pixel_arcsec, fwhm, camera.psf_beta, g1, g2)
        position = _positions(problem, rng)
        shift = position + rng.normal(0, POSITION_SIGMA_ARCSEC, position.shape)
        ratio = np.exp(rng.normal(*problem.ln_flux_ratio, problem.n_sources - 1))
        flux = flux_of_mag(mags[number]) * np.append(1.0, ratio)
        window = _window_arcsec(stamps.shape[-1] * fine_pixel_arcsec, fwhm, position)
        operator = _operator(
            camera.size_px, camera.pixel_arcsec, psf, fine_psf, stamps.shape[-1], fine_pixel_arcsec, window
        )
        clean = [
            _image(operator, jnp.asarray(stamp * level, jnp.float32), jnp.asarray(place, jnp.float32))
            for stamp, level, place in zip(stamps[number], flux, shift, strict=True)
        ]
        noise = _noise(camera, rng)
        image = np.sum(clean, 0) + noise + rng.normal(0, camera.background_share * camera.sky_sigma)
        mask = np.zeros(image.shape, np.uint32)
        mask[_hidden(image.shape, problem.n_hidden_px, rng)] = 1 << hidden_bit
        truth = [
            shifted_images(stamp * level, offset, fine_pixel_arcsec)
            for stamp, level, offset in zip(stamps[number], flux, shift - position, strict=True)
        ]
        hidden = np.where(mask > 0, image, 0.0)
        rows.append((
            np.where(mask > 0, np.nan, image), np.full(image.shape, camera.sky_sigma**2), mask, psf, position, truth,
            variances[number] * flux[:, None, None] ** 2, flux * stamps[number].sum((1, 2)),
            _flux_sigma(operator, stamps[number], flux, shift, mask, camera), hidden,
        ))  # fmt: skip
    image, variance, mask, psf, position, truth, truth_variance, flux, flux_sigma, hidden = (
        np.array(column) for column in zip(*rows, strict=True)
    )
    return Observations(
        image, variance, mask, psf, camera.pixel_arcsec, position, truth, truth_variance, flux, flux_sigma, hidden,
        camera.noise_correlation,
    )  # fmt: skip


def _flux_sigma(operator, stamps, flux, shift, mask, camera: Camera) -> np.ndarray:
    """The least standard deviation (n_sources,) of the sources' fluxes in counts that an unbiased estimate can have
    if their shapes are known (Cramer 1946): only fluxes, shifts and the background are not.

    # ASSUME: the noise of neighbouring pixels is independent here, whatever `noise_correlation` is
    """
    columns = [
        np.asarray(
            _image_and_slopes(operator, jnp.asarray(stamp * level, jnp.float32), jnp.asarray(place, jnp.float32))
        )
        for stamp, level, place in zip(stamps, flux, shift, strict=True)
    ]
    rows = np.concatenate([[one[0] for one in columns], *(one[1:] for one in columns), np.ones((1, *mask.shape))])
    rows = np.where(mask > 0, 0.0, rows).reshape(len(rows), -1) / camera.sky_sigma
    n = len(flux)
    known = [POSITION_SIGMA_ARCSEC**-2] * (2 * n) + [(camera.background_share * camera.sky_sigma) ** -2]
    information = rows @ rows.T + np.diag([0.0] * n + known)
    total = flux * stamps.sum((1, 2))
    return total * np.sqrt(np.diag(np.linalg.inv(information))[:n])


_image_and_slopes = jax.jit(images_and_slopes)
_image = jax.jit(lambda operator, stamp, shift: image_of(operator, modes_of(operator, stamp), shift))


def _positions(problem: Problem, rng: np.random.Generator) -> np.ndarray:
    """(n_sources, 2): one at the middle; two on either side of it; more at random."""
    if problem.n_sources == 1:
        return np.zeros((1, 2))
    angle, apart = rng.uniform(0, 2 * np.pi), rng.uniform(*problem.separation_arcsec)
    half = 0.5 * apart * np.array([np.sin(angle), np.cos(angle)])
    return np.array([-half, half])


def _hidden(shape: tuple[int, int], n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of n pixels nearest to a point near the middle."""
    rows, columns = np.indices(shape)
    centre = (np.array(shape) - 1) / 2 + rng.normal(0, 1.0, 2)
    near = np.argsort((rows - centre[0]).ravel() ** 2 + (columns - centre[1]).ravel() ** 2)[:n]
    return np.unravel_index(near, shape)


def _noise(camera: Camera, rng: np.random.Generator) -> np.ndarray:
    """Noise whose neighbours share the camera's correlation."""
    white = rng.normal(0, camera.sky_sigma, (camera.size_px, camera.size_px))
    if camera.noise_correlation == 0:
        return white
    lag = camera.noise_correlation * (np.eye(camera.size_px, k=1) + np.eye(camera.size_px, k=-1))
    root = np.linalg.cholesky(np.eye(camera.size_px) + lag)
    return root @ white @ root.T


def _window_arcsec(fine_arcsec: float, fwhm_arcsec: float, position: np.ndarray) -> float:
    """Side of a periodic window in which no stamp at these positions (..., 2) meets itself, in whole arcsec: problems
    of much the same seeing then have operators of one shape, and share what is compiled."""
    return np.ceil(fine_arcsec + MARGIN_FWHM * fwhm_arcsec + 2 * np.abs(position).max())


def _operator(size, pixel_arcsec, psf, fine_psf, fine_size, fine_pixel_arcsec, window):
    shape = size if isinstance(size, tuple) else (size, size)
    return stamp_operator(
        fine_psf, psf, fine_size=fine_size, fine_pixel_arcsec=fine_pixel_arcsec, ground_shape=shape,
        ground_pixel_arcsec=pixel_arcsec, min_window_arcsec=window,
    )  # fmt: skip


def scenes_of(
    seen: Observations, missing: np.ndarray, fine_psf: np.ndarray, fine_size: int, fine_pixel_arcsec: float,
    background_share: float,
) -> Scene:  # fmt: skip
    """All scenes, stacked: arrays start with the scene. `missing` (n, n_y, n_x) are pixels not to be looked at."""
    missing = missing | ~np.isfinite(seen.image)
    fwhm = max(psf_fwhm_arcsec(psf, seen.pixel_arcsec) for psf in seen.psf)
    window = _window_arcsec(fine_size * fine_pixel_arcsec, fwhm, seen.position)
    scenes = []
    for number, psf in enumerate(seen.psf):
        out = missing[number]
        operator = _operator(
            seen.image.shape[1:], seen.pixel_arcsec, psf, fine_psf, fine_size, fine_pixel_arcsec, window
        )
        whiten = whitening(seen.variance[number], out, seen.noise_correlation)
        arrays = (
            whiten, np.where(out, 0.0, seen.image[number]), seen.position[number],
            background_share * np.sqrt(np.median(seen.variance[number][~out])),
        )  # fmt: skip
        scenes.append(Scene(operator, *(jnp.asarray(array, jnp.float32) for array in arrays)))
    return jax.tree.map(lambda *parts: jnp.stack(parts), *scenes)
