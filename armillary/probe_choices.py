"""Probes that may choose among several features, such as ways to pool a network's tokens, by their labels alone."""

import numpy as np

from armillary.probes import FULL_BUDGET, Budget, error_of, fit_probe, folds, impute, predict, settings_of


def predict_by_choice(
    choices: list[np.ndarray], labels: np.ndarray, wanted: list[list[np.ndarray]], task: str, kind: str, seed: int,
    budget: Budget = FULL_BUDGET,
) -> list[np.ndarray]:  # fmt: skip
    """Fit a tuned probe on one of the `choices` (n, d) and predict for each of `wanted`, which have the same choices.

    The choice is the one of least error on the labelled objects that are held back, at the middle one of the settings;
    then the setting is tuned. Words are those of `armillary.probes.predict`.
    """
    best = 0
    if len(choices) > 1:
        best = int(np.argmin([_held_back_error(one, labels, task, kind, seed, budget) for one in choices]))
    return predict(choices[best], labels, [of[best] for of in wanted], task=task, kind=kind, seed=seed, budget=budget)


def _held_back_error(
    features: np.ndarray, labels: np.ndarray, task: str, kind: str, seed: int, budget: Budget
) -> float:
    """Error on the labelled objects that are held back, at the middle setting."""
    if kind != "trees":
        features = impute(features, features)
    settings = settings_of(task, kind)
    error = 0.0
    for judges in folds(len(labels), budget, seed):
        if task == "value" or len(np.unique(labels[~judges])) > 1:
            fitted = fit_probe(features[~judges], labels[~judges], settings[len(settings) // 2], task, kind, seed)
            error += error_of(fitted(features[judges]), labels[judges], task)
    return error
