"""Tell what every step of the rule sets took: jobs, seconds, memory."""

from pathlib import Path

import pandas as pd

from armillary.costs import cost_tables, step_costs
from armillary.step import run


def summarise_costs(metrics: list[str], text: str, *, steps: dict[str, list[str]]) -> None:
    """`metrics` are the last products of the rule sets; their benchmark files lie in a folder beside each."""
    folders = [Path(path).parent for path in metrics]
    costs = [step_costs(folder.name, folder / "benchmarks", steps[folder.name]) for folder in folders]
    Path(text).write_text(cost_tables(pd.concat(costs, ignore_index=True)))


if __name__ == "__main__":
    run(summarise_costs, snakemake)
