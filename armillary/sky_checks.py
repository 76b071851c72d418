"""Simulated skies against what is known of them: CAMB's spectra, a finer grid, another code's fields, cut skies."""

import importlib.util
from pathlib import Path

import numpy as np

from armillary.cmb_spectra import Instrument, Spectra, noise_power
from armillary.flatsky import Patch, cosine_taper, fourier, mode_count, modes, radial, resampled
from armillary.lensed_skies import lensed_box, simulate_patches, sky_model
from armillary.lensing import (
    at_displaced_exactly,
    deflection,
    eb_of_polarisation,
    finer,
    polarisation,
    remapped,
)
from armillary.lensing_limits import quadratic_noise
from armillary.purification import pure_eb

PERFECT = Instrument(1e-9, 1e-6)
PURE_BINS = ((250, 400), (400, 1000), (1000, 3000))


def mean_spectra(spectra: Spectra, patch: Patch, *, n_boxes: int, edges: list[float], seed: int) -> dict[str, tuple]:
    """Mean lensed EE and BB of boxes twice as wide as the patch over CAMB's, and their errors, (n_bins,) each.

    EE is divided by what the unlensed E of the same boxes has over its theory: that takes most of the sample variance
    out and leaves what lensing did.
    """
    model = sky_model(spectra, patch, PERFECT, periodic=False)
    count, index = mode_count(model.box).ravel(), np.digitize(modes(model.box).l, edges).ravel()
    scale = model.box.area / (model.box.n_y * model.box.n_x) ** 2

    def binned(power: np.ndarray) -> np.ndarray:
        return np.bincount(index, power.ravel() * count, minlength=len(edges) + 1)[1:-1]

    theory = {
        name: binned(radial(getattr(spectra, name), model.box)) for name in ("ee_unlensed", "ee_lensed", "bb_lensed")
    }
    rows = {"ee": [], "bb": []}
    for number in range(n_boxes):
        sky = {
            name: binned(np.abs(field) ** 2) * scale
            for name, field in lensed_box(model, seed=seed, number=number, split=9).items()
        }
        rows["ee"].append(sky["e_lensed"] / theory["ee_lensed"] - sky["e"] / theory["ee_unlensed"] + 1.0)
        rows["bb"].append(sky["b"] / theory["bb_lensed"])
    return {name: (np.mean(row, 0), np.std(row, 0) / np.sqrt(n_boxes)) for name, row in rows.items()}


def remap_error(spectra: Spectra, patch: Patch, *, n_patches: int, seed: int) -> list[float]:
    """Relative rms, patch by patch, of lensed Q + iU on the simulation's grid against one with 4 x the patch's pixels a
    side in double precision, at the same points."""
    model = sky_model(spectra, patch, PERFECT, periodic=True)
    exact = finer(patch, 4)
    errors = []
    for number in range(n_patches):
        sky = lensed_box(model, seed=seed, number=number, split=10)
        ours = np.stack(remapped(sky["e"], None, sky["k"], patch))
        e, kappa = (resampled(sky[name].astype(complex), patch, exact) for name in ("e", "k"))
        lensed = at_displaced_exactly(polarisation(e, None, exact), deflection(kappa, exact), exact)
        theirs = np.stack([resampled(part, exact, patch) for part in eb_of_polarisation(lensed, exact)])
        errors.append(float(np.sqrt((np.abs(ours - theirs) ** 2).sum() / (np.abs(theirs) ** 2).sum())))
    return errors


def pure_b(spectra: Spectra, patch: Patch, *, taper_deg: float, n_patches: int, seed: int):
    """((l_low, l_high), rho, its error) of pure B of noise-free cut patches with the true B through the window."""
    model = sky_model(spectra, patch, PERFECT, periodic=False)
    maps = simulate_patches(model, n_patches, seed=seed, split=11)
    window = cosine_taper(patch, taper_deg)
    found = np.stack([pure_eb(q, u, window, patch)[1] for q, u in zip(maps["q"], maps["u"], strict=True)])
    truth, m = fourier(window * maps["b"]), modes(patch)
    for low, high in PURE_BINS:
        weight = mode_count(patch) * ((m.l >= low) & (m.l < high))
        auto, cross, true = (
            (product * weight).sum()
            for product in (np.abs(found) ** 2, (found * truth.conj()).real, np.abs(truth) ** 2)
        )
        rho = float(cross / np.sqrt(auto * true))
        yield (low, high), rho, (1 - rho**2) / np.sqrt(weight.sum() * n_patches * np.mean(window**2))


