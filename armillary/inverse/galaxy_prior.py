"""The prior of galaxy stamps as one function: unit Gaussian variables in, a stamp's coefficients out.

Latents of a flow, decoded, plus what the decoder misses: Gaussian residuals with the covariance that held-out galaxies
showed, in units of a stamp's peak, as the decoder's loss is. The weights go to and come from one flat dictionary of
arrays.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from armillary.files import read_arrays
from armillary.inverse.autoencoder import Autoencoder, decode, encode
from armillary.inverse.latent_flow import LatentFlow, to_latents, to_unit
from armillary.stamp_basis import StampBasis, coefficients_of


class GalaxyPrior(NamedTuple):
    """All that is learned of galaxies."""

    stack: jax.Array  # (1 + n_components, size, size): mean and components
    covariance: jax.Array  # (n_components, n_components): the PCA-Gaussian prior
    autoencoder: Autoencoder
    flow: LatentFlow
    residual: jax.Array  # (n_components, n_components), of stamps whose peak is 1

    @property
    def n_latents(self) -> int:
        """Latent variables of a galaxy."""
        return self.autoencoder.n_latents


def coefficients_of_unit(prior: GalaxyPrior, unit: jax.Array) -> jax.Array:
    """Coefficients (..., n_components) of unit Gaussian variables (..., n_latents), without residuals."""
    return decode(prior.autoencoder, to_latents(prior.flow, unit))


def unit_of_coefficients(prior: GalaxyPrior, coefficients: jax.Array) -> jax.Array:
    """Unit Gaussian variables (..., n_latents) whose stamps are near those of the coefficients."""
    return to_unit(prior.flow, encode(prior.autoencoder, coefficients)[0])[0]


def stamp_peaks(stack: jax.Array, coefficients: jax.Array) -> jax.Array:
    """Highest pixels (...) of stamps of coefficients (..., n_components); at least a tenth of the mean stamp's."""
    peaks = jnp.max(stack[0] + jnp.tensordot(coefficients, stack[1:], 1), (-2, -1))
    return jnp.maximum(peaks, 0.1 * stack[0].max())


def residual_covariance(autoencoder: Autoencoder, basis: StampBasis, images: np.ndarray) -> np.ndarray:
    """Covariance (n_components, n_components) of what the decoder misses in held-out stamps (n, size, size), each
    divided by its peak. A hundredth of the mean variance keeps it regular."""
    coefficients = coefficients_of(basis, images)
    decoded = np.asarray(decode(autoencoder, encode(autoencoder, jnp.asarray(coefficients, jnp.float32))[0]))
    missed = (coefficients - decoded) / images.max((1, 2))[:, None]
    values, vectors = np.linalg.eigh(missed.T @ missed / len(missed))
    values = np.maximum(values, 0.01 * values.mean())
    return ((vectors * values) @ vectors.T).astype(np.float32)


def sample_prior(prior: GalaxyPrior, key: jax.Array, n: int) -> jax.Array:
    """Coefficients (n, n_components) of galaxies drawn from the prior, residuals included."""
    keys = jax.random.split(key)
    decoded = coefficients_of_unit(prior, jax.random.normal(keys[0], (n, prior.n_latents)))
    root = jnp.linalg.cholesky(prior.residual)
    missed = jax.random.normal(keys[1], decoded.shape) @ root.T
    return decoded + stamp_peaks(prior.stack, decoded)[:, None] * missed


def arrays_of_autoencoder(model: Autoencoder) -> dict[str, np.ndarray]:
    """The model as a flat dictionary."""
    parts = {f"{part}_{name}": np.asarray(a) for part, weights in model.weights.items() for name, a in weights.items()}
    return parts | {"scale": np.asarray(model.scale)}


def autoencoder_of_arrays(arrays: dict[str, np.ndarray]) -> Autoencoder:
    """The inverse of `arrays_of_autoencoder`."""
    weights = {
        part: {name.partition("_")[2]: jnp.asarray(a) for name, a in arrays.items() if name.startswith(part)}
        for part in ("encoder", "decoder")
    }
    return Autoencoder(weights, jnp.asarray(arrays["scale"]))


def arrays_of_flow(flow: LatentFlow) -> dict[str, np.ndarray]:
    """The flow as a flat dictionary."""
    parts = {
        f"coupling{k}_{name}": np.asarray(a) for k, weights in enumerate(flow.weights) for name, a in weights.items()
    }
    return parts | {name: np.asarray(getattr(flow, name)) for name in ("rotations", "centre", "spread")}


def flow_of_arrays(arrays: dict[str, np.ndarray]) -> LatentFlow:
    """The inverse of `arrays_of_flow`."""
    weights = [
        {name.partition("_")[2]: jnp.asarray(a) for name, a in arrays.items() if name.startswith(f"coupling{k}_")}
        for k in range(len(arrays["rotations"]))
    ]
    return LatentFlow(weights, *(jnp.asarray(arrays[name]) for name in ("rotations", "centre", "spread")))


def read_prior(basis: str, autoencoder: str, flow: str, residual: str) -> GalaxyPrior:
    """The prior from the files that its steps leave."""
    linear = StampBasis(**read_arrays(basis))
    return GalaxyPrior(
        jnp.asarray(linear.stack, jnp.float32), jnp.asarray(linear.covariance, jnp.float32),
        autoencoder_of_arrays(read_arrays(autoencoder)), flow_of_arrays(read_arrays(flow)),
        jnp.asarray(read_arrays(residual)["covariance"]),
    )  # fmt: skip
