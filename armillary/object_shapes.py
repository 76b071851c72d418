"""The shape of the object in the middle of a cutout, as some eighty numbers: what a morphology catalogue would hold.

Moments, multipoles, growth of the flux, concentration, asymmetry, Gini, M20 and the brightest thing beside the object,
for the stack of all bands and, fewer of them, for every band. Nothing is learned. All numbers but those that say what
stands out of the noise are free of units: positions in pixels, fluxes over that of the object.

Sources: concentration and asymmetry, Conselice (2003), ApJS 147, 1; Gini and M20, Lotz et al. (2004), AJ 128, 163.
"""

from functools import cache

import numpy as np
import scipy.fft

from armillary.cutouts import Cutouts, usable_pixels

APERTURES_PX = (1.5, 2.5, 4.0, 6.0, 8.0, 10.0, 12.0)
OBJECT_PX = 6.0  # radius of the aperture whose flux is "the object's"
RINGS_PX = ((0.0, 3.0), (3.0, 6.0), (6.0, 9.0), (9.0, 13.0))
MULTIPOLES = (1, 2, 3, 4)
WEIGHTS_PX = (2.0, 3.5, 6.0)  # sigma of the Gaussian weights of moments
CENTRE_PX, LARGEST_SHIFT_PX, N_CENTRING = 2.0, 1.5, 3
SKY_SHARE = 0.8  # sky: beyond this share of half the side
SMOOTHING_PX, N_SIGMA = 1.2, 1.5
LEAST_USABLE = 0.5  # of the pixels of the object's aperture, or a band counts as missing
STACK, BAND = "stack", "band"


def shape_numbers(cutouts: Cutouts, image_px: int) -> np.ndarray:
    """Shapes (N, d) of the middles, `image_px` on a side, of cutouts; `shape_names` says what they are.

    Unusable pixels get the value opposite to them across the centre, or that of the sky. Numbers of a missing band are
    NaN; the stack does without it. Noise is that of the variance of the cutouts. The object is recentred by its own
    centroid in the stack (Fourier shift, the same in all bands).
    """
    planes, noise = _planes(cutouts, image_px)
    kept = np.isfinite(noise)
    filled = np.where(kept[..., None, None], planes, 0).astype(np.float32)
    centred, smooth = _recentred(filled, _centroid(filled[:, -1]))
    noise = np.where(kept, noise, 1.0)
    stack = np.concatenate([_radial(centred[:, -1:], noise[:, -1:], STACK)[:, 0], _ranked(centred[:, -1], noise[:, -1]),
                            _beside(smooth, centred[:, -1], noise[:, -1])], 1)  # fmt: skip
    bands = _radial(centred[:, :-1], noise[:, :-1], BAND)
    bands[~kept[:, :-1]], stack[~kept[:, -1]] = np.nan, np.nan
    return np.concatenate([stack, bands.reshape(len(bands), -1)], 1).astype(np.float32)


def shape_names(bands: list[str]) -> list[str]:
    """Names of the numbers of `shape_numbers`, in order: those of the stack, then those of each band."""
    stack = [*_radial_names(STACK), "gini", "m20", "area", "beside_significance", "beside_share", "beside_radius_px"]
    return [*stack, *(f"{name}_{band}" for band in bands for name in _radial_names(BAND))]


def shape_facts(bands: list[str], image_px: int) -> dict:
    """What a file of shapes says of itself."""
    return {"kind": "shapes", "bands": list(bands), "image_px": image_px, "names": shape_names(bands)}


