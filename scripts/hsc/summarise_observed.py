"""Write what a user takes away: a table of fluxes and shapes with errors, and images with samples of each galaxy."""

import numpy as np
import pandas as pd

from armillary.files import read_arrays, read_json
from armillary.files_hsc import read_posteriors, read_set, write_posteriors
from armillary.observed_stamps import galaxy_rows
from armillary.stamp_basis import StampBasis
from armillary.stamp_evaluation import ProblemData
from armillary.stamp_sets import Observations
from armillary.step import announce, run


def summarise_observed(
    observations: str, scenes: str, basis: str, posteriors: str, table: str, galaxies: str, *,
    fine_pixel_arcsec: float, zero_point_mag: float,
) -> None:  # fmt: skip
    found = read_posteriors(posteriors)
    stack = StampBasis(**read_arrays(basis)).stack
    data = ProblemData("", read_set(observations, Observations), found, stack, fine_pixel_arcsec)
    rows, images, named = [], {}, read_json(scenes)
    labels = {key: np.array([scene[key].encode() for scene in named], "S") for key in ("object", "band")}
    for method in (name for name in found if "c" in found[name]):
        samples = np.array([data.samples(method, scene) for scene in range(len(data.seen.image))])
        rows += galaxy_rows(data, samples, method, named, zero_point_mag)
        images[method] = labels | {"position_arcsec": data.seen.position}
        images[method] |= {"mean": samples.mean(1), "sd": samples.std(1), "samples": samples.astype(np.float32)}
    pd.DataFrame(rows).to_csv(table, index=False, float_format="%.6g")
    write_posteriors(galaxies, images)
    announce(f"{len(rows)} rows: methods {', '.join(images)}; images on pixels of {fine_pixel_arcsec:g} arcsec")


if __name__ == "__main__":
    run(summarise_observed, snakemake)
