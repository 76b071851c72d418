"""How much a simple reader learns from features with a few labels: probes, tuned alike, and their scores.

Every probe chooses its one setting among a few values by cross-validation within its labels (Budget), so that learned
features and baselines get the same tuning budget. Features are standardised on the labelled objects alone; NaN (a band
that is missing) become the best linear guess from the features that are there.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

N_SETTINGS, N_FOLDS = 5, 3
PENALTIES = np.logspace(-2, 2, N_SETTINGS)
RIDGES = np.logspace(0, 4, N_SETTINGS)
NEIGHBOURS = (3, 8, 16, 32, 64)
LEARNING_RATES = (0.02, 0.04, 0.08, 0.15, 0.3)
OUTLIER = 0.15
KINDS = ("linear", "neighbours", "trees")


class Budget(NamedTuple):
    """What tuning may cost: settings that are tried, and how many of N_FOLDS parts of the labels judge each of them."""

    n_settings: int = N_SETTINGS
    n_folds: int = N_FOLDS


FULL_BUDGET = Budget()


def tried(settings, budget: Budget) -> list:
    """As many of the settings as the budget has, from the first to the last."""
    return [settings[k] for k in np.linspace(0, len(settings) - 1, budget.n_settings).round().astype(int)]


def folds(n_labels: int, budget: Budget, seed: int) -> list[np.ndarray]:
    """Boolean (n_labels,) for each fold that judges: the labelled objects that are held back."""
    fold = np.random.default_rng([seed, 77]).permutation(n_labels) % N_FOLDS
    return [fold == k for k in range(budget.n_folds)]


def impute(features: np.ndarray, fitted_on: np.ndarray, ridge: float = 1.0) -> np.ndarray:
    """Features (N, d) with NaN replaced by ridge regression on the other columns, fitted on the complete rows of
    `fitted_on`; one regression a pattern of missing columns."""
    missing = ~np.isfinite(features)
    if not missing.any():
        return features
    complete = fitted_on[np.isfinite(fitted_on).all(1)]
    if len(complete) < 2:
        raise ValueError("no two labelled objects have every feature: nothing to fill missing ones from")
    mean, filled = complete.mean(0), features.copy()
    centred = complete - mean
    for pattern in np.unique(missing[missing.any(1)], axis=0):
        rows = (missing == pattern).all(1)
        known = ~pattern
        if not known.any():
            filled[rows] = mean
            continue
        gram = centred[:, known].T @ centred[:, known] + ridge * np.eye(known.sum())
        weights = np.linalg.solve(gram, centred[:, known].T @ centred[:, pattern])
        filled[np.ix_(rows, pattern)] = mean[pattern] + (features[np.ix_(rows, known)] - mean[known]) @ weights
    return filled


def predict(
    features: np.ndarray, labels: np.ndarray, wanted: list[np.ndarray], *, task: str, kind: str, seed: int,
    budget: Budget = FULL_BUDGET,
) -> list[np.ndarray]:  # fmt: skip
    """Fit a tuned probe on labelled features (n, d) and predict for each set of `wanted` (m, d).

    `task` is classes (integers; predicts classes), score (0 and 1; predicts the probability of 1) or value. `kind` is
    linear, neighbours or trees (gradient boosting, which takes NaN as they are).
    """
    if not np.isfinite(labels).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(labels))} labels of a probe are not finite")
    if kind != "trees":
        features, wanted = impute(features, features), [impute(one, features) for one in wanted]
    best = best_setting(features, labels, task=task, kind=kind, seed=seed, budget=budget)
    fitted = fit_probe(features, labels, best, task, kind, seed)
    return [fitted(one) for one in wanted]


def best_setting(
    features: np.ndarray, labels: np.ndarray, *, task: str, kind: str, seed: int, budget: Budget = FULL_BUDGET
) -> float:
    """The setting of least error on the labelled objects that are held back."""
    settings = tried(settings_of(task, kind), budget)
    errors = np.zeros(len(settings))
    for number, setting in enumerate(settings):
        for judges in folds(len(labels), budget, seed):
            if task != "value" and len(np.unique(labels[~judges])) < 2:
                continue
            told = fit_probe(features[~judges], labels[~judges], setting, task, kind, seed)(features[judges])
            errors[number] += error_of(told, labels[judges], task)
    return settings[int(np.argmin(errors))]


def settings_of(task: str, kind: str):
    """The values that a kind of probe chooses its one setting from."""
    if kind == "linear":
        return RIDGES if task == "value" else PENALTIES
    return NEIGHBOURS if kind == "neighbours" else LEARNING_RATES


def error_of(told: np.ndarray, truth: np.ndarray, task: str) -> float:
    """What tuning makes small: wrong classes, or squared errors."""
    if task == "classes":
        return float((told != truth).sum())
    return float(((told - truth) ** 2).sum())


def fit_probe(features: np.ndarray, labels: np.ndarray, setting, task: str, kind: str, seed: int) -> Callable:
    """A probe of one setting, fitted on labelled features: a function of features."""
    is_value = task == "value"
    if kind == "linear":
        from sklearn.linear_model import LogisticRegression, Ridge

        estimator = (
            Ridge(alpha=setting) if is_value else LogisticRegression(C=1 / setting, solver="newton-cg", tol=1e-3)
        )
    elif kind == "neighbours":
        from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

        which = KNeighborsRegressor if is_value else KNeighborsClassifier
        estimator = which(n_neighbors=min(setting, len(labels)), weights="distance")
    else:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        which = HistGradientBoostingRegressor if is_value else HistGradientBoostingClassifier
        estimator = which(
            learning_rate=setting, max_iter=100, max_leaf_nodes=15, min_samples_leaf=max(min(20, len(labels) // 20), 3),
            random_state=seed,
        )  # fmt: skip
    mean, width = np.nanmean(features, 0), np.nanstd(features, 0) + 1e-9
    estimator.fit((features - mean) / width, labels)
    if task == "score":
        return lambda wanted: estimator.predict_proba((wanted - mean) / width)[:, 1]
    return lambda wanted: estimator.predict((wanted - mean) / width)


def balanced_accuracy(told: np.ndarray, truth: np.ndarray) -> float:
    """Mean over the classes of the share recovered."""
    return float(np.mean([(told[truth == kind] == kind).mean() for kind in np.unique(truth)]))


def area_under_roc(score: np.ndarray, truth: np.ndarray) -> float:
    """Probability that a true object has a higher score than a false one; ties count half (Mann and Whitney 1947)."""
    from scipy.stats import rankdata

    truth = np.asarray(truth, bool)
    n_true = truth.sum()
    ranks = rankdata(score)
    return float((ranks[truth].sum() - n_true * (n_true + 1) / 2) / (n_true * (~truth).sum()))


def redshift_scores(told: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """R2, and of dz / (1 + z): the robust scatter sigma_NMAD, the median (bias), the share beyond 0.15."""
    residual = (told - truth) / (1 + truth)
    middle = np.median(residual)
    return {
        "r2": float(1 - ((told - truth) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()),
        "nmad": float(1.4826 * np.median(np.abs(residual - middle))),
        "bias": float(middle),
        "outliers": float((np.abs(residual) > OUTLIER).mean()),
    }
