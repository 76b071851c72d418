"""How well tile probabilities tell tiles with a cluster member from tiles without.

Everything takes flat arrays over tiles: `probability` (n,) in [0, 1], `truth` (n,) bool, and for error bars
`unit` (n,), the index of the field a tile belongs to, with `counts` (B, n_fields) from
`metrics.resample_counts`. The same code scores the encoder, its baseline, and real sky.
"""

import math

import numpy as np

from armillary.metrics import (
    advantage_sigma,
    bootstrap_ratio,
    bootstrap_statistic,
    estimate,
    measurement,
    sum_by_unit,
)

TINY = 1e-6  # the guard against 0 / 0 in the source's definitions of precision, recall and F1


def confusion_scores(true_positive, false_positive, false_negative, true_negative) -> dict:
    """Accuracy, precision, recall and F1 as the source defines them, TP / (TP + FP + 1e-6) and so on.

    The counts may be numbers or arrays of one shape; so are the scores.
    """
    total = true_positive + false_positive + false_negative + true_negative
    precision = true_positive / (true_positive + false_positive + TINY)
    recall = true_positive / (true_positive + false_negative + TINY)
    return {
        "accuracy": (true_positive + true_negative) / total,
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall + TINY),
    }


def bootstrap_confusion(probability, truth, threshold, unit, counts) -> dict:
    """name -> (value, samples (B,)) of the four scores of calling tiles at p >= `threshold`."""
    called = probability >= threshold
    cells = (called & truth, called & ~truth, ~called & truth, ~called & ~truth)
    by_unit = [sum_by_unit(cell, unit, counts.shape[1]) for cell in cells]
    values = confusion_scores(*(cell.sum() for cell in by_unit))
    samples = confusion_scores(*(counts @ cell for cell in by_unit))
    return {name: (values[name], samples[name]) for name in values}


