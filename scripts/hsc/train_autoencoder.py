"""Train the auto-encoder of galaxy stamps in the linear basis, in all orientations; measure what it misses."""

import numpy as np

from armillary.files import read_arrays, write_arrays, write_json
from armillary.files_hsc import read_set
from armillary.fingerprints import fingerprint
from armillary.inverse.autoencoder import train_autoencoder as train
from armillary.inverse.galaxy_prior import arrays_of_autoencoder, residual_mixture
from armillary.inverse.local_network import Kept
from armillary.stamp_basis import StampBasis, coefficients_of, orientations
from armillary.stamp_sets import StampSet
from armillary.step import announce, run


def train_autoencoder(
    stamps: str, basis: str, code: list[str], weights: str, residual: str, history: str, *, n_latents: int,
    n_hidden: int, n_steps: int, learning_rate: float, seed: int, work_file: str,
) -> None:  # fmt: skip
    linear = StampBasis(**read_arrays(basis))
    sets = read_set(stamps, StampSet)
    images, held_out = orientations(sets.of_split("train").image), sets.of_split("validation").image
    facts = {"latents": n_latents, "hidden": n_hidden, "steps": n_steps, "rate": learning_rate, "seed": seed}
    kept = Kept(work_file, fingerprint(facts, contents=[*code, stamps, basis], stamped=[]))
    model, rows = train(
        coefficients_of(linear, images), images.max((1, 2)), coefficients_of(linear, held_out), held_out.max((1, 2)),
        images[0].size, n_latents=n_latents, n_hidden=n_hidden, n_steps=n_steps, learning_rate=learning_rate, seed=seed,
        kept=kept,
    )  # fmt: skip
    missed = residual_mixture(model, linear, held_out)
    announce(f"length of what the decoder misses: {np.round(missed['scales'], 3).tolist()} of the peak")
    write_arrays(weights, **arrays_of_autoencoder(model))
    write_arrays(residual, **missed)
    write_json(history, rows)


if __name__ == "__main__":
    run(train_autoencoder, snakemake)
