"""What the priors make of held-out stamps: decoded, denoised, their latents' likelihood; and stamps that they draw."""

import jax
import jax.numpy as jnp
import numpy as np

from armillary.files import read_arrays, write_arrays
from armillary.files_hsc import read_set
from armillary.inverse.autoencoder import decode, encode
from armillary.inverse.galaxy_diffusion import sample_score_prior
from armillary.inverse.galaxy_prior import read_prior, sample_prior
from armillary.inverse.galaxy_score import GalaxyScore, denoising_losses, white_of_coefficients
from armillary.inverse.latent_flow import ln_density
from armillary.stamp_basis import StampBasis, coefficients_of, images_of, orientations
from armillary.stamp_sets import StampSet
from armillary.step import run

SIGMAS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)  # of the noise on whitened stamps


def infer_prior(
    stamps: str, basis: str, autoencoder: str, flow: str, residual: str, score: str, mixture: str, checks: str, *,
    n_samples: int, n_levels: int, seed: int,
) -> None:  # fmt: skip
    prior, linear = read_prior(basis, autoencoder, flow, residual, score, mixture), StampBasis(**read_arrays(basis))
    sets = read_set(stamps, StampSet)
    images = sets.of_split("test").image
    coefficients = jnp.asarray(coefficients_of(linear, images), jnp.float32)
    latents = encode(prior.autoencoder, coefficients)[0]
    train = orientations(sets.of_split("train").image[::4])
    known = np.asarray(encode(prior.autoencoder, jnp.asarray(coefficients_of(linear, train), jnp.float32))[0])
    n, centre, spread = prior.n_latents, known.mean(0), np.cov(known.T)
    away = np.asarray(latents) - centre
    fitted = 0.5 * np.einsum("ni,ij,nj->n", away, np.linalg.inv(spread), away)
    white = white_of_coefficients(prior.score, coefficients)
    gaussian = prior.score._replace(weights=jax.tree.map(jnp.zeros_like, prior.score.weights))  # a network that says 0
    drawn = sample_score_prior(prior, jax.random.key(seed + 6), n_samples, n_levels)
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
        drawn_by_score=images_of(linear, np.asarray(drawn)),
        sigma=np.array(SIGMAS),
        score_losses=_losses(prior.score, white, seed),
        gaussian_losses=_losses(gaussian, white, seed),
    )


def _losses(score: GalaxyScore, white: jax.Array, seed: int) -> np.ndarray:
    """Losses of denoising (n_sigmas, n) of whitened stamps (n, k), the same noise whatever the denoiser."""
    keys = jax.random.split(jax.random.key(seed + 7), len(SIGMAS))
    rows = [
        denoising_losses(score, white, jnp.full(len(white), one), key) for one, key in zip(SIGMAS, keys, strict=True)
    ]
    return np.array(rows)


if __name__ == "__main__":
    run(infer_prior, snakemake)
