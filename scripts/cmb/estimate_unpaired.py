"""Apply all estimators to E of each map of a null set with B of the next: what is left is the disconnected bias."""

import numpy as np

from armillary.estimators import MAPS
from armillary.estimators import estimate_unpaired as estimate_unpaired_maps
from armillary.files import read_arrays
from armillary.files_cmb import read_maps, write_maps
from armillary.skies import estimators_from_arrays
from armillary.step import progress, run


def estimate_unpaired(estimators: str, maps: list[str], estimates: str) -> None:
    """Write the maps of `armillary.estimators.estimate_unpaired` of all files, one file after the other."""
    fitted, found = estimators_from_arrays(read_arrays(estimators)), []
    for path in progress(maps, "null sets", n_items=len(maps)):
        observed = read_maps(path, ["q", "u"])
        found.append(estimate_unpaired_maps(fitted, observed["q"], observed["u"]))
    write_maps(estimates, {name: np.concatenate([one[name] for one in found]) for name in MAPS}, {"maps": maps})


if __name__ == "__main__":
    run(estimate_unpaired, snakemake)