def noise_over_oracle(spectra: Spectra, patch: Patch) -> dict[int, float]:
    """N0 of the EB + EE estimator at 1 uK arcmin and 1 arcmin over that of pytempura, at some L; empty without it."""
    if importlib.util.find_spec("pytempura") is None:
        return {}
    import pytempura

    instrument, l_max = Instrument(1.0, 1.0), 3500
    zero, l = np.zeros(l_max + 1), np.arange(l_max + 1)  # noqa: E741
    ee, bb = spectra.ee_lensed[: l_max + 1], spectra.bb_lensed[: l_max + 1]
    noise = noise_power(instrument, l_max)
    lensed = {"EE": ee, "BB": zero, "TT": zero + 1, "TE": zero}
    total = lensed | {"EE": ee + noise, "BB": bb + noise}
    found = pytempura.get_norms(["EB", "EE"], lensed, lensed, total, 2, l_max, k_ellmax=l_max)
    with np.errstate(divide="ignore", invalid="ignore"):
        theirs = 1 / sum(1 / found[pair][0][: l_max + 1] for pair in ("EB", "EE")) * (l * (l + 1)) ** 2 / 4
    ours = quadratic_noise(spectra, instrument, patch, l_min=2, l_max=l_max)
    return {int(at): float(ours[at] / theirs[at]) for at in (100, 200, 500, 1000, 1500, 2000, 2500, 3000)}


def read_external(files: list[str]) -> tuple[dict[str, np.ndarray], Patch]:
    """Coefficients of the CMBLensing.py fields and their patch; B and the curl of theirs has the other sign.

    The files are plain arrays of `numpy.fft.rfft2` layout although they are called .npz.
    """
    paths = {Path(path).name: path for path in files}
    n_side = int(Path(paths["n_side.txt"]).read_text())
    patch = Patch(n_side, n_side, float(Path(paths["theta_pix.txt"]).read_text()))
    names = {
        "phi": "phi_P",
        "e": "e_field_P",
        "b": "b_field_P",
        "e_lensed": "e_lensed_field_P",
        "b_lensed": "b_lensed_field_P",
    }
    fields = {name: np.load(paths[f"{file}.npz"]) for name, file in names.items()}
    # ASSUME: their B has the opposite sign, as for the IAU convention of U
    return {name: -values if name in ("b", "b_lensed") else values for name, values in fields.items()}, patch


def external_remap(files: list[str]) -> dict[str, float]:
    """Our lensing of another code's unlensed fields and potential against its own lensed fields.

    e_error: relative rms for l < 3500; b_rho: correlation for l < 1600.
    """
    fields, patch = read_external(files)
    m = modes(patch)
    kappa = fields["phi"] * m.l.astype(float) ** 2 / 2
    ours = dict(zip("eb", remapped(fields["e"], fields["b"], kappa, patch), strict=True))
    weight = mode_count(patch)
    low = weight * (m.l < 3500)
    error = (np.abs(ours["e"] - fields["e_lensed"]) ** 2 * low).sum() / (np.abs(fields["e_lensed"]) ** 2 * low).sum()
    low = weight * (m.l < 1600)
    cross = ((ours["b"] * fields["b_lensed"].conj()).real * low).sum()
    autos = (np.abs(ours["b"]) ** 2 * low).sum() * (np.abs(fields["b_lensed"]) ** 2 * low).sum()
    return {"e_error": float(np.sqrt(error)), "b_rho": float(cross / np.sqrt(autos))}
