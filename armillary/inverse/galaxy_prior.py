"""The prior of galaxy stamps as one function: unit Gaussian variables in, a stamp's coefficients out.

Latents of a flow, decoded, plus what the decoder misses on held-out galaxies (`stamp_residual`). The weights go to and
come from one flat dictionary of arrays.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from armillary.files import read_arrays
from armillary.inverse.autoencoder import Autoencoder, decode, encode
from armillary.inverse.galaxy_score import GalaxyScore
from armillary.inverse.latent_flow import LatentFlow, to_latents, to_unit
from armillary.inverse.stamp_residual import sampled_residuals
from armillary.stamp_basis import StampBasis


class Mixture(NamedTuple):
    """A mixture of Gaussians of coefficients of stamps of flux 1, with roots of the covariances."""

    ln_weight: jax.Array  # (n_parts,)
    mean: jax.Array  # (n_parts, n_components)
    root: jax.Array  # (n_parts, n_components, n_components), lower triangular


class GalaxyPrior(NamedTuple):
    """All that is learned of galaxies."""

    stack: jax.Array  # (1 + n_components, size, size): mean and components
    covariance: jax.Array  # (n_components, n_components): the PCA-Gaussian prior
    autoencoder: Autoencoder
    flow: LatentFlow
    residual_spectrum: jax.Array  # (size, size // 2 + 1) of what the decoder misses (`stamp_residual`)
    residual_scales: jax.Array  # (n_scales,), equally probable: some galaxies are decoded much better than others
    score: GalaxyScore
    mixture: Mixture  # of Gaussians, of the same coefficients

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


def missed_by_autoencoder(autoencoder: Autoencoder, coefficients: np.ndarray) -> np.ndarray:
    """Coefficients (n, n_components) less what is decoded of their encoding."""
    decoded = decode(autoencoder, encode(autoencoder, jnp.asarray(coefficients, jnp.float32))[0])
    return coefficients - np.asarray(decoded)


def sample_prior(prior: GalaxyPrior, key: jax.Array, n: int) -> jax.Array:
    """Coefficients (n, n_components) of galaxies drawn from the prior, residuals included."""
    keys = jax.random.split(key)
    decoded = coefficients_of_unit(prior, jax.random.normal(keys[0], (n, prior.n_latents)))
    return decoded + sampled_residuals(prior.residual_spectrum, prior.residual_scales, prior.stack, decoded, 0, keys[1])


def arrays_of_autoencoder(model: Autoencoder) -> dict[str, np.ndarray]:
    """The model as a flat dictionary."""
    parts = {f"{part}_{name}": np.asarray(a) for part, weights in model.weights.items() for name, a in weights.items()}
    stack = {} if model.stack is None else {"stack": np.asarray(model.stack)}
    return parts | stack | {"scale": np.asarray(model.scale)}


def autoencoder_of_arrays(arrays: dict[str, np.ndarray]) -> Autoencoder:
    """The inverse of `arrays_of_autoencoder`."""
    weights = {
        part: {name.partition("_")[2]: jnp.asarray(a) for name, a in arrays.items() if name.startswith(part)}
        for part in ("encoder", "decoder")
    }
    stack = jnp.asarray(arrays["stack"]) if "stack" in arrays else None
    return Autoencoder(weights, jnp.asarray(arrays["scale"]), stack)


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


def arrays_of_score(score: GalaxyScore) -> dict[str, np.ndarray]:
    """The score prior as a flat dictionary."""
    parts = {f"network_{name}": np.asarray(array) for name, array in score.weights.items()}
    others = {name: getattr(score, name) for name in GalaxyScore._fields if name != "weights"}
    return parts | {name: np.asarray(array) for name, array in others.items() if array is not None}


def score_of_arrays(arrays: dict[str, np.ndarray]) -> GalaxyScore:
    """The inverse of `arrays_of_score`."""
    weights = {
        name.partition("_")[2]: jnp.asarray(array) for name, array in arrays.items() if name.startswith("network_")
    }
    others = {name: jnp.asarray(arrays[name]) if name in arrays else None for name in GalaxyScore._fields[1:]}
    return GalaxyScore(weights, **others)


def mixture_of_arrays(arrays: dict[str, np.ndarray]) -> Mixture:
    """The mixture with roots of its covariances, from weights, means and covariances."""
    root = np.linalg.cholesky(arrays["covariance"].astype(float))
    return Mixture(*(jnp.asarray(part, jnp.float32) for part in (np.log(arrays["weight"]), arrays["mean"], root)))


def read_prior(basis: str, autoencoder: str, flow: str, residual: str, score: str, mixture: str) -> GalaxyPrior:
    """The prior from the files that its steps leave."""
    linear = StampBasis(**read_arrays(basis))
    return GalaxyPrior(
        jnp.asarray(linear.stack, jnp.float32), jnp.asarray(linear.covariance, jnp.float32),
        autoencoder_of_arrays(read_arrays(autoencoder)), flow_of_arrays(read_arrays(flow)),
        *(jnp.asarray(read_arrays(residual)[name]) for name in ("spectrum", "scales")),
        score_of_arrays(read_arrays(score)), mixture_of_arrays(read_arrays(mixture)),
    )  # fmt: skip
