"""Null sets: skies that estimators were not calibrated for, and how much of their C_kk each estimator recovers.

All sets are drawn from the same seeds: the same phases of E and kappa, and the same noise. Most of the scatter is then
common to a set and its reference, and a small bias shows in few maps.
"""

import numpy as np

from armillary.band_powers import Sums, band_powers, lensing_b_power, resampled_powers, response_factors
from armillary.cmb_spectra import Instrument
from armillary.estimators import Estimators, Setting
from armillary.files_cmb import read_maps, write_band_powers
from armillary.map_scores import bin_labels
from armillary.metrics import interval_68, measurement, resample_counts

NULLS = ("unlensed", "reference", "scaled", "other", "other_reference", "noisier")
REFERENCES = {"unlensed": "reference", "scaled": "reference", "other": "other_reference", "noisier": "reference"}
TESTED = ("unlensed", "scaled", "other")  # by their response and power alone, where N0 is not known
WORST_OF = ("scaled", "other")
WORST_BELOW = 1600  # the bins up to this L, the last of which is centred on 1450, are held to a few per cent


def read_lensing_b(estimates: dict[str, str], setting: Setting, noise_factor: float) -> dict[str, np.ndarray]:
    """Power of lensing B of the maps of each set; `estimates` are files by the names of NULLS."""
    noise, fwhm = setting.instrument
    level = {"noisier": Instrument(noise * noise_factor, fwhm)}
    return {
        name: lensing_b_power(read_maps(path, ["B_pure"])["B_pure"], setting, level.get(name, setting.instrument))
        for name, path in estimates.items()
    }


def read_response_factors(
    estimators: Estimators, estimates: dict[str, str], edges: list[float]
) -> dict[str, dict[str, np.ndarray]]:
    """Factors on the response, by method and set, of the sets with other lensing and the fiducial noise."""
    e = {name: read_maps(path, ["E_wiener"])["E_wiener"] for name, path in estimates.items()}
    by_set = {name: response_factors(estimators, e[name], e[REFERENCES[name]], edges) for name in WORST_OF}
    methods = dict.fromkeys(method for found in by_set.values() for method in found)
    return {method: {name: found[method] for name, found in by_set.items()} for method in methods}


def recovery_entries(
    sums: dict[str, Sums], edges: list[float], prefix: str, *, factors: dict[str, np.ndarray], words: dict[str, str],
    n_resamples: int, seed: int,
) -> dict:  # fmt: skip
    """Recovered over true C_kk of each set in each bin, the worst of them, additive and multiplicative bias.

    Additive: C_kk recovered where there is no lensing, over that of the reference. Multiplicative: difference between
    the recovered C_kk of `scaled` and `reference` over that of the true ones, minus 1. `factors` are those of
    the response, of sets that need any; `words` say what a set is.
    """
    n = len(sums["reference"].auto)
    counts = np.vstack([np.ones(n), resample_counts(n, n_resamples, np.random.default_rng([seed, n]))])
    found = {
        name: resampled_powers(sums[name], sums[of], counts, factors.get(name, 1.0)) for name, of in REFERENCES.items()
    }
    reference = sums["reference"].truth.mean(0)
    biases = {"additive": found["unlensed"][0] / reference}
    fiducial = resampled_powers(sums["reference"], sums["reference"], counts)
    recovered, true = (scaled - plain for scaled, plain in zip(found["scaled"], fiducial, strict=True))
    biases["multiplicative"] = recovered / true - 1
    ratios = {name: found[name][0] / found[name][1] for name in REFERENCES if name != "unlensed"}
    entries = {}
    for name, values in (ratios | biases).items():
        what = f"recovered over true C_kk, {words[name]}" if name in ratios else f"{name} bias of C_kk"
        key = f"{prefix}_{name}_recovered" if name in ratios else f"{prefix}_{name}_bias"
        for number, label in enumerate(bin_labels(edges)):
            interval = interval_68(values[1:, number])
            entries[f"{key}_{label}"] = measurement(values[0, number], *interval, n, "", None, what)
    inside = [high <= WORST_BELOW for high in edges[1:]]
    if any(inside):
        errors = np.stack([ratios[name][:, inside] - 1 for name in WORST_OF])
        place = np.unravel_index(np.argmax(np.abs(errors[:, 0])), errors[:, 0].shape)
        note = f"largest |recovered / true - 1| below L = {WORST_BELOW}: {WORST_OF[place[0]]}, "
        note += bin_labels(edges)[place[1]]
        samples = np.abs(errors[place[0], 1:, place[1]])
        entries[f"{prefix}_recovered_worst"] = measurement(
            abs(errors[place[0], 0, place[1]]), *interval_68(samples), n, "", None, note
        )
    return entries


def write_null_powers(
    path: str, by_method: dict[str, dict[str, Sums]], factors: dict[str, dict[str, np.ndarray]], edges: list[float],
    facts: dict,
) -> None:  # fmt: skip
    """Band powers of every method on every set that has a reference, as HDF5."""
    found = {
        f"{name}/{method}": band_powers(sums[name], sums[of], factors.get(method, {}).get(name, 1.0))
        for method, sums in by_method.items()
        for name, of in REFERENCES.items()
    }
    write_band_powers(path, found, edges, facts)
