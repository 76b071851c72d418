"""Map a field whose shapes were turned at random, again and again, by one method: what it makes of noise alone."""

import jax
import numpy as np

from armillary.files_maps import read_shear_map, read_stack, write_stack
from armillary.inverse.methods import reconstruct, set_up_from_files
from armillary.step import progress, run


def infer_nulls(
    spectrum: str, shear: str, rotations: str, tuned: str, residual: str, score: str, nulls: str, *, method: str,
    reduced_shear: bool, n_scales: int, n_sparse_iterations: int, n_levels: int, n_steps_per_level: int, sigma_start:
    float, sigma_end: float, seed: int,
) -> None:  # fmt: skip
    like, _, _ = read_shear_map(shear)
    field = set_up_from_files(
        like, spectrum, tuned, residual, score, reduced_shear=reduced_shear, n_scales=n_scales,
        n_sparse_iterations=n_sparse_iterations, annealing=(sigma_start, sigma_end, n_levels, n_steps_per_level),
        seed=seed,
    )  # fmt: skip
    maps = [
        reconstruct(method, like._replace(g1=g1, g2=g2), field, jax.random.key(seed), 0)[0]
        for g1, g2 in progress(read_stack(rotations), method)
    ]
    write_stack(nulls, np.array(maps))


if __name__ == "__main__":
    run(infer_nulls, snakemake)
