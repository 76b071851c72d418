"""Score one task: learned features, random ones, principal components and photometry, against the number of labels."""

import numpy as np

from armillary.files import read_arrays, write_arrays, write_json
from armillary.files_cutouts import read_embeddings
from armillary.metrics import measurement
from armillary.probe_scores import (
    TASKS,
    Contestant,
    as_measurement,
    draw_labels,
    gain,
    objects_of,
    told_by,
    with_error,
)
from armillary.probes import impute, redshift_scores
from armillary.redshift_pdf import coverage, crps, cumulative_at, estimate_pdf
from armillary.step import announce, run

CONTESTANTS = "mim mim_neighbours random pca colours photometry trees mim_colours".split()
AT_MOST_LABELS = ("mim_colours",)  # these only with all labels


def score_probes(
    features: str, trained: list[str], trained_missing: list[str], untrained: list[str], untrained_missing: list[str],
    scores: str, curves: str, *, task: str, n_labels: list[int], test_fraction: float, n_resamples: int,
    n_redshift_bins: int, seed: int,
) -> None:  # fmt: skip
    """A seed is one pre-trained network with one draw of labels; held-out objects are the same for all."""
    what, columns = TASKS[task], read_embeddings(trained[0])[1]
    objects = np.flatnonzero(objects_of(task, columns))
    order = np.random.default_rng([seed, 5]).permutation(objects)
    n_test = round(test_fraction * len(order))
    held_out, pool = order[:n_test], order[n_test:]
    truth = columns[what.column]
    contestants = _contestants(read_arrays(features), trained, trained_missing, untrained, untrained_missing)
    told = {}
    largest = min(n_labels[-1], len(pool))
    for n in sorted({min(n, largest) for n in n_labels}):
        labelled = draw_labels(pool, n, len(trained), seed)
        for name in CONTESTANTS:
            if name not in AT_MOST_LABELS or n == largest:
                told[name, n] = told_by(contestants[name], what, truth, labelled, held_out)
        announce(f"{task}, {n} labels: {_line(what.metric, told, n, truth[held_out])}")
    numbers = _measurements(task, told, truth[held_out], n_resamples, seed)
    if task == "redshift":
        for name in ("mim", "mim_colours", "photometry"):
            of = contestants[name].features[0].astype(float)
            labelled = draw_labels(pool, largest, 1, seed)[0]
            numbers |= _density(name, of, labelled, held_out, truth, min(n_redshift_bins, largest // 4))
    write_json(scores, numbers)
    write_arrays(
        curves, truth=truth[held_out], rows=held_out, **{f"{name}_{n}": value for (name, n), value in told.items()}
    )


def _contestants(arrays: dict, trained, trained_missing, untrained, untrained_missing) -> dict[str, Contestant]:
    learned, learned_missing, random, random_missing = (
        [read_embeddings(path)[0] for path in paths]
        for paths in (trained, trained_missing, untrained, untrained_missing)
    )
    colours = [arrays["photometry"]], [arrays["photometry_missing"]]
    joined = [
        [np.concatenate([one, other[0]], 1) for one in ours]
        for ours, other in zip((learned, learned_missing), colours, strict=True)
    ]
    return {
        "mim": Contestant(learned, learned_missing, "linear"),
        "mim_neighbours": Contestant(learned, learned_missing, "neighbours"),
        "random": Contestant(random, random_missing, "linear"),
        "pca": Contestant([arrays["pca"]], [arrays["pca_missing"]], "linear"),
        "colours": Contestant([arrays["colours"]], [arrays["colours_missing"]], "linear"),
        "photometry": Contestant(*colours, "linear"),
        "trees": Contestant(*colours, "trees"),
        "mim_colours": Contestant(*joined, "linear"),
    }


def _line(metric: str, told: dict, n: int, truth: np.ndarray) -> str:
    rng = np.random.default_rng(0)
    here = {name: with_error(metric, value, truth, 2, rng)[0] for (name, m), value in told.items() if m == n}
    return ", ".join(f"{name} {value:.3f}" for name, value in here.items())


def _density(
    name: str, features: np.ndarray, labelled: np.ndarray, held_out: np.ndarray, truth: np.ndarray, n_bins: int
) -> dict:
    """Calibration and sharpness of redshift densities of the held-out galaxies, with all labels."""
    filled = impute(features, features[labelled])
    edges, probability = estimate_pdf(filled[labelled], truth[labelled], filled[held_out], n_bins)
    pit, n = cumulative_at(edges, probability, truth[held_out]), len(held_out)
    numbers = {}
    for level in (0.68, 0.95):
        value = coverage(pit, level)
        error, note = np.sqrt(level * (1 - level) / n), f"{level} if calibrated"
        numbers[f"redshift_{name}_coverage_{round(100 * level)}"] = as_measurement(value, error, n, "share", note=note)
    value = crps(edges, probability, truth[held_out])
    numbers[f"redshift_{name}_crps"] = measurement(value, n=n, unit="redshift", note="lower is better")
    return numbers


def _measurements(task: str, told: dict, truth: np.ndarray, n_resamples: int, seed: int) -> dict:
    """Scores of all, gains of the learned features over the others, and how many sigma these are."""
    metric, numbers = TASKS[task].metric, {}
    for (name, n), value in told.items():
        scored = with_error(metric, value, truth, n_resamples, np.random.default_rng([seed, n]))
        numbers[f"{task}_{name}_{n}"] = as_measurement(*scored, len(truth), metric)
        if task == "redshift":
            parts = [redshift_scores(one, truth) for one in value]
            for part in ("nmad", "bias", "outliers"):
                values = [one[part] for one in parts]
                numbers[f"{task}_{name}_{n}_{part}"] = measurement(
                    np.mean(values), min(values), max(values), len(truth)
                )
    pairs = [("mim", other) for other in ("random", "pca", "colours", "photometry", "trees")]
    pairs.append(("mim_colours", "photometry"))
    for one, other in pairs:
        for n in sorted({n for name, n in told if name == one}):
            worth, error = gain(metric, told[one, n], told[other, n], truth, n_resamples, [seed, n])
            key, baseline = f"{task}_{one}_over_{other}_{n}", f"{task}_{other}_{n}"
            numbers[key] = as_measurement(worth, error, len(truth), metric, baseline)
            numbers[f"{key}_sigma"] = measurement(
                worth / max(error, 1e-9), n=len(truth), unit="sigma", baseline=baseline, note="gain over its error"
            )
    return numbers


if __name__ == "__main__":
    run(score_probes, snakemake)
