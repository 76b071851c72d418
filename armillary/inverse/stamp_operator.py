"""What a ground-based camera makes of a space-based stamp: resampling, change of PSF, shift, background and gain, exact
and differentiable.

The stamp is taken to Fourier space by two small matrices, one an axis, there multiplied by the ratio of the two PSFs
and by the phase of a shift, and taken to the camera's pixels by two more. Nothing is interpolated: pixel sizes, sizes
and parities are free, and the stamp is zero outside its frame. Images are flux a pixel; PSFs include their camera's
pixel. Positions are measured from the middle of a frame, (n - 1) / 2 pixels from its first pixel's centre.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from armillary.stamp_psfs import psf_fwhm_arcsec

LOWEST_RESPONSE = 1e-3  # of the space-based PSF: modes below are taken to be 0
MARGIN_FWHM = 4.0  # of the ground-based PSF, by which the periodic window is larger than the stamp


class StampOperator(NamedTuple):
    """Matrices and multipliers of one pair of PSFs; make it with `stamp_operator`."""

    rows_to_modes: jax.Array  # (n_modes, n_fine) complex
    columns_to_modes: jax.Array  # (n_half, n_fine) complex: the half plane of real images
    modes_to_rows: jax.Array  # (n_y, n_modes) complex
    modes_to_columns: jax.Array  # (n_x, n_half) complex, twice that of the left-out half
    transfer: jax.Array  # (n_modes, n_half) complex: ground PSF / space PSF
    wave_y: jax.Array  # (n_modes, 1) rad / arcsec
    wave_x: jax.Array  # (1, n_half) rad / arcsec


def stamp_operator(
    fine_psf: np.ndarray, ground_psf: np.ndarray, *, fine_size: int, fine_pixel_arcsec: float,
    ground_shape: tuple[int, int], ground_pixel_arcsec: float, psf_pixel_arcsec: float | None = None,
    min_window_arcsec: float = 0.0,
) -> StampOperator:  # fmt: skip
    """The operator from stamps (fine_size, fine_size) to images (n_y, n_x) of the camera.

    Args:
        fine_psf: effective PSF of the stamps, square, on their pixels, centred.
        ground_psf: PSF of the camera, square, on pixels of `psf_pixel_arcsec` (default: its own), centred.
        min_window_arcsec: side of the periodic window at least, so that operators of several PSFs have one shape.

    Both PSFs are normalised here. Raises ValueError for one that is not square, not finite, or has no flux.
    """
    psf_pixel_arcsec = psf_pixel_arcsec or ground_pixel_arcsec
    fwhm = psf_fwhm_arcsec(ground_psf, psf_pixel_arcsec)
    extent = max(
        min_window_arcsec,
        fine_size * fine_pixel_arcsec + MARGIN_FWHM * fwhm,
        max(ground_shape) * ground_pixel_arcsec,
        max(fine_psf.shape) * fine_pixel_arcsec,
        max(ground_psf.shape) * psf_pixel_arcsec,
    )
    n_modes = int(np.ceil(extent / psf_pixel_arcsec - 1e-6)) // 2 * 2 + 1  # odd: every mode has its mirror image
    window = n_modes * psf_pixel_arcsec
    wave_y = 2 * np.pi * np.fft.fftfreq(n_modes, psf_pixel_arcsec)
    wave_x = wave_y[: n_modes // 2 + 1]
    in_fine, in_psf = _positions(fine_size, fine_pixel_arcsec), _positions(len(ground_psf), psf_pixel_arcsec)
    transfer = _spectrum(ground_psf, wave_y, wave_x, in_psf)
    response = _spectrum(fine_psf, wave_y, wave_x, _positions(len(fine_psf), fine_pixel_arcsec))
    resolved = np.abs(response) > LOWEST_RESPONSE
    transfer = np.where(resolved, transfer / np.where(resolved, response, 1.0), 0.0)
    rows, columns = (_positions(n, ground_pixel_arcsec) for n in ground_shape)
    scale = ground_pixel_arcsec / window
    twice = np.where(wave_x == 0, 1.0, 2.0)
    arrays = (
        np.exp(-1j * np.outer(wave_y, in_fine)), np.exp(-1j * np.outer(wave_x, in_fine)),
        scale * np.exp(1j * np.outer(rows, wave_y)), scale * twice * np.exp(1j * np.outer(columns, wave_x)),
        transfer,
    )  # fmt: skip
    return StampOperator(
        *(jnp.asarray(array, complex) for array in arrays),
        jnp.asarray(wave_y[:, None], float),
        jnp.asarray(wave_x[None], float),
    )


def modes_of(operator: StampOperator, image: jax.Array) -> jax.Array:
    """Fourier coefficients (..., n_modes, n_half) of stamps (..., n_fine, n_fine), without any PSF."""
    half = jnp.einsum("kj,...ij->...ik", operator.columns_to_modes, image)
    return jnp.einsum("ki,...ij->...kj", operator.rows_to_modes, half)


def image_of(operator: StampOperator, modes: jax.Array, shift_arcsec: jax.Array) -> jax.Array:
    """Images (..., n_y, n_x) of coefficients (..., n_modes, n_half), with the PSFs exchanged and the sky shifted by
    (dy, dx)."""
    phase = jnp.exp(-1j * (operator.wave_y * shift_arcsec[0] + operator.wave_x * shift_arcsec[1]))
    return _to_pixels(operator, modes * (operator.transfer * phase))


def observed_stamp(
    operator: StampOperator, image: jax.Array, shift_arcsec: jax.Array = (0.0, 0.0), background: jax.Array = 0.0,
    gain: jax.Array = 1.0,
) -> jax.Array:  # fmt: skip
    """What the camera sees of stamps (..., n_fine, n_fine): gain * image, shifted by (dy, dx), + background."""
    return gain * image_of(operator, modes_of(operator, image), shift_arcsec) + background


def images_and_slopes(operator: StampOperator, stamps: jax.Array, shift_arcsec: jax.Array) -> jax.Array:
    """(3, ..., n_y, n_x): the images of stamps and their derivatives with respect to dy and dx, an arcsec."""
    modes = modes_of(operator, stamps)
    return jnp.stack([image_of(operator, modes, shift_arcsec), *slopes_of(operator, modes, shift_arcsec)])


def slopes_of(operator: StampOperator, modes: jax.Array, shift_arcsec: jax.Array) -> jax.Array:
    """(2, ..., n_y, n_x): derivatives of `image_of` with respect to dy and dx, an arcsec."""
    waves = (operator.wave_y, operator.wave_x)
    return jnp.stack([image_of(operator, -1j * wave * modes, shift_arcsec) for wave in waves])


def _to_pixels(operator: StampOperator, modes: jax.Array) -> jax.Array:
    rows = jnp.einsum("ik,...kj->...ij", operator.modes_to_rows, modes)
    # the real part of a product of complex numbers, without its imaginary part
    return jnp.einsum("mj,...ij->...im", operator.modes_to_columns.real, rows.real) - jnp.einsum(
        "mj,...ij->...im", operator.modes_to_columns.imag, rows.imag
    )


def _positions(n: int, pixel_arcsec: float) -> np.ndarray:
    return (np.arange(n) - (n - 1) / 2) * pixel_arcsec


def _spectrum(psf: np.ndarray, wave_y: np.ndarray, wave_x: np.ndarray, positions: np.ndarray) -> np.ndarray:
    psf = np.asarray(psf, float) / np.sum(psf, dtype=float)
    return np.exp(-1j * np.outer(wave_y, positions)) @ psf @ np.exp(-1j * np.outer(positions, wave_x))
