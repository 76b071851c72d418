"""68 % intervals of convergence that hold the truth where truth or map are high or low, not only on average.

Central intervals of a right posterior hold 68 % of the pixels in all, and of those with a given map value; but of the
pixels whose truth is a peak they hold a quarter, because noise hides most of a peak and the posterior pulls it down.
Confidence intervals (Neyman 1937) hold 68 % of every truth, and fail where the map is extreme. Here one region of the
plane of map value and truth is chosen: the shortest intervals that hold 68 % of all pixels, and at least a floor of the
pixels in every bin of truth and in every bin of the map. They are intervals of highest density in which rare truths
count for more; each is one stretch of convergence, and which stretch depends on the map's value (Mondrian classes,
Vovk, Gammerman & Shafer 2005).

What is needed is the joint law of map and truth. A posterior's own draws give it without any truth
(`posterior_intervals`); a method without draws takes it from validation skies (`fit_intervals`).
"""

import numpy as np

COVERAGE, FLOOR = 0.683, 0.6
LEAST_SHARE = 0.01  # bins of truth or map with a smaller share of the pixels have no floor
MAP_LEVELS = np.array([0, 0.01, 0.03, 0.06, *np.arange(0.1, 0.91, 0.05), 0.94, 0.97, 0.99, 1])
TRUE_LEVELS = MAP_LEVELS  # quantiles between which the bins lie
N_CELLS = 80
N_ROUNDS, FIRST_STEP, N_HALVINGS = 120, 1.0, 14
MET = 0.005  # what may be missing of a floor


def best_stretches(
    counts: np.ndarray, cost: np.ndarray, *, coverage: float = COVERAGE, floor: float = FLOOR
) -> tuple[np.ndarray, np.ndarray]:
    """First and one past the last cell of each map bin's interval, two (n_map,) integer arrays.

    Args:
        counts: (n_map, n_cells, n_true) pixels by bin of the map, cell of the interval axis and bin of truth.
        cost: (n_map, n_cells) summed length of a cell over the pixels of a bin.

    The stretch with the largest sum of weight x counts - price x cost is taken in each bin. The price is that at which
    `coverage` of all is held; weights of bins of truth and map that are held less often than `floor` grow, of bins
    held more often shrink back to 1, by steps that become smaller, as for Lagrange multipliers. Of all rounds the one
    that misses the floors least is returned, the first that meets them (MET) where they can be had.
    """
    total = counts.sum()
    of_true, of_map = counts.sum((0, 1)), counts.sum((1, 2))
    true_weight, map_weight = np.ones(len(of_true)), np.ones(len(of_map))
    best, least_missing = None, np.inf
    for number in range(N_ROUNDS):
        gain = (counts @ true_weight) * map_weight[:, None]
        first, last = _at_coverage(counts, gain, cost, coverage * total)
        held = _held(counts, first, last)
        lacking = [
            np.where(of >= 0.999 * LEAST_SHARE * total, floor - part / np.maximum(of, 1e-300), -1.0)
            for of, part in ((of_true, held.sum(0)), (of_map, held.sum(1)))
        ]
        missing = max(part.max() for part in lacking)
        if missing < least_missing:
            best, least_missing = (first, last), missing
        if missing <= MET:
            break
        step = FIRST_STEP / (1.0 + number / 20.0)
        true_weight = np.maximum(true_weight * np.exp(step * lacking[0]), 1.0)
        map_weight = np.maximum(map_weight * np.exp(step * lacking[1]), 1.0)
    return best


def _at_coverage(
    counts: np.ndarray, gain: np.ndarray, cost: np.ndarray, wanted: float
) -> tuple[np.ndarray, np.ndarray]:
    """The best stretches at the price of a length, found by halving, at which they still hold `wanted` pixels."""
    number = counts.sum(2)
    unit, cell = number.sum() / cost.sum(), np.arange(number.shape[1])
    low, high = -12.0, 12.0  # logarithm of the price
    for _ in range(N_HALVINGS):
        middle = 0.5 * (low + high)
        first, last = _stretches(gain - unit * np.exp(middle) * cost)
        if number[(cell >= first[:, None]) & (cell < last[:, None])].sum() >= wanted:
            low = middle
        else:
            high = middle
    return _stretches(gain - unit * np.exp(low) * cost)


