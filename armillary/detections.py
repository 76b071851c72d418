"""From tile maps to clusters: peaks of the centre probability, with what the tiles around say of them."""

import numpy as np
import pandas as pd

COLUMNS = ["x", "y", "probability", "redshift", "redshift_error", "richness", "richness_error"]


def detect_clusters(prediction: dict[str, np.ndarray], *, tile_size: int, threshold: float) -> pd.DataFrame:
    """Clusters of one window: a row for every peak whose probability exceeds `threshold`, most probable first.

    `prediction` holds (T, T) maps of `armillary.inference`. A centre near a tile's edge shares its probability
    among neighbours, so a peak's probability is that of a centre in any of its 3 x 3 tiles, and its position,
    redshift and richness are the means over those tiles weighted by their centre probability. Those tiles are
    then taken: no later peak counts them again. x and y are corner-based native pixels of the window.
    """
    left = prediction["centre_probability"].astype(float)
    rows = []
    while left.any():
        row, column = np.unravel_index(left.argmax(), left.shape)
        block = np.s_[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        probability = 1 - np.prod(1 - left[block])
        if left[row, column] <= threshold / 9:
            break
        if probability > threshold:
            rows.append(_describe(prediction, left, block, tile_size, probability))
        left[block] = 0.0
    return pd.DataFrame(rows, columns=COLUMNS, dtype=float).sort_values(
        "probability", ascending=False, ignore_index=True
    )


def _describe(prediction, left: np.ndarray, block, tile_size: int, probability: float) -> tuple:
    rows, columns = np.indices(left.shape)
    weight = left[block] / left[block].sum()
    x = (weight * (columns[block] + prediction["offset_x"][block])).sum() * tile_size
    y = (weight * (rows[block] + prediction["offset_y"][block])).sum() * tile_size
    redshift, redshift_error = _mean_and_error(prediction, "redshift", block, weight)
    ln_richness, ln_error = _mean_and_error(prediction, "ln_richness", block, weight)
    richness = np.exp(ln_richness)
    return x, y, probability, redshift, redshift_error, richness, richness * ln_error


def _mean_and_error(prediction, name: str, block, weight: np.ndarray) -> tuple[float, float]:
    """Weighted mean and the weighted mean of the tiles' errors: neighbours see the same galaxies."""
    return float((weight * prediction[name][block]).sum()), float((weight * prediction[f"{name}_error"][block]).sum())