def _planes(cutouts: Cutouts, image_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Planes (N, C + 1, S, S) without sky, the last one the stack, and the noise (N, C + 1) of a pixel, NaN where a
    plane is missing. The weight of a band in the stack is one over its variance, the same in all pixels."""
    edge = (cutouts.images.shape[-1] - image_px) // 2
    middle = (..., slice(edge, edge + image_px), slice(edge, edge + image_px))
    images, mask, variance = (plane[middle] for plane in (cutouts.images, cutouts.mask, cutouts.variance))
    usable = usable_pixels(images, mask) & np.isfinite(variance)
    radius = _polar(image_px)[0]
    found = usable[..., radius < OBJECT_PX].mean(-1) >= LEAST_USABLE
    ring = np.where(usable, images, np.nan)[..., radius > SKY_SHARE * image_px / 2]
    sky = np.nanmedian(np.where(np.isfinite(ring).any(-1, keepdims=True), ring, 0.0), -1)
    bright = np.where(usable, images - sky[..., None, None], 0.0)
    opposite = np.where(usable[..., ::-1, ::-1], bright[..., ::-1, ::-1], 0.0)
    bright = np.where(usable, bright, opposite)
    quiet = np.where(usable, variance, np.nan)[..., radius > SKY_SHARE * image_px / 2]
    spread = np.nanmedian(np.where(np.isfinite(quiet).any(-1, keepdims=True), quiet, np.inf), -1)
    found &= np.isfinite(spread)
    weight = np.where(found, 1 / np.where(found, np.maximum(spread, 1e-12), 1.0), 0.0)
    total = weight.sum(1)
    stack = np.einsum("nc,ncyx->nyx", weight, bright) / np.where(total > 0, total, 1.0)[:, None, None]
    noise = np.where(found, np.sqrt(np.where(found, spread, 1.0)), np.nan)
    of_stack = np.where(total > 0, 1 / np.sqrt(np.where(total > 0, total, 1.0)), np.nan)
    return np.concatenate([bright, stack[:, None]], 1), np.concatenate([noise, of_stack[:, None]], 1)


def _centroid(images: np.ndarray) -> np.ndarray:
    """Offset (N, 2) in pixels, x and y, of the light from the middle: moments under a Gaussian that follows it."""
    side = images.shape[-1]
    place = np.arange(side) + 0.5 - side / 2
    offset = np.zeros((len(images), 2))
    for _ in range(N_CENTRING):
        near = np.exp(-0.5 * ((place - offset[..., None]) / CENTRE_PX) ** 2)  # (N, 2, S)
        rows, columns = np.einsum("nyx,nx->ny", images, near[:, 0]), np.einsum("nyx,ny->nx", images, near[:, 1])
        flux = np.einsum("ny,ny->n", rows, near[:, 1])
        moment = np.stack([(columns * near[:, 0]) @ place, (rows * near[:, 1]) @ place], 1)
        step = 2 * (moment / np.where(flux > 0, flux, np.inf)[:, None] - (flux > 0)[:, None] * offset)
        offset = np.clip(offset + step, -LARGEST_SHIFT_PX, LARGEST_SHIFT_PX)
    return offset


def _recentred(planes: np.ndarray, offset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Planes (N, K, S, S) moved so that `offset` (N, 2) lies in the middle, and the last one smoothed."""
    side = planes.shape[-1]
    kx, ky = 2 * np.pi * scipy.fft.rfftfreq(side), 2 * np.pi * scipy.fft.fftfreq(side)
    move = np.exp(1j * (ky * offset[:, 1:])[:, :, None] + 1j * (kx * offset[:, :1])[:, None, :]).astype(np.complex64)
    waves = scipy.fft.rfft2(planes) * move[:, None]
    soft = np.exp(-0.5 * SMOOTHING_PX**2 * (ky[:, None] ** 2 + kx**2)).astype(np.float32)
    shape = planes.shape[-2:]
    return scipy.fft.irfft2(waves, shape), scipy.fft.irfft2(waves[:, -1] * soft, shape)


def _radial(planes: np.ndarray, noise: np.ndarray, which: str) -> np.ndarray:
    """Numbers (N, K, d) that are sums over pixels with fixed weights, and asymmetries."""
    side = planes.shape[-1]
    sums = (planes.reshape(*planes.shape[:2], -1) @ _bank(side).T).astype(float)
    disc, ring, moment = np.split(sums, np.cumsum([len(APERTURES_PX), 2 * len(RINGS_PX) * len(MULTIPOLES)]), axis=2)
    soft = noise * np.sqrt(np.pi) * OBJECT_PX
    flux = np.hypot(np.maximum(disc[..., APERTURES_PX.index(OBJECT_PX)], 0), soft)[..., None]
    parts = [disc / flux, _multipoles(ring, flux, noise, side), _moments(moment), _asymmetries(planes, flux, noise)]
    if which == STACK:
        parts += [_concentration(disc), np.log(flux / soft[..., None])]
        return np.concatenate(parts, 2)
    growth, poles, moments, asymmetry = parts
    wanted = [growth[..., [1, 2, 5]], poles[..., : 2 * len(MULTIPOLES) * len(RINGS_PX) : 1][..., _BAND_POLES]]
    return np.concatenate([*wanted, moments[..., [4, 5]], asymmetry[..., :1]], 2)


_BAND_POLES = [len(MULTIPOLES) * 1, len(MULTIPOLES) * 1 + 1, len(MULTIPOLES) * 2, len(MULTIPOLES) * 2 + 1]


def _radial_names(which: str) -> list[str]:
    growth = [f"growth_{reach:g}" for reach in APERTURES_PX]
    poles = [f"multipole_{m}_{low:g}_{high:g}" for low, high in RINGS_PX for m in MULTIPOLES]
    moments = [f"{name}_{sigma:g}" for sigma in WEIGHTS_PX for name in ("ellipticity", "size", "kurtosis", "shift")]
    asymmetry = [f"asymmetry_{turn}_{reach:g}" for turn in (180, 90) for reach in (OBJECT_PX, APERTURES_PX[-1])]
    if which == STACK:
        seen = [f"seen_{name}" for name in poles]
        return [*growth, *poles, *seen, *moments, *asymmetry, "concentration", "significance"]
    return [growth[1], growth[2], growth[5], *(poles[k] for k in _BAND_POLES), *moments[4:6], asymmetry[0]]


def _multipoles(ring: np.ndarray, flux: np.ndarray, noise: np.ndarray, side: int) -> np.ndarray:
    """|sum I exp(i m phi)| in rings over the flux, noise taken off in the square, and the same over its noise (log)."""
    pairs = ring.reshape(*ring.shape[:2], len(RINGS_PX), len(MULTIPOLES), 2)
    power = (pairs**2).sum(-1)
    of_noise = noise[..., None, None] ** 2 * _ring_pixels(side)[:, None]
    amplitude = np.sqrt(np.maximum(power - of_noise, 0)) / flux[..., None]
    seen = np.log1p(power / of_noise)
    return np.concatenate([one.reshape(*ring.shape[:2], -1) for one in (amplitude, seen)], 2)


def _moments(sums: np.ndarray) -> np.ndarray:
    """Ellipticity, size, fourth moment and centroid under each Gaussian weight, from 1, x, y, xx, xy, yy, r^4."""
    found = []
    for number, sigma in enumerate(WEIGHTS_PX):
        flux, x, y, xx, xy, yy, r4 = np.moveaxis(sums[..., 7 * number : 7 * number + 7], -1, 0)
        flux = np.where(flux > 0, flux, np.inf)
        x, y, xx, xy, yy, r4 = (one / flux for one in (x, y, xx, xy, yy, r4))
        xx, xy, yy = xx - x * x, xy - x * y, yy - y * y
        size = np.clip(xx + yy, 0.02 * sigma**2, 4 * sigma**2)
        ellipticity = np.clip(np.hypot(xx - yy, 2 * xy) / size, 0, 2)
        found += [ellipticity, size / sigma**2, np.clip(r4 / size**2, 0, 10), np.clip(np.hypot(x, y) / sigma, 0, 2)]
    return np.stack(found, -1)


def _asymmetries(planes: np.ndarray, flux: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """sum |I - I turned| / flux within two radii, by half and by a quarter turn, without what noise adds."""
    radius, found = _polar(planes.shape[-1])[0], []
    for turned in (planes[..., ::-1, ::-1], np.rot90(planes, 1, (-2, -1))):
        change = np.abs(planes - turned)
        for reach in (OBJECT_PX, APERTURES_PX[-1]):
            inside = radius < reach
            of_noise = inside.sum() * noise * 2 / np.sqrt(np.pi)  # mean of |N(0, 2 sigma^2)|
            found.append((change[..., inside].sum(-1) - of_noise) / flux[..., 0])
    return np.stack(found, -1)


def _concentration(disc: np.ndarray) -> np.ndarray:
    """5 log10(r80 / r20), radii of 20 and 80 % of the flux of the largest aperture."""
    grown = np.maximum.accumulate(np.maximum(disc, 0), -1)
    share = grown / np.maximum(grown[..., -1:], 1e-12)
    radii = []
    for level in (0.2, 0.8):
        after = np.argmax(share >= level, -1)
        high = np.take_along_axis(share, after[..., None], -1)[..., 0]
        low = np.where(after > 0, np.take_along_axis(share, np.maximum(after - 1, 0)[..., None], -1)[..., 0], 0.0)
        reach = np.append(0.0, APERTURES_PX)
        radii.append(reach[after] + (reach[after + 1] - reach[after]) * (level - low) / np.maximum(high - low, 1e-9))
    return (5 * np.log10(np.maximum(radii[1], 0.5) / np.maximum(radii[0], 0.3)))[..., None]


def _ranked(images: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Gini, M20 and the number (log) of the pixels within the largest aperture that stand N_SIGMA out of the noise."""
    inside = _polar(images.shape[-1])[0] < APERTURES_PX[-1]
    distance2 = _polar(images.shape[-1])[0][inside] ** 2
    pixels = images[:, inside]
    pixels = np.where(pixels > N_SIGMA * noise[:, None], pixels, 0.0)
    order = np.argsort(-pixels, 1)
    ranked, far2 = np.take_along_axis(pixels, order, 1), distance2[order]
    n, total = np.maximum((ranked > 0).sum(1), 2), np.maximum(ranked.sum(1), 1e-12)
    rank = n[:, None] - np.arange(ranked.shape[1])  # from n down, i of the formula for ascending order
    gini = ((2 * rank - n[:, None] - 1) * ranked).sum(1) / (total * (n - 1))
    spread = ranked * far2
    bright = np.cumsum(ranked, 1) <= 0.2 * total[:, None]
    bright[:, 0] = True
    m20 = np.log10(np.maximum((spread * bright).sum(1), 1e-3 * total) / np.maximum(spread.sum(1), 1e-2 * total))
    return np.stack([np.clip(gini, 0, 1), m20, np.log(n)], 1)


def _beside(smooth: np.ndarray, images: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """The highest point of the smoothed image minus its half turn: over its noise (log), over the peak, its radius."""
    radius = _polar(images.shape[-1])[0]
    excess = np.where(radius < APERTURES_PX[-1], smooth - smooth[:, ::-1, ::-1], 0).reshape(len(smooth), -1)
    place = excess.argmax(1)
    height = excess[np.arange(len(excess)), place]
    of_noise = noise * np.sqrt(2 / (4 * np.pi)) / SMOOTHING_PX
    peak = np.maximum(smooth.reshape(len(smooth), -1).max(1), of_noise)
    return np.stack([np.log1p(np.maximum(height / of_noise, 0)), height / peak, radius.ravel()[place]], 1)


@cache
def _polar(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Distance from the middle of a square in pixels, and direction."""
    y, x = np.indices((side, side)) + 0.5 - side / 2
    return np.hypot(x, y), np.arctan2(y, x)


@cache
def _ring_pixels(side: int) -> np.ndarray:
    """Pixels in each ring: the variance of a multipole's square over that of a pixel."""
    radius = _polar(side)[0]
    return np.array([((radius >= low) & (radius < high)).sum() for low, high in RINGS_PX], float)


@cache
def _bank(side: int) -> np.ndarray:
    """Weights (K, S * S): discs with soft edges, rings with their multipoles, Gaussians with moments."""
    radius, angle = _polar(side)
    y, x = radius * np.sin(angle), radius * np.cos(angle)
    rows = [np.clip(reach - radius + 0.5, 0, 1) for reach in APERTURES_PX]
    for low, high in RINGS_PX:
        ring = (radius >= low) & (radius < high)
        rows += [ring * wave(m * angle) for m in MULTIPOLES for wave in (np.cos, np.sin)]
    for sigma in WEIGHTS_PX:
        weight = np.exp(-0.5 * (radius / sigma) ** 2)
        rows += [weight * of for of in (1, x, y, x * x, x * y, y * y, radius**4)]
    return np.stack(rows).reshape(len(rows), -1).astype(np.float32)
