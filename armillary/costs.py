"""What the steps of a run cost, from the benchmark files that Snakemake leaves."""

from pathlib import Path

import pandas as pd

SMALL = 0.02  # of a rule set's processor time: steps below this share are one row of its table
COLUMNS = ["rule_set", "step", "n_jobs", "longest_s", "core_s", "peak_mb"]


def step_costs(rule_set: str, folder: str | Path, steps: list[str]) -> pd.DataFrame:
    """COLUMNS of the steps of one rule set that left benchmark files `<step>[_<wildcards>].tsv` in `folder`.

    longest_s is the wall time of the longest job, core_s the processor time of all, peak_mb the largest memory of one.
    A job that ran again counts with its last run. FileNotFoundError if there is no such file.
    """
    jobs = [pd.read_csv(path, sep="\t").assign(step=step_of(path.stem, steps)) for path in Path(folder).glob("*.tsv")]
    if not jobs:
        raise FileNotFoundError(f"{folder} holds no benchmark file of Snakemake: run `snakemake {rule_set}` first")
    jobs = pd.concat(jobs, ignore_index=True)
    # a job of a second or so may be over before Snakemake has measured its memory and processor time: "-" or 0
    for name in ("s", "max_rss", "cpu_time"):
        jobs[name] = pd.to_numeric(jobs[name], errors="coerce").fillna(0.0)
    jobs["cpu_time"] = jobs["cpu_time"].where(jobs["cpu_time"] > 0, jobs["s"])
    costs = jobs.groupby("step").agg(
        n_jobs=("s", "size"), longest_s=("s", "max"), core_s=("cpu_time", "sum"), peak_mb=("max_rss", "max")
    )
    return costs.reset_index().assign(rule_set=rule_set).sort_values("core_s", ascending=False)[COLUMNS]


def step_of(stem: str, steps: list[str]) -> str:
    """The step whose name a benchmark file begins with, the longest of them. ValueError if there is none."""
    fitting = [step for step in steps if stem == step or stem.startswith(f"{step}_")]
    if not fitting:
        raise ValueError(f"benchmark file {stem}.tsv belongs to no step; there are {', '.join(sorted(steps))}")
    return max(fitting, key=len)


def cost_tables(costs: pd.DataFrame) -> str:
    """COLUMNS as Markdown, one table a rule set: its larger steps, the small ones together, and the sum."""
    return "\n".join(_table(rule_set, steps) for rule_set, steps in costs.groupby("rule_set", sort=False))


def _table(rule_set: str, steps: pd.DataFrame) -> str:
    large = steps["core_s"] >= SMALL * steps["core_s"].sum()
    lines = [_row(*step) for step in steps[large].drop(columns="rule_set").itertuples(index=False)]
    small = steps[~large]
    if len(small):
        name = f"{len(small)} small steps"
        lines.append(_row(name, small.n_jobs.sum(), small.longest_s.max(), small.core_s.sum(), small.peak_mb.max()))
    head = (
        f"| step of `{rule_set}` | jobs | longest, s | core-seconds in all | peak memory, MB |\n|---|---|---|---|---|\n"
    )
    return f"{head}{''.join(lines)}| **all** | **{steps.n_jobs.sum()}** | | **{steps.core_s.sum():.0f}** | |\n"


def _row(step: str, n_jobs: int, longest_s: float, core_s: float, peak_mb: float) -> str:
    return f"| {step} | {n_jobs} | {longest_s:.0f} | {core_s:.0f} | {peak_mb:.0f} |\n"
