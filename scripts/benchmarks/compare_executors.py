"""Measure what the scheduler costs a job: empty jobs through a throw-away Slurm, by either of Snakemake's executors."""

import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from armillary.files import write_json
from armillary.local_slurm import PLAIN, local_slurm, submitted_jobs
from armillary.metrics import estimate, measurement
from armillary.step import announce, run

RULES = """
rule all:
    input:
        expand("{job}.txt", job=range(%d)),


rule one:
    output:
        "{job}.txt",
    resources:
        mem_mb=1000,
        runtime=10,
    shell:
        "touch {output}"
"""
STATUS = "squeue --noheader --states=all --format=%T --jobs"
PLUGIN = "--executor slurm --slurm-status-command squeue --slurm-init-seconds-before-status-checks 1"
EXECUTORS = {
    "slurm": PLUGIN,
    "slurm_array": f"{PLUGIN} --slurm-array-jobs one",
    "cluster_generic": "--executor cluster-generic --cluster-generic-status-cmd ./status.sh",
}


def compare_executors(metrics: str, *, n_jobs: int, n_at_once: int) -> None:
    """`n_jobs` jobs that touch a file, `n_at_once` of them at a time (an array goes in at once)."""
    report = {}
    for name, options in EXECUTORS.items():
        with tempfile.TemporaryDirectory() as folder, local_slurm(PLAIN) as environment:
            wall = _run(Path(folder), environment, name, options, n_jobs, n_at_once)
            inside = [_run_seconds(job) for job in submitted_jobs(environment)]
        announce(f"{name}: {wall / n_jobs:.1f} s a job, inside {inside}")
        baseline = None if name == "slurm" else "slurm"
        at_once = n_jobs if name == "slurm_array" else n_at_once
        report[f"executor_wall_seconds_per_job_{name}"] = measurement(
            wall / n_jobs, n=n_jobs, unit="s", baseline=baseline and f"executor_wall_seconds_per_job_{baseline}",
            note=f"whole run / jobs, {at_once} at once, Snakemake's start and polling included",
        )  # fmt: skip
        report[f"executor_job_seconds_{name}"] = estimate(
            statistics.median(inside), inside, n_jobs, "s", baseline and f"executor_job_seconds_{baseline}",
            note="Slurm's run time of a job that does nothing, whole seconds; median",
        )  # fmt: skip
    write_json(metrics, report)


def _run(folder: Path, environment: dict, name: str, options: str, n_jobs: int, n_at_once: int) -> float:
    """Wall seconds of a run of empty jobs in `folder`."""
    (folder / "Snakefile").write_text(RULES % n_jobs)
    (folder / "status.sh").write_text(
        f"#!/bin/sh\ncase $({STATUS} $1) in COMPLETED) echo success ;; FAILED) echo failed ;; *) echo running ;; esac\n"
    )
    (folder / "status.sh").chmod(0o755)
    command = [sys.executable, "-m", "snakemake", "--jobs", str(n_jobs if name == "slurm_array" else n_at_once)]
    command += ["--seconds-between-status-checks", "1", "--latency-wait", "10", *options.split()]
    if name == "cluster_generic":
        command.append("--cluster-generic-submit-cmd")
        command.append("sbatch --parsable --time={resources.runtime} --mem={resources.mem_mb} --output=/dev/null")
    started = time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr[-1500:]}")
    return time.perf_counter() - started


def _run_seconds(job: dict[str, str]) -> int:
    """Slurm's `RunTime=[days-]hours:minutes:seconds` in seconds."""
    days, hours, minutes, seconds = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d+):(\d+)", job["RunTime"]).groups(default="0")
    return ((int(days) * 24 + int(hours)) * 60 + int(minutes)) * 60 + int(seconds)


if __name__ == "__main__":
    run(compare_executors, snakemake)
