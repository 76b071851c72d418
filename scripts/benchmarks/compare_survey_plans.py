"""Measure what planning and scheduling the survey cost: a dry run of it, and a run whose tiles have no pixels."""

import json
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

from armillary.des import standin_tile_names
from armillary.files import write_json
from armillary.metrics import estimate, measurement
from armillary.step import announce, run

REPOSITORY = Path(__file__).parents[2]


def compare_survey_plans(
    metrics: str,
    *,
    n_tiles: int,
    n_tiles_per_shard: int,
    seconds_per_tile_measured: float,
    n_repeats: int,
    n_cores: int,
    work_folder: str,
) -> None:
    """The tile list is made here: as many valid names as DR2 has tiles, on a grid like its own, but not its list."""
    settings = _write_settings(Path(work_folder), n_tiles, n_tiles_per_shard)
    plans = [_measure(settings, "--dry-run", "--quiet", "all") for _ in range(n_repeats)]
    announce(f"dry runs: {plans}")
    empty = _measure(settings, "--cores", str(n_cores), "--forceall")
    announce(f"run of stand-ins: {empty}")
    n_jobs = -(-n_tiles // n_tiles_per_shard)
    hours = n_tiles_per_shard * seconds_per_tile_measured / 3600
    listed = f"{n_tiles} stand-in tiles in shards of {n_tiles_per_shard}"
    seconds, megabytes = [plan["seconds"] for plan in plans], [plan["peak_mb"] for plan in plans]
    write_json(
        metrics,
        {
            "survey_dry_run_seconds": estimate(
                statistics.median(seconds), seconds, n_repeats, "s", note=f"wall time of snakemake -n, {listed}; median"
            ),
            "survey_dry_run_peak_mb": estimate(
                statistics.median(megabytes), megabytes, n_repeats, "MB", note="peak memory of the same; median"
            ),
            "survey_jobs": measurement(n_jobs, n=n_tiles, note=f"shards, {listed}; one more job merges them"),
            "survey_hours_per_job": measurement(
                hours, n=n_tiles_per_shard, unit="h",
                note=f"{seconds_per_tile_measured} s a tile on two cores (config/full_tile.yaml), staging not counted",
            ),
            "survey_empty_run_seconds_per_job": measurement(
                empty["seconds"] / n_jobs, n=n_jobs, unit="s",
                note=f"wall time of a whole local run / shards, {n_cores} cores, tiles without pixels",
            ),
            "survey_empty_run_processor_seconds_per_job": measurement(
                empty["processor_seconds"] / n_jobs, n=n_jobs, unit="s", note="user + system time of the same"
            ),
        },
    )  # fmt: skip


def _write_settings(folder: Path, n_tiles: int, n_tiles_per_shard: int) -> str:
    """Settings of a survey of stand-ins, its results in the same folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiles.txt").write_text("\n".join(standin_tile_names(n_tiles)) + "\n")
    shard = {"source": "empty", "tile_list": str(folder / "tiles.txt"), "n_tiles_per_shard": n_tiles_per_shard}
    settings = {"pathvars": {"results": str(folder / "results")}, "clusters": {"infer_shard": shard}}
    (folder / "settings.json").write_text(json.dumps(settings))
    return str((folder / "settings.json").resolve())


def _measure(settings: str, *arguments: str) -> dict[str, float]:
    """Seconds and peak memory of one Snakemake on the survey; its jobs count for the processor time only."""
    command = [sys.executable, "-m", "snakemake", "clusters_survey", "--nolock", *arguments, "--configfile", settings]
    started = time.perf_counter()
    environment = {name: value for name, value in os.environ.items() if not re.match("SNAKEMAKE_|SLURM_JOB", name)}
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, **quiet)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}; run it to see why")
    seconds = time.perf_counter() - started
    return {
        "seconds": seconds,
        "peak_mb": usage.ru_maxrss * 1024 / 1e6,
        "processor_seconds": usage.ru_utime + usage.ru_stime,
    }


if __name__ == "__main__":
    run(compare_survey_plans, snakemake)
