"""The bridge: arguments by name, atomic outputs, logs, provenance."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

STEP = """
from types import SimpleNamespace
from armillary.step import run

class Names(dict):
    def __iter__(self):
        return iter(self.values())

def rule(**given):
    empty = {"input": Names(), "output": Names(), "params": Names(), "wildcards": Names(), "resources": Names()}
    return SimpleNamespace(rule="demo_step", **(empty | {"log": ["LOG"], "threads": 1} | given))
"""


def run_step(folder, body: str) -> subprocess.CompletedProcess:
    code = STEP.replace("LOG", str(folder / "set/logs/step.log")) + body.replace("FOLDER", str(folder))
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


WRITES = """
def step(source, made, *, count, edges, threads):
    assert edges == [1, 2.5]
    print("hello")
    open(made, "w").write(source * count + str(threads))
run(step, rule(input=Names(source="a", code=["x"]), output=Names(made="FOLDER/out/made.txt"),
    params=Names(count=3, edges=[1, 2.5])))
"""


def test_arguments_output_log_and_provenance(tmp_path):
    done = run_step(tmp_path, WRITES)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/made.txt").read_text() == "aaa1"
    assert "hello" in (tmp_path / "set/logs/step.log").read_text()
    record = json.loads((tmp_path / "set/provenance/step.json").read_text())
    assert record["settings"] == {"count": 3, "edges": [1, 2.5]}
    assert record["rule"] == "demo_step"
    assert record["seconds"] >= 0


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted as Linux lists them")
def test_xla_has_as_many_threads_as_the_job(tmp_path):
    """A rule's `threads: 1` is what keeps some of our jobs from a deadlock in XLA (rules/hsc.smk, hsc_infer_prior)."""
    body = """
from pathlib import Path
import jax.numpy as jnp

def step(made):
    jnp.ones(3).block_until_ready()
    names = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
    Path(made).write_text(str(names.count("tf_XLAEigen")))
run(step, rule(output=Names(made="FOLDER/made.txt"), threads=3))
"""
    done = run_step(tmp_path, body)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "made.txt").read_text() == "3"


def test_the_log_of_an_earlier_try_stays(tmp_path):
    """Snakemake removes a log before each try."""
    for _ in range(2):
        (tmp_path / "set/logs/step.log").unlink(missing_ok=True)
        run_step(tmp_path, WRITES)
    assert (tmp_path / "set/logs/step.log").read_text().count("hello") == 2


def test_interrupted_work_fails_without_a_traceback(tmp_path):
    done = run_step(
        tmp_path,
        """
from armillary.interruption import Interrupted
def step(made):
    raise Interrupted("out of time; kept")
run(step, rule(output=Names(made="FOLDER/out/made.txt")))
""",
    )
    assert done.returncode == 1
    assert done.stderr.strip() == "Error in demo_step: Interrupted: out of time; kept"
    assert "Traceback" not in (tmp_path / "set/logs/step.log").read_text()


def test_failed_step_leaves_what_was_there(tmp_path):
    run_step(tmp_path, WRITES)
    failing = WRITES.replace(
        'open(made, "w").write(source * count + str(threads))',
        'open(made, "w"); raise ValueError("bad\\nnumber")',
    )
    done = run_step(tmp_path, failing)
    assert done.returncode == 1
    assert done.stderr.strip() == "Error in demo_step: ValueError: bad number"
    assert (tmp_path / "out/made.txt").read_text() == "aaa1"
    assert "Traceback" in (tmp_path / "set/logs/step.log").read_text()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ("params=Names(edges=[1, 2.5])", "does not give ['count']"),
        ("params=Names(count=1, edges=[], width=2)", "gives params ['width']"),
    ],
)
def test_mismatch_of_rule_and_function_is_named(tmp_path, params, message):
    done = run_step(tmp_path, WRITES.replace("params=Names(count=3, edges=[1, 2.5])", params))
    assert done.returncode == 1
    assert message in done.stderr


def test_step_that_writes_nothing_fails(tmp_path):
    done = run_step(tmp_path, WRITES.replace('open(made, "w").write(source * count + str(threads))', "pass"))
    assert done.returncode == 1
    assert "without writing" in done.stderr
