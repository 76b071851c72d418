"""What all challenges share: numbers over seeds, the checks and the page, data without an address, light imports."""

import ast
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import yaml

from armillary.challenges import pages, snia_lasso
from armillary.challenges.outcomes import read_outcomes
from armillary.challenges.scores import (
    area_under_roc,
    balanced_accuracy,
    basic_68,
    r_squared,
    scaled_mad,
    seed_scores,
    splits,
)
from armillary.datasets import fetch
from armillary.files import write_arrays
from armillary.metrics import measurement
from armillary.pages import render_page

ROOT = Path(__file__).parents[2]


def test_the_area_under_the_curve_counts_pairs():
    rng = np.random.default_rng(0)
    score, positive = np.round(rng.normal(size=60), 1), rng.uniform(size=60) < 0.4
    pairs = score[positive][:, None] - score[~positive]
    assert area_under_roc(score, positive) == pytest.approx(np.mean((pairs > 0) + 0.5 * (pairs == 0)))
    assert np.isnan(area_under_roc(score, np.ones(60, bool)))


def test_scores_of_known_data():
    rng = np.random.default_rng(1)
    assert scaled_mad(rng.normal(3, 2, 20000)) == pytest.approx(2, rel=0.03)
    assert balanced_accuracy(np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0])) == 0.5
    truth = rng.normal(size=100)
    assert r_squared(truth, truth) == 1 and r_squared(truth, np.full(100, truth.mean())) == pytest.approx(0)
    assert np.bincount(splits(1000, (0.7, 0.15), rng)).tolist() == [700, 150, 150]


def test_errors_come_from_objects_and_from_seeds():
    """The error of a mean of n objects is sigma / sqrt(n); objects of one group count once; seeds add their spread."""
    rng = np.random.default_rng(2)
    values = rng.normal(0, 1, 400)
    alone = seed_scores(lambda s, i: {"mean": values[i].mean()}, [np.arange(400)], 400, rng)["mean"]
    assert 0.5 * (alone["hi"] - alone["lo"]) == pytest.approx(1 / 20, rel=0.2) and alone["n"] == 400
    same = np.repeat(values[:20], 20)
    grouped = seed_scores(lambda s, i: {"mean": same[i].mean()}, [np.repeat(np.arange(20), 20)], 400, rng)["mean"]
    assert 0.5 * (grouped["hi"] - grouped["lo"]) == pytest.approx(values[:20].std() / np.sqrt(20), rel=0.25)
    apart = seed_scores(lambda s, i: {"mean": values[i].mean() + 2 * s}, [np.arange(400)] * 3, 400, rng)["mean"]
    assert apart["note"] == f"mean of 3 seeds, {values.mean():.3g} to {values.mean() + 4:.3g}"
    assert (
        alone["note"] == "one seed"
        and apart["value"] == pytest.approx(values.mean() + 2)
        and apart["hi"] - apart["lo"] > 1.0
    )


def test_intervals_hold_their_own_value_and_point_the_right_way():
    """Drawing objects twice lowers a median deviation; a long tail of samples below means a truth that may be above."""
    rng = np.random.default_rng(4)
    values = rng.normal(0, 1, 15)
    entry = seed_scores(lambda s, i: {"d": scaled_mad(values[i])}, [np.arange(15)], 400, rng)["d"]
    assert entry["lo"] <= entry["value"] <= entry["hi"] and entry["hi"] - entry["lo"] > 0.1
    skewed = 1 - rng.exponential(0.1, 20000)
    low, middle, high = (1 + 0.1 * np.log(share) for share in (0.15865, 0.5, 0.84135))
    assert basic_68(0.8, skewed) == pytest.approx((0.8 - (high - middle), 0.8 + (middle - low)), abs=0.004)
    assert basic_68(0.5, np.array([0.6, 0.7, 0.8]))[0] == 0.5 and np.isnan(basic_68(np.nan, skewed)[0])


def expectation(low, high, **more):
    return {"range": [low, high], "kind": "prediction", "source": "a guess", **more}


def test_expected_ranges_are_held_against_the_numbers():
    scores = {"x_a": measurement(0.5, 0.4, 0.6, 9, note="mean of 3 seeds, 0.3 to 0.7"), "x_b": measurement(None)}
    expect = {"a": expectation(0.4, None), "b": expectation(0, 1), "c": expectation(0, 1)}
    checks = pages.check_expectations(scores, "x", expect)
    assert [check["verdict"] for check in checks] == [pages.AS_EXPECTED, pages.NOT_MEASURED, pages.NOT_MEASURED]
    assert checks[0]["note"].endswith("0.3 to 0.7")  # a page shows how far apart the seeds are
    assert checks[0]["kind"] == "prediction" and checks[0]["source"] == "a guess"


