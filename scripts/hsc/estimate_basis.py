"""Find the linear basis of the training stamps and the Gaussian prior in it."""

import numpy as np

from armillary.files import write_arrays
from armillary.files_hsc import read_set
from armillary.stamp_basis import fit_basis
from armillary.stamp_sets import StampSet
from armillary.step import run


def estimate_basis(stamps: str, basis: str, *, n_components: int, seed: int) -> None:
    found = fit_basis(
        read_set(stamps, StampSet).of_split("train").image, n_components, np.random.default_rng([seed, 2])
    )
    write_arrays(basis, **found._asdict())


if __name__ == "__main__":
    run(estimate_basis, snakemake)
