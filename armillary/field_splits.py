"""Which fields of sky judge and which may be labelled: no field does both for one network."""

import numpy as np

from armillary.cutouts import sky_cells


def fields_that_judge(
    columns: dict[str, np.ndarray], cell_deg: float, test_fraction: float, n_seeds: int, rng_seed: int
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Field (N,) of every object, counted from 0, and for each seed the numbers of the fields that judge.

    Fields are cells of sky of `cell_deg`; seeds take them in turn, so that different seeds are judged by different
    fields as long as there are enough.
    """
    cells, field = np.unique(sky_cells(columns["ra"], columns["dec"], cell_deg), return_inverse=True)
    n_judging = max(round(test_fraction * len(cells)), 1)
    if len(cells) < n_judging + 1:
        raise ValueError(
            f"all probe objects lie in {len(cells)} cell of sky; labels and judges need two (config keys `mim: "
            "sample_cutouts: cell_deg`, `probe_fraction`, `mim: score_probes: test_fraction`)"
        )
    order = np.random.default_rng([rng_seed, 41]).permutation(len(cells))
    return field, [np.take(order, np.arange(k * n_judging, (k + 1) * n_judging), mode="wrap") for k in range(n_seeds)]


def rows_that_judge(field: np.ndarray, judging: list[np.ndarray]) -> np.ndarray:
    """Rows of all objects in any field that judges."""
    return np.flatnonzero(np.isin(field, np.concatenate(judging)))
