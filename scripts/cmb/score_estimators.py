"""Score every estimator on held-out maps, beside what theory expects of the quadratic and the iterated one."""

import numpy as np

from armillary.estimators import KAPPAS, Estimators, truth_window
from armillary.files import read_arrays, write_arrays, write_json
from armillary.files_cmb import read_many_maps
from armillary.flatsky import fourier, pixels
from armillary.lensing import remapped
from armillary.lensing_limits import binned_correlation, iterated_noise, quadratic_noise
from armillary.map_scores import bin_labels, bin_powers, score_curves, score_entries
from armillary.metrics import measurement
from armillary.skies import estimators_from_arrays
from armillary.step import run

METHODS = {
    "k": KAPPAS,
    "e": ["e_observed", "e_delensed"],
    "b": ["B", "B_pure", "b_template", "b_remap"],
}
BASELINES = {
    "k_qe_eb_ee": "k_qe_eb",
    "k_iqe_eb_ee": "k_qe_eb_ee",
    "k_iqe_eb": "k_qe_eb",
    "k_map_eb": "k_iqe_eb",
    "k_map_eb_ee": "k_iqe_eb_ee",
    "k_map_delensed": "k_map_eb_ee",
    "e_delensed": "e_observed",
    "B_pure": "B",
    "b_template": "B_pure",
    "b_remap": "B_pure",
}


def score_estimators(
    estimators: str, maps: list[str], estimates: list[str], scores: str, curves: str, *, sky: str,
    bin_edges: list[float], n_resamples: int, seed: int,
) -> None:  # fmt: skip
    """Keys are <sky>_<method>_<quantity>_<bin>; the analytic ones <sky>_k_limit_..."""
    fitted = estimators_from_arrays(read_arrays(estimators))
    truth = read_many_maps(maps, ["e", "k", "b", "box"])
    entries, arrays = {}, {"edges": np.array(bin_edges)}
    for target, names in METHODS.items():
        seen = truth_window(fitted.setting, target) * truth[target]
        for name in names:
            found = _remapped(fitted, estimates) if name == "b_remap" else read_many_maps(estimates, [name])[name]
            powers = bin_powers(found, seen, fitted.setting.patch, bin_edges)
            scored = score_curves(powers, truth["box"], n_resamples=n_resamples, seed=seed)
            baseline = f"{sky}_{BASELINES[name]}" if name in BASELINES else None
            how = {"n": len(seen), "unit": "" if target == "k" else "uK", "baseline": baseline}
            entries |= score_entries(scored, bin_edges, f"{sky}_{name}", **how)
            arrays |= {f"{name}_{part}": values for part, values in scored._asdict().items()}
    limits, noises = _limits(fitted, bin_edges)
    for name, values in limits.items():
        for label, value in zip(bin_labels(bin_edges), values, strict=True):
            pairs = "EB alone" if name.endswith("_eb") else "EB + EE"
            note = f"analytic, {pairs}, for Gaussian fields on a periodic sky"
            entries[f"{sky}_{name}_rho_{label}"] = measurement(value, unit="", note=note)
        arrays[f"{name}_rho"] = values
    write_arrays(curves, **arrays, **noises, kk=fitted.setting.spectra.kk)
    write_json(scores, entries)


def _remapped(fitted: Estimators, estimates: list[str]) -> np.ndarray:
    """B of the delensed E lensed again by the most likely kappa, exactly."""
    patch = fitted.setting.patch
    found = read_many_maps(estimates, ["e_delensed", "k_map_eb_ee"])
    pairs = zip(found["e_delensed"], found["k_map_eb_ee"], strict=True)
    return np.stack([pixels(remapped(fourier(e), None, fourier(k), patch)[1], patch) for e, k in pairs])


def _limits(fitted: Estimators, edges: list[float]) -> tuple[dict, dict]:
    """rho in bins, and noise curves, of the quadratic estimator and of the limit of iterating."""
    s = fitted.setting
    noises = {}
    for pairs, with_ee in (("", True), ("_eb", False)):
        what = {"l_min": s.l_min, "l_max": s.l_max, "with_ee": with_ee}
        noises[f"k_qe_analytic{pairs}"] = quadratic_noise(s.spectra, s.instrument, s.patch, **what)
        noises[f"k_limit{pairs}"] = iterated_noise(s.spectra, s.instrument, s.patch, **what)
    binned = {name: binned_correlation(s.spectra.kk, noise, edges) for name, noise in noises.items()}
    return binned, {f"{name}_noise_curve": noise for name, noise in noises.items()}


if __name__ == "__main__":
    run(score_estimators, snakemake)
