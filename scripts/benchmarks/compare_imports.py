"""Time what a scoring or figure step costs before it does anything: imports alone, in fresh processes."""

import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from armillary.files import write_json
from armillary.metrics import estimate
from armillary.step import progress, run

LOAD_STEP = "import runpy, sys; runpy.run_path(sys.argv[1], run_name='step')"
REPOSITORY = Path(__file__).parents[2]


def compare_imports(steps: list[str], metrics: str, *, n_repeats: int) -> None:
    report = _entries("numpy_pandas", [sys.executable, "-c", "import numpy, pandas"], n_repeats, None)
    for step in progress(steps, "steps timed"):
        report |= _entries(Path(step).stem, [sys.executable, "-c", LOAD_STEP, step], n_repeats, "numpy_pandas")
    write_json(metrics, report)


def _entries(name: str, command: list[str], n_repeats: int, floor: str | None) -> dict:
    """Median CPU and wall seconds of the command after one run that warms the caches; lo and hi hold 68 %."""
    spent = [_seconds(command) for _ in range(n_repeats + 1)][1:]
    kinds = {
        "import_seconds": "processor (user + system) time",
        "import_wall_seconds": "wall time, load of the machine included",
    }
    metrics = {}
    for (key, kind), samples in zip(kinds.items(), zip(*spent, strict=True), strict=True):
        note = f"{kind} of a fresh process that only imports, python's start included; median"
        baseline = f"{key}_{floor}" if floor else None
        metrics[f"{key}_{name}"] = estimate(statistics.median(samples), samples, n_repeats, "s", baseline, note)
    return metrics


def _seconds(command: list[str]) -> tuple[float, float]:
    """Processor and wall seconds of one process with the repository on its path."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OPENBLAS_NUM_THREADS": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, env=environment, cwd=REPOSITORY)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


if __name__ == "__main__":
    run(compare_imports, snakemake)
