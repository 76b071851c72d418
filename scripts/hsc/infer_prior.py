"""What the prior makes of held-out stamps, how likely it finds their latents, and stamps that it draws."""

import jax
import jax.numpy as jnp
import numpy as np

from armillary.files import read_arrays, write_arrays
from armillary.files_hsc import read_set
from armillary.inverse.autoencoder import decode, encode
from armillary.inverse.galaxy_prior import read_prior, sample_prior
from armillary.inverse.latent_flow import ln_density
from armillary.stamp_basis import StampBasis, coefficients_of, images_of, orientations
from armillary.stamp_sets import StampSet
from armillary.step import run


def infer_prior(
    stamps: str, basis: str, autoencoder: str, flow: str, residual: str, checks: str, *, n_samples: int, seed: int
) -> None:
    prior, linear = read_prior(basis, autoencoder, flow, residual), StampBasis(**read_arrays(basis))
    sets = read_set(stamps, StampSet)
    images = sets.of_split("test").image
    coefficients = jnp.asarray(coefficients_of(linear, images), jnp.float32)
    latents = encode(prior.autoencoder, coefficients)[0]
    train = orientations(sets.of_split("train").image[::4])
    known = np.asarray(encode(prior.autoencoder, jnp.asarray(coefficients_of(linear, train), jnp.float32))[0])
    n, centre, spread = prior.n_latents, known.mean(0), np.cov(known.T)
    away = np.asarray(latents) - centre
    fitted = 0.5 * np.einsum("ni,ij,nj->n", away, np.linalg.inv(spread), away)
    write_arrays(
        checks,
        decoded=images_of(linear, np.asarray(decode(prior.autoencoder, latents))),
        projected=images_of(linear, np.asarray(coefficients[:, :n])),
        projected_all=images_of(linear, np.asarray(coefficients)),
        drawn=images_of(linear, np.asarray(sample_prior(prior, jax.random.key(seed + 5), n_samples))),
        nats_flow=-np.asarray(ln_density(prior.flow, latents)),
        nats_unit=np.asarray(0.5 * jnp.sum(latents**2, -1) + 0.5 * n * jnp.log(2 * jnp.pi)),
        nats_gaussian=fitted + 0.5 * np.linalg.slogdet(2 * np.pi * spread)[1],
        active=np.asarray(latents.std(0)),
    )


if __name__ == "__main__":
    run(infer_prior, snakemake)
