"""Score every kind of probe against the number of labels, all with the same tuning budget, labels and judges."""

import numpy as np

from armillary.files import read_arrays, write_json
from armillary.files_cutouts import read_embeddings
from armillary.probe_scores import (
    TASKS,
    announced_scores,
    contestants_of,
    draw_labels,
    measurements_of,
    pool_and_held_out,
    told_by,
)
from armillary.probes import Budget
from armillary.step import announce, run

PAIRS = [("mim", other) for other in ("random", "pca", "colours", "photometry", "trees", "scratch")]
PAIRS += [("attentive", "mim"), ("finetuned", "scratch"), ("finetuned", "mim"), ("mim_colours", "photometry")]
PAIRS += [("mim_trees", "trees")]


def score_label_efficiency(
    features: str, trained: list[str], untrained: list[str], answers: list[str], scores: str, *, tasks: list[str],
    answered: list[str], n_labels: list[int], n_settings: int, n_folds: int, n_resamples: int, test_fraction: float,
    seed: int,
) -> None:  # fmt: skip
    """`answers` are those of networks as probes to the tasks `answered`: a file a task and network, in this order."""
    learned, random = ([read_embeddings(path)[0] for path in paths] for paths in (trained, untrained))
    columns, arrays = read_embeddings(trained[0])[1], read_arrays(features)
    contestants = contestants_of(arrays, learned, learned, random, random)
    contestants["mim_trees"] = contestants["mim_colours"]._replace(kind="trees")
    numbers = {}
    for task in tasks:
        what = TASKS[task]._replace(without_bands="")
        pool, held_out = pool_and_held_out(task, columns, test_fraction)
        truth, told = columns[what.column], {}
        largest = min(n_labels[-1], len(pool))
        for n in sorted({min(n, largest) for n in n_labels}):
            labelled = draw_labels(pool, n, len(trained), seed)
            for who, contestant in contestants.items():
                if who != "mim_trees" or n == largest:
                    budget = Budget(n_settings, n_folds)
                    told[who, n] = told_by(contestant, what, truth, labelled, held_out, budget)[0]
            announce(f"{task}, {n} labels: {announced_scores(what.metric, told, n, truth[held_out])}")
        if task in answered:
            first = answered.index(task) * len(trained)
            told |= _answered(answers[first : first + len(trained)], held_out)
        numbers |= measurements_of(f"labels_{task}", what.metric, told, truth[held_out], PAIRS, n_resamples, seed)
    write_json(scores, numbers)


def _answered(paths: list[str], held_out: np.ndarray) -> dict[tuple[str, int], np.ndarray]:
    """Answers (n_networks, n_held_out) of networks as probes, by method and number of labels."""
    files = [read_arrays(path) for path in paths]
    for path, file in zip(paths, files, strict=True):
        if not np.array_equal(file["rows"], held_out):
            raise ValueError(f"{path} answers for other objects than those that judge here: make it anew")
    names = [name for name in files[0] if name != "rows"]
    return {
        (name.rpartition("_")[0], int(name.rpartition("_")[2])): np.array([f[name] for f in files]) for name in names
    }


if __name__ == "__main__":
    run(score_label_efficiency, snakemake)
