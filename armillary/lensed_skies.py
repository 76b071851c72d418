"""Simulated patches of lensed polarisation with their truth: Gaussian fields, exact lensing, beam, noise.

A sky is a periodic box; patches are the box itself, or quarters cut out of a box twice as wide, which have no periodic
edges and feel lenses beyond their own sides. Streams of sky and noise are seeded apart from each other.
"""

from typing import NamedTuple

import numpy as np

from armillary.cmb_spectra import Instrument, Spectra, check_reach
from armillary.flatsky import Patch, beam, pixels, qu_from_eb, radial, resampled
from armillary.lensing import at_displaced, deflection, eb_of_polarisation, finer, polarisation

SKY_STREAM, NOISE_STREAM = 1, 2
CHANNELS = ("q", "u", "e", "k", "b")


class SkyModel(NamedTuple):
    """All that does not change from sky to sky; make it with `sky_model`."""

    patch: Patch
    box: Patch
    fine: Patch
    amplitude_e: np.ndarray  # what turns white noise on `fine` into coefficients of E
    amplitude_kappa: np.ndarray
    beam: np.ndarray  # on `box`
    noise_uk: float  # rms of a pixel

    @property
    def n_patches(self) -> int:
        """Patches that one box gives."""
        return (self.box.n_y // self.patch.n_y) * (self.box.n_x // self.patch.n_x)


def sky_model(
    spectra: Spectra, patch: Patch, instrument: Instrument, *, periodic: bool, oversample: int = 2
) -> SkyModel:
    """Prepare skies. Fields have no power beyond the Nyquist of the fine grid, nor beyond the end of the spectra.

    # ASSUME: unlensed E and phi are Gaussian and independent; no primordial B; a flat sky.
    """
    check_reach(spectra, patch.nyquist)
    box = patch if periodic else Patch(2 * patch.n_y, 2 * patch.n_x, patch.pixel_arcmin)
    fine = finer(box, oversample)
    n_pixels = fine.n_y * fine.n_x
    to_amplitude = n_pixels / np.sqrt(fine.area)  # sum of |coefficient|^2 over the grid is n^2 C_l / area
    return SkyModel(
        patch, box, fine,
        amplitude_e=radial(np.sqrt(spectra.ee_unlensed), fine) * np.float32(to_amplitude),
        amplitude_kappa=radial(np.sqrt(spectra.kk), fine) * np.float32(to_amplitude),
        beam=radial(beam(instrument.beam_fwhm_arcmin, spectra.l_max), box),
        noise_uk=instrument.noise_uk_arcmin / patch.pixel_arcmin,
    )  # fmt: skip


def lensed_box(model: SkyModel, *, seed: int, number: int, split: int = 0, lensing_amplitude: float = 1.0) -> dict:
    """Coefficients on `model.box` of one sky: e, k as `simulate_box` has them, e_lensed, b; no beam, no noise."""
    rng = np.random.default_rng([seed, split, SKY_STREAM, number])
    e, kappa = white_coefficients(model.fine, rng)
    e *= model.amplitude_e
    kappa *= model.amplitude_kappa * np.float32(np.sqrt(lensing_amplitude))
    lensed = at_displaced(polarisation(e, None, model.fine), deflection(kappa, model.fine), model.fine)
    fields = {"e": e, "k": kappa} | dict(zip(("e_lensed", "b"), eb_of_polarisation(lensed, model.fine), strict=True))
    return {name: resampled(field, model.fine, model.box) for name, field in fields.items()}


def simulate_box(
    model: SkyModel, *, seed: int, number: int, split: int = 0, lensing_amplitude: float = 1.0
) -> dict[str, np.ndarray]:
    """The patches of box `number`: float32 (n_patches, n_y, n_x) each.

    q, u: observed Stokes parameters in uK, lensed, with beam and noise. e: unlensed E in uK. k: convergence. b: B that
    lensing made, in uK without beam and noise. `lensing_amplitude` scales C_kk.
    """
    sky = lensed_box(model, seed=seed, number=number, split=split, lensing_amplitude=lensing_amplitude)
    q, u = qu_from_eb(sky["e_lensed"] * model.beam, sky["b"] * model.beam, model.box)
    maps = dict(zip(CHANNELS, pixels(np.stack([q, u, sky["e"], sky["k"], sky["b"]]), model.box), strict=True))
    noise = np.random.default_rng([seed, split, NOISE_STREAM, number])
    for channel in ("q", "u"):
        maps[channel] += np.float32(model.noise_uk) * noise.standard_normal(model.box.shape, dtype=np.float32)
    return {channel: quarters(values, model.patch) for channel, values in maps.items()}


def simulate_patches(
    model: SkyModel, n_patches: int, *, seed: int, split: int = 0, first: int = 0, lensing_amplitudes=(1.0, 1.0)
) -> dict[str, np.ndarray]:
    """`n_patches` patches of whole boxes, numbered from `first`; their lensing amplitudes are drawn between two bounds.

    Besides the channels of `simulate_box`: "box", the number of the box each patch comes from.
    """
    n_boxes = -(-n_patches // model.n_patches)
    low, high = lensing_amplitudes
    boxes = []
    for number in range(first, first + n_boxes):
        drawn = np.random.default_rng([seed, split, number]).uniform(low, high)
        boxes.append(simulate_box(model, seed=seed, number=number, split=split, lensing_amplitude=drawn))
    maps = {channel: np.concatenate([box[channel] for box in boxes])[:n_patches] for channel in CHANNELS}
    return maps | {"box": np.repeat(np.arange(first, first + n_boxes), model.n_patches)[:n_patches]}


def quarters(maps: np.ndarray, patch: Patch) -> np.ndarray:
    """Cut a box (N, M) into the patches (n, n_y, n_x) that tile it."""
    n_rows, n_columns = maps.shape[0] // patch.n_y, maps.shape[1] // patch.n_x
    blocks = maps.reshape(n_rows, patch.n_y, n_columns, patch.n_x).swapaxes(1, 2)
    return np.ascontiguousarray(blocks.reshape(-1, *patch.shape))


def white_coefficients(patch: Patch, rng: np.random.Generator) -> np.ndarray:
    """Two independent white Gaussian fields, complex64 (2, n_y, n_x // 2 + 1), mean |coefficient|^2 of one.

    Drawn on the half plane; columns that hold both a mode and its mirror image are made consistent.
    """
    shape = (2, patch.n_y, patch.n_x // 2 + 1)
    drawn = rng.standard_normal((*shape, 2), dtype=np.float32).view(np.complex64)[..., 0]
    drawn *= np.float32(np.sqrt(0.5))
    mirror = (-np.arange(patch.n_y)) % patch.n_y
    for column in (0, -1) if patch.n_x % 2 == 0 else (0,):
        drawn[..., column] = (drawn[..., column] + drawn[:, mirror, column].conj()) * np.float32(np.sqrt(0.5))
    return drawn
