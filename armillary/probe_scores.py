"""Features against each other: the same probes, labels and held-out objects for all, and what differences are worth.

A number's error has two parts: the scatter over seeds (of the network and of the labels together) and that of the
held-out objects. Features are compared seed by seed and object by object.
"""

from typing import NamedTuple

import numpy as np

from armillary.metrics import measurement
from armillary.probes import area_under_roc, predict, redshift_scores


class Task(NamedTuple):
    """What is asked of features: kind of label, objects it is asked of, and the number that scores the answers."""

    column: str
    kind: str  # classes, score or value
    metric: str
    missing: bool = False  # held-out objects lack bands that the labelled ones have


TASKS = {
    "class": Task("class", "classes", "accuracy"),
    "missing_band": Task("class", "classes", "accuracy", missing=True),
    "redshift": Task("zspec", "value", "r2"),
    "blend": Task("blend", "score", "auc"),
    "ellipticity": Task("ellipticity", "value", "r2"),
}


class Contestant(NamedTuple):
    """Features of all objects (N, d), an array a seed, with all bands and without the missing ones; what reads them."""

    features: list[np.ndarray]
    without_bands: list[np.ndarray]
    kind: str


def objects_of(task: str, columns: dict[str, np.ndarray]) -> np.ndarray:
    """Boolean (N,): the objects that a task is about. Lenses are left to the search for them."""
    galaxy = (columns["class"] == 0) & (columns["lens"] == 0)
    if task in ("class", "missing_band"):
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
    contestant: Contestant, task: Task, truth: np.ndarray, labelled: list[np.ndarray], held_out: np.ndarray
) -> np.ndarray:
    """Answers (n_seeds, n_held_out); `labelled` are the rows that each seed may learn from."""
    answers = []
    for seed, rows in enumerate(labelled):
        features = contestant.features[seed % len(contestant.features)]
        asked = (contestant.without_bands if task.missing else contestant.features)[seed % len(contestant.features)]
        told = predict(
            features[rows].astype(float), truth[rows], [asked[held_out].astype(float)], task=task.kind,
            kind=contestant.kind, seed=seed,
        )  # fmt: skip
        answers.append(told[0])
    return np.array(answers)


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
