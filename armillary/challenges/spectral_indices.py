"""What a spectrum says of its galaxy: redshift, 4000 A break, H alpha, line ratios. Wavelengths are vacuum, rest frame.

Spectra are on the grid of `galaxy_spectra`, without noise or nearly so.
"""

import numpy as np

from armillary.challenges.galaxy_spectra import LINES_A, LN_WAVE, N_PIXELS, STEP

INDICES = ("break_4000", "ha_width_a", "log_nii_ha", "log_oiii_hb")
N_TEMPLATES = 8


def rest_templates(flux: np.ndarray, ivar: np.ndarray, z: np.ndarray, z_max: float) -> tuple[np.ndarray, int]:
    """Principal components (N_TEMPLATES, n) of spectra shifted to the rest frame, and pixels by which they begin bluer.

    Pixels that few spectra have are what the others extrapolate to; missing ones are the mean of what is there.
    """
    lead = int(np.ceil(np.log1p(z_max) / STEP)) + 1
    shift = np.log1p(z) / STEP
    place = np.arange(N_PIXELS + lead) - lead  # rest pixel numbers on the observed grid
    rows = []
    for one, weight, by in zip(flux, ivar, shift, strict=True):
        good = weight > 0
        rows.append(np.interp(place + by, np.flatnonzero(good), one[good], np.nan, np.nan))
    rest = np.array(rows)
    n_known = np.isfinite(rest).sum(0)
    mean = np.nansum(rest, 0) / np.maximum(n_known, 1)
    filled = np.where(np.isfinite(rest), rest, mean)
    components = np.linalg.svd(filled - mean, full_matrices=False)[2][: N_TEMPLATES - 1]
    return np.vstack([mean, components]), lead


def to_rest(flux: np.ndarray, ivar: np.ndarray, z: np.ndarray, lead: int) -> tuple[np.ndarray, np.ndarray]:
    """Spectra (n, N_PIXELS) shifted to the rest frame, which begins `lead` pixels bluer: (n, N_PIXELS + lead) each.

    # ASSUME: the noise of neighbouring pixels, which the shift mixes, is still taken as independent.
    """
    places, pixels = np.arange(N_PIXELS + lead) - lead, np.arange(N_PIXELS)
    moved = [
        (
            np.interp(places + by, pixels, np.where(weight > 0, one, np.nan), np.nan, np.nan),
            np.interp(places + by, pixels, weight),
        )
        for one, weight, by in zip(flux, ivar, np.log1p(z) / STEP, strict=True)
    ]
    rest, weights = (np.array(part, np.float32) for part in zip(*moved, strict=True))
    known = np.isfinite(rest)
    return np.where(known, rest, 0), np.where(known, weights, 0)


def to_observed(rest: np.ndarray, z: np.ndarray, lead: int) -> np.ndarray:
    """The inverse: spectra (n, N_PIXELS) as seen at redshifts."""
    places, pixels = np.arange(N_PIXELS) + lead, np.arange(N_PIXELS + lead)
    return np.array([np.interp(places - by, pixels, one) for one, by in zip(rest, np.log1p(z) / STEP, strict=True)])


def measure_redshifts(flux: np.ndarray, templates: np.ndarray, lead: int, z_max: float) -> np.ndarray:
    """The redshift (n,) at which the templates fit best, among all shifts by whole pixels, refined by a parabola."""
    shifts = np.arange(int(np.log1p(z_max) / STEP) + 1)
    explained = []
    for by in shifts:
        part = templates[:, lead - by : lead - by + N_PIXELS]
        basis = np.linalg.qr(part.T)[0]
        explained.append(((flux @ basis) ** 2).sum(1))
    explained = np.array(explained)
    best = np.clip(explained.argmax(0), 1, len(shifts) - 2)
    left, middle, right = (explained[best + k, np.arange(len(flux))] for k in (-1, 0, 1))
    curve = left - 2 * middle + right
    offset = np.where(curve < 0, 0.5 * (left - right) / np.where(curve < 0, curve, -1), 0)
    return np.expm1((best + np.clip(offset, -0.5, 0.5)) * STEP)


def indices(flux: np.ndarray, z: np.ndarray) -> np.ndarray:
    """INDICES (n, 4) of spectra at redshifts; D4000 of Balogh et al. (1999), log ratios of lines, NaN
    where H alpha is narrower than 3 A or a line is not above the continuum.

    # ASSUME: continua of lines are medians of pixels on both sides; fluxes add over three widths of a pixel and 4 A.
    """
    wave = np.exp(LN_WAVE)[None] / (1 + z[:, None])
    pixels = wave * STEP

    def band(low, high):
        inside = (wave >= low) & (wave < high)
        return (flux * pixels * inside).sum(1) / np.maximum((pixels * inside).sum(1), 1e-9)

    def line(name, half_a):
        near = np.abs(wave - LINES_A[name]) < half_a
        around = (np.abs(wave - LINES_A[name]) < 90) & (np.abs(wave - LINES_A[name]) > 35)
        level = np.nanmedian(np.where(around, flux, np.nan), 1)
        return ((flux - level[:, None]) * pixels * near).sum(1), level

    ha, level = line("Ha", 9.0)
    nii, hb, oiii = (line(name, 9.0)[0] for name in ("NII", "Hb", "OIII"))
    width = ha / np.maximum(level, 1e-9)
    emits = (width > 3) & (np.minimum.reduce([ha, nii, hb, oiii]) > 1e-9)
    ratios = [np.log10(np.where(emits, a, np.nan) / np.where(emits, b, np.nan)) for a, b in ((nii, ha), (oiii, hb))]
    return np.column_stack([band(4001, 4101) / np.maximum(band(3851, 3951), 1e-9), width, *ratios])
