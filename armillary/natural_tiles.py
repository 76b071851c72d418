"""What tiles count for at the natural rate of clusters, and probabilities of tiles at that rate.

Simulated fields hold more haloes than the sky. Haloes are Poisson draws, so if what happens in a tile depends on the
haloes whose disc of R_lambda touches it, the ratio of the natural to the drawn probability of these haloes is the
product of their weights (natural over drawn rate), times a factor that is the same for all tiles. A negative tile
within a cluster thus counts as little as a positive one beside it, and one that no halo touches counts most.
"""

import numpy as np

from armillary.calibration import expit, fit_logistic
from armillary.cosmology import pixels_per_mpc, richness_radius_mpc

TILE_RIDGE = 1e-3


def natural_tile_weights(truth, image_size: int, tile_size: int, pixel_arcsec: float) -> np.ndarray:
    """Product (T, T) of the weights of the haloes of a field whose R_lambda disc touches the tile; 1 where none does.

    `truth` has the columns x, y (pixels), redshift, richness and weight (natural over drawn rate)."""
    n_tiles = image_size // tile_size
    low = np.arange(n_tiles) * tile_size
    ln_weight = np.zeros((n_tiles, n_tiles))
    for row in truth.itertuples():
        radius_px = richness_radius_mpc(row.richness) * pixels_per_mpc(row.redshift, pixel_arcsec)
        dx, dy = (np.maximum(np.maximum(low - place, place - low - tile_size), 0.0) for place in (row.x, row.y))
        ln_weight += np.log(row.weight) * (np.hypot(dx, dy[:, None]) <= radius_px)
    return np.exp(ln_weight)


def weights_of_fields(truth, fields, image_size: int, tile_size: int, pixel_arcsec: float) -> np.ndarray:
    """`natural_tile_weights` (N, T, T) of the fields with these numbers (column `field`), divided by their mean."""
    by_field = dict(iter(truth.groupby("field")))
    weights = np.stack([
        natural_tile_weights(by_field.get(number, truth.iloc[:0]), image_size, tile_size, pixel_arcsec)
        for number in np.asarray(fields).tolist()
    ])  # fmt: skip
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
