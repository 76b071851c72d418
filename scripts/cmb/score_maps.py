"""Score a network on held-out maps beside every estimator of its targets, and on the null sets."""

import numpy as np

from armillary.band_powers import sums_of_set
from armillary.estimators import KAPPAS, Setting, truth_window
from armillary.files import read_arrays, write_arrays, write_json
from armillary.files_cmb import read_many_maps, read_maps
from armillary.flatsky import fourier, pixels, qu_from_eb
from armillary.lensing import gradient_template, remapped
from armillary.map_scores import (
    Curves,
    bin_labels,
    bin_powers,
    gain_entries,
    mean_of_trainings,
    score_curves,
    score_entries,
    spread_note,
)
from armillary.metrics import interval_68, measurement
from armillary.null_sets import NULLS, TESTED, read_lensing_b, recovery_entries
from armillary.skies import estimators_from_arrays
from armillary.step import announce, run
from armillary.training_log import LEAST_GAIN, gain_over_start, read_history

BASELINES = {"k": KAPPAS, "e": ["e_observed", "e_delensed"], "b": ["B_pure", "b_template"]}
AMONG = (150, 1600)  # bins whose least gain is reported
NULL_TARGETS = "keb"


def score_maps(
    estimators: str, maps: list[str], estimates: list[str], predictions: list[str], histories: list[str],
    null_maps: list[str], null_estimates: list[str], null_predictions: list[str], scores: str, curves: str, *,
    experiment: str, bin_edges: list[float], n_resamples: int, nulls: list[str], words: dict[str, str],
    noise_factor: float, seed: int, targets: list[str], inputs: list[str],
) -> None:  # fmt: skip
    """Keys are <experiment>_<target>_<quantity>_<bin>, for a baseline <experiment>_<target>_vs_<baseline>_<bin>: the
    network's rho minus its own, from the same resamples of skies. Numbers are means over the trainings, and their
    errors hold the spread from training to training; null sets are of the first one.
    """
    setting = estimators_from_arrays(read_arrays(estimators)).setting
    predicted = [read_maps(path, targets) for path in predictions]
    how = {"n_resamples": n_resamples, "seed": seed}
    entries, arrays = _training_entries(histories, experiment), {"edges": np.array(bin_edges)}
    for target in targets:
        truth = read_many_maps(maps, list({_source(target), "box"}))
        seen = _seen(setting, target, truth)
        each = [
            score_curves(bin_powers(found[target], seen, setting.patch, bin_edges), truth["box"], **how)
            for found in predicted
        ]
        ours = mean_of_trainings(each, np.random.default_rng([seed, len(each)]))
        names = {"n": len(seen), "unit": "" if target == "k" else "uK", "baseline": None}
        entries |= score_entries(ours, bin_edges, f"{experiment}_{target}", **names, more=spread_note(each))
        entries |= {
            f"{experiment}_training_{number}_{target}_rho_{label}": measurement(value, n=len(seen), note="one training")
            for number, one in enumerate(each, 1)
            for label, value in zip(bin_labels(bin_edges), one.rho, strict=True)
        }
        arrays |= {f"{target}_network_{part}": values for part, values in ours._asdict().items()}
        for name, found in _baselines(setting, target, inputs, maps, estimates).items():
            theirs = score_curves(bin_powers(found, seen, setting.patch, bin_edges), truth["box"], **how)
            among = AMONG if target == "k" else (bin_edges[0], bin_edges[-1])
            prefix = f"{experiment}_{target}_vs_{name}"
            entries |= gain_entries(ours, theirs, bin_edges, prefix, n=len(seen), among=among)
            arrays |= {f"{target}_{name}_{part}": values for part, values in theirs._asdict().items()}
    predicted_nulls = [_by_null(path, nulls, null_maps, targets) for path in null_predictions]
    truths = dict(zip(nulls, (read_maps(path) for path in null_maps), strict=True))
    for target in [target for target in targets if target in NULL_TARGETS]:
        tests = {}
        for name in TESTED:
            seen = truth_window(setting, target) * truths[name][target]
            powers = bin_powers(predicted_nulls[0][name][target], seen, setting.patch, bin_edges)
            tests[name] = score_curves(powers, truths[name]["box"], **how)
        power, n = arrays[f"{target}_network_auto"], len(truths["unlensed"]["box"])
        entries |= _unlensed_entries(tests["unlensed"], power, bin_edges, experiment, target, n)
        entries |= _null_entries(tests, bin_edges, f"{experiment}_{target}", n, words)
        arrays |= {f"{target}_{name}_response": found.response for name, found in tests.items() if name != "unlensed"}
    if len(predicted_nulls) == 2:  # the second are predictions from unpaired estimates
        lensing_b = read_lensing_b(dict(zip(NULLS, null_estimates, strict=True)), setting, noise_factor)
        sums = {}
        for name in NULLS:
            seen = truth_window(setting, "k") * truths[name]["k"]
            pair = (found[name]["k"] for found in predicted_nulls)
            sums[name] = sums_of_set(*pair, seen, lensing_b[name], setting, bin_edges)
        entries |= recovery_entries(sums, bin_edges, f"{experiment}_k", factors={}, words=words, **how)
    write_arrays(curves, **arrays)
    write_json(scores, entries)


def _by_null(path: str, nulls: list[str], null_maps: list[str], targets: list[str]) -> dict[str, dict[str, np.ndarray]]:
    """Predictions of all null sets, which one file holds one after the other, by the name of the set."""
    ends = np.cumsum([len(read_maps(of_maps, ["box"])["box"]) for of_maps in null_maps])[:-1]
    parts = {target: np.split(values, ends) for target, values in read_maps(path, targets).items()}
    return {name: {target: parts[target][n] for target in targets} for n, name in enumerate(nulls)}


def _training_entries(histories: list[str], experiment: str) -> dict:
    """How many trainings left their start, and what each gained on its validation loss."""
    gains = [gain_over_start(read_history(path)) for path in histories]
    stuck = [number for number, gain in enumerate(gains, 1) if gain < LEAST_GAIN]
    note = f"trainings whose validation loss fell by {LEAST_GAIN:.1%} or more below that of their start"
    if stuck:
        numbers = " and ".join(map(str, stuck))
        note += f"; ALARM: training {numbers} gave little or nothing beyond the estimate (or the mean) it starts from"
        announce(f"{experiment}: {note}")
    note_of_gain = "fall of the validation loss below that of the start: mean, least and largest of the trainings"
    return {
        f"{experiment}_trainings_off_start": measurement(len(gains) - len(stuck), n=len(gains), note=note),
        f"{experiment}_validation_gain": measurement(
            float(np.mean(gains)), min(gains), max(gains), len(gains), "", None, note_of_gain
        ),
    }


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


def _null_entries(tests: dict[str, Curves], edges: list[float], prefix: str, n: int, words: dict[str, str]) -> dict:
    """Response and rho under other lensing than trained on."""
    entries = {}
    for number, label in enumerate(bin_labels(edges)):
        for name in ("scaled", "other"):
            for quantity in ("rho", "response"):
                samples = getattr(tests[name], f"{quantity}_samples")[:, number]
                entries[f"{prefix}_{name}_{quantity}_{label}"] = measurement(
                    getattr(tests[name], quantity)[number], *interval_68(samples), n, "",
                    f"{prefix}_{quantity}_{label}", words[name],
                )  # fmt: skip
    return entries


if __name__ == "__main__":
    run(score_maps, snakemake)
