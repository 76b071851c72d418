"""A user's own polarisation maps: window, simulated skies of the same geometry, and whether U has the right sign."""

import numpy as np
import scipy.ndimage

from armillary.cmb_spectra import noise_power
from armillary.estimators import Setting, window_of
from armillary.flatsky import Patch, cosine_taper, mode_count, modes, radial
from armillary.lensed_skies import CHANNELS, simulate_patches, sky_model
from armillary.purification import pure_eb

SIGN_BAND = (200, 1500)  # where E is far above lensing B and noise


def even_sided(maps: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Maps without their last row or column where a side is odd: transforms of both parities would be one too many."""
    n_y, n_x = (n - n % 2 for n in next(iter(maps.values())).shape)
    if min(n_y, n_x) < 32:
        raise ValueError(f"the observed maps are {n_y} x {n_x} pixels; at least 32 a side are needed")
    return {name: values[:n_y, :n_x] for name, values in maps.items()}


def apodised(patch: Patch, mask: np.ndarray | None, width_deg: float) -> np.ndarray:
    """A window (n_y, n_x) that falls smoothly to 0 at the edges and at masked pixels over `width_deg`.

    At a mask it is the same half cosine in the distance to the nearest masked pixel, made smooth by a narrow blur so
    that its first derivative goes to zero, which pure B needs.
    """
    window = cosine_taper(patch, width_deg)
    if mask is None or np.all(mask > 0.5):
        return window
    if not np.any(mask > 0.5):
        raise ValueError("the mask of the observed maps leaves no pixel (config key `cmb: observed: maps: mask`)")
    width = width_deg * 60 / patch.pixel_arcmin
    distance = scipy.ndimage.distance_transform_edt(np.pad(mask > 0.5, 1))[1:-1, 1:-1]
    edge = 0.5 - 0.5 * np.cos(np.pi * np.clip((distance - 2) / width, 0, 1))
    smooth = scipy.ndimage.gaussian_filter(edge, max(0.05 * width, 0.7), truncate=2.0)
    return (window * smooth * (mask > 0.5)).astype(np.float32)


def simulate_like(setting: Setting, n_maps: int, *, seed: int) -> dict[str, np.ndarray]:
    """Simulated maps q, u, e, k, b (n, n_y, n_x) of the geometry, noise and beam of a setting."""
    model = sky_model(setting.spectra, setting.patch, setting.instrument, periodic=False)
    found = simulate_patches(model, n_maps, seed=seed, split=12)
    return {name: found[name] for name in CHANNELS}


def b_over_e(setting: Setting, q: np.ndarray, u: np.ndarray) -> float:
    """Power of pure B over that of pure E in SIGN_BAND, noise left in."""
    patch = setting.patch
    e, b = pure_eb(q, u, window_of(setting), patch)
    l = modes(patch).l  # noqa: E741
    weight = mode_count(patch) * ((l >= SIGN_BAND[0]) & (l < SIGN_BAND[1]))
    return float((np.abs(b) ** 2 * weight).sum() / (np.abs(e) ** 2 * weight).sum())


def expected_b_over_e(setting: Setting) -> float:
    """The same from the spectra, noise and beam."""
    patch, s = setting.patch, setting.spectra
    l = modes(patch).l  # noqa: E741
    weight = mode_count(patch) * ((l >= SIGN_BAND[0]) & (l < SIGN_BAND[1]))
    noise = noise_power(setting.instrument, s.l_max)
    e, b = (float((radial(power + noise, patch) * weight).sum()) for power in (s.ee_lensed, s.bb_lensed))
    return b / e


def check_sign(setting: Setting, q: np.ndarray, u: np.ndarray, announce) -> float:
    """The E-only null: with the right sign of U almost all power is E. ValueError if another sign explains it better.

    With U flipped, E and B of each mode mix with cos 4 phi and sin 4 phi and have equal power on average. Returns the
    ratio of B to E power.
    """
    ratio, flipped, expected = b_over_e(setting, q, u), b_over_e(setting, q, -u), expected_b_over_e(setting)
    announce(f"B over E power {ratio:.4f}, {flipped:.4f} with U flipped, {expected:.4f} expected")
    if flipped < 0.5 * ratio:
        raise ValueError(
            f"B has {ratio:.2f} of the power of E, but {flipped:.3f} with the other sign of U ({expected:.3f} is "
            "expected): the maps are in the other convention; change `cmb: observed: convention`"
        )
    if ratio > 3 * expected + 0.1:
        announce(f"warning: B has {ratio:.2f} of the power of E, {expected:.3f} is expected; check units, axes, noise")
    return ratio
