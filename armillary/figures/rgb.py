"""Colour pictures of the dark sky from images in counts.

The brightness of a pixel is an asinh of its mean over three bands, and its hue the ratio of the three,
so that a bright galaxy keeps its colour (Lupton et al. 2004, PASP 116, 133); what is beyond the brightest
shade fades to white.
"""

import numpy as np

# Weights of the red, green and blue channel: an elliptical at z ~ 0.2 looks a warm white.
CHANNEL_WEIGHTS = (0.75, 1.0, 1.5)


def block_mean(image: np.ndarray, factor: int) -> np.ndarray:
    """Average blocks of factor x factor pixels, dropping what fills no block: (h, w) -> (h//f, w//f)."""
    height, width = (size // factor for size in image.shape)
    trimmed = image[: height * factor, : width * factor]
    return trimmed.reshape(height, factor, width, factor).mean(axis=(1, 3))


def block_rows(height: int, factor: int, rows_at_once: int = 512) -> list[tuple[int, int]]:
    """Return (first, last) rows of strips of whole blocks that cover an image of `height` rows."""
    step = max(rows_at_once // factor, 1) * factor
    whole = height // factor * factor
    return [(first, min(first + step, whole)) for first in range(0, whole, step)]


def robust_sigma(image: np.ndarray) -> float:
    """Return the sky's standard deviation from the median absolute deviation of the finite pixels."""
    values = image[np.isfinite(image)]
    if values.size == 0:
        return 1.0
    sigma = 1.4826 * np.median(np.abs(values - np.median(values)))
    return float(sigma) if sigma > 0 else float(values.std()) or 1.0


def asinh_rgb(
    red: np.ndarray,
    green: np.ndarray,
    blue: np.ndarray,
    *,
    black: float,
    stretch: float,
    softening: float = 8.0,
) -> np.ndarray:
    """Return an RGB image in 0..1, shape (h, w, 3), of three images of one shape.

    With I the mean of the three above `black`, a pixel is (r, g, b)/I * asinh(q I / stretch) / asinh(q), with
    q the `softening`: linear for I << stretch/q, 1 at I = stretch. A pixel whose largest channel m passes 1
    is scaled down as a whole, which keeps its hue, and goes by 1 - 1/m of the way to white. Non-finite pixels
    are black.
    """
    channels = np.stack([red, green, blue], axis=-1).astype(np.float64) - black  # (h, w, 3)
    channels = np.clip(np.nan_to_num(channels, nan=0.0, posinf=0.0, neginf=0.0), 0.0, None)
    intensity = channels.mean(axis=-1, keepdims=True)  # (h, w, 1)
    brightness = np.arcsinh(softening * intensity / stretch) / np.arcsinh(softening)
    colour = channels * (brightness / np.where(intensity > 0, intensity, 1.0))
    largest = np.maximum(colour.max(axis=-1, keepdims=True), 1.0)
    return 1.0 - (1.0 - colour / largest) / largest


def sky_rgb(images: list[np.ndarray], factor: int = 1) -> np.ndarray:
    """Return an RGB picture of 1 to 4 images in wavelength order, binned by `factor`.

    Of three or more bands the first three are blue, green and red (g, r, i); of two, green is their mean; one
    gives grey. Black lies a little over the median sky, and the stretch follows from the noise.
    """
    binned = [block_mean(np.asarray(image, np.float64), factor) for image in images[:3]]
    binned = [image - np.nanmedian(image) if np.isfinite(image).any() else image for image in binned]
    if len(binned) == 1:
        binned = binned * 3
    elif len(binned) == 2:
        binned = [binned[0], 0.5 * (binned[0] + binned[1]), binned[1]]
    blue, green, red = binned
    weighted = [weight * image for weight, image in zip(CHANNEL_WEIGHTS, (red, green, blue), strict=True)]
    sigma = max(robust_sigma(image) for image in weighted)
    return asinh_rgb(*weighted, black=0.2 * sigma, stretch=40.0 * sigma)


def sky_grey(image: np.ndarray) -> np.ndarray:
    """Return a grey picture of one image, (h, w, 3), stretched as `sky_rgb` does, with some of the noise to be seen."""
    level = image - np.nanmedian(image)
    sigma = robust_sigma(level)
    return asinh_rgb(level, level, level, black=-sigma, stretch=40.0 * sigma)
