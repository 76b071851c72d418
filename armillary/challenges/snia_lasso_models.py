"""Models of a supernova's magnitude, each judged on folds that neither fitting nor tuning has seen."""

import warnings
from itertools import combinations

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNetCV, Lasso, LassoCV, LinearRegression, lasso_path
from sklearn.model_selection import KFold

N_ALPHAS, ALPHA_RATIO = 40, 1e-2
INJECTED_MAG = (0.03, 0.05, 0.08, 0.1, 0.15)


def train(variant: str, data: dict[str, np.ndarray], settings: dict, seed: int) -> dict[str, np.ndarray]:
    """Held-out predictions (n,) of one model by nested cross-validation, and what it selected."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    x, y, names = data["x"], data["y"], list(data["names"])
    if variant == "stability":
        return stability(filled(x, x), y, settings["n_half_samples"], np.random.default_rng([seed, 72]))
    if variant == "power":
        return power(filled(x, x), y, names, settings["n_injections"], np.random.default_rng([seed, 73]))
    prediction, n_selected = np.empty(len(y)), []
    for number, (train_rows, test_rows) in enumerate(
        KFold(settings["n_folds"], shuffle=True, random_state=seed).split(x)
    ):
        inside, outside = filled(x[train_rows], x[train_rows]), filled(x[test_rows], x[train_rows])
        coefficients, constant = MODELS[variant](inside, y[train_rows], names, settings["n_folds"], seed + 100 * number)
        prediction[test_rows] = outside @ coefficients + constant
        n_selected.append(np.count_nonzero(coefficients))
    found = {"prediction": prediction, "n_selected": np.array(n_selected)}
    return found | curves(filled(x, x), y, settings["n_folds"], seed) if variant == "lasso_min" else found


def filled(x: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Missing values become the median of `like`, and columns are scaled by its mean and spread."""
    middle = np.nanmedian(like, 0)
    whole = np.where(np.isnan(like), middle, like)
    spread = whole.std(0)
    return (np.where(np.isnan(x), middle, x) - whole.mean(0)) / np.where(spread > 0, spread, 1.0)


def mean_only(x, y, names, n_folds, seed):
    """No variable at all."""
    return np.zeros(x.shape[1]), y.mean()


def two_parameters(x, y, names, n_folds, seed):
    """Least squares on colour and width, chosen in advance (Tripp 1998)."""
    return refitted(x, y, chosen_in_advance(names))


def chosen_in_advance(names) -> list[int]:
    """The columns of colour and width."""
    missing = {"c", "x1"} - set(names)
    if missing:
        raise ValueError(
            f"the table has no variable {', '.join(sorted(missing))}, which ols_c_x1, lasso_unpenalised and power "
            "need: leave these variants out"
        )
    return [names.index("c"), names.index("x1")]


