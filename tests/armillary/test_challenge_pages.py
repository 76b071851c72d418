"""What all challenges share: numbers over seeds, the checks and the page, data without an address, light imports."""

import ast
from pathlib import Path

import numpy as np
import pytest

from armillary.challenges import pages, snia_lasso
from armillary.challenges.outcomes import read_outcomes
from armillary.challenges.scores import area_under_roc, balanced_accuracy, r_squared, scaled_mad, seed_scores, splits
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


def test_expected_ranges_are_held_against_the_numbers():
    scores = {"x_a": measurement(0.5, 0.4, 0.6, 9, note="mean of 3 seeds, 0.3 to 0.7"), "x_b": measurement(None)}
    checks = pages.check_expectations(scores, "x", {"a": [0.4, None], "b": [0, 1], "c": [0, 1]})
    assert [check["passed"] for check in checks] == [True, None, None]
    assert checks[0]["note"].endswith("0.3 to 0.7")  # a page shows how far apart the seeds are
    assert pages.check_expectations(scores, "x", {"a": [None, 0.4]})[0]["passed"] is False


def test_a_page_says_what_was_missed_and_escapes_what_it_shows(tmp_path):
    scores = {"x_a": {"value": 0.5, "lo": 0.4, "hi": 0.6, "n": 3, "unit": "mag", "baseline": None, "note": ""}}
    checks = pages.check_expectations(scores, "x", {"a": [0.6, None]})
    (tmp_path / "one.png").write_bytes(b"png")
    content = pages.page_content("x", snia_lasso, "a < b", 2, scores, checks, [str(tmp_path / "one.png")], {"v": 1.0})
    text = render_page(ROOT / "resources/pages", "challenge.html", **content)
    assert 'missed">missed' in text and "a &lt; b" in text and "cG5n" in text and "0.50 [0.40, 0.60]" in text
    told = {"x": {"headline": ["x_a", "x_b"], "checks": checks, "n_seeds": 2, "cpu_seconds": {"v": 1.0}, "source": "s"}}
    rows = pages.overview_rows(scores, told)
    text = render_page(ROOT / "resources/pages", "challenges.html", title="Challenges", rows=rows)
    assert "0 of 1" in text and "0.50 [0.40, 0.60] mag" in text


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
    heavy = ("torch", "jax", "sklearn", "_models", "loop")
    assert not [name for name in names if any(word in name for word in heavy)]