@pytest.mark.parametrize(
    ("low", "high", "better", "verdict"),
    [
        (0.1, 0.4, "higher", pages.BETTER),
        (0.1, 0.4, "lower", pages.MISSED),
        (0.1, 0.4, None, pages.MISSED),
        (0.6, 0.9, "lower", pages.BETTER),
        (0.6, 0.9, "higher", pages.MISSED),
        (0.6, None, None, pages.MISSED),
    ],
)
def test_better_than_expected_is_no_miss(low, high, better, verdict):
    expect = {"a": expectation(low, high, **({"better": better} if better else {}))}
    assert pages.check_expectations({"x_a": measurement(0.5)}, "x", expect)[0]["verdict"] == verdict


CONTESTANTS = {
    "network": {"label": "the network", "kind": "learned"},
    "weak": {"label": "the mean", "kind": "closed form"},
    "strong": {"label": "ridge regression", "kind": "closed form"},
    "limit": {"label": "the noise", "kind": "limit"},
}


def headline(**more):
    keys = {name: f"x_{name}" for name in CONTESTANTS}
    return {"quantity": "share of right answers", "better": "higher", "method": "network", "limit": "limit",
            "baselines": ["weak", "strong"], "metrics": keys, "differences": {}, **more}  # fmt: skip


def measured(**values):
    return {f"x_{name}": measurement(value, value - 0.02, value + 0.02) for name, value in values.items()}


def test_the_sentence_takes_the_strongest_baseline_and_turns_round():
    """The same headline, other numbers: the method wins, cannot be told apart, loses."""
    sentences = [
        pages.found(headline(), CONTESTANTS, measured(network=value, weak=0.5, strong=0.7, limit=0.9))
        for value in (0.8, 0.71, 0.6)
    ]
    assert all("the strongest baseline, ridge regression, 0.70" in sentence for sentence in sentences)
    assert all("The limit, the noise, is 0.90" in sentence for sentence in sentences)
    error = 0.02 * np.sqrt(2)
    assert f"The network (learned) wins by 0.100 ± {error:.3f} (errors added in quadrature" in sentences[0]
    assert "cannot tell them apart" in sentences[1]
    assert "Ridge regression (closed form) wins by 0.100" in sentences[2]
    stronger = measured(network=0.8, weak=0.95, strong=0.7)
    assert "The mean (closed form) wins" in pages.found(headline(), CONTESTANTS, stronger)


def test_the_sentence_uses_pairs_and_knows_which_way_is_better():
    scores = measured(network=0.8, weak=0.9, strong=0.83) | {"x_gap": measurement(-0.03, -0.035, -0.025)}
    lower = headline(better="lower", differences={"strong": "x_gap"})
    assert "The network (learned) wins by 0.0300 ± 0.0050 (paired)" in pages.found(lower, CONTESTANTS, scores)
    higher = headline(baselines=["strong"], differences={"strong": "x_gap"})
    assert "Ridge regression (closed form) wins by 0.0300" in pages.found(higher, CONTESTANTS, scores)
    ideal = pages.found(headline(better=0.82), CONTESTANTS, measured(network=0.62, weak=0.2, strong=0.92))
    assert "the strongest baseline, ridge regression" in ideal
    assert "Ridge regression (closed form) wins by 0.100" in ideal


def test_the_sentence_says_what_was_not_measured():
    found = pages.found(headline(), CONTESTANTS, measured(network=0.8))
    assert found == "This run did not measure the mean, ridge regression."


def test_boxes_need_both_numbers():
    box = {
        "title": "t",
        "text": "w",
        "before": {"label": "b", "key": "x_weak"},
        "after": {"label": "a", "key": "x_gone"},
    }
    assert pages.boxes([box], measured(weak=0.5)) == []
    drawn = pages.boxes([box], measured(weak=0.5, gone=0.7))[0]
    assert drawn["before"] == {"label": "b", "value": "0.500 [0.480, 0.520]"} and drawn["after"]["label"] == "a"


def story(**more):
    table = {"title": "Three numbers", "columns": ["network"], "rows": [["of all", "x_network"]]}
    ends = {end: {"label": end, "key": f"x_{name}"} for end, name in (("before", "strong"), ("after", "network"))}
    boxes = [{"title": "A change", "text": "What it was.", **ends}]
    return {"asked": "Is it < 1?", "author": "A. Nother", "picture": "one", "rows": table, "boxes": boxes,
            "figures": {"one": "What is seen.", "two": "What is seen then."}, "exercise": True,
            "try": [{"text": "Turn it off", "snippet": "a: {b: 1}", "expect": "nothing"}],
            "headlines": [headline()], "contestants": CONTESTANTS, **more}  # fmt: skip


ABOUT = {"source": "a < b", "n_seeds": 2, "cpu_seconds": {"v": 1.0}}


