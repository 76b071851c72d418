"""Map a field whose shapes were turned at random, again and again: what each method makes of noise alone."""

import jax
import numpy as np

from armillary.files_maps import read_shear_map, read_stack, write_stack
from armillary.inverse.methods import reconstruct, set_up_from_files
from armillary.step import progress, run


def infer_nulls(
    spectrum: str, shear: str, rotations: str, tuned: str, residual: str, score: str, nulls: list[str], *, methods:
    list[str], reduced_shear: bool, settings: dict, shift_spread: float, seed: int,
) -> None:  # fmt: skip
    like, _, _ = read_shear_map(shear)
    files = {"spectrum": spectrum, "tuned": tuned, "residual": residual, "score": score}
    field = set_up_from_files(like, methods, files, settings, reduced_shear, shift_spread, seed)
    turned = [like._replace(g1=g1, g2=g2) for g1, g2 in read_stack(rotations)]
    for method, path in zip(methods, nulls, strict=True):
        maps = [reconstruct(method, one, field, jax.random.key(seed), 0)[0] for one in progress(turned, method)]
        write_stack(path, np.array(maps))


if __name__ == "__main__":
    run(infer_nulls, snakemake)