def precision_recall_curve(probability, truth, weight=None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and threshold at every distinct probability, thresholds falling.

    Tiles of equal probability enter together, so the curve does not depend on their order. Precision is 1
    where nothing weighs, recall is NaN without positives.
    """
    order = np.argsort(-probability, kind="stable")
    weight = np.ones(len(probability)) if weight is None else np.asarray(weight, dtype=float)
    return _curve(probability[order], truth[order], weight[order])


def _curve(probability, truth, weight):
    """The curve of tiles already sorted by falling probability."""
    last_of_tie = np.flatnonzero(np.append(np.diff(probability) != 0, True))
    called = np.cumsum(weight)[last_of_tie]
    found = np.cumsum(weight * truth)[last_of_tie]
    precision = np.divide(found, called, out=np.ones_like(found), where=called > 0)
    recall = found / found[-1] if found[-1] > 0 else np.full_like(found, np.nan)
    return precision, recall, probability[last_of_tie]


def average_precision(probability, truth, weight=None) -> float:
    """Area under the precision-recall curve, sum of (R_k - R_k-1) P_k over distinct thresholds.

    NaN without positives; the base rate when all probabilities are equal.
    """
    precision, recall, _ = precision_recall_curve(probability, truth, weight)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def bootstrap_average_precision(probability, truth, unit, counts) -> tuple[float, np.ndarray]:
    """Average precision and its resamples; tiles are sorted once."""
    order = np.argsort(-probability, kind="stable")
    probability, truth, unit = probability[order], truth[order], np.asarray(unit)[order]

    def area(weight):
        precision, recall, _ = _curve(probability, truth, weight)
        return float(np.sum(np.diff(recall, prepend=0.0) * precision))

    return bootstrap_statistic(area, unit, counts)


def best_f1_threshold(probability, truth) -> float:
    """The distinct probability at which F1 is largest (the highest such); 0.5 without positives."""
    if not truth.any():
        return 0.5
    precision, recall, threshold = precision_recall_curve(probability, truth)
    return float(threshold[np.argmax(2 * precision * recall / (precision + recall + TINY))])


def equal_mass_bins(probability, n_bins: int) -> np.ndarray:
    """Bin index (n,) in [0, n_bins) by rank, as many tiles a bin as ties allow: equal values share a bin."""
    _, group, size = np.unique(probability, return_inverse=True, return_counts=True)
    middle = np.cumsum(size) - 0.5 * size
    return np.floor(n_bins * middle / len(probability)).astype(int)[group]


def reliability(probability, truth, unit, counts, n_bins: int) -> dict:
    """Mean probability, observed fraction with 68 % bounds, and tile count of the equal-mass bins."""
    bins = equal_mass_bins(probability, n_bins)
    curve = {"probability": [], "fraction": [], "lo": [], "hi": [], "n": []}
    for index in np.unique(bins):
        inside = bins == index
        value, samples = bootstrap_ratio(truth & inside, inside, unit, counts)
        entry = estimate(value, samples)
        row = (probability[inside].mean(), value, entry["lo"], entry["hi"], inside.sum())
        for column, number in zip(curve.values(), row, strict=True):
            column.append(number)
    return {name: np.array(column, dtype=float) for name, column in curve.items()}


def bootstrap_calibration_error(probability, truth, unit, counts, n_bins: int) -> tuple[float, np.ndarray]:
    """Expected calibration error, sum over equal-mass bins of |sum(p) - sum(truth)| / n (Naeini+15),
    resampled.

    Being a sum of absolute values it is biased up by noise, and its resamples more so than its value.
    """
    bins = equal_mass_bins(probability, n_bins)
    excess = np.array([sum_by_unit((probability - truth) * (bins == b), unit, counts.shape[1]) for b in range(n_bins)])
    size = sum_by_unit(np.ones(len(probability)), unit, counts.shape[1])
    value = np.abs(excess.sum(axis=1)).sum() / size.sum()
    return float(value), np.abs(counts @ excess.T).sum(axis=1) / (counts @ size)


def score_tiles(probability, truth, threshold, unit, counts, n_bins: int) -> dict:
    """name -> (value, samples) of every tile-level score; `threshold` was tuned on validation."""
    area = bootstrap_average_precision(probability, truth, unit, counts)
    rate = bootstrap_ratio(truth, np.ones(len(truth)), unit, counts)
    scores = {
        "pr_auc": area,
        "pr_auc_over_base_rate": (
            area[0] / rate[0] if rate[0] > 0 else math.nan,
            area[1] / np.where(rate[1] > 0, rate[1], np.nan),
        ),
        "ece": bootstrap_calibration_error(probability, truth, unit, counts, n_bins),
    }
    scores |= bootstrap_confusion(probability, truth, 0.5, unit, counts)
    tuned = bootstrap_confusion(probability, truth, threshold, unit, counts)
    return scores | {f"{name}_tuned": pair for name, pair in tuned.items()}


def tile_metrics(encoder: dict, finder: dict, truth, unit, counts) -> dict:
    """Metrics of encoder and baseline finder from two results of `score_tiles`, and the gain."""
    n, metrics = len(truth), {}
    rate, rate_samples = bootstrap_ratio(truth, np.ones(n), unit, counts)
    metrics["tile_base_rate"] = estimate(rate, rate_samples, n, note="fraction of tiles that hold a member")
    metrics["tile_accuracy_all_negative"] = estimate(1 - rate, 1 - rate_samples, n, note="calling no tile at all")
    trivial = {
        "pr_auc": "tile_base_rate",
        "accuracy": "tile_accuracy_all_negative",
        "accuracy_tuned": "tile_accuracy_all_negative",
    }
    for name in encoder:
        note = tile_note(name)
        metrics[f"tile_{name}"] = estimate(*encoder[name], n, baseline=f"finder_tile_{name}", note=note)
        metrics[f"finder_tile_{name}"] = estimate(*finder[name], n, baseline=trivial.get(name), note=note)
    metrics["tile_pr_auc_advantage_sigma"] = measurement(
        advantage_sigma(*encoder["pr_auc"], *finder["pr_auc"]), n=counts.shape[1], unit="sigma",
        note="encoder minus baseline finder over the spread of the paired difference, same resampled fields",
    )  # fmt: skip
    return metrics


def tile_note(name: str) -> str:
    """How a tile-level score was taken."""
    if name.startswith("pr_auc"):
        return "average precision over distinct thresholds" + (", over the base rate" if "over" in name else "")
    if name == "ece":
        return "expected calibration error, equal-mass bins"
    return "at the threshold of best F1 on validation fields" if name.endswith("_tuned") else "at threshold 0.5"
