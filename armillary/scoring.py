"""Scores of tile probabilities: tiles with a cluster member against tiles without.

Everything takes flat arrays over tiles in one frame, `Tiles`: probability (n,) in [0, 1], truth (n,) bool, weight (n,)
and `unit` (n,), the index of the field a tile belongs to; `counts` (B, n_fields) from `metrics.resample_counts` gives
error bars. The same code scores the encoder, the other methods, and survey tiles; with weights of 1 at the rate of
clusters that the fields were drawn with, with natural weights at that of the sky.
"""

from typing import NamedTuple

import numpy as np

from armillary.metrics import (
    Score,
    bootstrap_ratio,
    bootstrap_statistic,
    interval_68,
    sum_by_unit,
)

TINY = 1e-6  # guard against 0 / 0 in bliss's definitions of precision, recall and F1


class Tiles(NamedTuple):
    """Flat tiles of one split or sky, each array (n,)."""

    probability: np.ndarray
    truth: np.ndarray
    unit: np.ndarray
    weight: np.ndarray


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


def bootstrap_confusion(tiles: Tiles, threshold: float, counts) -> dict:
    """name -> (value, samples (B,)) of the four scores of calling tiles at p >= `threshold`."""
    called, truth = tiles.probability >= threshold, tiles.truth
    cells = (called & truth, called & ~truth, ~called & truth, ~called & ~truth)
    by_unit = [sum_by_unit(cell * tiles.weight, tiles.unit, counts.shape[1]) for cell in cells]
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


def bootstrap_average_precision(tiles: Tiles, counts) -> tuple[float, np.ndarray]:
    """Average precision and its resamples; tiles are sorted once."""
    order = np.argsort(-tiles.probability, kind="stable")
    probability, truth, unit, weight = (column[order] for column in tiles)

    def area(drawn):
        precision, recall, _ = _curve(probability, truth, weight * drawn)
        return float(np.sum(np.diff(recall, prepend=0.0) * precision))

    return bootstrap_statistic(area, unit, counts)


def best_f1_threshold(tiles: Tiles) -> float:
    """The distinct probability at which F1 is largest (the highest such); 0.5 without positives."""
    if not tiles.truth.any():
        return 0.5
    precision, recall, threshold = precision_recall_curve(tiles.probability, tiles.truth, tiles.weight)
    return float(threshold[np.argmax(2 * precision * recall / (precision + recall + TINY))])


def equal_mass_bins(probability, n_bins: int) -> np.ndarray:
    """Bin index (n,) in [0, n_bins) by rank, as many tiles a bin as ties allow: equal values share a bin."""
    _, group, size = np.unique(probability, return_inverse=True, return_counts=True)
    middle = np.cumsum(size) - 0.5 * size
    return np.floor(n_bins * middle / len(probability)).astype(int)[group]


def bins_between(probability, edges) -> np.ndarray:
    """Bin index (n,) of probabilities between fixed edges; 1 belongs to the last bin."""
    return np.clip(np.searchsorted(edges, probability, side="right") - 1, 0, len(edges) - 2)


def reliability(tiles: Tiles, bins: np.ndarray, counts) -> dict:
    """Mean probability, observed fraction with 68 % bounds and expected positives of each bin that holds a tile.

    `bins` (n,) is the bin of each tile. Expected positives are the sum of the probabilities, weights scaled to a mean
    of 1 over all tiles.
    """
    scale = len(tiles.weight) / tiles.weight.sum()
    rows = []
    for index in np.unique(bins):
        inside = (bins == index) * tiles.weight
        value, samples = bootstrap_ratio(tiles.truth * inside, inside, tiles.unit, counts)
        mean = np.average(tiles.probability, weights=inside) if inside.sum() > 0 else np.nan
        rows.append((index, mean, value, *interval_68(samples), scale * (inside * tiles.probability).sum()))
    columns = ("bin", "predicted", "observed", "lo", "hi", "n_expected")
    return {name: np.array(column, dtype=float) for name, column in zip(columns, zip(*rows, strict=True), strict=True)}


