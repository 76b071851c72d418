"""A headline's baseline and its verdict follow from the numbers, whatever the rule set would like to claim."""

import copy
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from armillary.headlines import absent_keys, check_headlines, told
from armillary.metrics import measurement

ROOT = Path(__file__).parents[2]
TABLES = sorted((ROOT / "config/headlines").glob("*.yaml"))
CONTESTANTS = {
    "network": {"label": "network", "kind": "learned"},
    "filter": {"label": "Wiener filter", "kind": "closed form"},
    "finder": {"label": "finder", "kind": "classical"},
    "oracle": {"label": "truth known", "kind": "limit"},
}
HEADLINE = {
    "name": "map",
    "quantity": "correlation",
    "better": "higher",
    "unit": "skies",
    "method": "network",
    "baselines": ["filter", "finder"],
    "limit": "oracle",
    "metrics": {"network": "network_r", "filter": "filter_r", "finder": "finder_r", "oracle": "oracle_r"},
    "differences": {"filter": "network_minus_filter_r"},
}


def with_error(value, sigma=0.01):
    return measurement(value, value - sigma, value + sigma)


def metrics(network, filter, finder, sigma=0.01):
    return {
        "network_r": with_error(network, sigma),
        "filter_r": with_error(filter, sigma),
        "finder_r": with_error(finder, sigma),
        "oracle_r": with_error(0.95, sigma),
    }


def test_a_method_that_beats_every_baseline_beyond_errors_wins():
    found = told(HEADLINE, CONTESTANTS, metrics(0.8, 0.7, 0.6))
    assert found["outcome"] == "won"
    assert found["verdict"].startswith("Network wins: better than the strongest baseline, Wiener filter, by 0.100 [")
    assert found["limit"] == "0.950 [0.940, 0.960]"


def test_a_stronger_baseline_turns_the_verdict_round():
    """The rule of the house: whatever is listed as a baseline and beats the method is what readers are told of."""
    before = told(HEADLINE, CONTESTANTS, metrics(0.8, 0.7, 0.6))
    after = told(HEADLINE, CONTESTANTS, metrics(0.8, 0.9, 0.6))
    assert (before["outcome"], after["outcome"]) == ("won", "lost")
    assert after["verdict"].startswith("The closed form wins: Wiener filter is better than network by 0.100 [")
    assert after["baseline"] == "Wiener filter" and after["baseline_value"].startswith("0.900")
    classical = told(HEADLINE, CONTESTANTS, metrics(0.8, 0.7, 0.9))
    assert classical["verdict"].startswith("The classical method wins: finder is better than network by 0.100 [")


@pytest.mark.parametrize("baselines", [["filter", "finder"], ["finder", "filter"]])
def test_the_strongest_baseline_is_shown_whatever_the_order(baselines):
    found = told(HEADLINE | {"baselines": baselines}, CONTESTANTS, metrics(0.8, 0.6, 0.7))
    assert found["baseline"] == "finder"


def test_a_lead_within_two_errors_is_no_win():
    found = told(HEADLINE, CONTESTANTS, metrics(0.72, 0.70, 0.60))
    assert found["outcome"] == "tied"
    assert found["verdict"].startswith("Network and Wiener filter cannot be told apart: the first leads by 0.020 [")


def test_a_tie_names_the_one_that_is_ahead():
    verdict = told(HEADLINE, CONTESTANTS, metrics(0.70, 0.72, 0.60))["verdict"]
    assert verdict.startswith("Network and Wiener filter cannot be told apart: the second leads by 0.020 [")


def test_a_paired_difference_has_its_own_error():
    paired = {"network_minus_filter_r": with_error(0.02, 0.002)}
    assert told(HEADLINE, CONTESTANTS, metrics(0.72, 0.70, 0.60) | paired)["outcome"] == "won"
    paired = {"network_minus_filter_r": with_error(-0.02, 0.002)}
    assert told(HEADLINE, CONTESTANTS, metrics(0.70, 0.72, 0.60) | paired)["outcome"] == "lost"


