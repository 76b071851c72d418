"""New galaxy spectra from learned distributions: principal components, variational autoencoders, a flow (hack 9).

Learned from simulated SDSS-like spectra, built on the populations of Bruzual & Charlot (2003) if they are at hand, or
from the school's own file. What is drawn is held against spectra that no training saw.
"""

import numpy as np

from armillary.challenges.galaxy_spectra import LN_WAVE, N_PIXELS, make_populations, simulate_spectra
from armillary.challenges.scores import area_under_roc, r_squared, scaled_mad, seed_scores, splits, wholes
from armillary.challenges.spectral_indices import INDICES
from armillary.files_challenges import read_named_arrays
from armillary.files_spectra import read_raw_spectra

QUESTION = (
    "Can the distribution of galaxy spectra be learned, so that new ones look, measure and scatter like real ones, "
    "also when a redshift and a metallicity are asked for?"
)
CAVEATS = (
    "Simulated spectra: smooth histories of star formation, a screen of dust, no AGN, no sky residuals but noise. "
    "Without the population file, the stars themselves are stand-ins.",
    "A classifier tells drawn from held-out spectra in 20 principal components and what is left outside them; another "
    "classifier may do better.",
    "The redshift of what is drawn with wishes is right by construction: it is shifted there. Beyond z = 0.157 the "
    "populations do not reach the blue end, missing pixels are filled, and the template fit that measures redshifts is "
    "misled: see redshift_off of drawn and of held-out spectra.",
    "Metallicity is told from spectra with errors of its own: read its R2 beside that of held-out spectra.",
    "Noise is that of held-out spectra, drawn anew; the models learn what is below the noise.",
)
LITERATURE = (
    ("VAE of 6 latents against 6 components, 48 000 SDSS spectra", "VAE better", "Portillo et al. 2020, AJ 160, 45"),
    ("latents that suffice", "4", "Iwasaki et al. 2023, arXiv:2311.17414"),
)  # fmt: skip
SAMPLERS = {
    "pca": ("mixture",),
    "pca_rest": ("asked", "detailed"),
    "vae": ("prior", "flow"),
    "conditional": ("asked", "detailed"),
}  # what each method draws from
BASELINES = {
    "conditional": "pca_rest", "vae_flow": "vae_prior", "vae": "pca", "pca_rest_asked": "pca_mixture",
    "pca_rest": "pca",
}  # fmt: skip
MASS_RANGE = (1e8, 1e12)


def sample(files: list[str], settings: dict, seed: int) -> dict[str, np.ndarray]:
    """flux and ivar (n, N_PIXELS) with flux of mean 1, z, log_metallicity and age_gyr (n,), split (n,)."""
    rng = np.random.default_rng([seed, 73])
    if files and not files[0].endswith(".npz"):
        data = read(files[0], settings["n_spectra"])
    else:
        populations = read_populations(files[0]) if files else make_populations()
        data = simulate_spectra(settings["n_spectra"], populations, rng)
        stars = "Bruzual & Charlot (2003)" if files else "stand-ins"
        data["source"] = np.array(f"{settings['n_spectra']} simulated spectra, populations: {stars}")
    shares = settings["train_share"], settings["validation_share"]
    return data | {"split": splits(len(data["z"]), shares, rng)}


def read_populations(path: str) -> dict[str, np.ndarray]:
    """Populations on a common grid: arrays wave (n,) A in air, flux (m, n), Z (m,), age_gyr (m,)."""
    arrays = read_named_arrays(path, ("wave", "flux", "Z", "age_gyr"))
    metallicity, age = np.unique(arrays["Z"]), np.unique(arrays["age_gyr"])
    if arrays["flux"].shape != (len(metallicity) * len(age), len(arrays["wave"])) or not (arrays["flux"] >= 0).all():
        raise ValueError(
            f"{path}: flux is {arrays['flux'].shape}; not negative, a row for each of {len(metallicity)} metallicities "
            f"and {len(age)} ages of {len(arrays['wave'])} pixels was expected"
        )
    order = np.lexsort((arrays["age_gyr"], arrays["Z"]))
    air = arrays["wave"].astype(float)
    vacuum = air * (1 + 2.735182e-4 + 131.4182 / air**2 + 2.76249e8 / air**4)  # Morton (1991), SDSS
    wave = np.exp(np.arange(np.log(vacuum[0]), np.log(vacuum[-1]), LN_WAVE[1] - LN_WAVE[0]))
    light = np.array([np.interp(wave, vacuum, row) for row in arrays["flux"][order].astype(float)])
    light = light.reshape(len(metallicity), len(age), -1)
    return {"wave": wave, "light": light, "metallicity": metallicity, "age_gyr": age}


def read(path: str, n_spectra: int) -> dict[str, np.ndarray]:
    """The school's file: galaxies with age, metallicity and z above 0 and a sane mass, on our grid, mean flux 1.

    Metallicities are given without a unit: log_metallicity is their log10 less its median.
    """
    raw = read_raw_spectra(path, n_spectra)
    sane = (raw["z"] > 0) & (raw["age"] > 0) & (raw["metallicity"] > 0)
    sane &= (raw["smass"] > MASS_RANGE[0]) & (raw["smass"] < MASS_RANGE[1])
    if sane.sum() < 10:
        raise ValueError(
            f"{path}: {sane.sum()} of {len(sane)} galaxies have z, age and metallicity above 0 and a mass within "
            f"{MASS_RANGE[0]:g} to {MASS_RANGE[1]:g}; at least 10 are needed"
        )
    waves = np.broadcast_to(raw["wavelength"], raw["spec"].shape)[sane]
    pairs = [on_grid(*one) for one in zip(waves, raw["spec"][sane], raw["specerr"][sane], strict=True)]
    flux, ivar = (np.array(part, np.float32) for part in zip(*pairs, strict=True))
    if not (ivar > 0).any(1).all():
        raise ValueError(f"{path}: a spectrum has no pixel with specerr above 0 in 3850 to 9150 A")
    scale = (flux * (ivar > 0)).sum(1, keepdims=True) / (ivar > 0).sum(1, keepdims=True)
    bright = scale[:, 0] > 0
    metals = np.log10(raw["metallicity"][sane])
    source = f"given: {bright.sum()} spectra of {len(sane)} read, {(~sane).sum()} without sane values"
    found = {"flux": flux / scale, "ivar": ivar * scale**2, "z": raw["z"][sane], "age_gyr": raw["age"][sane] / 1e9,
             "log_metallicity": metals - np.median(metals)}  # fmt: skip
    return {name: array[bright] for name, array in found.items()} | {"source": np.array(source)}