def left_over(known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """What a constant and the columns `known` (n, k) leave of `values` (n, ...): residuals of least squares."""
    basis = np.linalg.qr(np.column_stack([np.ones(len(known)), known]))[0]
    return values - basis @ (basis.T @ values)


def lasso_unpenalised(x, y, names, n_folds, seed):
    """LASSO on all other variables, while colour and width are free of penalty: the same as a LASSO on what both leave
    of magnitude and variables (Frisch & Waugh 1933; Yamada 2017)."""
    known = chosen_in_advance(names)
    others = np.delete(np.arange(len(names)), known)
    model = cross_validated(left_over(x[:, known], x[:, others]), left_over(x[:, known], y), n_folds, seed)
    coefficients = np.zeros(x.shape[1])
    coefficients[others] = model.coef_
    free, constant = refitted(x, y - x @ coefficients, known)
    return coefficients + free, constant


def lasso_min(x, y, names, n_folds, seed):
    """LASSO at the penalty of least cross-validated error."""
    model = cross_validated(x, y, n_folds, seed)
    return model.coef_, model.intercept_


def lasso_1se(x, y, names, n_folds, seed):
    """LASSO at the largest penalty within one standard error of the least error."""
    model = Lasso(one_standard_error(cross_validated(x, y, n_folds, seed)), max_iter=2000, tol=1e-3).fit(x, y)
    return model.coef_, model.intercept_


def relaxed(x, y, names, n_folds, seed):
    """Least squares on what the one-standard-error LASSO selects."""
    return refitted(x, y, np.flatnonzero(lasso_1se(x, y, names, n_folds, seed)[0]))


def adaptive(x, y, names, n_folds, seed):
    """LASSO whose penalties are the inverse of ridge coefficients (Zou 2006)."""
    gram = x @ x.T + 0.1 * len(y) * np.eye(len(y))
    weight = np.abs(x.T @ np.linalg.solve(gram, y - y.mean()))
    weight /= weight.max()
    model = cross_validated(x * weight, y, n_folds, seed)
    return model.coef_ * weight, model.intercept_


def elastic_net(x, y, names, n_folds, seed):
    """L1 and L2 penalties mixed half and half, which keeps groups of alike variables together."""
    folds = KFold(n_folds, shuffle=True, random_state=seed)
    model = ElasticNetCV(l1_ratio=0.5, alphas=N_ALPHAS // 2, eps=ALPHA_RATIO, cv=folds, max_iter=1000, tol=1e-3).fit(
        x, y
    )
    return model.coef_, model.intercept_


def best_three(x, y, names, n_folds, seed, n_screened: int = 16):
    """The best least-squares fit of up to three variables among those most correlated with the magnitude, their number
    and choice by an inner cross-validation of all subsets (Igarashi et al. 2018)."""
    strength = np.abs(x.T @ (y - y.mean()))
    screened = np.argsort(-strength)[:n_screened]
    folds = list(KFold(n_folds, shuffle=True, random_state=seed).split(x))
    subsets = [list(s) for size in (1, 2, 3) for s in combinations(screened, size)]
    errors = [sum(_held_out_error(x[:, s], y, folds)) for s in subsets]
    return refitted(x, y, subsets[int(np.argmin(errors))])


def _held_out_error(x, y, folds):
    for inside, outside in folds:
        design = np.column_stack([np.ones(len(inside)), x[inside]])
        beta = np.linalg.solve(design.T @ design + 1e-9 * np.eye(design.shape[1]), design.T @ y[inside])
        yield np.sum((y[outside] - beta[0] - x[outside] @ beta[1:]) ** 2)


MODELS = {
    "mean": mean_only, "ols_c_x1": two_parameters, "lasso_min": lasso_min, "lasso_1se": lasso_1se,
    "lasso_unpenalised": lasso_unpenalised, "relaxed": relaxed, "adaptive": adaptive, "elastic_net": elastic_net,
    "best_three": best_three,
}  # fmt: skip


def cross_validated(x, y, n_folds, seed) -> LassoCV:
    """A LASSO tuned by folds of its own."""
    folds = KFold(n_folds, shuffle=True, random_state=seed)
    return LassoCV(alphas=N_ALPHAS, eps=ALPHA_RATIO, cv=folds, max_iter=1000, tol=1e-3).fit(x, y)


def one_standard_error(model: LassoCV) -> float:
    """The largest penalty whose error is within one standard error of the least (Breiman et al. 1984)."""
    mean = model.mse_path_.mean(1)
    error = model.mse_path_.std(1, ddof=1) / np.sqrt(model.mse_path_.shape[1])
    best = int(np.argmin(mean))
    return float(model.alphas_[mean <= mean[best] + error[best]].max())


def refitted(x, y, columns) -> tuple[np.ndarray, float]:
    """Least squares on some columns, as coefficients of all."""
    coefficients = np.zeros(x.shape[1])
    if not len(columns):
        return coefficients, y.mean()
    model = LinearRegression().fit(x[:, columns], y)
    coefficients[columns] = model.coef_
    return coefficients, model.intercept_


def stability(x, y, n_half_samples: int, rng, max_selected: int = 6) -> dict[str, np.ndarray]:
    """How often each variable is among the first `max_selected` of the path on half of the supernovae (Meinshausen &
    Buehlmann 2010), the same with shuffled magnitudes, and the bound on false discoveries at a frequency of 0.7."""

    def frequencies(y):
        count = np.zeros(x.shape[1])
        for _ in range(n_half_samples):
            rows = rng.permutation(len(y))[: len(y) // 2]
            coefficients = lasso_path(x[rows], y[rows] - y[rows].mean(), alphas=N_ALPHAS // 2, eps=0.05)[1] != 0
            few = np.flatnonzero(coefficients.sum(0) <= max_selected)
            count += coefficients[:, : few[-1] + 1].any(1) if len(few) else 0
        return count / n_half_samples

    found, null = frequencies(y), frequencies(rng.permutation(y))
    bound = max_selected**2 / ((2 * 0.7 - 1) * x.shape[1])
    return {"frequency": found, "null_frequency": null, "n_expected_false": np.array(bound)}


def power(x, y, names, n_injections: int, rng, n_shuffles: int = 1000) -> dict[str, np.ndarray]:
    """Is there one more variable, and how large must its effect be to be found?

    The test is the largest correlation of any variable with the magnitude, after colour and width have been taken off
    both; magnitudes shuffled give its distribution, so that one data set in twenty raises a false alarm, over all
    variables together (Westfall & Young 1993). An effect of known size (standard deviation in mag, colour and width
    taken off) is put on a random variable of shuffled magnitudes: `found` if the test goes off and names a variable
    that correlates with the right one by more than 0.8, (n_sizes, n_injections).
    """
    known = chosen_in_advance(names)
    rest = left_over(x[:, known], np.delete(x, known, 1))
    rest = rest[:, np.linalg.norm(rest, axis=0) > 1e-9]
    rest /= np.linalg.norm(rest, axis=0)
    residual = left_over(x[:, known], y)

    def shuffled(n):
        return left_over(x[:, known], rng.permuted(np.repeat(residual[:, None], n, 1), axis=0))

    def correlations(v):
        return np.abs(rest.T @ v) / np.linalg.norm(v, axis=0)

    null = correlations(shuffled(n_shuffles)).max(0)
    threshold, largest = np.quantile(null, 0.95), correlations(residual).max()
    found = []
    for size in INJECTED_MAG:
        true = rng.integers(rest.shape[1], size=n_injections)
        seen = correlations(shuffled(n_injections) + size * np.sqrt(len(y)) * rest[:, true])
        alike = np.abs((rest[:, seen.argmax(0)] * rest[:, true]).sum(0)) > 0.8
        found.append((seen.max(0) > threshold) & alike)
    p_value = (1 + np.sum(null >= largest)) / (1 + n_shuffles)
    return {"injected_mag": np.array(INJECTED_MAG), "found": np.array(found), "p_value": np.array(p_value)}


def curves(x, y, n_folds, seed) -> dict[str, np.ndarray]:
    """Cross-validation curve and coefficient paths of the whole table, for the figures only."""
    model = cross_validated(x, y, n_folds, seed)
    alphas, path, _ = lasso_path(x, y - y.mean(), alphas=model.alphas_)
    return {
        "alphas": alphas, "coefficients": path, "cv_rmse": np.sqrt(model.mse_path_.mean(1)),
        "cv_error": model.mse_path_.std(1, ddof=1) / np.sqrt(n_folds) / 2 / np.sqrt(model.mse_path_.mean(1)),
        "alpha_min": np.array(model.alpha_), "alpha_1se": np.array(one_standard_error(model)),
    }  # fmt: skip
