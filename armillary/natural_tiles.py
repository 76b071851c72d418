"""What tiles count for at the natural rate of clusters, and probabilities of tiles at that rate.

Simulated fields hold more haloes than the sky. Haloes are Poisson draws, so if what happens in a tile depends on the
haloes whose disc of R_lambda touches it, the ratio of the natural to the drawn probability of these haloes is the
product of their weights (natural over drawn rate), times a factor that is the same for all tiles. A negative tile
within a cluster thus counts as little as a positive one beside it, and one that no halo touches counts most. A logistic
fit with these weights gives the probability at the natural rate.
"""

import numpy as np

from armillary.calibration import expit, fit_logistic
from armillary.cosmology import pixels_per_mpc, richness_radius_mpc
from armillary.haloes import RICHNESS_CLUSTER

TILE_RIDGE = 1e-3
REFERENCE_LN_RICHNESS, REFERENCE_REDSHIFT = 3.5, 0.45


def encoder_features(probability, estimates: dict) -> np.ndarray:
    """Features (..., 6) of the encoder's tiles: logit of a calibrated probability at the drawn rate, ln richness and
    its square, redshift, and ln of both errors; of a tile alone, so that one that is not seen changes no other."""
    p = np.clip(np.asarray(probability, float), 1e-9, 1 - 1e-9)
    x = estimates["ln_richness"] - REFERENCE_LN_RICHNESS
    errors = np.log(estimates["ln_richness_error"]), np.log(estimates["redshift_error"])
    return np.stack([np.log(p / (1 - p)), x, x**2, estimates["redshift"] - REFERENCE_REDSHIFT, *errors], -1)


def natural_tile_weights(truth, image_size: int, tile_size: int, pixel_arcsec: float) -> np.ndarray:
    """Product (T, T) of the weights of the haloes of a field whose R_lambda disc touches the tile; 1 where none does.

    `truth` has the columns x, y (pixels), redshift, richness and weight (natural over drawn rate)."""
    touched = touched_tiles(truth, image_size, tile_size, pixel_arcsec)
    return np.exp(np.tensordot(np.log(truth["weight"].to_numpy(float)), touched, 1))


def touched_tiles(truth, image_size: int, tile_size: int, pixel_arcsec: float) -> np.ndarray:
    """Whether the R_lambda disc of each halo of a field touches each tile, (H, T, T) bool."""
    low = np.arange(image_size // tile_size) * tile_size
    x, y, redshift, richness = (truth[name].to_numpy(float)[:, None] for name in ("x", "y", "redshift", "richness"))
    dx, dy = (np.maximum(np.maximum(low - place, place - low - tile_size), 0.0) for place in (x, y))  # (H, T)
    radius_px = richness_radius_mpc(richness) * pixels_per_mpc(redshift, pixel_arcsec)
    return np.hypot(dx[:, None, :], dy[:, :, None]) <= radius_px[:, :, None]


def weights_of_fields(truth, fields, image_size: int, tile_size: int, pixel_arcsec: float) -> np.ndarray:
    """`natural_tile_weights` (N, T, T) of the fields with these numbers (column `field`), of mean 1.

    Few fields hold few isolated clusters, so the weight of all tiles that clusters touch scatters. It is set to the
    share of the sky that clusters touch, which each cluster's own weight gives with less scatter: of Poisson clusters,
    1 - exp(-mean sum of the weights of the clusters that touch a tile).
    """
    by_field = dict(iter(truth.groupby("field")))
    weights, density = [], []  # of each field: (T, T), and the sum of its clusters' own weights by tile
    for number in np.asarray(fields).tolist():
        haloes = by_field.get(number, truth.iloc[:0])
        clusters = haloes[haloes["richness"] >= RICHNESS_CLUSTER]
        touched = touched_tiles(clusters, image_size, tile_size, pixel_arcsec)
        density.append(np.tensordot(clusters["weight"].to_numpy(float), touched, 1))
        weights.append(natural_tile_weights(haloes, image_size, tile_size, pixel_arcsec))
    weights, density = np.stack(weights), np.stack(density)
    share = -np.expm1(-density.mean())
    for part, wanted in ((density > 0, share), (density == 0, 1 - share)):
        weights[part] *= wanted * weights.size / weights[part].sum() if part.any() else 1.0
    return weights / weights.mean()


def fit_tiles(features: np.ndarray, is_positive: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Coefficients (k + 1,), the constant last, of the logistic of tile features (..., k) to `is_positive` (...).

    `weight` (...) of each tile; without it probabilities are at the rate of the fields."""
    rows = features.reshape(-1, features.shape[-1])
    weight = None if weight is None else weight.ravel()
    return fit_logistic(rows, is_positive.ravel().astype(float), weight, ridge=TILE_RIDGE)


def tile_logistic(features: np.ndarray, coefficients) -> np.ndarray:
    """Probabilities (...) of tile features (..., k)."""
    coefficients = np.asarray(coefficients)
    return expit(features @ coefficients[:-1] + coefficients[-1])
