"""The space in which the networks of the challenge gan_latent live: as many components as rise above the noise.

What is beyond them in a spectrum or an image is noise, which is drawn anew, so that neither critic nor generator has to
learn it (Bora et al. 2018 call this an ambient GAN).
"""

from typing import NamedTuple

import numpy as np

LEAST_OVER_NOISE = 2.0
MAX_COMPONENTS = 32


class Components(NamedTuple):
    """mean (d,), basis (K, d) of unit vectors and the spread (K,) of the training objects along each."""

    mean: np.ndarray
    basis: np.ndarray
    spread: np.ndarray

    def weights(self, x: np.ndarray) -> np.ndarray:
        """Objects (n, d) to weights of unit spread (n, K)."""
        return (x - self.mean) @ self.basis.T / self.spread

    def objects(self, weights: np.ndarray) -> np.ndarray:
        """The inverse of `weights`, as far as components reach: (n, d)."""
        return self.mean + (weights * self.spread) @ self.basis


def find_components(x: np.ndarray, sigma: np.ndarray, least: int) -> Components:
    """Components of `x` (n, d) whose variance is more than twice that of the noise: `least` to 32 of them."""
    mean = x.mean(0)
    _, singular, basis = np.linalg.svd(x - mean, full_matrices=False)
    spread = singular / np.sqrt(len(x))
    noise = np.sqrt(basis**2 @ (sigma**2).mean(0))
    n_over = int(np.sum(spread > np.sqrt(LEAST_OVER_NOISE) * noise))
    n_kept = min(max(n_over, least), MAX_COMPONENTS, len(spread))
    return Components(*(part.astype(np.float32) for part in (mean, basis[:n_kept], spread[:n_kept])))


def observe(model: np.ndarray, sigma: np.ndarray, filler: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Objects without noise (n, d) as they would be seen: noise of `sigma`, and `filler` (d,) where it is 0."""
    return np.where(sigma > 0, model + sigma * rng.normal(size=model.shape), filler)
