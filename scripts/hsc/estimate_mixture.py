"""Fit mixtures of Gaussians to the training stamps' coefficients and keep the one that validation stamps prefer."""

import numpy as np

from armillary.files import read_arrays, write_arrays, write_json
from armillary.files_hsc import read_set
from armillary.stamp_basis import StampBasis, coefficients_of, orientations
from armillary.stamp_mixture import fit_mixture, ln_density
from armillary.stamp_sets import StampSet
from armillary.step import announce, run


def estimate_mixture(stamps: str, basis: str, mixture: str, history: str, *, n_parts: list[int], seed: int) -> None:
    linear, sets = StampBasis(**read_arrays(basis)), read_set(stamps, StampSet)
    train, validation = (
        coefficients_of(linear, orientations(sets.of_split(name).image)) for name in ("train", "validation")
    )
    rows, best = [], None
    for number in n_parts:
        found = fit_mixture(train, number, seed)
        rows.append({"n_parts": number, "validation_nats": float(np.mean(ln_density(found, validation)))})
        announce(f"{number} Gaussians: {rows[-1]['validation_nats']:.1f} nats a validation stamp")
        if rows[-1]["validation_nats"] == max(row["validation_nats"] for row in rows):
            best = found
    write_arrays(mixture, **best._asdict())
    write_json(history, rows)


if __name__ == "__main__":
    run(estimate_mixture, snakemake)
