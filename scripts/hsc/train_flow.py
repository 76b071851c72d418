"""Train the flow that draws the auto-encoder's latents from unit Gaussians."""

import jax.numpy as jnp
import numpy as np

from armillary.files import read_arrays, write_arrays, write_json
from armillary.files_hsc import read_set
from armillary.fingerprints import fingerprint
from armillary.inverse.autoencoder import encode
from armillary.inverse.galaxy_prior import arrays_of_flow, autoencoder_of_arrays
from armillary.inverse.latent_flow import train_flow as train
from armillary.inverse.local_network import Kept
from armillary.stamp_basis import StampBasis, coefficients_of, orientations
from armillary.stamp_sets import StampSet
from armillary.step import run


def train_flow(
    stamps: str, basis: str, autoencoder: str, code: list[str], weights: str, history: str, *, n_couplings: int,
    n_hidden: int, n_steps: int, learning_rate: float, seed: int, work_file: str,
) -> None:  # fmt: skip
    linear, model = StampBasis(**read_arrays(basis)), autoencoder_of_arrays(read_arrays(autoencoder))
    sets = read_set(stamps, StampSet)
    encoded = [
        encode(model, jnp.asarray(coefficients_of(linear, images), jnp.float32))
        for images in (orientations(sets.of_split("train").image), sets.of_split("validation").image)
    ]
    facts = {"couplings": n_couplings, "hidden": n_hidden, "steps": n_steps, "rate": learning_rate, "seed": seed}
    kept = Kept(work_file, fingerprint(facts, contents=[*code, stamps, basis, autoencoder], stamped=[]))
    mean, ln_sd = (np.asarray(part) for part in encoded[0])
    flow, rows = train(
        mean, np.exp(ln_sd), np.asarray(encoded[1][0]), n_couplings=n_couplings, n_hidden=n_hidden, n_steps=n_steps,
        learning_rate=learning_rate, seed=seed, kept=kept,
    )  # fmt: skip
    write_arrays(weights, **arrays_of_flow(flow))
    write_json(history, rows)


if __name__ == "__main__":
    run(train_flow, snakemake)
