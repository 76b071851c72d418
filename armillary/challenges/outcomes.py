"""What the trainings of a challenge left behind: data of each seed, outcomes of each variant and seed."""

import numpy as np

from armillary.files import read_arrays

Arrays = dict[str, np.ndarray]


def read_outcomes(
    data: list[str], outcomes: list[str], variants: list[str]
) -> tuple[list[Arrays], dict[str, list[Arrays]]]:
    """Data by seed, and outcomes by variant and seed; `outcomes` has the seeds of the first variant first."""
    n_seeds = len(data)
    if len(outcomes) != n_seeds * len(variants):
        raise ValueError(f"{len(outcomes)} outcomes for {len(variants)} variants and {n_seeds} seeds")
    found = [read_arrays(path) for path in outcomes]
    runs = {name: found[k * n_seeds : (k + 1) * n_seeds] for k, name in enumerate(variants)}
    return [read_arrays(path) for path in data], runs
