"""From pixels to sources: peaks, aperture photometry and seeing of one field. Nothing here is learned.

With the sources found first, the learned part of an encoder works on a few thousand of them a field instead of
millions of pixels, and the training fields pass this front end only once.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

APERTURE_FWHM_ARCSEC = (1.2, 1.8, 3.6)  # of the middle one the colours: faint galaxies are best seen through it
PEAK_SNR = 5.0
BRIGHT_SNR = 3.7  # asinh of half the signal to noise: 40
TYPICAL_SEEING_ARCSEC = 1.2  # FWHM on binned pixels, where a field has no bright source to tell
N_GROUPS = 5  # groups of one value a band that `measure_sources` gives after x, y and ln of the peak


def gaussian_kernel(fwhm_px: float, half_px: int) -> Tensor:
    """A Gaussian aperture (k, k), k = 2 half_px + 1, its squares adding up to one: unit noise stays unit noise."""
    radius = torch.arange(-half_px, half_px + 1, dtype=torch.float32)
    profile = torch.exp(-4 * math.log(2) * (radius / fwhm_px) ** 2)
    profile = profile / profile.square().sum().sqrt()
    return profile[:, None] * profile


def find_peaks(snr: Tensor, n_present: Tensor, fwhm_px: float) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, columns and signal to noise of the peaks of all bands' sum (C, h, w), seen through a Gaussian."""
    half = round(1.3 * fwhm_px)
    line = gaussian_kernel(fwhm_px, half)[half].to(snr)
    line = line / line.square().sum().sqrt()  # the kernel is this line times its transpose
    summed = snr.sum(0, keepdim=True) / n_present.sqrt()
    rows = F.conv2d(summed[None], line[None, None, None], padding=(0, half))
    detection = F.conv2d(rows, line[None, None, :, None], padding=(half, 0))[0, 0]
    y, x = (detection > PEAK_SNR).nonzero(as_tuple=True)
    padded = F.pad(detection, (1, 1, 1, 1), value=-torch.inf)
    around = torch.stack([padded[y + dy, x + dx] for dy in range(3) for dx in range(3)]).amax(0)
    peak = detection[y, x] == around
    return y[peak], x[peak], detection[y[peak], x[peak]]


def aperture_snr(snr: Tensor, y: Tensor, x: Tensor, fwhm_px: list[float]) -> Tensor:
    """Signal to noise of every band in Gaussian apertures at pixels (y, x): (C, h, w) -> (n_apertures, C, n)."""
    half = round(1.3 * max(fwhm_px))
    padded = F.pad(snr, (half, half, half, half))
    kernels = torch.stack([gaussian_kernel(fwhm, half).flatten() for fwhm in fwhm_px]).to(snr)
    step = torch.arange(2 * half + 1, device=snr.device)
    offsets = (step[:, None] * padded.shape[2] + step).flatten()
    stamps = padded.flatten(1)[:, (y * padded.shape[2] + x)[:, None] + offsets]  # (C, n, k * k)
    return torch.einsum("cnk,ak->acn", stamps, kernels)


def measure_sources(coded: Tensor, sky_sigma: Tensor, pixel_arcsec: float) -> Tensor:
    """Sources of one field, (n, 3 + 5 n_bands): x, y in pixels (corner-based), ln of the peak's signal to noise, then
    for all bands whether the band is there, ln flux in the middle aperture, asinh of half its signal to noise, and how
    that grows from the inner to the middle and from the middle to the outer aperture, less what it does for the most
    compact bright sources of the field; zeros where a band is missing.

    coded: asinh(counts / sky sigma), (C, h, w), NaN where invalid; sky_sigma: counts a pixel, (C,). ln flux is in
    counts, softened at twice the noise as in asinh magnitudes (Lupton et al. 1999), and as if seeing lost nothing of
    the aperture: otherwise a band's seeing would shift every colour of a field.
    """
    valid = torch.isfinite(coded)
    snr = torch.sinh(torch.where(valid, coded, 0.0).clamp(-12, 12))
    n_present = valid.flatten(1).any(1).sum().clamp(min=1)
    fwhm_px = [fwhm / pixel_arcsec for fwhm in APERTURE_FWHM_ARCSEC]
    y, x, peak_snr = find_peaks(snr, n_present, fwhm_px[0])
    there = valid[:, y, x].to(snr.dtype)  # (C, n)
    softened = torch.asinh(aperture_snr(snr, y, x, fwhm_px) / 2) * there  # (3, C, n)
    place = torch.stack([x + 0.5, y + 0.5, torch.log(peak_snr)])
    growth = softened.diff(dim=0)  # (2, C, n)
    compact, is_known = compact_growth(softened[1], growth)
    ln_counts = softened[1] + (torch.log(2 * sky_sigma) + ln_seeing_loss(compact[0], is_known))[:, None]
    extent = (growth - compact[:, :, None]) * there
    return torch.cat([place, there, ln_counts * there, softened[1], extent.flatten(0, 1)]).T.contiguous()


def ln_seeing_loss(inner_growth: Tensor, is_known: Tensor) -> Tensor:
    """By how much ln flux in the middle aperture falls short for the seeing, (C,), positive.

    A Gaussian of FWHM p gives an aperture of FWHM a, of unit noise, a signal ~ a / (a^2 + p^2); so p follows from how
    a point source grows from the inner to the middle one. ASSUME: seeing is Gaussian, within 1 % of colour here.
    """
    inner, middle = APERTURE_FWHM_ARCSEC[:2]
    ratio = (inner_growth.exp() * inner / middle).clamp(0.3, 0.9)  # (inner^2 + p^2) / (middle^2 + p^2)
    seeing2 = ((middle**2 * ratio - inner**2) / (1 - ratio)).clamp(min=0)
    seeing2 = torch.where(is_known, seeing2, TYPICAL_SEEING_ARCSEC**2)
    return torch.log1p(seeing2 / middle**2)


def compact_growth(softened: Tensor, growth: Tensor) -> tuple[Tensor, Tensor]:
    """Growth with aperture of a field's most compact bright sources, (C, n), (2, C, n) -> (2, C), and whether a band
    has bright sources (C,); their lower 15 % are stars, where there are any. Zero in a band without."""
    bright = softened > BRIGHT_SNR
    if not bright.any():
        return growth.new_zeros(growth.shape[:2]), bright.any(1)
    ordered = torch.where(bright, growth, torch.inf).sort(dim=2).values
    rank = (0.15 * bright.sum(1)).long()
    compact = ordered.gather(2, rank.expand(2, -1)[:, :, None])[:, :, 0]
    return torch.where(bright.any(1), compact, 0.0), bright.any(1)
