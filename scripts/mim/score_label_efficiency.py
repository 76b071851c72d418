"""Score every kind of probe against the number of labels, all with the same tuning budget, labels and judges."""

import numpy as np

from armillary.embedding_parts import read_choices
from armillary.field_splits import fields_that_judge
from armillary.files import read_arrays, write_json
from armillary.metrics import measurement
from armillary.probe_scores import (
    TASKS,
    announced_scores,
    answers_of_networks,
    contestants_of,
    labelled_and_judges,
    measurements_of,
    told_by,
)
from armillary.probes import Budget
from armillary.simple_features import SIMPLE
from armillary.step import announce, run

PAIRS = [("mim", other) for other in ("random", *SIMPLE, "trees", "photometry_shapes", "cnn")]
PAIRS += [("attentive", "mim"), ("finetuned", "cnn"), ("finetuned", "mim"), ("finetuned", "shapes")]
PAIRS += [("mim_shapes", "shapes"), ("mim_all", "photometry_shapes")]
PAIRS += [("all_trees", "shape_trees"), ("shape_trees", "trees")]
WITH_ALL_LABELS = ("mim_shapes", "mim_all", "shape_trees", "all_trees")


def score_label_efficiency(
    features: str, trained: list[str], untrained: list[str], answers: list[str], scores: str, *, tasks: list[str],
    answered: list[list[str]], poolings: list[list[str]], n_labels: list[int], n_settings: int, n_folds: int,
    n_resamples: int, test_fraction: float, cell_deg: float, seed: int,
) -> None:  # fmt: skip
    """`answers` are those of networks as probes, a file a (task, method) of `answered` and network, in this order."""
    learned, random = ([read_choices(path, poolings)[0] for path in paths] for paths in (trained, untrained))
    columns = read_choices(trained[0], poolings)[1]
    contestants = contestants_of(read_arrays(features), learned, random, {}, {})
    contestants["all_trees"] = contestants["mim_all"]._replace(kind="trees")
    split = fields_that_judge(columns, cell_deg, test_fraction, len(trained), seed)
    numbers = {}
    for task in tasks:
        what = TASKS[task]._replace(views={})
        labelled, judges = labelled_and_judges(task, columns, *split, n_labels, seed)
        truth, told, budget = columns[what.column], {}, Budget(n_settings, n_folds)
        for n, rows in labelled.items():
            for who, contestant in contestants.items():
                if who not in WITH_ALL_LABELS or n == max(labelled):
                    told[who, n] = told_by(contestant, what, truth, rows, judges, budget)[""]
            announce(f"{task}, {n} labels: {announced_scores(what.metric, told, n, judges)}")
        for number, (asked, method) in enumerate(answered):
            if asked == task:
                files = answers[number * len(trained) : (number + 1) * len(trained)]
                told |= answers_of_networks(method, files, judges)
                numbers |= _seconds(f"labels_{task}_{method}", files)
        numbers |= measurements_of(f"labels_{task}", what.metric, told, judges, PAIRS, n_resamples, seed)
    write_json(scores, numbers)


def _seconds(name: str, paths: list[str]) -> dict:
    """CPU seconds of training, tuning included, by number of labels: mean and range over the networks."""
    files, numbers = [read_arrays(path) for path in paths], {}
    for key in (key for key in files[0] if key.startswith("seconds_")):
        values = [float(file[key]) for file in files]
        numbers[f"{name}_{key}"] = measurement(np.mean(values), min(values), max(values), len(values), "CPU s")
    return numbers


if __name__ == "__main__":
    run(score_label_efficiency, snakemake)
