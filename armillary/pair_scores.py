"""How close images of one piece of sky are to each other: correlations, with errors from resampled blocks of pixels."""

import numpy as np

from armillary.metrics import estimate

BLOCK_PX = 10


def blocks_of(shape: tuple[int, int], where: np.ndarray) -> tuple[np.ndarray, int]:
    """The number of the block that each pixel `where` lies in, and how many blocks there are."""
    rows, columns = np.nonzero(where)
    named = rows // BLOCK_PX * (shape[1] // BLOCK_PX + 1) + columns // BLOCK_PX
    names, numbers = np.unique(named, return_inverse=True)
    return numbers, len(names)


def correlation_metrics(
    prefix: str, images: dict[str, np.ndarray], truth: np.ndarray, where: np.ndarray, counts: np.ndarray,
    baseline: str, ceiling: float | None = None,
) -> dict:  # fmt: skip
    """Correlation of each image with the truth, of the pixels `where`, and what it gains over the baseline's.

    `counts` (n_resamples, n_blocks) are of the same blocks for both; `ceiling` is what the truth's own noise allows."""
    blocks, n = blocks_of(truth.shape, where)
    found, drawn = {}, {}
    for name, image in images.items():
        value, samples = _correlations(image[where], truth[where], blocks, n, counts)
        drawn[name] = value, samples
        is_baseline = name == baseline
        note = "" if ceiling is None else f"noise of the truth allows {ceiling:.3f}"
        key = f"{prefix}_{name}_correlation"
        found[key] = estimate(value, samples, n, "", None if is_baseline else f"{prefix}_{baseline}_correlation", note)
        if not is_baseline:
            found[f"{prefix}_{name}_gain"] = estimate(
                value - drawn[baseline][0], samples - drawn[baseline][1], n, "of the correlation", None, "same blocks"
            )
    return found


def _correlations(one, other, blocks, n, counts) -> tuple[float, np.ndarray]:
    """Pearson's of all pixels, and of each resample of blocks."""
    parts = np.stack([np.ones(len(one)), one, other, one**2, other**2, one * other])
    sums = np.stack([np.bincount(blocks, part, n) for part in parts], -1)
    both = np.vstack([np.ones((1, n)), counts]) @ sums
    size, x, y, xx, yy, xy = both.T
    found = (xy - x * y / size) / np.sqrt((xx - x**2 / size) * (yy - y**2 / size))
    return float(found[0]), found[1:]
