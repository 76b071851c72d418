"""A linear basis of galaxy stamps, and the Gaussian prior that goes with it: what needs no training.

Components are orthonormal, so that errors of coefficients are errors of pixels. Stamps count by the inverse of their
peak: what is small is the error relative to a galaxy's own brightness, for compact and extended ones alike.
"""

from typing import NamedTuple

import numpy as np

N_POWER_ITERATIONS = 4
N_EXTRA = 16  # of the random subspace


class StampBasis(NamedTuple):
    """The mean stamp, components and the covariance of coefficients in stamps of flux 1."""

    mean: np.ndarray  # (size, size)
    components: np.ndarray  # (n_components, size, size)
    covariance: np.ndarray  # (n_components, n_components)

    @property
    def stack(self) -> np.ndarray:
        """The mean and the components as one stack (1 + n_components, size, size)."""
        return np.concatenate([self.mean[None], self.components])


def orientations(images: np.ndarray) -> np.ndarray:
    """Images (n, size, size) in the eight orientations that keep their pixels, (8 n, size, size)."""
    turned = [np.rot90(images, k, (1, 2)) for k in range(4)]
    return np.concatenate([*turned, *(one[:, :, ::-1] for one in turned)])


def fit_basis(images: np.ndarray, n_components: int, rng: np.random.Generator) -> StampBasis:
    """The basis of images (n, size, size) in all orientations, by a randomised subspace iteration (Halko et al. 2011).

    Raises ValueError when there are fewer images than components ask for.
    """
    images = orientations(images)
    n, size = len(images), images.shape[1]
    if n_components + N_EXTRA > min(n, size**2):
        raise ValueError(
            f"n_components is {n_components}; {n} stamps of {size} px allow {min(n, size**2) - N_EXTRA} at most"
        )
    rows = images.reshape(n, -1).astype(np.float32)
    mean = rows.mean(0)
    weight = (1 / rows.max(1, keepdims=True)).astype(np.float32)
    rows = (rows - mean) * weight
    span = np.linalg.qr(rows.T @ rng.normal(size=(n, n_components + N_EXTRA)).astype(np.float32))[0]
    for _ in range(N_POWER_ITERATIONS):
        span = np.linalg.qr(rows.T @ (rows @ span))[0]
    projected = rows @ span
    _, vectors = np.linalg.eigh(projected.T.astype(float) @ projected)
    components = (span @ vectors[:, ::-1][:, :n_components]).T
    coefficients = (rows / weight) @ components.T
    covariance = np.cov(coefficients.T.astype(float))
    return StampBasis(
        mean.reshape(size, size), components.reshape(-1, size, size).astype(np.float32), covariance.astype(np.float32)
    )


def coefficients_of(basis: StampBasis, images: np.ndarray) -> np.ndarray:
    """Coefficients (..., n_components) of stamps (..., size, size) of flux 1."""
    return np.tensordot(images - basis.mean, basis.components, ((-2, -1), (-2, -1)))


def images_of(basis: StampBasis, coefficients: np.ndarray) -> np.ndarray:
    """Stamps (..., size, size) of coefficients (..., n), n at most n_components."""
    return basis.mean + np.tensordot(coefficients, basis.components[: coefficients.shape[-1]], (-1, 0))
