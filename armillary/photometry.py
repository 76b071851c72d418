"""Source-detected photometry of one field: what a cluster finder that does not see pixels works from.

Sources are found on the noise-weighted sum of the red bands, total fluxes are Kron-like, and colours are
Gaussian-weighted fluxes whose weight is narrowed band by band so that every band sees the same part of the
galaxy before the seeing (Kuijken 2008, A&A 482, 1053, section 3): unbiased colours without a convolution.
"""

import numpy as np
import pandas as pd
import sep

ZERO_POINT_MAG = 30.0
DETECTION_BANDS = ("r", "i", "z")
MAGNITUDE_BAND = "i"
COLOURS = ("gr", "ri", "iz")
MAD_TO_SIGMA = 1.4826
MAG_OF_LN = 2.5 / np.log(10)  # magnitudes per unit of ln flux
FWHM_TO_SIGMA = 1 / np.sqrt(8 * np.log(2))
KOLMOGOROV_SCALE = 2.9207  # PSF transfer function exp(-(k / k0)^(5/3)) with k0 = this / FWHM
WEIGHT_SIGMA_ARCSEC = 0.85  # scale of the colour weight before the seeing; larger than any band's seeing
MIN_WEIGHT_RATIO = 1.3  # colour weight over the worst seeing's sigma, whatever the seeing
KRON_FACTOR = 2.5
MIN_KRON_FWHM = 1.5  # smallest aperture radius in units of the FWHM
# ASSUME: light of a detected galaxy outside its Kron aperture, measured on drawn galaxies
KRON_LOSS_MAG = 0.07
STAR_SIZE_TOLERANCE = 0.12  # relative excess of the size over the PSF that a star may have
STAR_MAX_MAG = 23.0
GAUSSIAN_KERNEL_WIDTH = 3.0  # half-width of weights, in sigmas
COLOUR_FLOOR_MAG = 0.005  # ASSUME: systematic error of every band


def check_bands(bands) -> None:
    """ValueError unless `bands` can carry the finder: i and a neighbour of it."""
    if MAGNITUDE_BAND not in bands or not any("".join(pair) in COLOURS for pair in zip(bands, bands[1:], strict=False)):
        raise ValueError(
            f"clusters: bands: {list(bands)} leave no photometry: the red-sequence finder needs band i and a "
            f"neighbouring pair of g r i z (for instance [r, i])"
        )


def sky_level_and_sigma(image) -> tuple[float, float]:
    """Median and robust sigma of an image's sky (counts), from one pixel in 16, sources clipped at 3
    sigma."""
    values = image[::4, ::4]
    values = values[np.isfinite(values)]
    if values.size == 0:
        return np.nan, np.nan
    level, sigma = np.median(values), np.inf
    for _ in range(3):
        kept = values[np.abs(values - level) < 3 * sigma] if np.isfinite(sigma) else values
        level = np.median(kept)
        # The side below the median is free of sources
        sigma = MAD_TO_SIGMA * np.median(level - kept[kept <= level]) if kept.size else np.nan
    return float(level), float(sigma)


def clean_images(images) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sky-subtracted images with bad pixels at zero: (images, bad (C, H, W), sky sigma (C,)); all-bad bands
    have sigma inf."""
    bad = ~np.isfinite(images)
    levels, sigmas = np.array([sky_level_and_sigma(image) for image in images]).T
    usable = np.isfinite(sigmas) & (sigmas > 0)
    clean = images - np.where(usable, levels, 0)[:, None, None].astype(np.float32)
    clean[bad] = 0
    return clean, bad, np.where(usable, sigmas, np.inf)


def gaussian_kernel(fwhm_px: float) -> np.ndarray:
    """Square matched-filter kernel (odd, unit sum) of a Gaussian PSF of `fwhm_px`."""
    sigma = fwhm_px * FWHM_TO_SIGMA
    half = max(1, round(1.5 * sigma))
    grid = np.arange(-half, half + 1)
    kernel = np.exp(-0.5 * (grid[:, None] ** 2 + grid**2) / sigma**2)
    return (kernel / kernel.sum()).astype(np.float32)


def detect(clean, bad, sigmas, bands, fwhm_px, *, threshold_sigma, min_area_px, n_deblend, deblend_contrast):
    """Sources of the noise-weighted sum of r, i, z: sep's structured array, image (H, W) and its noise."""
    used = [index for index, band in enumerate(bands) if band in DETECTION_BANDS and np.isfinite(sigmas[index])]
    if not used:
        raise ValueError(f"clusters: bands: no usable pixel in any of the detection bands r, i, z of {list(bands)}")
    weights = 1 / sigmas[used] ** 2
    # ASSUME: a flat spectrum in counts; red galaxies gain little from a weight of their own
    total = np.tensordot(weights.astype(np.float32), clean[used], 1)
    noise = float(np.sqrt(weights.sum()))
    mask = bad[used].all(axis=0)
    kernel = gaussian_kernel(float(np.average(fwhm_px[used], weights=weights)))
    sep.set_extract_pixstack(1_000_000)
    sources = sep.extract(
        total, threshold_sigma, err=noise, mask=mask if mask.any() else None, filter_kernel=kernel,
        filter_type="conv", minarea=min_area_px, deblend_nthresh=n_deblend, deblend_cont=deblend_contrast,
    )  # fmt: skip
    return sources