def on_grid(wave: np.ndarray, flux: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted means of the pixels that fall into each of ours, and their inverse variance; 0 where there is none."""
    weight = np.where((error > 0) & np.isfinite(flux) & np.isfinite(error), 1 / np.maximum(error, 1e-30) ** 2, 0)
    step = LN_WAVE[1] - LN_WAVE[0]
    place = np.rint((np.log(np.maximum(wave, 1)) - LN_WAVE[0]) / step).astype(int)
    inside = (place >= 0) & (place < N_PIXELS) & (weight > 0)
    ivar = np.bincount(place[inside], weight[inside], N_PIXELS)
    total = np.bincount(place[inside], (weight * np.nan_to_num(flux))[inside], N_PIXELS)
    return np.divide(total, ivar, out=np.zeros(N_PIXELS), where=ivar > 0), ivar


def score(data: list[dict], found: dict[str, list[dict]], settings: dict, rng: np.random.Generator) -> dict:
    """Misfit of reconstructions, what tells drawn from held-out spectra, indices, whether what was asked came out."""
    first = next(iter(found.values()))

    def statistics(seed, index):
        values = {}
        for name, runs in found.items():
            run = runs[seed]
            values |= {
                f"{name}_chi2_at_{k}": float(chi2[index].mean())
                for k, chi2 in zip(run["sizes"], run["chi2"], strict=True)
            }
            for sampler in SAMPLERS[name]:
                values |= _drawn(f"{name}_{sampler}", run, sampler, index)
            if "asked_z" in run:
                values |= _asked(name, run, index)
        return values | _differences(values)

    groups = [wholes(run["chi2"].shape[1]) for run in first]
    scores = seed_scores(statistics, groups, settings["n_resamples"], rng)
    for key, entry in scores.items():
        for method, baseline in BASELINES.items():
            other = key.replace(method, baseline)
            if key.startswith(method) and other in scores:
                entry["baseline"] = other
                break
    return scores


def _drawn(key: str, run: dict, sampler: str, index: np.ndarray) -> dict[str, float]:
    judged = [run[f"judged_{kind}"][index] for kind in (sampler, f"{sampler}_real")]
    truth = np.repeat([True, False], [len(index), len(index)])
    values = {f"{key}_auc": area_under_roc(np.concatenate(judged), truth)}
    values[f"{key}_nearest_over_real"] = float(
        np.median(run[f"nearest_{sampler}"][index]) / np.median(run["nearest_real"][index])
    )
    for k, name in enumerate(INDICES):
        values[f"{key}_gap_{name}"] = largest_gap(run[f"indices_{sampler}"][index, k], run["indices_real"][index, k])
    return values


def _asked(name: str, run: dict, index: np.ndarray) -> dict[str, float]:
    values = {}
    for kind, z, metals in (("asked", "seen_z", "seen_metallicity"), ("real", "real_z", "real_metallicity")):
        residual = (run[z] - run["asked_z"])[index] / (1 + run["asked_z"][index])
        values[f"{name}_{kind}_redshift_nmad"] = scaled_mad(residual)
        values[f"{name}_{kind}_redshift_off"] = float(np.mean(np.abs(residual) > 0.01))
        values[f"{name}_{kind}_metallicity_r2"] = r_squared(run["asked_metallicity"][index], run[metals][index])
    return values


def _differences(values: dict[str, float]) -> dict[str, float]:
    """Paired differences of methods on the same held-out spectra."""
    pairs = {
        "flow_minus_prior_auc": ("vae_flow_auc", "vae_prior_auc"),
        "conditional_minus_pca_rest_auc": ("conditional_asked_auc", "pca_rest_asked_auc"),
        "conditional_minus_pca_auc": ("conditional_asked_auc", "pca_mixture_auc"),
        "conditional_minus_pca_rest_chi2_at_6": ("conditional_chi2_at_6", "pca_rest_chi2_at_6"),
        "second_stage_gain_auc": ("conditional_asked_auc", "conditional_detailed_auc"),
        "detailed_conditional_minus_pca_rest_auc": ("conditional_detailed_auc", "pca_rest_detailed_auc"),
    }
    found = {key: values[a] - values[b] for key, (a, b) in pairs.items() if a in values and b in values}
    if {"pca_rest_chi2_at_6", "pca_chi2_at_6"} <= set(values):
        found["rest_over_observed_chi2_at_6"] = values["pca_rest_chi2_at_6"] / values["pca_chi2_at_6"]
    return found


def largest_gap(one: np.ndarray, other: np.ndarray) -> float:
    """Largest difference of two cumulative distributions (Kolmogorov & Smirnov) of what is known of both."""
    one, other = (np.sort(part[np.isfinite(part)]) for part in (one, other))
    if not len(one) or not len(other):
        return float("nan")
    both = np.concatenate([one, other])
    shares = [np.searchsorted(part, both, side="right") / len(part) for part in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max())
