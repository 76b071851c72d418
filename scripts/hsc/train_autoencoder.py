"""Train the auto-encoder of galaxy stamps in the linear basis, in all orientations; measure what it misses."""

import numpy as np

from armillary.files import read_arrays, write_arrays, write_json
from armillary.files_hsc import read_set
from armillary.fingerprints import fingerprint
from armillary.inverse.autoencoder import train_autoencoder as train
from armillary.inverse.autoencoder import untrained_autoencoder
from armillary.inverse.galaxy_prior import arrays_of_autoencoder, missed_by_autoencoder
from armillary.inverse.local_network import Kept
from armillary.inverse.stamp_residual import residual_mixture
from armillary.stamp_basis import StampBasis, coefficients_of, orientations
from armillary.stamp_sets import StampSet
from armillary.step import announce, run


def train_autoencoder(
    stamps: str, basis: str, code: list[str], weights: str, residual: str, history: str, *, architecture: str,
    n_latents: int, n_hidden: int, channels: list[int], n_steps: int, learning_rate: float, seed: int, work_file: str,
) -> None:  # fmt: skip
    linear = StampBasis(**read_arrays(basis))
    sets = read_set(stamps, StampSet)
    images, held_out = orientations(sets.of_split("train").image), sets.of_split("validation").image
    shape = {"architecture": architecture, "n_latents": n_latents, "n_hidden": n_hidden, "channels": channels}
    facts = shape | {"steps": n_steps, "rate": learning_rate, "seed": seed}
    kept = Kept(work_file, fingerprint(facts, contents=[*code, stamps, basis], stamped=[]))
    known, others = coefficients_of(linear, images), coefficients_of(linear, held_out)
    model, rows = train(
        untrained_autoencoder(known, linear.stack, **shape, seed=seed), known, images.max((1, 2)), others,
        held_out.max((1, 2)), images[0].size, n_steps=n_steps, learning_rate=learning_rate, seed=seed, kept=kept,
    )  # fmt: skip
    lost = missed_by_autoencoder(model, others)
    missed = residual_mixture(lost, others - lost, linear.stack, 0, seed)
    announce(f"length of what the decoder misses: {np.round(missed['scales'], 4).tolist()} of the flux")
    write_arrays(weights, **arrays_of_autoencoder(model))
    write_arrays(residual, **missed)
    write_json(history, rows)


if __name__ == "__main__":
    run(train_autoencoder, snakemake)
