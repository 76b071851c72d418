"""Score one task: learned features, random ones, principal components and photometry, against the number of labels."""

import numpy as np

from armillary.files import read_arrays, write_arrays, write_json
from armillary.files_cutouts import read_embeddings
from armillary.metrics import measurement
from armillary.probe_scores import (
    TASKS,
    announced_scores,
    as_measurement,
    contestants_of,
    draw_labels,
    measurements_of,
    pool_and_held_out,
    told_by,
)
from armillary.probes import impute
from armillary.redshift_pdf import coverage, crps, cumulative_at, estimate_pdf
from armillary.step import announce, run

PAIRS = [("mim", other) for other in ("random", "pca", "colours", "photometry", "trees")]
WITH_ALL_LABELS = "mim_colours"  # a contestant with all labels only


def score_probes(
    features: str, trained: list[str], trained_missing: list[str], untrained: list[str], untrained_missing: list[str],
    scores: str, curves: str, *, task: str, n_labels: list[int], test_fraction: float, n_resamples: int,
    n_redshift_bins: int, seed: int,
) -> None:  # fmt: skip
    """A seed is one pre-trained network with one draw of labels; held-out objects are the same for all."""
    what, columns = TASKS[task], read_embeddings(trained[0])[1]
    pool, held_out = pool_and_held_out(task, columns, test_fraction)
    truth = columns[what.column]
    embeddings = [
        [read_embeddings(path)[0] for path in paths]
        for paths in (trained, trained_missing, untrained, untrained_missing)
    ]
    for k in (1, 3):  # embeddings without bands are of held-out objects only
        embeddings[k] = [_at_the_end(one, len(truth)) for one in embeddings[k]]
    contestants = contestants_of(read_arrays(features), *embeddings)
    names = [name for name in (task, what.without_bands) if name]
    told, largest = {name: {} for name in names}, min(n_labels[-1], len(pool))
    for n in sorted({min(n, largest) for n in n_labels}):
        labelled = draw_labels(pool, n, len(trained), seed)
        for who, contestant in contestants.items():
            if who != WITH_ALL_LABELS or n == largest:
                answers = told_by(contestant, what, truth, labelled, held_out)
                for name, answer in zip(names, answers, strict=True):
                    told[name][who, n] = answer
        announce(f"{task}, {n} labels: {announced_scores(what.metric, told[task], n, truth[held_out])}")
    numbers, pairs = {}, [*PAIRS, ("mim_colours", "photometry")]
    for name in names:
        numbers |= measurements_of(name, what.metric, told[name], truth[held_out], pairs, n_resamples, seed)
    if task == "redshift":
        for name in ("mim", "mim_colours", "photometry"):
            of = contestants[name].features[0].astype(float)
            labelled = draw_labels(pool, largest, 1, seed)[0]
            numbers |= _density(name, of, labelled, held_out, truth, min(n_redshift_bins, largest // 4))
    write_json(scores, numbers)
    answers = {f"{name}_{who}_{n}": value for name in names for (who, n), value in told[name].items()}
    write_arrays(curves, truth=truth[held_out], rows=held_out, **answers)


def _at_the_end(values: np.ndarray, n_rows: int) -> np.ndarray:
    """The last rows of an array of `n_rows`, the others NaN."""
    padded = np.full((n_rows, values.shape[1]), np.nan, np.float32)
    padded[n_rows - len(values) :] = values
    return padded


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


if __name__ == "__main__":
    run(score_probes, snakemake)
