"""Features against each other: the same probes, labels and held-out objects for all, and what differences are worth.

A number's error has two parts: the scatter over seeds (of the network and of the labels together) and that of the
held-out objects. Features are compared seed by seed and object by object.
"""

from typing import NamedTuple

import numpy as np

from armillary.metrics import measurement
from armillary.probes import FULL_BUDGET, Budget, area_under_roc, predict, redshift_scores


class Task(NamedTuple):
    """What is asked of features: kind of label, objects it is asked of, and the number that scores the answers."""

    column: str
    kind: str  # classes, score or value
    metric: str
    without_bands: str = ""  # task of the same probes asked about held-out objects that lack bands


TASKS = {
    "class": Task("class", "classes", "accuracy", "missing_band"),
    "redshift": Task("zspec", "value", "r2"),
    "blend": Task("blend", "score", "auc"),
    "ellipticity": Task("ellipticity", "value", "r2"),
}


class Contestant(NamedTuple):
    """Features of all objects (N, d), an array a seed, with all bands and without the missing ones; what reads them."""

    features: list[np.ndarray]
    without_bands: list[np.ndarray]
    kind: str


def contestants_of(
    arrays: dict[str, np.ndarray], learned: list, learned_missing: list, random: list, random_missing: list
) -> dict[str, Contestant]:
    """Embeddings of trained and of untrained networks, an array a network, and the features they are held against."""
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


