"""Which variables tell how bright a Type Ia supernova is at maximum: LASSO and cross-validation (Uemura et al. 2015).

The real table joins max-light spectra of the Berkeley sample (Silverman et al. 2012) with SALT2 fits of Pantheon+: 134
logarithmic bins give, with colour, width and six flux ratios, 276 variables for some 70 supernovae. The simulated one
has a known answer: brightness goes by colour and width alone, and both leave traces in the spectrum.
"""

from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d

from armillary.challenges.scores import seed_scores, seeds_note, wholes
from armillary.files_challenges import read_named_arrays
from armillary.metrics import measurement, wilson_68

QUESTION = "Which of 276 variables, measured from spectra and light curves, does the magnitude at maximum depend on?"
CAVEATS = (
    "That no further variable is found says: none whose effect is much more than 0.1 mag. One of 0.1 mag would be "
    "found in most cases, one of 0.05 mag seldom (power). Smaller ones may be there.",
    "Spectral bins are strongly correlated: which of them is chosen is unstable, bands are what counts.",
    "x1 is rarely chosen by name: Si II and Ca II bins stand in for it. Compare errors, not only names.",
    "The magnitude uses the same fit as colour and width do, so their errors are correlated.",
    "Distances below z = 0.01 carry peculiar velocities; such supernovae are left out.",
)
LITERATURE = (
    ("variables that matter", "colour and light-curve width, no further one", "Uemura et al. 2015 PASJ 67 55"),
    ("how many variables", "hard to determine from so few supernovae", "Igarashi et al. 2018, arXiv:1707.02050"),
)
RATIOS_NM = ((642, 443), (642, 512), (443, 610), (372, 416), (663, 440), (520, 630))
MIN_REDSHIFT = 0.01
LEAST_FLUX = 0.01  # of a spectrum's mean: noise makes single bins negative, whose magnitude is unknown


def sample(files: list[str], settings: dict, seed: int) -> dict[str, np.ndarray]:
    """x (n, p) variables, y (n,) magnitudes, names (p,), wavelength_a (p,; NaN for variables that are no bin)."""
    if files:
        return read(files[0])
    return simulate(settings["n_simulated"], np.random.default_rng([seed, 71]))


def read(path: str) -> dict[str, np.ndarray]:
    """A table of supernovae: NPZ of max-light spectra and SALT2 parameters, or a CSV of ready variables."""
    data = read_csv(path) if Path(path).suffix == ".csv" else read_spectra(path)
    constant = np.nanstd(data["x"], axis=0) == 0
    if constant.any():
        print(f"{path}: {constant.sum()} variables are constant and left out", flush=True)
    keep = ~constant
    return {**data, "x": data["x"][:, keep], "names": data["names"][keep], "wavelength_a": data["wavelength_a"][keep]}


def read_csv(path: str) -> dict[str, np.ndarray]:
    """First column the name, one column `M` or `Magnitude`, every other a variable; NaN are filled inside each fold."""
    import pandas as pd

    table = pd.read_csv(path)
    response = next((name for name in ("M", "Magnitude", "magnitude") if name in table), None)
    if response is None:
        raise ValueError(f"{path} has no column M or Magnitude; its columns are {', '.join(table.columns[:8])} ...")
    table = table.drop(columns=table.columns[0]) if table.columns[0] != response else table
    numeric = table.apply(pd.to_numeric, errors="coerce")
    text = [name for name in table if numeric[name].isna().sum() > table[name].isna().sum()]
    if text:
        raise ValueError(f"{path}: column {text[0]} is not numeric; only the first column may be text")
    share = numeric.isna().mean()
    if share.any():
        print(f"{path}: share of missing values: {share[share > 0].round(2).to_dict()}", flush=True)
    if numeric[response].isna().any() or share.max() > 0.5:
        bad = response if numeric[response].isna().any() else share.idxmax()
        raise ValueError(f"{path}: column {bad} lacks too many values ({share[bad]:.0%}); drop it or its rows")
    y = numeric.pop(response).to_numpy(float)
    names = np.array(numeric.columns, str)
    return {"x": numeric.to_numpy(float), "y": y, "names": names, "wavelength_a": np.full(len(names), np.nan),
            "source": np.array(f"table {Path(path).name}: {len(y)} supernovae, {len(names)} variables")}  # fmt: skip


