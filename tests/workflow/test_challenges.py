"""Challenges end to end at test size: products, pages, a file of one's own, nothing left to do."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from running import ROOT, snakemake

from armillary.metrics import validate_metrics

RESULTS = ROOT / "results/test/challenges"


@pytest.fixture(scope="module")
def results() -> Path:
    """The finished run; only what is missing or outdated is made."""
    done = snakemake("challenges", "--configfile", "config/test.yaml")
    assert done.returncode == 0, done.stderr[-4000:]
    return RESULTS


def test_every_product_is_there(results):
    metrics = json.loads((results / "metrics.json").read_text())
    validate_metrics(metrics, "metrics.json")
    assert metrics["snia_lasso_lasso_min_rmse"]["baseline"] == "snia_lasso_ols_c_x1_rmse"
    assert metrics["rings_cnn_four_gain"]["n"] == 34  # test images of the one seed
    overview = (results / "index.html").read_text()
    page = (results / "rings/index.html").read_text()
    assert "snia_lasso" in overview and "rings" in overview
    assert page.count("<img") == 5 and "http" not in page  # self-contained
    assert "not measured" in page  # what is expected of variants that were not run
    assert page.index("the strongest baseline, components and support vectors") < page.index("<h2>Figures")
    checks = json.loads((results / "snia_lasso/checks.json").read_text())
    assert (
        "the strongest baseline, least squares on colour and width" in checks["found"][0]
        and checks["found"][0] in overview
    )
    assert "30 simulated supernovae" in checks["source"] and checks["n_seeds"] == 2


def test_a_seed_is_a_data_set_of_its_own(results):
    one, two = (np.load(results / f"snia_lasso/data_{seed}.npz")["y"] for seed in (0, 1))
    assert len(one) == 30 and not np.array_equal(one, two)


def test_second_run_does_nothing(results):
    done = snakemake("challenges", "-n", "--configfile", "config/test.yaml")
    assert "Nothing to be done" in done.stdout + done.stderr


def test_challenges_beyond_the_run_are_planned_with_their_own_steps():
    targets = [f"challenge_{name}" for name in ("xray_mass", "weather", "spectra")]
    done = snakemake(*targets, "-n", "--configfile", "config/test.yaml")
    assert done.returncode == 0, done.stderr[-3000:]
    for product in ("xray_mass/p4/seed_0.npz", "weather/boosting/seed_0.npz", "spectra/figures/physics.png"):
        assert f"results/test/challenges/{product}" in done.stdout


def test_an_answer_is_scored_beside_ours(results):
    """Notebook and data, no answer yet, the solution's answer, one of a wrong shape: each is one clear line."""
    folder = ROOT / "results/test/exercises/rings"
    shutil.rmtree(folder, ignore_errors=True)
    done = snakemake("exercise_rings", "--configfile", "config/test.yaml")
    assert done.returncode == 0, done.stderr[-3000:]
    notebook = json.loads((folder / "original.ipynb").read_text())
    assert "exercise_score_rings" in str(notebook)
    assert sorted(np.load(folder / "data.npz").files)[0] == "test_inputs"
    done = snakemake("exercise_score_rings", "--configfile", "config/test.yaml")
    assert done.returncode != 0 and "answer.py is not there: `make exercise NAME=rings`" in done.stdout + done.stderr
    solution = yaml.safe_load((ROOT / "resources/exercises/rings.yaml").read_text())["solution"]
    (folder / "answer.py").write_text(solution)
    done = snakemake("exercise_score_rings", "--configfile", "config/test.yaml")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "rings, share of right counts, 34 test objects: yours 0." in done.stdout + done.stderr
    score = json.loads((folder / "score.json").read_text())
    validate_metrics(score, "score.json")
    (folder / "answer.py").write_text("def predict(x, y, z):\n    return [1]\n")
    done = snakemake("exercise_score_rings", "--configfile", "config/test.yaml")
    assert done.returncode != 0
    assert "answer.py: predict gave an array of shape (1,); (34,) was expected" in done.stderr


def test_a_file_of_ones_own(results, tmp_path):
    """A CSV takes the place of the simulation; a broken one is one clear line."""
    table, config = tmp_path / "own.csv", tmp_path / "own.yaml"
    rng = np.random.default_rng(0)
    rows = [f"sn{k},{-19 + rng.normal():.3f},{rng.normal():.3f},{rng.normal():.3f}" for k in range(30)]
    table.write_text("name,M,c,x1\n" + "\n".join(rows) + "\n")
    config.write_text(
        f"challenges: {{snia_lasso: {{source: real, files: [{table}]}}}}\npathvars: {{results: {tmp_path}}}\n"
    )
    product = f"{tmp_path}/challenges/snia_lasso/data_0.npz"
    done = snakemake(product, "--configfile", "config/test.yaml", str(config))
    assert done.returncode == 0, done.stderr[-3000:]
    assert list(np.load(product)["names"]) == ["c", "x1"]
    table.write_text("name,c,x1\nsn0,1,2\n")
    done = snakemake(product, "--configfile", "config/test.yaml", str(config))
    assert done.returncode != 0 and "has no column M or Magnitude" in done.stderr
