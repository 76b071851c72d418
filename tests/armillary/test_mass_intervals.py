"""Intervals that hold truths of every value: on a law that is known in closed form."""

import numpy as np
import pytest

from armillary.mass_intervals import (
    COVERAGE,
    FLOOR,
    best_stretches,
    fit_intervals,
    intervals_of,
    posterior_intervals,
)

RELIABILITY = 0.35  # share of the truth's variance that the map has


def toy(rng, shape=(150, 150), n=60):
    """Truths of variance 1, the mean of their posterior, and exact samples of it."""
    mean = np.sqrt(RELIABILITY) * rng.normal(size=shape)
    spread = np.sqrt(1 - RELIABILITY)
    return mean + spread * rng.normal(size=shape), mean, mean + spread * rng.normal(size=(n, *shape))


def least(inside, values):
    """Lowest coverage among bins of 5 % of the values each."""
    edges = np.quantile(values, np.linspace(0, 1, 21)[1:-1])
    place = np.digitize(values, edges)
    return min(inside[place == k].mean() for k in range(20))


def test_central_intervals_fail_where_the_truth_is_extreme_and_these_do_not(rng):
    truth, mean, samples = toy(rng)
    mask = np.ones(truth.shape, bool)
    half = np.sqrt(1 - RELIABILITY)
    central = np.abs(truth - mean) < half
    assert central.mean() == pytest.approx(0.683, abs=0.01)
    assert least(central, truth) < 0.25
    low, high = posterior_intervals(samples, mask)
    inside = (truth >= low) & (truth <= high)
    assert inside.mean() == pytest.approx(COVERAGE, abs=0.03)
    assert least(inside, truth) > FLOOR - 0.06
    assert least(inside, mean) > FLOOR - 0.06
    assert (high - low).mean() < 2 * half * 1.35  # the price of it


def test_a_rule_from_one_sky_holds_on_another(rng):
    truth, mean, _ = toy(rng)
    rule = fit_intervals(mean.ravel(), truth.ravel())
    truth, mean, _ = toy(rng)
    mask = rng.random(truth.shape) < 0.7
    low, high = intervals_of(rule, mean, mask)
    assert not low[~mask].any() and not high[~mask].any()
    inside = ((truth >= low) & (truth <= high))[mask]
    assert inside.mean() == pytest.approx(COVERAGE, abs=0.03)
    assert least(inside, truth[mask]) > FLOOR - 0.06
    assert least(inside, mean[mask]) > FLOOR - 0.06


def test_without_floors_in_the_way_the_shortest_intervals_are_taken():
    # one bin of map and truth: the cells of highest density are 2 and 3
    counts = np.array([5, 15, 40, 30, 10.0]).reshape(1, 5, 1)
    first, last = best_stretches(counts, np.ones((1, 5)), coverage=0.7, floor=0.5)
    assert (first[0], last[0]) == (2, 4)