def pool_and_held_out(task: str, columns: dict[str, np.ndarray], test_fraction: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a task's objects that may be labelled, and those that judge: the last ones of the file, for all tasks."""
    objects = np.flatnonzero(objects_of(task, columns))
    start = first_held_out(len(columns["class"]), test_fraction)
    return objects[objects < start], objects[objects >= start]


def first_held_out(n_objects: int, test_fraction: float) -> int:
    """The first row that judges; objects are in random order."""
    return n_objects - max(round(test_fraction * n_objects), 1)


def objects_of(task: str, columns: dict[str, np.ndarray]) -> np.ndarray:
    """Boolean (N,): the objects that a task is about. Lenses are left to the search for them."""
    galaxy = (columns["class"] == 0) & (columns["lens"] == 0)
    if task == "class":
        return columns["lens"] == 0
    if task == "blend":
        return galaxy
    if task == "ellipticity":
        return galaxy & (columns["blend"] == 0)
    return galaxy & np.isfinite(columns["zspec"])


def score(metric: str, told: np.ndarray, truth: np.ndarray) -> float:
    """The number of that name."""
    if metric == "accuracy":
        return float((told == truth).mean())
    return area_under_roc(told, truth) if metric == "auc" else redshift_scores(told, truth)["r2"]


def told_by(
    contestant: Contestant, task: Task, truth: np.ndarray, labelled: list[np.ndarray], held_out: np.ndarray,
    budget: Budget = FULL_BUDGET,
) -> list[np.ndarray]:  # fmt: skip
    """Answers (n_seeds, n_held_out), and those without bands if the task has such; `labelled` are the rows that each
    seed may learn from."""
    answers = []
    for seed, rows in enumerate(labelled):
        number = seed % len(contestant.features)
        features = contestant.features[number]
        asked = [features[held_out].astype(float)]
        if task.without_bands:
            asked.append(contestant.without_bands[number][held_out].astype(float))
        answers.append(
            predict(
                features[rows].astype(float), truth[rows], asked, task=task.kind, kind=contestant.kind, seed=seed,
                budget=budget,
            )
        )  # fmt: skip
    return [np.array(told) for told in zip(*answers, strict=True)]


def draw_labels(pool: np.ndarray, n_labels: int, n_seeds: int, rng_seed: int) -> list[np.ndarray]:
    """Rows out of a pool, `n_labels` of them, one draw a seed; ValueError if the pool is too small."""
    if len(pool) < n_labels:
        raise ValueError(
            f"{len(pool)} objects may be labelled, {n_labels} are asked for (config key `mim: score_probes: n_labels`)"
        )
    return [
        np.random.default_rng([rng_seed, seed, n_labels]).choice(pool, n_labels, replace=False)
        for seed in range(n_seeds)
    ]


def with_error(metric: str, told: np.ndarray, truth: np.ndarray, n_resamples: int, rng) -> tuple[float, float]:
    """Mean score over the seeds and its one-sigma error."""
    return _summary(_scores(metric, told, truth), _resampled(metric, told, truth, n_resamples, rng))


def gain(
    metric: str, told: np.ndarray, other: np.ndarray, truth: np.ndarray, n_resamples: int, rng_seed: list[int]
) -> tuple[float, float]:
    """Mean over seeds of score minus score of another, and its error; the same seeds and resamples for both."""
    difference = _scores(metric, told, truth) - _scores(metric, other, truth)
    resampled = [_resampled(metric, one, truth, n_resamples, np.random.default_rng(rng_seed)) for one in (told, other)]
    return _summary(difference, resampled[0] - resampled[1])


def _scores(metric: str, told: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return np.array([score(metric, one, truth) for one in told])


def _resampled(metric: str, told: np.ndarray, truth: np.ndarray, n_resamples: int, rng) -> np.ndarray:
    """Mean score over seeds in resamples of the held-out objects. # ASSUME: these are independent of each other."""
    rows = [rng.integers(len(truth), size=len(truth)) for _ in range(n_resamples)]
    return np.array([_scores(metric, told[:, row], truth[row]).mean() for row in rows])


def _summary(by_seed: np.ndarray, resampled: np.ndarray) -> tuple[float, float]:
    of_seeds = by_seed.std(ddof=1) / np.sqrt(len(by_seed)) if len(by_seed) > 1 else 0.0
    return float(by_seed.mean()), float(np.hypot(of_seeds, resampled.std()))


def as_measurement(value: float, error: float, n: int, unit: str, baseline: str | None = None, note: str = "") -> dict:
    """One number with its one-sigma interval."""
    return measurement(value, value - error, value + error, n, unit, baseline, note)


def measurements_of(
    name: str, metric: str, told: dict[tuple[str, int], np.ndarray], truth: np.ndarray, pairs: list[tuple[str, str]],
    n_resamples: int, seed: int,
) -> dict:  # fmt: skip
    """Scores of all contestants, gains of the first of each of the `pairs` over the second, and how many sigma these
    are; keys begin with `name`. `told` has answers by contestant and number of labels."""
    numbers = {}
    for (who, n), value in told.items():
        scored = with_error(metric, value, truth, n_resamples, np.random.default_rng([seed, n]))
        numbers[f"{name}_{who}_{n}"] = as_measurement(*scored, len(truth), metric)
        if name.endswith("redshift"):
            parts = [redshift_scores(one, truth) for one in value]
            for part in ("nmad", "bias", "outliers"):
                values = [one[part] for one in parts]
                numbers[f"{name}_{who}_{n}_{part}"] = measurement(np.mean(values), min(values), max(values), len(truth))
    for one, other in pairs:
        for n in sorted({n for who, n in told if who == one and (other, n) in told}):
            worth, error = gain(metric, told[one, n], told[other, n], truth, n_resamples, [seed, n])
            key, baseline = f"{name}_{one}_over_{other}_{n}", f"{name}_{other}_{n}"
            numbers[key] = as_measurement(worth, error, len(truth), metric, baseline)
            numbers[f"{key}_sigma"] = measurement(
                worth / max(error, 1e-9), n=len(truth), unit="sigma", baseline=baseline, note="gain over its error"
            )
    return numbers


def announced_scores(metric: str, told: dict[tuple[str, int], np.ndarray], n: int, truth: np.ndarray) -> str:
    """Scores with `n` labels as a line of a log."""
    here = {who: _scores(metric, value, truth).mean() for (who, m), value in told.items() if m == n}
    return ", ".join(f"{who} {value:.3f}" for who, value in here.items())