def _stretches(value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The stretch of cells with the largest sum in each row of (n, n_cells), as first and one past the last."""
    below = np.concatenate([np.zeros((len(value), 1)), np.cumsum(value, axis=1)], axis=1)
    least = np.minimum.accumulate(below[:, :-1], axis=1)
    where = np.maximum.accumulate(np.where(below[:, :-1] == least, np.arange(value.shape[1]), 0), axis=1)
    end = (below[:, 1:] - least).argmax(1)
    return where[np.arange(len(value)), end], end + 1


def _held(counts: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """(n_map, n_true) pixels inside the stretches."""
    cell = np.arange(counts.shape[1])
    inside = (cell >= first[:, None]) & (cell < last[:, None])
    return np.einsum("bjc,bj->bc", counts, inside)


def _bins(values: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Inner edges of bins between quantiles of `values`."""
    return np.quantile(values, levels[1:-1])


def posterior_intervals(samples: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Low and high ends (n_y, n_x) of the intervals of one map, from samples (n, n_y, n_x) of its posterior; 0 outside
    the mask.

    Each draw stands in for the truth among the others, so nothing but the posterior is used: the stretches are
    between two of its quantiles, which differ by the bin of the map's value.
    """
    drawn = np.sort(samples[:, mask].astype(float), axis=0)
    n = len(drawn)
    mean = drawn.mean(0)
    map_bin = np.digitize(mean, _bins(mean, MAP_LEVELS))
    true_edges = _bins(drawn, TRUE_LEVELS)
    n_map, n_true = len(MAP_LEVELS) - 1, len(TRUE_LEVELS) - 1
    place = (map_bin * n + np.arange(n)[:, None]) * n_true + np.digitize(drawn, true_edges)
    counts = np.bincount(place.ravel(), minlength=n_map * n * n_true).reshape(n_map, n, n_true).astype(float)
    gap = np.diff(drawn, axis=0)
    length = np.concatenate([2 * gap[:1], 0.5 * (gap[1:] + gap[:-1]), 2 * gap[-1:]])  # of the cell around each draw
    cost = np.array([np.bincount(map_bin, row, n_map) for row in length]).T
    first, last = best_stretches(counts, cost)
    ends = np.zeros((2, *mask.shape))
    for b in range(n_map):
        if (map_bin == b).any():
            levels = np.array([first[b], last[b]]) / n
            inside = np.quantile(drawn[:, map_bin == b], levels, axis=0, method="weibull")
            values = np.zeros((2, mask.sum()))
            values[:, map_bin == b] = inside
            ends[:, mask] += values
    return ends[0], ends[1]


def fit_intervals(kappa: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
    """The rule of `intervals_of` from map values and truths (n,) of validation skies, both mean-free.

    `map_edges` (n_map - 1,) part the bins of the map; `low` and `high` (n_map,) are what is added to the map's value.
    """
    map_edges, true_edges = _bins(kappa, MAP_LEVELS), _bins(truth, TRUE_LEVELS)
    n_map, n_true = len(MAP_LEVELS) - 1, len(TRUE_LEVELS) - 1
    offset = truth - kappa
    cells = np.linspace(*np.quantile(offset, [0.0005, 0.9995]), N_CELLS + 1)
    cell = np.clip(np.digitize(offset, cells) - 1, 0, N_CELLS - 1)
    map_bin = np.digitize(kappa, map_edges)
    place = (map_bin * N_CELLS + cell) * n_true + np.digitize(truth, true_edges)
    counts = np.bincount(place, minlength=n_map * N_CELLS * n_true).reshape(n_map, N_CELLS, n_true).astype(float)
    cost = counts.sum((1, 2))[:, None] * np.diff(cells)
    first, last = best_stretches(counts, cost)
    return {"map_edges": map_edges, "low": cells[first], "high": cells[last]}


def intervals_of(rule: dict[str, np.ndarray], kappa: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Low and high ends (n_y, n_x) of the intervals of a map by a rule of `fit_intervals`; 0 outside the mask."""
    place = np.digitize(kappa, rule["map_edges"])
    return np.where(mask, kappa + rule["low"][place], 0.0), np.where(mask, kappa + rule["high"][place], 0.0)
