"""Time simulated lensed patches and quadratic estimates against what a user would run instead, by turns."""

import importlib.util
import time

import numpy as np
import scipy.fft
import scipy.ndimage

from armillary.cmb_spectra import Instrument, Spectra
from armillary.estimators import Setting, observed_eb
from armillary.files import read_arrays, write_json
from armillary.flatsky import ARCMIN, Patch, eb_from_qu, fourier, pixels, qu_from_eb, radial, resampled, square_patch
from armillary.lensed_skies import NOISE_STREAM, SKY_STREAM, SkyModel, simulate_box, sky_model, white_coefficients
from armillary.lensing import deflection, remapped
from armillary.metrics import measurement
from armillary.quadratic import estimate_kappa, filters, normalisation
from armillary.step import announce, run

PATCH = square_patch(5.0, 128)
INSTRUMENT = Instrument(1.0, 1.0)


def compare_remaps(spectra: str, benchmark: str, *, n_maps: int, n_pairs: int, seed: int) -> None:
    """Each way makes `n_maps` patches of q, u, e, k, b a turn; CPU seconds of one thread."""
    theory = Spectra(**read_arrays(spectra))
    model = sky_model(theory, PATCH, INSTRUMENT, periodic=True)
    ways = {"nufft": _ours, "spline": _spline} | ({"pixell": _pixell} if importlib.util.find_spec("pixell") else {})
    times = {name: [] for name in [*ways, "quadratic"]}
    q, u = (simulate_box(model, seed=seed, number=0)[name][0] for name in "qu")
    quadratic = _prepared_quadratic(theory)
    for way in ways.values():
        way(model, seed)
    for pair in range(n_pairs):
        for name, way in ways.items():
            times[name].append(_milliseconds(lambda number, way=way: way(model, seed + 1 + number), n_maps))
        times["quadratic"].append(_milliseconds(lambda number: quadratic(q, u), n_maps))
        announce(f"pair {pair + 1}/{n_pairs}: " + ", ".join(f"{name} {t[-1]:.1f} ms" for name, t in times.items()))
    errors = {name: _error(way, model, seed) for name, way in ways.items()}
    write_json(benchmark, _entries(times, errors))


def _milliseconds(one, n_maps: int) -> float:
    started = time.process_time()
    for number in range(n_maps):
        one(number)
    return (time.process_time() - started) / n_maps * 1e3


def _ours(model: SkyModel, seed: int) -> tuple[np.ndarray, np.ndarray]:
    maps = simulate_box(model, seed=seed, number=0)
    return maps["q"][0], maps["u"][0]


def _unlensed(model: SkyModel, seed: int, patch: Patch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unlensed Q and U maps and kappa coefficients of the very sky that `simulate_box` draws, on `patch`."""
    e, kappa = white_coefficients(model.fine, np.random.default_rng([seed, 0, SKY_STREAM, 0]))
    e, kappa = (resampled(f, model.fine, patch) for f in (e * model.amplitude_e, kappa * model.amplitude_kappa))
    return *(pixels(part, patch) for part in qu_from_eb(e, np.float32(0), patch)), kappa


def _observed(q: np.ndarray, u: np.ndarray, model: SkyModel, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The same beam and noise for all ways."""
    noise = np.random.default_rng([seed, 0, NOISE_STREAM, 0])
    return tuple(
        pixels(fourier(values) * model.beam, model.box)
        + np.float32(model.noise_uk) * noise.standard_normal(model.box.shape, dtype=np.float32)
        for values in (q, u)
    )


def _spline(model: SkyModel, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The common way: a cubic spline of the maps on their own pixels, `scipy.ndimage.map_coordinates`."""
    q, u, kappa = _unlensed(model, seed, model.box)
    alpha = deflection(kappa, model.box) / (model.box.pixel_arcmin * ARCMIN)
    y, x = np.mgrid[: model.box.n_y, : model.box.n_x]
    place = np.stack([y + alpha.imag, x + alpha.real])
    moved = [scipy.ndimage.map_coordinates(values, place, order=3, mode="grid-wrap") for values in (q, u)]
    return _observed(*moved, model, seed)


def _pixell(model: SkyModel, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """pixell's cubic spline (`lensing.displace_map`) on the same grid, twice as fine, cut to the modes of the patch."""
    from pixell import enmap, lensing

    fine = model.fine
    q, u, kappa = _unlensed(model, seed, fine)
    alpha = deflection(kappa, fine) / (fine.pixel_arcmin * ARCMIN)
    _, wcs = enmap.geometry(pos=(0, 0), shape=fine.shape, res=fine.pixel_arcmin * ARCMIN, proj="car")
    y, x = np.mgrid[: fine.n_y, : fine.n_x]
    maps = enmap.enmap(np.stack([q, u]).astype(np.float64), wcs)
    moved = lensing.displace_map(maps, np.stack([y + alpha.imag, x + alpha.real]), order=3)
    return _observed(*(pixels(resampled(fourier(v), fine, model.box), model.box) for v in moved), model, seed)


def _prepared_quadratic(theory: Spectra):
    setting = Setting(PATCH, theory, INSTRUMENT, None, 20, 4000)
    weights = filters(theory, INSTRUMENT, PATCH, l_min=20, l_max=4000)
    n0 = normalisation(weights.e_wiener, radial(theory.ee_lensed, PATCH), weights.b_inverse, PATCH)
    return lambda q, u: estimate_kappa(*observed_eb(setting, q, u), weights, n0, PATCH)


def _error(way, model: SkyModel, seed: int) -> float:
    """Relative rms difference of Q to that of lensing on a grid four times finer, noise and beam alike."""
    q, u, kappa = _unlensed(model, seed, model.fine)
    e = eb_from_qu(fourier(q), fourier(u), model.fine)[0]
    lensed = [resampled(part, model.fine, model.box) for part in remapped(e, None, kappa, model.fine)]
    exact = _observed(*(pixels(part, model.box) for part in qu_from_eb(*lensed, model.box)), model, seed)[0]
    return float(np.sqrt(((way(model, seed)[0] - exact) ** 2).mean() / (exact**2).mean()))


def _entries(times: dict[str, list[float]], errors: dict[str, float]) -> dict:
    words = {
        "nufft": "q, u, e, k, b by type-2 NUFFT",
        "spline": "q, u by scipy's cubic spline on the patch's own pixels",
        "pixell": "q, u by pixell's cubic spline on a grid twice as fine",
        "quadratic": "quadratic estimator from q, u maps",
    }
    entries = {}
    for name, values in times.items():
        low, middle, high = np.percentile(values, [16, 50, 84])
        key = "cmb_quadratic_milliseconds" if name == "quadratic" else f"cmb_patch_{name}_milliseconds"
        baseline = None if name in ("nufft", "quadratic") else "cmb_patch_nufft_milliseconds"
        note = f"{words[name]}, CPU of one thread a 128 x 128 patch"
        entries[key] = measurement(middle, low, high, len(values), "ms", baseline, note)
    for name, value in errors.items():
        entries[f"cmb_patch_{name}_error"] = measurement(
            value, n=1, note="rms of Q against a grid 4 x finer, over its rms"
        )
    return entries


if __name__ == "__main__":
    run(compare_remaps, snakemake)
