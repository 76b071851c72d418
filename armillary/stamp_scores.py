"""Scores of reconstructed galaxies against the truth: images, fluxes, shapes."""

import numpy as np

BRIGHT = 0.1  # of the true peak: pixels above count as the galaxy
SHAPE_WINDOW_ARCSEC = 0.5  # sigma of the Gaussian weight of moments


def psnr_db(image: np.ndarray, truth: np.ndarray, truth_variance: np.ndarray | float = 0.0) -> np.ndarray:
    """Peak signal-to-noise ratio (...) of images (..., n_y, n_x), in dB: the truth's peak over the rms error.

    The noise of the truth, `truth_variance` for all pixels or each of them, is taken off the error, down to a tenth of
    that noise.
    """
    squared = np.mean((image - truth) ** 2, axis=(-2, -1))
    noise = np.mean(np.broadcast_to(truth_variance, truth.shape), axis=(-2, -1))
    squared = np.maximum(squared - noise, 0.1 * noise + 1e-30)
    return 10 * np.log10(truth.max((-2, -1)) ** 2 / squared)


def shapes(images: np.ndarray, pixel_arcsec: float) -> np.ndarray:
    """(..., 4) of images (..., n, n): flux, size (arcsec), e1 and e2 from second moments under a fixed Gaussian."""
    places = (np.arange(images.shape[-1]) - (images.shape[-1] - 1) / 2) * pixel_arcsec
    window = np.exp(-0.5 * places**2 / SHAPE_WINDOW_ARCSEC**2)
    rows = images @ np.stack([window, window * places, window * places**2], -1)  # (..., y, 3): moments along x

    def moment(power_y: int, power_x: int) -> np.ndarray:
        return np.einsum("...y,y->...", rows[..., power_x], window * places**power_y)

    norm = moment(0, 0)
    norm = np.where(np.abs(norm) > 1e-12, norm, 1e-12)
    y, x = moment(1, 0) / norm, moment(0, 1) / norm
    yy, xx, xy = moment(2, 0) / norm - y**2, moment(0, 2) / norm - x**2, moment(1, 1) / norm - x * y
    trace = np.maximum(xx + yy, 1e-12)
    return np.stack([images.sum((-2, -1)), np.sqrt(trace / 2), (xx - yy) / trace, 2 * xy / trace], -1)


def concentration(images: np.ndarray, pixel_arcsec: float) -> np.ndarray:
    """5 log10 (r80 / r20) (n,) of images (n, size, size): radii about the middle that hold these shares of the flux."""
    places = np.arange(images.shape[-1]) - (images.shape[-1] - 1) / 2
    radius = np.hypot(*np.meshgrid(places, places)).ravel()
    order = np.argsort(radius)
    grown = np.cumsum(images.reshape(len(images), -1)[:, order], 1)
    share = np.maximum.accumulate(grown / grown[:, -1:], 1)
    r20, r80 = (np.array([np.interp(level, one, radius[order]) for one in share]) for level in (0.2, 0.8))
    return 5 * np.log10(np.maximum(r80, 0.5) / np.maximum(r20, 0.3))