def test_a_page_keeps_its_order_and_escapes_what_it_shows(tmp_path):
    scores = measured(network=0.5, strong=0.7)
    checks = pages.check_expectations(scores, "x", {"network": expectation(0.6, None)})
    figures = [str(tmp_path / f"{name}.png") for name in ("two", "one")]
    for path in figures:
        Path(path).write_bytes(b"png")
    content = pages.page_content("x", snia_lasso, story(), ABOUT, scores, checks, figures)
    text = render_page(ROOT / "resources/pages", "challenge.html", **content)
    order = ["Is it &lt; 1?", "What is seen.</figcaption>", 'class="finding"', "0.500 [0.480, 0.520]",
             "A change", "<strong>0.700 [0.680, 0.720]", "What it was.", "<h2>Figures",
             "What is seen then.</figcaption>", "<h2>Try this", "make exercise NAME=x", "<details>", "a &lt; b",
             "0 of 1 as expected or better", 'missed">missed', "a guess", "All 2 numbers"]  # fmt: skip
    places = [text.index(piece) for piece in order]
    assert places == sorted(places) and text.count("<img") == 2 and "cG5n" in text
    assert text.count("<details>") == text.count("</details>") == 6
    with pytest.raises(ValueError, match=r"x\.yaml: no caption, or no figure, called two"):
        pages.page_content("x", snia_lasso, story(figures={"one": "a"}), ABOUT, scores, checks, figures)
    with pytest.raises(ValueError, match="called three"):
        strange = story(picture="three") | {"figures": {"one": "", "two": "", "three": ""}}
        pages.page_content("x", snia_lasso, strange, ABOUT, scores, checks, figures)
    rows = pages.overview_rows({"x": ABOUT | {"checks": checks, "found": ["Ridge & mean."]}})
    text = render_page(ROOT / "resources/pages", "challenges.html", title="Challenges", rows=rows)
    assert "0 of 1" in text and "Ridge &amp; mean." in text and "a &lt; b" in text


CONFIG = yaml.safe_load((ROOT / "config/challenges.yaml").read_text())["challenges"]
SCHEMA = yaml.safe_load((ROOT / "config/schemas/challenges.yaml").read_text())
HEADLINES = yaml.safe_load((ROOT / "config/headlines/challenges.yaml").read_text())


@pytest.mark.parametrize("name", CONFIG["run"])
def test_what_a_page_tells_holds_together(name):
    """A headline with known contestants, three rows as wide as their table, a caption for every figure that the module
    draws, and things to try that the settings allow."""
    told = yaml.safe_load((ROOT / f"resources/pages/challenges/{name}.yaml").read_text())
    own = [one for one in HEADLINES["headlines"] if one["metrics"][one["method"]].startswith(f"{name}_")]
    assert own
    for one in own:
        assert {*one["metrics"]} >= {one["method"], *one["baselines"], *one["differences"]}
        assert {*one["metrics"]} <= {*HEADLINES["contestants"]}
    assert len(told["rows"]["rows"]) == 3
    assert {len(row) for row in told["rows"]["rows"]} == {1 + len(told["rows"]["columns"])}
    tree = ast.parse((ROOT / f"armillary/figures/challenge_{name}.py").read_text())
    drawn = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("draw_")}
    assert {f"draw_{figure}" for figure in told["figures"]} == drawn and told["picture"] in told["figures"]
    assert 2 <= len(told["try"]) <= 3
    for one in told["try"]:
        changed = {"settings": CONFIG[name]["settings"] | one["settings"].get("settings", {})}
        jsonschema.validate(CONFIG | {name: CONFIG[name] | one["settings"] | changed}, SCHEMA)


def test_outcomes_go_to_their_variant_and_seed(tmp_path):
    paths = [str(tmp_path / f"{k}.npz") for k in range(6)]
    for k, path in enumerate(paths):
        write_arrays(path, number=np.array(k))
    data, found = read_outcomes(paths[:2], paths[2:], ["one", "two"])
    assert [int(run["number"]) for run in found["two"]] == [4, 5] and len(data) == 2
    with pytest.raises(ValueError, match="3 outcomes for 2 variants and 2 seeds"):
        read_outcomes(paths[:2], paths[3:], ["one", "two"])


def test_derived_data_without_an_address_say_where_they_belong(tmp_path):
    entry = {"dataset": "challenges/a.npz", "urls": [], "sha256": None, "n_bytes": None,
             "mirror": "challenges/a.npz", "licence": "", "citation": "a paper"}  # fmt: skip
    with pytest.raises(FileNotFoundError, match=r"derived from public data \(a paper\).*ARMILLARY_MIRROR"):
        fetch(tmp_path / "a.npz", entry, partial=tmp_path / "part")


LIGHT = [
    path
    for folder, pattern in (("armillary/challenges", "*.py"), ("armillary/figures", "challenge_*.py"))
    for path in sorted((ROOT / folder).glob(pattern))
    if not path.stem.endswith(("_models", "loop", "__init__"))
]


@pytest.mark.parametrize("path", LIGHT, ids=lambda path: path.stem)
def test_scores_and_figures_of_challenges_import_no_framework(path):
    """The generic steps import these by name, which the layout test cannot see."""
    nodes = ast.walk(ast.parse(path.read_text()))
    names = [ast.unparse(node) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    heavy = ("torch", "jax", "sklearn", "_models", "loop")  # of scikit-learn, its metrics alone
    assert not [name for name in names if any(word in name.replace("sklearn.metrics", "") for word in heavy)]
