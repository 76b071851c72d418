"""Score one task: learned features, random ones, and what is measured, against the number of labels."""

import numpy as np

from armillary.cutout_views import VIEWS
from armillary.embedding_parts import read_choices, read_placed
from armillary.field_splits import fields_that_judge
from armillary.files import read_arrays, write_arrays, write_json
from armillary.metrics import measurement
from armillary.probe_scores import (
    TASKS,
    Judges,
    announced_scores,
    answers_of_networks,
    as_measurement,
    contestants_of,
    labelled_and_judges,
    measurements_of,
    told_by,
)
from armillary.probes import Budget, impute
from armillary.redshift_pdf import coverage, crps, cumulative_at, estimate_pdf
from armillary.simple_features import SIMPLE
from armillary.step import announce, run

PAIRS = [("mim", other) for other in ("random", *SIMPLE, "trees", "photometry_shapes", "cnn")]
PAIRS += [("mim_shapes", "shapes"), ("mim_shapes", "photometry_shapes")]
WITH_ALL_LABELS = ("mim_shapes",)  # contestants with all labels only
SLOW = ("mim_neighbours", "mim_all", "shape_trees")  # in the target mim_label_efficiency alone


def score_probes(
    features: str, trained: list[str], trained_missing: list[str], trained_seeing: list[str], untrained: list[str],
    untrained_missing: list[str], untrained_seeing: list[str], cnn: list[str], scores: str, curves: str, *, task: str,
    poolings: list[list[str]], n_labels: list[int], n_settings: int, n_folds: int, test_fraction: float,
    cell_deg: float, n_resamples: int, n_redshift_bins: int, seed: int,
) -> None:  # fmt: skip
    """A seed is one pre-trained network with one draw of labels and its own fields that judge. `cnn` are answers of
    networks that saw labels alone, where there are any."""
    what, columns = TASKS[task], read_choices(trained[0], poolings)[1]
    n_objects, truth = len(columns["ra"]), columns[what.column]
    split = fields_that_judge(columns, cell_deg, test_fraction, len(trained), seed)
    labelled, judges = labelled_and_judges(task, columns, *split, n_labels, seed)
    learned, random = ([read_choices(path, poolings)[0] for path in paths] for paths in (trained, untrained))
    seen_otherwise = [
        {view: [read_placed(path, poolings, n_objects) for path in paths] for view, paths in of.items() if paths}
        for of in (
            dict(zip(VIEWS, (trained_missing, trained_seeing), strict=True)),
            dict(zip(VIEWS, (untrained_missing, untrained_seeing), strict=True)),
        )
    ]
    arrays = read_arrays(features)
    if what.sky == "structures":
        arrays = {name: arrays[f"{name}_structures"] for name in SIMPLE}
    contestants = contestants_of(arrays, learned, random, *seen_otherwise)
    told, largest, budget = {name: {} for name in ("", *what.views)}, max(labelled), Budget(n_settings, n_folds)
    for n, rows in labelled.items():
        for who, contestant in contestants.items():
            if who not in SLOW and (who not in WITH_ALL_LABELS or n == largest):
                for name, answer in told_by(contestant, what, truth, rows, judges, budget).items():
                    told[name][who, n] = answer
        announce(f"{task}, {n} labels: {announced_scores(what.metric, told[''], n, judges)}")
    told[""] |= answers_of_networks("cnn", cnn, judges)
    numbers = {}
    for name, answers in told.items():
        numbers |= measurements_of(name or task, what.metric, answers, judges, PAIRS, n_resamples, seed)
    if task == "redshift":
        for name in ("mim", "photometry_shapes"):
            of = np.concatenate(contestants[name].features[0][0], 1).astype(float)
            n_bins = min(n_redshift_bins, largest // 4)
            numbers |= _density(name, of, truth, labelled[largest][0], judges[0], n_bins)
    write_json(scores, numbers)
    answers = {
        f"{name or task}_{who}_{n}": np.concatenate(value) for name in told for (who, n), value in told[name].items()
    }
    of_judges = {name: np.concatenate([getattr(of, name) for of in judges]) for name in Judges._fields}
    write_arrays(curves, **of_judges, **answers)


def _density(
    name: str, features: np.ndarray, redshift: np.ndarray, labelled: np.ndarray, judge: Judges, n_bins: int
) -> dict:
    """Calibration and sharpness of redshift densities of the galaxies that judge the first seed, with all labels."""
    filled = impute(features, features[labelled])
    edges, probability = estimate_pdf(filled[labelled], redshift[labelled], filled[judge.rows], n_bins)
    pit, n = cumulative_at(edges, probability, judge.truth), len(judge.rows)
    numbers = {}
    for level in (0.68, 0.95):
        value = coverage(pit, level)
        error, note = np.sqrt(level * (1 - level) / n), f"{level} if calibrated"
        numbers[f"redshift_{name}_coverage_{round(100 * level)}"] = as_measurement(value, error, n, "share", note=note)
    value = crps(edges, probability, judge.truth)
    numbers[f"redshift_{name}_crps"] = measurement(value, n=n, unit="redshift", note="lower is better")
    return numbers


if __name__ == "__main__":
    run(score_probes, snakemake)