def read_spectra(path: str) -> dict[str, np.ndarray]:
    """NPZ with wave (134,), flux (n, 134), zHD, c, x1 and M; supernovae below MIN_REDSHIFT are left out."""
    arrays = read_named_arrays(path, ("wave", "flux", "zHD", "c", "x1", "M"))
    n, n_bins = len(arrays["M"]), len(arrays["wave"])
    if arrays["flux"].shape != (n, n_bins):
        raise ValueError(f"{path}: flux is {arrays['flux'].shape}; {(n, n_bins)} was expected")
    keep = arrays["zHD"] > MIN_REDSHIFT
    wave, flux = arrays["wave"].astype(float), arrays["flux"][keep].astype(float)
    if keep.sum() < 20 or not np.isfinite(flux).all() or (flux.mean(1) <= 0).any():
        raise ValueError(f"{path}: {keep.sum()} supernovae above z = {MIN_REDSHIFT}; 20 with finite flux are needed")
    flux = np.maximum(flux, LEAST_FLUX * flux.mean(1, keepdims=True))
    x, names, wavelength = variables(wave, flux, arrays["c"][keep].astype(float), arrays["x1"][keep].astype(float))
    source = f"{keep.sum()} real supernovae: BSNIP spectra at maximum, Pantheon+ SALT2 fits"
    return {"x": x, "y": arrays["M"][keep].astype(float), "names": names, "wavelength_a": wavelength,
            "source": np.array(source)}  # fmt: skip