def weighted_fluxes(image, x, y, sigma_px: float) -> tuple[np.ndarray, np.ndarray]:
    """Sums of `image` times exp(-d^2 / 2 sigma^2) about each (x, y) (sep's pixel-centre coordinates), and
    the sums of the squared weights, which turn the sky's variance into the flux's. Returns two (N,)
    arrays."""
    half = int(np.ceil(GAUSSIAN_KERNEL_WIDTH * sigma_px))
    height, width = image.shape
    offsets = np.arange(-half, half + 1)
    columns = np.rint(x).astype(int)[:, None] + offsets  # (N, K)
    rows = np.rint(y).astype(int)[:, None] + offsets
    weight_x = np.exp(-0.5 * ((columns - x[:, None]) / sigma_px) ** 2) * ((columns >= 0) & (columns < width))
    weight_y = np.exp(-0.5 * ((rows - y[:, None]) / sigma_px) ** 2) * ((rows >= 0) & (rows < height))
    flat = np.clip(rows, 0, height - 1)[:, :, None] * width + np.clip(columns, 0, width - 1)[:, None, :]
    stamps = image.ravel()[flat]  # (N, K, K)
    flux = np.matmul(
        np.matmul(weight_y[:, None, :].astype(np.float32), stamps), weight_x[:, :, None].astype(np.float32)
    )
    squares = (weight_y**2).sum(1) * (weight_x**2).sum(1)
    return flux[:, 0, 0].astype(float), squares


def point_source_share(fwhm_px: float, sigma_px: float) -> float:
    """Share of a point source's flux under exp(-r^2 / 2 sigma^2), for the long-exposure PSF of Fried (1966).

    ASSUME: Kolmogorov wings; the red sequence tuned on training fields takes up what another PSF changes."""
    wave = np.linspace(0, 8 / sigma_px, 4000)
    integrand = wave * np.exp(-((wave * fwhm_px / KOLMOGOROV_SCALE) ** (5 / 3)) - 0.5 * (wave * sigma_px) ** 2)
    return float(sigma_px**2 * integrand.sum() * wave[1])


def colour_fluxes(clean, bad, sigmas, x, y, fwhm_px, pixel_arcsec):
    """Fluxes (C, N) through one weight before the seeing, scaled to a point source's total, and errors (C,
    N).

    With a Gaussian PSF of sigma s a weight of variance A^2 - s^2 on the image is one of variance A^2 on the
    sky; the share of a point source takes up what real wings change. A source that touches a bad pixel has
    NaN in that band."""
    seeing = fwhm_px * FWHM_TO_SIGMA
    scale = max(WEIGHT_SIGMA_ARCSEC / pixel_arcsec, MIN_WEIGHT_RATIO * seeing.max())
    fluxes, errors = np.full((2, len(clean), len(x)), np.nan)
    for band, sigma in enumerate(sigmas):
        if not np.isfinite(sigma):
            continue
        width = float(np.sqrt(scale**2 - seeing[band] ** 2))
        flux, squares = weighted_fluxes(clean[band], x, y, width)
        share = point_source_share(fwhm_px[band], width)
        fluxes[band], errors[band] = flux / share, sigma * np.sqrt(squares) / share
        if bad[band].any():
            touched = weighted_fluxes(bad[band].astype(np.float32), x, y, width)[0] > 0.02
            fluxes[band, touched] = errors[band, touched] = np.nan
    return fluxes, errors


