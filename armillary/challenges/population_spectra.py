"""Spectra of single stellar populations behind dust: three known factors, and nothing else but noise.

Simulated from a grid of populations, or read from files; all of them in 128 to 151 bins, each spectrum of mean 1 with
the mean that it was divided by kept beside it.
"""

import numpy as np

from armillary.challenges.galaxy_spectra import LN_WAVE, SOLAR, noise_shape
from armillary.challenges.spectra import MASS_RANGE, on_grid
from armillary.files_challenges import read_named_arrays
from armillary.files_spectra import read_raw_spectra

N_BINS = 140
BIN_RANGE = (128, 151)
AGE_GYR = (0.1, 10.0)
DUST_MAX_MAG = 1.5
SNR = (25, 100)  # a pixel of the grid of 700: 11 to 43 in a pixel of SDSS
MIN_SPECTRA = 10


def simulate_populations(n: int, populations: dict[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """`n` spectra on the bins of `LN_WAVE`, at rest.

    # ASSUME: one age and one metallicity a spectrum, uniform in their logarithms, and a screen of dust with
    slope -0.7 (Charlot & Fall 2000), uniform in A_V; no line, no redshift.
    """
    log_metals, log_ages = np.log10(populations["metallicity"] / SOLAR), np.log10(populations["age_gyr"])
    age = rng.uniform(*np.log10(AGE_GYR), n)
    metals = rng.uniform(log_metals[0], log_metals[-1], n)
    dust = rng.uniform(0, DUST_MAX_MAG, n)
    ln_light = np.log(np.maximum(populations["light"], 1e-30))
    rest = 0
    for row, row_weight in _corners(metals, log_metals):
        for column, weight in _corners(age, log_ages):
            rest = rest + (row_weight * weight)[:, None] * ln_light[row, column]
    rest = np.exp(rest - 0.4 * np.log(10) * dust[:, None] * (populations["wave"] / 5500) ** -0.7)
    flux = np.array([np.interp(LN_WAVE, np.log(populations["wave"]), row) for row in rest])
    snr = 10 ** rng.uniform(*np.log10(SNR), (n, 1))
    error = noise_shape() / snr * flux.mean(1, keepdims=True)
    seen = flux + error * rng.normal(size=flux.shape)
    found = binned(seen, error**-2, np.exp(LN_WAVE))
    del found["is_good"]  # all of them
    return found | {"y": np.column_stack([age, metals, dust]), "y_names": np.array(["log_age", "log_metals", "dust"])}


def _corners(values: np.ndarray, grid: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """The two neighbours of each value on a rising grid, and their weights."""
    low = np.clip(np.searchsorted(grid, values) - 1, 0, len(grid) - 2)
    share = np.clip((values - grid[low]) / (grid[low + 1] - grid[low]), 0, 1)
    return [(low, 1 - share), (low + 1, share)]


def binned(flux: np.ndarray, ivar: np.ndarray, wave: np.ndarray) -> dict[str, np.ndarray]:
    """Weighted means in 140 bins (all pixels, if there are 128 to 151), of mean 1: x, sigma and scale.

    `sigma` is 0 and `x` the mean of the other spectra where nothing was measured; `scale` (n,) is what the flux was
    divided by.
    """
    n_bins = wave.size if BIN_RANGE[0] <= wave.size <= BIN_RANGE[1] else N_BINS
    starts = np.array([part[0] for part in np.array_split(np.arange(wave.size), n_bins)])
    weight = np.add.reduceat(ivar, starts, axis=1)
    total = np.add.reduceat(np.where(ivar > 0, ivar * flux, 0), starts, axis=1)
    known = weight > 0
    x = np.divide(total, weight, out=np.zeros_like(weight), where=known)
    scale = x.sum(1, keepdims=True) / np.maximum(known.sum(1, keepdims=True), 1)
    good = (scale[:, 0] > 0) & np.isfinite(scale[:, 0])
    if good.sum() < MIN_SPECTRA:
        raise ValueError(f"{good.sum()} of {len(good)} spectra have a flux above 0; {MIN_SPECTRA} are needed at least")
    safe = np.where(good[:, None], scale, 1)
    sigma = np.where(known, np.maximum(weight, 1e-30) ** -0.5 / safe, 0)
    x = np.where(known, x / safe, 0)
    usual = x[good].sum(0) / np.maximum(known[good].sum(0), 1)
    x = np.where(known, x, usual)
    middle = np.add.reduceat(wave, starts) / np.diff([*starts, wave.size])
    return {"x": x, "sigma": sigma, "scale": scale[:, 0], "is_good": good, "wave": middle}


def read_school_file(path: str, n_spectra: int) -> dict[str, np.ndarray]:
    """The school's sdss_galaxy_spec.hdf5: binned spectra in the observed frame; factors are z, log age, log metals."""
    raw = read_raw_spectra(path, n_spectra)
    sane = (raw["z"] > 0) & (raw["age"] > 0) & (raw["metallicity"] > 0)
    sane &= (raw["smass"] > MASS_RANGE[0]) & (raw["smass"] < MASS_RANGE[1])
    if sane.sum() < MIN_SPECTRA:
        raise ValueError(
            f"{path}: {sane.sum()} of {len(sane)} galaxies have z, age and metallicity above 0 and a mass within "
            f"{MASS_RANGE[0]:g} to {MASS_RANGE[1]:g}; at least {MIN_SPECTRA} are needed"
        )
    waves = np.broadcast_to(raw["wavelength"], raw["spec"].shape)[sane]
    pairs = [on_grid(*one) for one in zip(waves, raw["spec"][sane], raw["specerr"][sane], strict=True)]
    flux, ivar = (np.array(part, float) for part in zip(*pairs, strict=True))
    y = np.column_stack([raw["z"], np.log10(np.where(sane, raw["age"], 1)) - 9,
                         np.log10(np.where(sane, raw["metallicity"], 1))])[sane]  # fmt: skip
    return _kept(path, binned(flux, ivar, np.exp(LN_WAVE)), y, ["z", "log_age", "log_metals"])


def read_table(path: str, n_spectra: int) -> dict[str, np.ndarray]:
    """An NPZ of spectra with factors: wave (m,), flux and error (n, m; error 0 where nothing is known), y (n, k) and
    y_names (k,)."""
    arrays = read_named_arrays(path, ("wave", "flux", "error", "y", "y_names"))
    wave, flux, error, y = (np.asarray(arrays[name], float) for name in ("wave", "flux", "error", "y"))
    names = [str(name) for name in arrays["y_names"]]
    if (
        flux.ndim != 2
        or flux.shape != error.shape
        or wave.shape != flux.shape[1:]
        or y.shape != (len(flux), len(names))
    ):
        raise ValueError(
            f"{path}: wave {wave.shape}, flux {flux.shape}, error {error.shape}, y {y.shape} and {len(names)} names do "
            "not fit together: (m,), (n, m), (n, m), (n, k) and k are expected"
        )
    if len(wave) < BIN_RANGE[0]:
        raise ValueError(f"{path}: spectra of {len(wave)} pixels; {BIN_RANGE[0]} at least are expected")
    if not np.isfinite(y).all() or not (y.std(0) > 0).all():
        raise ValueError(f"{path}: y has values that are not finite, or a factor that is the same in all spectra")
    rows = slice(0, None, max(len(flux) // n_spectra, 1))
    known = (error > 0) & np.isfinite(error) & np.isfinite(flux)
    ivar = np.where(known, 1 / np.where(known, error, 1) ** 2, 0)
    flux = np.where(known, flux, 0)
    return _kept(path, binned(flux[rows][:n_spectra], ivar[rows][:n_spectra], wave), y[rows][:n_spectra], names)


def _kept(path: str, found: dict, y: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
    good = found["is_good"]
    keep = {name: found[name][good] for name in ("x", "sigma", "scale")}
    source = np.array(f"{good.sum()} given spectra of {len(good)} that were read from {path.rpartition('/')[2]}")
    return keep | {"wave": found["wave"], "y": y[good], "y_names": np.array(names), "source": source}
