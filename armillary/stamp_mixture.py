"""A mixture of Gaussians of galaxies' coefficients in a linear basis: a prior whose posteriors stay closed forms.

Small, large, round and inclined galaxies have covariances of their own; one Gaussian for all of them (the PCA-Gaussian)
is too wide for each. Fitted by expectation and maximisation (Dempster, Laird and Rubin 1977).
"""

from typing import NamedTuple

import numpy as np
from sklearn.cluster import KMeans

N_EM_STEPS = 12
N_LEADING = 12  # coefficients, stretched, that the first groups are found in
STRETCH = 0.5  # of the standard deviation: linear below, logarithmic above
POOLED_STAMPS = 16.0  # a part's covariance is drawn to that of all by the weight of so many stamps
POOLED_SHARE = 0.01  # of the covariance of all, that it is drawn to


class StampMixture(NamedTuple):
    """Weights, means and covariances of the parts, of coefficients of stamps of flux 1."""

    weight: np.ndarray  # (n_parts,), sum 1
    mean: np.ndarray  # (n_parts, n_components)
    covariance: np.ndarray  # (n_parts, n_components, n_components)


def fit_mixture(coefficients: np.ndarray, n_parts: int, seed: int) -> StampMixture:
    """The mixture of `n_parts` Gaussians of coefficients (n, n_components), from groups that k-means finds.

    Raises ValueError for more parts than stamps allow.
    """
    if n_parts * 8 > len(coefficients):
        raise ValueError(
            f"n_parts is {n_parts}; {len(coefficients)} stamps, all orientations counted, allow "
            f"{len(coefficients) // 8} at most (config key `estimate_mixture: n_parts`)"
        )
    rows = np.asarray(coefficients, np.float32)
    pooled = np.cov(rows.T.astype(float)).astype(np.float32)
    stretched = np.arcsinh(rows[:, :N_LEADING] / (STRETCH * rows[:, :N_LEADING].std(0)))
    group = KMeans(n_parts, n_init=1, random_state=seed).fit_predict(stretched)
    share = np.eye(n_parts, dtype=np.float32)[group]
    for _ in range(N_EM_STEPS):
        found = _maximised(rows, share, pooled)
        terms = part_densities(found, rows)
        share = np.exp(terms - terms.max(1, keepdims=True))
        share /= share.sum(1, keepdims=True)
    return _maximised(rows, share, pooled)


def _maximised(rows: np.ndarray, share: np.ndarray, pooled: np.ndarray) -> StampMixture:
    """Weights, means and covariances given each row's shares (n, n_parts)."""
    number = share.sum(0) + 1e-6
    mean = (share.T @ rows) / number[:, None]
    covariance = np.empty((len(number), *pooled.shape), np.float32)
    for part, (count, centre) in enumerate(zip(number, mean, strict=True)):
        away = (rows - centre) * np.sqrt(share[:, part])[:, None]
        covariance[part] = (away.T @ away + POOLED_STAMPS * POOLED_SHARE * pooled) / (count + POOLED_STAMPS)
    return StampMixture((number / number.sum()).astype(np.float32), mean.astype(np.float32), covariance)


def part_densities(mixture: StampMixture, coefficients: np.ndarray) -> np.ndarray:
    """ln of weight times density (n, n_parts) of each part at coefficients (n, n_components)."""
    terms = []
    for weight, mean, covariance in zip(*mixture, strict=True):
        root = np.linalg.cholesky(covariance.astype(float))
        white = (coefficients - mean) @ np.linalg.inv(root).T.astype(np.float32)
        volume = np.log(np.diag(root)).sum() + 0.5 * len(mean) * np.log(2 * np.pi)
        terms.append(np.log(weight) - volume - 0.5 * np.einsum("ij,ij->i", white, white))
    return np.stack(terms, 1)


def ln_density(mixture: StampMixture, coefficients: np.ndarray) -> np.ndarray:
    """ln of the mixture's density (n,) at coefficients (n, n_components)."""
    return np.logaddexp.reduce(part_densities(mixture, coefficients), axis=1)