def variables(wave_a, flux, c, x1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Colour, width, log flux, flux over continuum and RATIOS_NM: (n, p), their names and wavelengths in Angstrom."""
    magnitude = -2.5 * np.log10(flux)
    shape = flux / gaussian_filter1d(flux, 12, axis=1)
    ratios = [flux[:, _bin(wave_a, a)] / flux[:, _bin(wave_a, b)] for a, b in RATIOS_NM]
    x = np.column_stack([c, x1, magnitude, shape, *ratios])
    bins = [f"{kind}{wave:.0f}" for kind in ("f", "s") for wave in wave_a]
    names = np.array(["c", "x1", *bins, *(f"R({a}/{b})" for a, b in RATIOS_NM)])
    wavelength = np.concatenate([[np.nan] * 2, wave_a, wave_a, [np.nan] * len(RATIOS_NM)])
    return x, names, wavelength


def _bin(wave_a: np.ndarray, nanometre: float) -> int:
    return int(np.argmin(np.abs(wave_a - 10 * nanometre)))


def simulate(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Supernovae whose magnitude is -19.3 - 0.14 x1 + 3.1 c with 0.12 mag of scatter; lines deepen as x1 falls.

    # ASSUME: reddening goes as wavelength^-1.3, slopes differ besides; ten Gaussian lines, some deeper as x1 falls.
    """
    wave = np.exp(np.linspace(np.log(3511.6), np.log(8480.0), 134))
    c = rng.exponential(0.08, n) + rng.normal(-0.06, 0.05, n)
    x1 = rng.normal(-0.2, 1.1, n)
    y = -19.3 - 0.14 * x1 + 3.1 * c + rng.normal(0, 0.12, n)
    centres = np.array([3780, 3980, 4130, 4360, 4900, 5400, 5750, 6150, 7500, 8100])
    depths = np.array([0.5, 0.45, 0.15, 0.3, 0.35, 0.3, 0.12, 0.5, 0.25, 0.45])
    slopes = np.array([0.02, 0.04, 0.04, 0.0, 0.0, 0.0, 0.05, 0.03, 0.0, 0.02])
    line = np.exp(-0.5 * ((wave - centres[:, None]) / (0.012 * centres[:, None])) ** 2)
    depth = depths + rng.normal(0, 0.05, (n, 10)) - slopes * (x1 + rng.normal(0, 0.5, n))[:, None]
    continuum = (wave / 5500) ** -1.8 * np.exp(rng.normal(0, 0.3, n)[:, None] * np.log(wave / 5500))
    reddening = 10 ** (-0.4 * c[:, None] * 3.1 * ((5500 / wave) ** 1.3 - 1))
    flux = continuum * reddening * np.clip(1 - depth @ line, 0.02, None) * np.exp(rng.normal(0, 0.03, (n, 134)))
    flux /= flux[:, (wave > 4000) & (wave < 7000)].mean(1, keepdims=True)
    measured_c, measured_x1 = c + rng.normal(0, 0.02, n), x1 + rng.normal(0, 0.15, n)
    x, names, wavelength = variables(wave, flux, measured_c, measured_x1)
    source = f"{n} simulated supernovae: colour and width alone set the magnitude"
    return {"x": x, "y": y, "names": names, "wavelength_a": wavelength, "source": np.array(source)}


def score(data: list[dict], found: dict[str, list[dict]], settings: dict, rng: np.random.Generator) -> dict:
    """Nested errors of every model (paired over supernovae), and what was selected how often."""

    def errors(seed: int, index: np.ndarray) -> dict[str, float]:
        y = data[seed]["y"][index]
        rmse = {
            f"{name}_rmse": float(np.sqrt(np.mean((runs[seed]["prediction"][index] - y) ** 2)))
            for name, runs in found.items()
            if "prediction" in runs[seed]
        }
        gain = {f"{key[:-5]}_minus_ols_c_x1": value - rmse["ols_c_x1_rmse"]
                for key, value in rmse.items() if key != "ols_c_x1_rmse" and "ols_c_x1_rmse" in rmse}  # fmt: skip
        return rmse | gain

    n = [wholes(len(one["y"])) for one in data]
    names = [name for name in found if name != "ols_c_x1" and "prediction" in found[name][0]]
    baselines = {f"{name}_rmse": "ols_c_x1_rmse" for name in names} if "ols_c_x1" in found else {}
    scores = seed_scores(errors, n, settings["n_resamples"], rng, units={"": "mag"}, baselines=baselines)
    chosen = {
        f"{name}_n_selected": [run["n_selected"].mean() for run in runs]
        for name, runs in found.items()
        if "n_selected" in runs[0]
    }
    if "stability" in found:
        frequencies = np.array([run["frequency"] for run in found["stability"]])
        place = [list(one["names"]).index for one in data]
        for name in ("c", "x1"):
            if name in data[0]["names"]:
                each = [f[p(name)] for f, p in zip(frequencies, place, strict=True)]
                chosen[f"stability_frequency_{name}"] = each
                chosen[f"stability_rank_{name}"] = [
                    1 + int(np.sum(f > e)) for f, e in zip(frequencies, each, strict=True)
                ]
        chosen["stability_false_discoveries"] = [run["n_expected_false"].item() for run in found["stability"]]
    if "power" in found:
        chosen["power_p_value"] = [run["p_value"].item() for run in found["power"]]
        hits = np.concatenate([run["found"] for run in found["power"]], 1)
        for size, one in zip(found["power"][0]["injected_mag"], hits, strict=True):
            key, share = f"power_found_of_{1000 * size:.0f}_mmag", float(one.mean())
            scores[key] = measurement(share, *wilson_68(share, len(one)), len(one), note="injections, Wilson interval")
    return scores | _over_seeds(chosen)


def _over_seeds(values: dict[str, list[float]]) -> dict:
    """Mean and range over the seeds, for numbers that have no test objects."""
    return {
        key: measurement(float(np.mean(v)), min(v), max(v), len(v), note=f"{seeds_note(v)}; the range, no interval")
        for key, v in values.items()
    }
