"""Numbers of a challenge over its seeds, with errors from test objects and seeds together.

A challenge writes one function that gives all its statistics of some test objects of one seed, differences between
methods included; here they are resampled (whole groups where objects share one) and averaged over the seeds.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import median_abs_deviation, rankdata

from armillary.metrics import SIGMA_PERCENTILES, measurement

Statistics = Callable[[int, np.ndarray], dict[str, float]]


def seed_scores(
    statistics: Statistics, groups: Sequence[np.ndarray], n_resamples: int, rng: np.random.Generator, *,
    units: dict[str, str] | None = None, baselines: dict[str, str] | None = None,
) -> dict[str, dict]:  # fmt: skip
    """Measurements of `statistics(seed_number, index) -> {key: number}`, averaged over the seeds.

    `groups` has one array a seed: the group of each test object (cluster, night, field; its own number where it shares
    none). A resample draws groups with replacement, the same ones in every seed if their groups are the same, and the
    seeds themselves with replacement; intervals are those of `basic_68`. `units` goes by the end of a key.
    """
    found = [statistics(number, np.arange(len(one))) for number, one in enumerate(groups)]
    shared = all(np.array_equal(one, groups[0]) for one in groups)
    draws = [_drawn(groups[0], n_resamples, rng)] * len(groups) if shared else [
        _drawn(one, n_resamples, rng) for one in groups
    ]  # fmt: skip
    again = [[statistics(number, index) for index in drawn] for number, drawn in enumerate(draws)]
    seeds = rng.integers(len(groups), size=(n_resamples, len(groups)))
    n_objects = int(sum(map(len, groups)) / (len(groups) if shared else 1))
    scores = {}
    for key in found[0]:
        samples = np.array([[one[key] for one in seed] for seed in again], float)
        mixed = samples[seeds, np.arange(n_resamples)[:, None]].mean(1)
        each = [one[key] for one in found]
        unit = next((unit for end, unit in (units or {}).items() if key.endswith(end)), "")
        baseline = (baselines or {}).get(key)
        value = float(np.mean(each))
        scores[key] = measurement(value, *basic_68(value, mixed), n_objects, unit, baseline, seeds_note(each))
    return scores


def basic_68(value: float, samples: np.ndarray) -> tuple[float, float]:
    """68 % interval about `value` from bootstrap `samples` (1-d; NaN are left out), never without the value itself.

    The basic bootstrap (Davison & Hinkley 1997, section 5.2): how far samples lie below their middle is how far the
    truth may lie above the value. Distances are from the samples' median: drawing objects twice moves some statistics
    as a whole (median deviations, the best of several). Ends stay within the range of the samples.
    """
    samples = samples[np.isfinite(samples)]
    if not (len(samples) and np.isfinite(value)):
        return np.nan, np.nan
    low, middle, high = np.percentile(samples, (SIGMA_PERCENTILES[0], 50, SIGMA_PERCENTILES[1]))
    ends = np.array([value - (high - middle), value + (middle - low)])
    return tuple(ends.clip(min(samples.min(), value), max(samples.max(), value)))


def seeds_note(values: Sequence[float]) -> str:
    """How many seeds a number is the mean of, and how far apart they are."""
    if len(values) == 1:
        return "one seed"
    return f"mean of {len(values)} seeds, {min(values):.3g} to {max(values):.3g}"


def _drawn(group: np.ndarray, n_resamples: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Indices of each resample: groups drawn with replacement, all their objects."""
    names, place = np.unique(group, return_inverse=True)
    if len(names) == len(group):
        return list(rng.integers(len(group), size=(n_resamples, len(group))))
    members = np.split(np.argsort(place, kind="stable"), np.cumsum(np.bincount(place))[:-1])
    return [np.concatenate([members[k] for k in rng.integers(len(names), size=len(names))]) for _ in range(n_resamples)]


def area_under_roc(score: np.ndarray, is_positive: np.ndarray) -> float:
    """Chance that a positive scores above a negative, ties counting half (Mann & Whitney 1947); NaN without both."""
    n_positive = int(is_positive.sum())
    n_negative = len(is_positive) - n_positive
    if not n_positive or not n_negative:
        return float("nan")
    ranks = rankdata(score)
    return float((ranks[is_positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def balanced_accuracy(truth: np.ndarray, guess: np.ndarray) -> float:
    """Mean over the true classes of the share of each that is recognised."""
    return float(np.mean([np.mean(guess[truth == label] == label) for label in np.unique(truth)]))


def scaled_mad(residual: np.ndarray) -> float:
    """1.4826 times the median absolute deviation from the median: a Gaussian's sigma that outliers do not move."""
    return float(median_abs_deviation(residual, scale="normal"))


def r_squared(truth: np.ndarray, guess: np.ndarray) -> float:
    """Share of the variance of `truth` (n,) that `guess` explains; negative if it is worse than the mean."""
    return float(1 - np.sum((truth - guess) ** 2) / np.sum((truth - truth.mean()) ** 2))


def wholes(n: int) -> np.ndarray:
    """Groups of objects that share none."""
    return np.arange(n)


def splits(n: int, shares: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """0 (train), 1 (validation) or 2 (test) for each of n objects, drawn; `shares` are those of the first two."""
    split = np.searchsorted(np.cumsum(shares), (rng.permutation(n) + 0.5) / n)
    return split.astype(np.int8)