def test_lower_may_be_better_and_so_may_an_ideal_value():
    lower = HEADLINE | {"better": "lower"}
    assert told(lower, CONTESTANTS, metrics(0.6, 0.7, 0.8))["outcome"] == "won"
    assert told(lower, CONTESTANTS, metrics(0.8, 0.7, 0.9))["baseline"] == "Wiener filter"
    paired = {"network_minus_filter_r": with_error(0.02, 0.002)}
    assert told(lower, CONTESTANTS, metrics(0.72, 0.70, 0.9) | paired)["outcome"] == "lost"
    ideal = HEADLINE | {"better": 0.5, "differences": {}}
    assert told(ideal, CONTESTANTS, metrics(0.45, 0.6, 0.7))["baseline"] == "Wiener filter"
    assert told(ideal, CONTESTANTS, metrics(0.45, 0.6, 0.7))["outcome"] == "won"
    assert told(ideal, CONTESTANTS, metrics(0.6, 0.49, 0.7))["outcome"] == "lost"


def test_nothing_follows_from_a_number_without_an_error():
    numbers = metrics(0.8, 0.7, 0.6)
    numbers["network_r"] = measurement(0.8)
    found = told(HEADLINE | {"differences": {}}, CONTESTANTS, numbers)
    assert found["outcome"] == "tied" and found["verdict"].endswith("the first leads by 0.100.")


def test_a_baseline_that_was_not_measured_is_left_out_and_a_method_that_was_not_has_no_verdict():
    numbers = metrics(0.8, 0.7, 0.6)
    del numbers["filter_r"]
    assert told(HEADLINE, CONTESTANTS, numbers)["baseline"] == "finder"
    del numbers["network_r"]
    assert told(HEADLINE, CONTESTANTS, numbers)["verdict"] == "Not measured in this run."


def test_keys_that_a_run_lacks_are_named():
    paired = {"network_minus_filter_r": with_error(0.02, 0.002)}
    assert absent_keys(HEADLINE, metrics(0.8, 0.7, 0.6) | paired) == []
    assert absent_keys(HEADLINE, metrics(0.8, 0.7, 0.6)) == ["network_minus_filter_r"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "nobody"}, "headlines of cmb: map: 'nobody' is not among the contestants"),
        ({"baselines": ["filter", "nobody"]}, "'nobody' is not among the contestants"),
        ({"metrics": {"network": "network_r"}}, "no metrics key for 'filter'"),
        ({"differences": {"oracle": "a"}}, "a difference from 'oracle', which is no baseline"),
    ],
)
def test_a_table_that_does_not_hold_together_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        check_headlines({"headlines": [HEADLINE | change], "contestants": CONTESTANTS}, "cmb")


def test_two_headlines_of_one_name_are_refused():
    with pytest.raises(ValueError, match="there are two of this name"):
        check_headlines({"headlines": [HEADLINE, copy.deepcopy(HEADLINE)], "contestants": CONTESTANTS}, "cmb")


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_the_headlines_of_a_rule_set_hold_together(path):
    table = yaml.safe_load(path.read_text())
    Draft202012Validator(yaml.safe_load((ROOT / "config/schemas/headlines.yaml").read_text())).validate(table)
    check_headlines(table, path.stem)
    used = set()
    for one in table["headlines"]:
        used |= {one["method"], *one["baselines"], *filter(None, [one["limit"]])}
    assert used == set(table["contestants"]), "a contestant that no headline uses, or the other way round"


def test_every_rule_set_has_headlines():
    assert {path.stem for path in TABLES} == {path.stem for path in (ROOT / "resources/pages").glob("*.yaml")}


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_a_stronger_baseline_turns_each_headline_of_the_project(path):
    """Each headline of config/headlines, fed a baseline far better than its method, says that it has lost."""
    table = yaml.safe_load(path.read_text())
    for headline in table["headlines"]:
        worse, best = {"higher": (0.1, 0.9), "lower": (0.9, 0.1)}.get(headline["better"], (1e3, headline["better"]))
        keys = headline["metrics"]
        for baseline in headline["baselines"]:
            numbers = {keys[headline["method"]]: with_error(worse), keys[baseline]: with_error(best)}
            found = told(headline, table["contestants"], numbers)
            assert found["outcome"] == "lost", (headline["name"], baseline)
            assert table["contestants"][baseline]["label"] in found["verdict"]
