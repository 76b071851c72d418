"""The metrics form, its merging, and the bootstrap over whole fields."""

import numpy as np
import pytest

from armillary.metrics import (
    Score,
    bootstrap_ratio,
    difference,
    effective_number,
    estimate,
    fraction,
    interval_68,
    measurement,
    merge_metrics,
    over_trainings,
    resample_counts,
    share_of_way,
    validate_metrics,
    wilson_68,
)


def test_measurement_has_the_form_and_no_nan():
    entry = measurement(np.float32(0.5), np.nan, np.inf, np.int64(3), "deg")
    assert list(entry) == ["value", "lo", "hi", "n", "unit", "baseline", "note"]
    assert (entry["value"], entry["lo"], entry["hi"], entry["n"]) == (0.5, None, None, 3)
    assert type(entry["value"]) is float and type(entry["n"]) is int


def test_merge_names_the_key_and_both_parts():
    with pytest.raises(ValueError, match="'a' is given twice, by one.json and by two.json"):
        merge_metrics({"one.json": {"a": measurement(1)}, "two.json": {"a": measurement(2)}})


def test_merge_finds_baselines_across_parts_and_misses_absent_ones():
    parts = {"one": {"a": measurement(1, baseline="b")}, "two": {"b": measurement(2)}}
    assert list(merge_metrics(parts)) == ["a", "b"]
    with pytest.raises(ValueError, match="'a' in one: its baseline 'b' is not among the keys"):
        merge_metrics({"one": parts["one"]})


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"value": 1}, "must hold exactly"),
        (3.0, "must hold exactly"),
        (measurement(1) | {"value": float("nan")}, "value is nan"),
        (measurement(1) | {"lo": "0"}, "lo is '0'"),
        (measurement(1, 2, 1), "lo 2 is above hi 1"),
    ],
)
def test_validation_says_what_is_wrong(entry, message):
    with pytest.raises(ValueError, match=message):
        validate_metrics({"key": entry}, "part.json")


def test_resampled_counts_keep_the_number_of_fields():
    counts = resample_counts(7, 50, np.random.default_rng(0))
    assert counts.shape == (50, 7) and np.all(counts.sum(axis=1) == 7)
    with pytest.raises(ValueError, match="0 units"):
        resample_counts(0, 5, np.random.default_rng(0))


def test_whole_fields_are_resampled():
    """Tiles that copy each other within a field carry one field's worth of information, not twenty."""
    rng = np.random.default_rng(1)
    counts = resample_counts(100, 2000, rng)
    of_field = rng.random(100) < 0.3
    entry = fraction(np.repeat(of_field, 20), np.ones(2000), np.repeat(np.arange(100), 20), counts).entry()
    expected = np.sqrt(of_field.mean() * (1 - of_field.mean()) / 100)
    assert 0.5 * (entry["hi"] - entry["lo"]) == pytest.approx(expected, rel=0.1)


def test_bootstrap_interval_covers_the_truth_two_times_in_three():
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(300):
        values = rng.normal(5.0, 1.0, 60)
        value, samples = bootstrap_ratio(values, np.ones(60), np.arange(60), resample_counts(60, 300, rng))
        assert value == pytest.approx(values.mean())
        lo, hi = interval_68(samples)
        hits += lo <= 5.0 <= hi
    assert 0.60 < hits / 300 < 0.76


def test_a_certain_looking_fraction_keeps_an_error_bar():
    counts = resample_counts(9, 100, np.random.default_rng(3))
    entry = fraction(np.ones(9, bool), np.ones(9), np.arange(9), counts).entry()
    assert entry["value"] == 1.0 and entry["hi"] == 1.0
    assert entry["lo"] == pytest.approx(9 / 10)  # Wilson at k = n: n / (n + 1)
    assert wilson_68(0.0, 9)[1] == pytest.approx(1 / 10)


def test_a_failure_that_hardly_weighs_does_not_make_a_fraction_certain():
    weight = np.array([1.0] * 12 + [1e-3])
    part = weight == 1.0
    entry = fraction(part, weight, np.arange(13), resample_counts(13, 200, np.random.default_rng(3))).entry()
    assert entry["value"] > 0.999 and entry["lo"] == pytest.approx(12 / 13, abs=0.01)


def test_an_empty_bin_is_none_with_a_note():
    entry = fraction([], [], [], resample_counts(3, 10, np.random.default_rng(0))).entry()
    assert entry["value"] is None and entry["n"] == 0 and "no object" in entry["note"]


def test_effective_number_of_equal_and_unequal_weights():
    assert effective_number(np.full(8, 0.3)) == pytest.approx(8)
    assert effective_number([1.0, 0.0, 0.0]) == pytest.approx(1)
    assert effective_number([]) == 0.0


def test_differences_and_shares_are_paired():
    shared = np.random.default_rng(4).normal(0, 10, 500)
    own = np.random.default_rng(5).normal(0, 0.1, 500)
    good, poor, best = Score(1.0, 1.0 + shared + own), Score(0.5, 0.5 + shared), Score(1.5, 1.5 + shared)
    gain = difference(good, poor, "").entry()
    assert gain["value"] == 0.5 and 0.5 * (gain["hi"] - gain["lo"]) == pytest.approx(own.std(), rel=0.1)
    assert share_of_way(good, poor, best, "").value == pytest.approx(0.5)
    assert share_of_way(good, poor, poor, "").entry()["value"] is None
    assert estimate(0.5, [np.nan, np.nan])["lo"] is None


def test_the_spread_of_trainings_goes_into_the_error():
    """Fields give an error of 0.01; trainings scatter by 0.1, which is then the error of one training."""
    rng = np.random.default_rng(6)
    scores = [Score(value, rng.normal(value, 0.01, 4000)) for value in (0.4, 0.5, 0.6)]
    entry = over_trainings(scores, rng).entry()
    assert entry["value"] == pytest.approx(0.5) and "3 trainings" in entry["note"]
    assert 0.5 * (entry["hi"] - entry["lo"]) == pytest.approx(np.hypot(0.1, 0.01 / np.sqrt(3)), rel=0.05)
    failed = over_trainings([*scores, Score(np.nan, np.full(4000, np.nan))], rng).entry()
    assert failed["value"] == pytest.approx(0.5) and "no value in 1 more" in failed["note"]
    alone = over_trainings(scores[:1], rng).entry()
    assert alone["value"] == 0.4 and "not in the error" in alone["note"]
