"""Apply all estimators to one file of maps."""

import numpy as np

from armillary.estimators import MAPS, estimate
from armillary.files import read_arrays
from armillary.files_cmb import read_maps, write_maps
from armillary.skies import estimators_from_arrays
from armillary.step import progress, run


def estimate_maps(estimators: str, maps: str, estimates: str) -> None:
    """Write every map that `armillary.estimators.estimate` makes of q and u."""
    fitted, observed = estimators_from_arrays(read_arrays(estimators)), read_maps(maps, ["q", "u"])
    pairs = zip(observed["q"], observed["u"], strict=True)
    found = [estimate(fitted, q, u) for q, u in progress(pairs, "maps", n_items=len(observed["q"]))]
    write_maps(estimates, {name: np.stack([one[name] for one in found]) for name in MAPS}, {"maps": maps})


if __name__ == "__main__":
    run(estimate_maps, snakemake)
