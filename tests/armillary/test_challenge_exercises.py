"""Exercises: the notebook runs with its solution, the student's file keeps the test to itself, scores are paired."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
import yaml

from armillary.challenges import snia_lasso_models
from armillary.challenges.exercise_models import make_task, run_answer, student_arrays
from armillary.challenges.exercises import MEASURES, answer_scores, checked_ours, score_lines
from armillary.challenges.notebooks import exercise_notebook
from armillary.files import write_arrays

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in (ROOT / "resources/exercises").glob("*.yaml"))
DEFAULTS = yaml.safe_load((ROOT / "config/challenges.yaml").read_text())["challenges"]
SMALL = yaml.safe_load((ROOT / "config/test.yaml").read_text())["challenges"]


def text_of(name: str) -> dict:
    return yaml.safe_load((ROOT / f"resources/exercises/{name}.yaml").read_text())


def settings_of(name: str) -> dict:
    return DEFAULTS[name]["settings"] | SMALL[name]["settings"]


@pytest.fixture(scope="module", params=NAMES)
def exercise(request):
    """Name, data and task of one exercise at test size."""
    name = request.param
    module = importlib.import_module(f"armillary.challenges.{name}")
    data = module.sample([], settings_of(name), 0)
    return name, data, make_task(name, data, settings_of(name), 0)


def run_notebook(notebook: dict, folder: Path) -> str:
    """What the code cells print, one after the other, in `folder`."""
    pieces = []
    for cell in notebook["cells"]:
        code = "".join(cell["source"])
        if cell["cell_type"] == "code" and code.startswith("%%writefile "):
            head, _, body = code.partition("\n")
            code = f"open({head.split()[1]!r}, 'w').write({body!r})"
        pieces += [code] if cell["cell_type"] == "code" else []
    told = {**os.environ, "MPLBACKEND": "Agg"}
    command = [sys.executable, "-c", "\n".join(pieces)]
    ran = subprocess.run(command, cwd=folder, env=told, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_notebook_runs_with_its_solution_and_its_answer_is_scored(exercise, tmp_path):
    name, _, task = exercise
    notebook = exercise_notebook(name, text_of(name))
    nbformat.validate(nbformat.from_dict(notebook))
    arrays = student_arrays(task)
    assert "test_targets" not in arrays and len(arrays) == 5
    write_arrays(str(tmp_path / "data.npz"), **arrays)
    solved = json.loads(json.dumps(notebook).replace("SOLUTION = False", "SOLUTION = True"))
    assert "on validation objects:" in run_notebook(solved, tmp_path)
    judged = run_answer(str(tmp_path / "answer.py"), task)
    rng = np.random.default_rng(0)
    scores = answer_scores(name, judged, judged["truth"].astype(float), 50, rng)
    told = score_lines(name, scores, "the truth")
    assert len(told) == len(MEASURES[name]) and told[0].endswith("ours is better")
    for measure in MEASURES[name]:  # the truth is the best that can be
        assert scores[f"{measure}_ours"]["value"] in (0, 1)
    same = answer_scores(name, judged, judged["prediction"], 50, rng)
    assert all(same[f"{measure}_difference"]["hi"] == 0 for measure in MEASURES[name])
    assert score_lines(name, same, "a copy")[0].endswith("they cannot be told apart")


def test_blanks_that_are_left_are_one_line(exercise, tmp_path):
    name, _, task = exercise
    (tmp_path / "answer.py").write_text(text_of(name)["answer"])
    with pytest.raises(ValueError, match=r"answer\.py.* predict (failed|gave)"):
        run_answer(str(tmp_path / "answer.py"), task)


def test_no_test_object_is_learned_from(exercise):
    name, _, task = exercise
    shown = np.concatenate([task.rows["train"], task.rows["validation"]])
    assert not set(shown) & set(task.rows["test"])
    for known, judged in task.folds:
        assert not set(known) & set(judged) and not set(task.group[known]) & set(task.group[judged])
    if name == "camels":
        known, judged = task.folds[0]
        assert set(task.part[known]) == {0} and set(task.part[judged]) == {0, 1}


@pytest.mark.parametrize("name", NAMES)
def test_ours_is_a_method_of_the_challenge(name):
    assert text_of(name)["ours"]["variant"] in DEFAULTS[name]["variants"]


def test_suites_may_have_more_radii_than_each_other():
    """The real profiles have 15 radii of IllustrisTNG and 14 of SIMBA."""
    data = {"split_tng": np.zeros(3, int), "split_simba": np.full(2, 2)}
    for code, n, n_radii in (("tng", 3, 15), ("simba", 2, 14)):
        data |= {f"profiles_{code}": np.arange(n * 8.0 * n_radii).reshape(n, 2, 4, n_radii)}
        data |= {f"parameters_{code}": np.zeros((n, 6))}
    task = make_task("camels", data, {}, 0)
    assert task.inputs.shape == (5, 2, 12) and task.targets.shape == (5, 2)
    assert task.inputs[0, 0, 0] == data["profiles_tng"][0, 0, 0, 2] and list(task.folds[0][1]) == [3, 4]


def test_supernovae_are_judged_on_our_folds(tmp_path):
    """The solution is our least squares on colour and width: the same predictions, supernova by supernova."""
    settings = settings_of("snia_lasso")
    data = importlib.import_module("armillary.challenges.snia_lasso").sample([], settings, 3)
    (tmp_path / "answer.py").write_text(text_of("snia_lasso")["solution"])
    judged = run_answer(str(tmp_path / "answer.py"), make_task("snia_lasso", data, settings, 3))
    ours = checked_ours("snia_lasso", judged, snia_lasso_models.train("ols_c_x1", data, settings, 3), "prediction")
    assert np.allclose(judged["prediction"], ours) and sorted(judged["row"]) == list(range(len(data["y"])))


def test_the_error_of_a_difference_is_a_paired_one():
    """Two answers that are wrong for almost the same objects: the error is that of the few where they differ."""
    n = 2000
    truth, yours, ours = np.zeros(n), np.zeros(n), np.zeros(n)
    yours[:600], ours[:640] = 1, 1  # 600 both wrong, 40 only ours
    judged = {"prediction": yours, "truth": truth, "group": np.arange(n), "part": np.zeros(n, int)}
    scores = answer_scores("rings", judged, ours, 600, np.random.default_rng(1))
    gap = scores["accuracy_difference"]
    assert gap["value"] == pytest.approx(0.02) and scores["accuracy_yours"]["value"] == pytest.approx(0.7)
    share = 40 / n
    assert 0.5 * (gap["hi"] - gap["lo"]) == pytest.approx(np.sqrt(share * (1 - share) / n), rel=0.15)
    line = score_lines("rings", scores, "a network")[0]
    assert "yours 0.7, ours 0.68 (a network), yours minus ours 0.0200 ± 0.003" in line
    assert line.endswith("paired: yours is better")


BAD = {
    "predict = 3": r"answer\.py has no function predict\(train_inputs",
    "def predict(:": r"answer\.py cannot be run: SyntaxError",
    "def predict(x, y, z): return None": "predict gave None",
    "def predict(x, y, z): return z.nothing": "predict failed: AttributeError",
    "def predict(x, y, z): return y": r"predict gave an array of shape \(\d+,\); \(\d+,\) was expected",
    "def predict(x, y, z): return [float('nan')] * len(z)": "of the 3. numbers that predict gave are not finite",
}


@pytest.mark.parametrize("code", BAD)
def test_a_bad_answer_is_one_line(code, tmp_path):
    rng = np.random.default_rng(0)
    data = {"count_images": rng.integers(0, 255, (100, 28, 28)), "count": rng.integers(1, 5, 100),
            "count_split": np.repeat([0, 1, 2], [60, 10, 30])}  # fmt: skip
    (tmp_path / "answer.py").write_text(code)
    with pytest.raises(ValueError, match=BAD[code]) as error:
        run_answer(str(tmp_path / "answer.py"), make_task("rings", data, settings_of("rings"), 0))
    assert "\n" not in str(error.value)


def test_ours_must_be_of_the_same_objects():
    judged = {"truth": np.arange(4.0), "row": np.arange(4)}
    outcome = {"truth": np.arange(4.0), "guess": np.ones(4)}
    assert np.array_equal(checked_ours("rings", judged, outcome, "guess"), np.ones(4))
    for other in (np.arange(4.0)[::-1], np.arange(5.0)):
        with pytest.raises(ValueError, match="of other test objects"):
            checked_ours("rings", judged, {"truth": other, "guess": np.ones(len(other))}, "guess")
