"""Score a network on held-out maps beside every estimator of its targets, and on the null sets."""

import numpy as np

from armillary.estimators import Setting, truth_window
from armillary.files import read_arrays, write_arrays, write_json
from armillary.files_cmb import read_many_maps, read_maps
from armillary.flatsky import fourier, pixels, qu_from_eb
from armillary.lensing import gradient_template, remapped
from armillary.map_scores import Curves, bin_labels, bin_powers, gain_entries, score_curves, score_entries
from armillary.metrics import interval_68, measurement
from armillary.skies import estimators_from_arrays
from armillary.step import run

BASELINES = {"k": ["k_qe", "k_iqe", "k_map"], "e": ["e_observed", "e_delensed"], "b": ["B_pure", "b_template"]}
AMONG = {"k_qe": (150, 2000), "k_iqe": (150, 1600), "k_map": (150, 1600)}  # bins whose least gain is reported
NULLS = ("unlensed", "scaled", "other")
NULL_TARGETS = "keb"


def score_maps(
    estimators: str, maps: list[str], estimates: list[str], predictions: str, null_maps: list[str],
    null_predictions: list[str], scores: str, curves: str, *, experiment: str, bin_edges: list[float], n_resamples: int,
    null_amplitude: float, seed: int, targets: list[str], inputs: list[str],
) -> None:  # fmt: skip
    """Keys are <experiment>_<target>_<quantity>_<bin>, for a baseline <experiment>_<target>_vs_<baseline>_<bin>: the
    network's rho minus its own, from the same resamples of skies."""
    setting = estimators_from_arrays(read_arrays(estimators)).setting
    predicted = read_maps(predictions)
    how = {"n_resamples": n_resamples, "seed": seed}
    entries, arrays = {}, {"edges": np.array(bin_edges)}
    for target in targets:
        truth = read_many_maps(maps, list({_source(target), "box"}))
        seen = _seen(setting, target, truth)
        ours = score_curves(bin_powers(predicted[target], seen, setting.patch, bin_edges), truth["box"], **how)
        names = {"n": len(seen), "unit": "" if target == "k" else "uK", "baseline": None}
        entries |= score_entries(ours, bin_edges, f"{experiment}_{target}", **names)
        arrays |= {f"{target}_network_{part}": values for part, values in ours._asdict().items()}
        for name, found in _baselines(setting, target, inputs, maps, estimates).items():
            theirs = score_curves(bin_powers(found, seen, setting.patch, bin_edges), truth["box"], **how)
            among = AMONG.get(name, (bin_edges[0], bin_edges[-1]))
            prefix = f"{experiment}_{target}_vs_{name}"
            entries |= gain_entries(ours, theirs, bin_edges, prefix, n=len(seen), among=among)
            arrays |= {f"{target}_{name}_{part}": values for part, values in theirs._asdict().items()}
    for target in [target for target in targets if target in NULL_TARGETS]:
        nulls = [_of_null(setting, target, maps, path) for maps, path in zip(null_maps, null_predictions, strict=True)]
        tests = {
            name: score_curves(bin_powers(found, seen, setting.patch, bin_edges), box, **how)
            for name, (found, seen, box) in zip(NULLS, nulls, strict=True)
        }
        power = arrays[f"{target}_network_auto"]
        entries |= _unlensed_entries(tests["unlensed"], power, bin_edges, experiment, target, len(nulls[0][0]))
        entries |= _null_entries(tests, bin_edges, f"{experiment}_{target}", len(nulls[0][0]), null_amplitude)
        arrays |= {f"{target}_{name}_response": found.response for name, found in tests.items() if name != "unlensed"}
    write_arrays(curves, **arrays)
    write_json(scores, entries)


def _source(target: str) -> str:
    return "e" if target in "QU" else target


def _seen(setting: Setting, target: str, truth: dict[str, np.ndarray]) -> np.ndarray:
    """The truth through the window."""
    if target in "QU":
        pair = qu_from_eb(fourier(truth["e"]), np.float32(0), setting.patch)
        return truth_window(setting, target) * pixels(pair["QU".index(target)], setting.patch)
    return truth_window(setting, target) * truth[target]


def _baselines(setting: Setting, target: str, inputs: list[str], maps: list[str], estimates: list[str]) -> dict:
    """Estimates of a target by name; if true e and k are among the inputs, what follows from them by lensing alone."""
    found = {name: read_many_maps(estimates, [name])[name] for name in BASELINES.get(target, [])}
    if target == "b" and {"e", "k"} <= set(inputs):
        truth, patch = read_many_maps(maps, ["e", "k"]), setting.patch
        pairs = [(fourier(e), fourier(k)) for e, k in zip(truth["e"], truth["k"], strict=True)]
        window = truth_window(setting, "b")
        found["remap_of_truth"] = window * np.stack([pixels(remapped(e, None, k, patch)[1], patch) for e, k in pairs])
        gradient = [pixels(gradient_template(e, k, patch)[1], patch) for e, k in pairs]
        found["gradient_of_truth"] = window * np.stack(gradient)
    return found


def _of_null(setting: Setting, target: str, maps: str, predictions: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    truth = read_maps(maps, [target, "box"])
    return read_maps(predictions, [target])[target], truth_window(setting, target) * truth[target], truth["box"]


def _unlensed_entries(
    found: Curves, power: np.ndarray, edges: list[float], experiment: str, target: str, n: int
) -> dict:  # fmt: skip
    """Of k and b, which are 0 without lensing: power of the estimate over that on the test set; of e: rho and
    response.
    """
    entries = {}
    for number, label in enumerate(bin_labels(edges)):
        if target == "e":
            for quantity in ("rho", "response"):
                interval = interval_68(getattr(found, f"{quantity}_samples")[:, number])
                key = f"{experiment}_e_unlensed_{quantity}_{label}"
                value = getattr(found, quantity)[number]
                entries[key] = measurement(
                    value, *interval, n, "", f"{experiment}_e_{quantity}_{label}", "no lensing"
                )  # fmt: skip
        else:
            note = "power of the estimate where there is no lensing over its power on the test set"
            key = f"{experiment}_{target}_unlensed_power_{label}"
            entries[key] = measurement(found.auto[number] / power[number], n=n, note=note)
    return entries


def _null_entries(tests: dict[str, Curves], edges: list[float], prefix: str, n: int, amplitude: float) -> dict:
    """Response and rho under other lensing than trained on."""
    entries = {}
    for number, label in enumerate(bin_labels(edges)):
        for name, words in (("scaled", f"C_kk x {amplitude:g}"), ("other", "another cosmology")):
            for quantity in ("rho", "response"):
                samples = getattr(tests[name], f"{quantity}_samples")[:, number]
                entries[f"{prefix}_{name}_{quantity}_{label}"] = measurement(
                    getattr(tests[name], quantity)[number], *interval_68(samples), n, "",
                    f"{prefix}_{quantity}_{label}", words,
                )  # fmt: skip
    return entries


if __name__ == "__main__":
    run(score_maps, snakemake)