def bootstrap_calibration_error(tiles: Tiles, bins: np.ndarray, counts) -> tuple[float, np.ndarray]:
    """Expected calibration error, sum over bins of |sum(p) - sum(truth)| / n (Naeini+15), resampled.

    Being a sum of absolute values it is biased up by noise, and its resamples more so than its value.
    """
    residual = (tiles.probability - tiles.truth) * tiles.weight
    excess = np.array([sum_by_unit(residual * (bins == b), tiles.unit, counts.shape[1]) for b in np.unique(bins)])
    size = sum_by_unit(tiles.weight, tiles.unit, counts.shape[1])
    value = np.abs(excess.sum(axis=1)).sum() / size.sum()
    return float(value), np.abs(counts @ excess.T).sum(axis=1) / (counts @ size)


def tile_scores(tiles: Tiles, counts, *, bins: np.ndarray, suffix: str, threshold: float | None) -> dict[str, Score]:
    """name -> Score of every tile-level score, names ending in `suffix` (the rate of clusters: _boosted, _natural).

    `bins` (n,) are those of the calibration error; at `threshold`, chosen on other fields, tiles are called a second
    time (names with _tuned), unless it is None.
    """
    n = len(tiles.truth)
    rate = bootstrap_ratio(tiles.truth * tiles.weight, tiles.weight, tiles.unit, counts)
    area = bootstrap_average_precision(tiles, counts)
    ratio = tuple(
        np.divide(a, r, out=np.full(np.shape(a), np.nan), where=np.asarray(r) > 0)
        for a, r in zip(area, rate, strict=True)
    )
    precision = "average precision over distinct thresholds"
    scores = {
        f"tile_base_rate{suffix}": Score(*rate, n, "", "fraction of tiles that hold a member"),
        f"tile_pr_auc{suffix}": Score(*area, n, "", precision),
        f"tile_pr_auc_over_base_rate{suffix}": Score(
            float(ratio[0]), ratio[1], n, "", f"{precision}, over the base rate"
        ),
        f"tile_ece{suffix}": Score(
            *bootstrap_calibration_error(tiles, bins, counts),
            n,
            "",
            "expected calibration error in bins of probability",
        ),
    }
    calls = {"": (0.5, "tiles called at probability 0.5")}
    if threshold is not None:
        calls["_tuned"] = threshold, "tiles called at the probability of best F1 on calibration fields"
    for label, (cut, note) in calls.items():
        for name, (value, samples) in bootstrap_confusion(tiles, cut, counts).items():
            value = value if name == "accuracy" or tiles.truth.any() else np.nan  # nothing to be found
            scores[f"tile_{name}{label}{suffix}"] = Score(value, samples, n, "", note)
    return scores


def bin_scores(tiles: Tiles, counts, *, edges, suffix: str) -> dict[str, Score]:
    """Observed over predicted fraction of tiles with a member in bins of probability; n is the expected positives."""
    bins = bins_between(tiles.probability, edges)
    n_expected = dict(zip(*(reliability(tiles, bins, counts)[name] for name in ("bin", "n_expected")), strict=True))
    scores = {}
    for index, expected in n_expected.items():
        inside = bins == index
        weight, unit = tiles.weight[inside], tiles.unit[inside]
        ratio = bootstrap_ratio(tiles.truth[inside] * weight, tiles.probability[inside] * weight, unit, counts)
        low, high = edges[int(index)], edges[int(index) + 1]
        note = f"observed over predicted fraction at probabilities {low:g} to {high:g}; n: expected positives"
        key = f"tile_observed_over_predicted_{1000 * low:04.0f}_{1000 * high:04.0f}{suffix}"
        scores[key] = Score(*ratio, round(expected, 1), "", note)
    return scores
