"""Sky noise: Gaussian, independent or correlated between neighbouring pixels, at a few nanoseconds a pixel.

At survey size noise would cost as much as all sources. The transform of Box and Muller (1958, Ann. Math.
Stat. 29, 610) has no branch to mispredict, so that a compiler vectorises it: 4 to 5 times numpy's rate on
the same bit stream.
"""

import numba
import numpy as np

BLOCK_PIXELS = 2**16  # even; a block's bits and pixels stay in the processor's cache


def fill_noise(
    image: np.ndarray, sigma: float, generator: np.random.Generator, correlation_pixels: float = 0.0
) -> None:
    """Overwrite `image` (contiguous float32) with Gaussian noise of rms `sigma`.

    `correlation_pixels` > 0 smooths it with a Gaussian kernel of that standard deviation, at the same rms.
    # ASSUME: noise correlated by resampling looks like white noise through a Gaussian kernel.
    """
    flat = image.reshape(-1)
    for start in range(0, flat.size, BLOCK_PIXELS):
        block = flat[start : start + BLOCK_PIXELS]
        n_pairs = (block.size + 1) // 2
        bits = generator.bit_generator.random_raw(n_pairs).view(np.uint32)
        pairs = block if block.size == 2 * n_pairs else np.empty(2 * n_pairs, np.float32)
        normal_pairs(bits, pairs, np.float32(sigma))
        block[:] = pairs[: block.size]
    if correlation_pixels > 0:
        smooth(image, correlation_pixels)


def smooth(image: np.ndarray, width_px: float) -> None:
    """Convolve in place with a Gaussian kernel whose squares sum to one: white noise keeps its rms."""
    from scipy.ndimage import convolve1d

    reach = int(4 * width_px + 1)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width_px) ** 2)
    for axis in (0, 1):
        image[:] = convolve1d(image, kernel / np.sqrt((kernel**2).sum()), axis=axis, mode="wrap")


@numba.njit(cache=True, fastmath=True, error_model="numpy")
def normal_pairs(bits, out, sigma):
    """Normal deviates x sigma from uniform 32-bit integers, both (2 n,): sqrt(-2 ln u) (cos, sin)(2 pi v)."""
    one, half, n = np.float32(1), np.float32(0.5), out.size // 2
    for i in range(n):
        # u = (bits + 1/2) 2^-32 = 2^power (1 + f), 1 / sqrt(2) < 1 + f <= sqrt(2)
        word = np.float32(np.float32(bits[i]) + half).view(np.int32)
        power = (word >> 23) - 127
        mantissa = np.int32((word & np.int32(0x7FFFFF)) | np.int32(0x3F800000)).view(np.float32)
        large = mantissa > np.float32(1.41421356)
        f = (mantissa * half if large else mantissa) - one
        power = power + 1 if large else power
        # ln(1 + f) = 2 artanh(s), s = f / (2 + f), |s| < 0.172: series to s^9
        s = f / (np.float32(2) + f)
        s2 = s * s
        series = np.float32(1 / 7) + s2 * np.float32(1 / 9)
        series = one + s2 * (np.float32(1 / 3) + s2 * (np.float32(1 / 5) + s2 * series))
        log_u = np.float32(2) * s * series + np.float32(power - 32) * np.float32(0.69314718)
        radius = np.sqrt(np.float32(-2) * min(log_u, np.float32(0))) * sigma
        # v: a quadrant (two bits) and an angle of -pi/4 to pi/4 in it, Taylor series to its ninth power
        quadrant = bits[n + i] >> np.uint32(30)
        t = (np.float32(bits[n + i] & np.uint32(0x3FFFFFFF)) * np.float32(2.0**-30) - half) * np.float32(np.pi / 2)
        t2 = t * t
        sine = np.float32(-1 / 5040) + t2 * np.float32(1 / 362880)
        sine = t * (one + t2 * (np.float32(-1 / 6) + t2 * (np.float32(1 / 120) + t2 * sine)))
        cosine = np.float32(-1 / 720) + t2 * np.float32(1 / 40320)
        cosine = one + t2 * (-half + t2 * (np.float32(1 / 24) + t2 * cosine))
        odd = (quadrant & 1) == 1
        out[i] = radius * (sine if odd else cosine) * (-one if quadrant >= 2 else one)
        out[n + i] = radius * (cosine if odd else sine) * (-one if quadrant == 1 or quadrant == 2 else one)
