"""The channel table and the words of an experiment."""

import pytest

from armillary.channels import check_experiment, parse_channels, parse_devices

GOOD = {"inputs": "qu", "outputs": "k", "noise_channels": "qu", "noise_fraction": 0.0}


def test_short_and_long_words_mean_the_same():
    assert parse_channels("quek", "inputs") == ["q", "u", "e", "k"]
    assert parse_channels(["q", "u", "B_pure"], "inputs") == ["q", "u", "B_pure"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("qux", "'x' is no channel"),
        ("qq", "named twice"),
        ("qk", "q needs u beside it"),
        ("", "'nothing' is no channel"),
    ],
)
def test_bad_channels_are_named(words, said):
    with pytest.raises(ValueError, match=said):
        parse_channels(words, "inputs")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"outputs": "E"}, "outputs has E, which is no truth"),
        ({"inputs": "quk"}, "k is both an input and an output"),
        ({"noise_channels": "quk"}, "noise_channels has the target k"),
        ({"noise_channels": "quE", "noise_fraction": 0.1}, "must be among the inputs"),
    ],
)
def test_experiments_that_make_no_sense_are_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        check_experiment("mine", GOOD | changes)


def test_devices_in_the_words_of_the_source():
    assert parse_devices("12") == [1, 2]
    assert parse_devices([10, 11]) == [10, 11]
    assert parse_devices("auto") == "auto"