def total_fluxes(image, sigma: float, sources, fwhm_px: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Kron-like total fluxes, their errors and apertures' circularised radii (px), each (N,)."""
    x, y = sources["x"], sources["y"]
    a, b, theta = np.maximum(sources["a"], 0.5), np.maximum(sources["b"], 0.5), sources["theta"]
    theta = np.clip(np.nan_to_num(theta), -np.pi / 2, np.pi / 2)
    kron, _ = sep.kron_radius(image, x, y, a, b, theta, 6.0)
    kron = np.nan_to_num(KRON_FACTOR * np.clip(np.nan_to_num(kron), 0, 4.5))
    smallest = MIN_KRON_FWHM * fwhm_px / np.sqrt(a * b)
    kron = np.maximum(kron, smallest)
    flux, error, _ = sep.sum_ellipse(image, x, y, a, b, theta, kron, err=sigma, subpix=1)
    return flux, error, kron * np.sqrt(a * b)


def magnitudes(flux, error) -> tuple[np.ndarray, np.ndarray]:
    """Magnitudes at zero point 30 and errors; NaN where the flux is not positive."""
    with np.errstate(invalid="ignore", divide="ignore"):
        positive = np.where(flux > 0, flux, np.nan)
        return ZERO_POINT_MAG - 2.5 * np.log10(positive), MAG_OF_LN * error / positive


def half_weight_size(image, x, y, fwhm_px: float) -> np.ndarray:
    """Sizes (px, a Gaussian's sigma) from the ratio of the fluxes under two Gaussian weights, (N,)."""
    narrow, wide = 0.6 * fwhm_px, 1.2 * fwhm_px
    inner, outer = weighted_fluxes(image, x, y, narrow)[0], weighted_fluxes(image, x, y, wide)[0]
    # A Gaussian of variance v under a weight of variance w keeps w / (w + v) of its flux: solved for v
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.clip(inner / outer, None, 0.999)
        variance = (narrow**2 - ratio * narrow**2) / (ratio - (narrow / wide) ** 2)
        return np.sqrt(np.where(variance > 0, variance, np.nan))


def point_source_size(fwhm_px: float) -> float:
    """What `half_weight_size` gives for a point source."""
    narrow, wide = 0.6 * fwhm_px, 1.2 * fwhm_px
    ratio = point_source_share(fwhm_px, narrow) / point_source_share(fwhm_px, wide)
    return float(np.sqrt((narrow**2 - ratio * narrow**2) / (ratio - (narrow / wide) ** 2)))


def colour_columns(bands, fluxes, errors) -> dict[str, np.ndarray]:
    """colour_gr, colour_ri, colour_iz and, for their covariance, the magnitude error of every band; NaN if
    unknown."""
    mags, mag_errors = magnitudes(fluxes, errors)
    index = {band: position for position, band in enumerate(bands)}
    n = fluxes.shape[1]
    columns = {}
    for band in "griz":
        columns[f"error_{band}"] = (
            np.hypot(mag_errors[index[band]], COLOUR_FLOOR_MAG) if band in index else np.full(n, np.nan)
        )
    for first, second in COLOURS:
        known = first in index and second in index
        columns[f"colour_{first}{second}"] = mags[index[first]] - mags[index[second]] if known else np.full(n, np.nan)
        columns[f"colour_{first}{second}_error"] = np.hypot(columns[f"error_{first}"], columns[f"error_{second}"])
    return columns


def measure_field(
    images, *, bands, seeing_arcsec, pixel_arcsec: float, threshold_sigma: float = 1.2, min_area_px: int = 6,
    n_deblend: int = 16, deblend_contrast: float = 0.001,
) -> pd.DataFrame:  # fmt: skip
    """Photometry of every source of one field.

    images: (C, H, W) float32 counts at zero point 30, NaN where bad; `bands` names the C bands in order;
    `seeing_arcsec` their PSF FWHM (C,). Returns x, y (pixels from the lower-left corner), mag_i (total, AB)
    and error, colours gr, ri, iz with errors, the magnitude error of each band's colour flux, is_star,
    size_px, flag (sep's extraction flag). Sources without a positive i flux are left out.
    """
    check_bands(bands)
    if images.ndim != 3 or len(images) != len(bands):
        raise ValueError(
            f"clusters: bands: images of shape {images.shape} do not have the {len(bands)} bands {list(bands)}"
        )
    fwhm_px = np.asarray(seeing_arcsec, float) / pixel_arcsec
    clean, bad, sigmas = clean_images(np.asarray(images, np.float32))
    i_band = list(bands).index(MAGNITUDE_BAND)
    if not np.isfinite(sigmas[i_band]):
        raise ValueError(
            "clusters: bands: the i image has no finite pixel or no noise; the finder cannot use this field"
        )
    sources = detect(
        clean, bad, sigmas, bands, fwhm_px, threshold_sigma=threshold_sigma, min_area_px=min_area_px,
        n_deblend=n_deblend, deblend_contrast=deblend_contrast,
    )  # fmt: skip
    x, y = sources["x"].astype(float), sources["y"].astype(float)
    total, total_error, _ = total_fluxes(clean[i_band], sigmas[i_band], sources, fwhm_px[i_band])
    fluxes, errors = colour_fluxes(clean, bad, sigmas, x, y, fwhm_px, pixel_arcsec)
    size = half_weight_size(clean[i_band], x, y, fwhm_px[i_band])
    is_like_star = np.abs(size / point_source_size(fwhm_px[i_band]) - 1) < STAR_SIZE_TOLERANCE
    mag_total, mag_error = magnitudes(total, total_error)
    mag_point, _ = magnitudes(fluxes[i_band], errors[i_band])
    is_star = is_like_star & (mag_point < STAR_MAX_MAG)
    mag_i = np.where(is_star, mag_point, mag_total - KRON_LOSS_MAG)
    frame = pd.DataFrame({
        "x": x + 0.5, "y": y + 0.5, "mag_i": mag_i, "mag_i_error": mag_error,
        **colour_columns(bands, fluxes, errors), "is_star": is_star, "size_px": size,
        "flag": sources["flag"].astype(np.int64),
    })  # fmt: skip
    return frame[np.isfinite(frame["mag_i"]) & np.isfinite(frame["mag_i_error"])].reset_index(drop=True)
