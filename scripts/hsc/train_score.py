"""Train the score prior of galaxy stamps by denoising, in all orientations; measure what its coefficients leave out."""

import numpy as np

from armillary.files import read_arrays, write_arrays, write_json
from armillary.files_hsc import read_set
from armillary.fingerprints import fingerprint
from armillary.inverse.galaxy_prior import arrays_of_score
from armillary.inverse.galaxy_score import train_score as train
from armillary.inverse.galaxy_score import untrained_score
from armillary.inverse.local_network import Kept
from armillary.inverse.stamp_residual import residual_mixture
from armillary.stamp_basis import StampBasis, coefficients_of, orientations
from armillary.stamp_sets import StampSet
from armillary.step import run


def train_score(
    stamps: str, basis: str, code: list[str], weights: str, history: str, *, architecture: str, n_coefficients: int,
    n_hidden: int, channels: list[int], n_steps: int, learning_rate: float, seed: int, work_file: str,
) -> None:  # fmt: skip
    linear = StampBasis(**read_arrays(basis))
    sets = read_set(stamps, StampSet)
    held_out = sets.of_split("validation").image
    known, others = (
        coefficients_of(linear, images) for images in (orientations(sets.of_split("train").image), held_out)
    )
    shape = {
        "architecture": architecture, "n_coefficients": n_coefficients, "n_hidden": n_hidden, "channels": channels,
    }  # fmt: skip
    facts = shape | {"steps": n_steps, "rate": learning_rate, "seed": seed}
    kept = Kept(work_file, fingerprint(facts, contents=[*code, stamps, basis], stamped=[]))
    start = untrained_score(known, linear.components, **shape, seed=seed)
    model, rows = train(start, known, others, n_steps=n_steps, learning_rate=learning_rate, seed=seed, kept=kept)
    is_known = np.arange(others.shape[1]) < n_coefficients
    missed = residual_mixture(
        np.where(is_known, 0.0, others), np.where(is_known, others, 0.0), linear.stack, n_coefficients, seed
    )
    model = model._replace(residual_spectrum=missed["spectrum"], residual_scales=missed["scales"])
    write_arrays(weights, **arrays_of_score(model))
    write_json(history, rows)


if __name__ == "__main__":
    run(train_score, snakemake)
