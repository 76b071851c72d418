"""Cutouts of the sky, one object in the middle of each: what they hold, how they are cut, de-duplicated and split.

A missing band is a plane of NaN. Bits of the mask say why a pixel is not to be trusted.
"""

from typing import NamedTuple

import numpy as np

BAD, SATURATED, EDGE = 1, 2, 4
SPLITS = ("train", "validation", "probe")
SOFTENING = 3.0  # of asinh, in units of a band's typical noise


class Cutouts(NamedTuple):
    """Images and variance (N, C, S, S), mask bits of the same shape, columns by name (N,), and facts of all: `bands`,
    `zero_point`, `pixel_arcsec`."""

    images: np.ndarray
    variance: np.ndarray
    mask: np.ndarray
    columns: dict[str, np.ndarray]
    facts: dict

    def rows(self, which) -> "Cutouts":
        """Some of the cutouts: a slice, indices or a boolean array."""
        return Cutouts(
            self.images[which], self.variance[which], self.mask[which],
            {name: value[which] for name, value in self.columns.items()}, self.facts,
        )  # fmt: skip


def joined(parts: list[Cutouts]) -> Cutouts:
    """Cutouts of several files or patches, one after the other."""
    planes = [np.concatenate([part[k] for part in parts]) for k in range(3)]
    columns = {name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns}
    return Cutouts(*planes, columns, parts[0].facts)


def cut_images(images: np.ndarray, x: np.ndarray, y: np.ndarray, size: int, outside=np.nan) -> np.ndarray:
    """Squares (N, C, size, size) of images (C, height, width) whose middle is nearest to (x, y); `outside` is what lies
    beyond the image.

    x and y are corner-based: pixel i covers [i, i + 1).
    """
    half = size // 2
    left = np.floor(np.asarray(x) + 0.5 * (size % 2 == 0)).astype(int) - half
    bottom = np.floor(np.asarray(y) + 0.5 * (size % 2 == 0)).astype(int) - half
    padded = np.pad(images, ((0, 0), (size, size), (size, size)), constant_values=outside)
    height, width = images.shape[1:]
    left, bottom = np.clip(left + size, 0, width + size), np.clip(bottom + size, 0, height + size)
    out = np.empty((len(left), len(images), size, size), padded.dtype)
    for number, (row, column) in enumerate(zip(bottom.tolist(), left.tolist(), strict=True)):
        out[number] = padded[:, row : row + size, column : column + size]
    return out


def first_of_duplicates(ra_deg: np.ndarray, dec_deg: np.ndarray, tolerance_arcsec: float) -> np.ndarray:
    """Boolean (N,): the first object of every group that lies closer together than the tolerance.

    Chains count as one group: of a, b, c with a-b and b-c close, only a stays.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    ra, dec = np.radians(np.asarray(ra_deg, float)), np.radians(np.asarray(dec_deg, float))
    if not np.isfinite(ra + dec).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(ra + dec))} objects have no finite ra and dec")
    unit = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], 1)
    pairs = cKDTree(unit).query_pairs(2 * np.sin(np.radians(tolerance_arcsec / 3600) / 2), output_type="ndarray")
    links = coo_matrix((np.ones(len(pairs)), pairs.reshape(-1, 2).T), shape=(len(ra), len(ra)))
    groups = connected_components(links, directed=False)[1]
    kept = np.zeros(len(ra), bool)
    kept[np.unique(groups, return_index=True)[1]] = True
    return kept


def sky_cells(ra_deg: np.ndarray, dec_deg: np.ndarray, cell_deg: float) -> np.ndarray:
    """Number of the sky cell, about `cell_deg` on a side, that each position lies in: rows of equal declination."""
    row = np.floor((np.asarray(dec_deg, float) + 90) / cell_deg).astype(np.int64)
    middle = np.radians((row + 0.5) * cell_deg - 90)
    n_columns = np.maximum(np.floor(360 * np.cos(middle) / cell_deg), 1)
    column = np.floor(np.asarray(ra_deg, float) % 360 / 360 * n_columns).astype(np.int64)
    return row * 100_000 + column


def split_cells(cells: np.ndarray, fractions: dict[str, float], rng: np.random.Generator) -> np.ndarray:
    """Name of the split (N,) of every object; all objects of a cell go together.

    `fractions` are those of the cells for validation and probe; each gets one cell at least, train the rest.
    """
    distinct = rng.permutation(np.unique(cells))
    counts = {name: max(round(fractions[name] * len(distinct)), 1) for name in ("validation", "probe")}
    if len(distinct) - sum(counts.values()) < 1:
        raise ValueError(
            f"all objects lie in {len(distinct)} sky cells; at least {sum(counts.values()) + 1} are needed to split "
            "them (config keys `mim: sample_cutouts: cell_deg`, `validation_fraction`, `probe_fraction`)"
        )
    names = np.repeat(["probe", "validation"], [counts["probe"], counts["validation"]])
    names = np.append(names, np.repeat("train", len(distinct) - len(names)))
    return names[np.argsort(distinct)][np.searchsorted(np.sort(distinct), cells)]


def usable_pixels(images: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Boolean of the images' shape: finite and without a mask bit."""
    return np.isfinite(images) & (mask == 0)


def band_noise(images: np.ndarray, variance: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Typical noise of a pixel in every band (C,): root of the median variance of usable pixels; NaN where none is."""
    usable = usable_pixels(images, mask) & np.isfinite(variance) & (variance > 0)
    medians = [
        np.median(variance[:, band][usable[:, band]]) if usable[:, band].any() else np.nan
        for band in range(images.shape[1])
    ]
    return np.sqrt(np.array(medians, float))


def estimated_variance(images: np.ndarray) -> np.ndarray:
    """Variance (N, C, S, S) where a file has none: constant in a cutout and band, from the pixels' robust scatter.

    # ASSUME: most pixels of a cutout are empty sky.
    """
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # planes of NaN
        middle = np.nanmedian(images, axis=(2, 3), keepdims=True)
        scatter = 1.4826 * np.nanmedian(np.abs(images - middle), axis=(2, 3), keepdims=True)
    return np.broadcast_to(np.maximum(scatter, 1e-12) ** 2, images.shape).astype(np.float32)


def compressed(images: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """asinh(image / (3 noise of the band)), float32: linear in the noise, logarithmic in bright pixels."""
    return np.arcsinh(images / (SOFTENING * noise[:, None, None]).astype(np.float32))


def compressed_variance(images: np.ndarray, variance: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Variance of `compressed`: var / (image^2 + (3 noise)^2), by its derivative at the observed value."""
    soft = (SOFTENING * noise[:, None, None]).astype(np.float32)
    return variance / (np.square(np.nan_to_num(images)) + soft**2)


def check_cutouts(cutouts: Cutouts, name: str) -> None:
    """Raise ValueError naming file and row for a cutout that is NaN in every band, or whose variance is negative."""
    empty = ~np.isfinite(cutouts.images).any(axis=(1, 2, 3))
    if empty.any():
        raise ValueError(
            f"{name}: cutout {int(np.argmax(empty))} is NaN in every band ({int(empty.sum())} such cutouts): leave "
            "them out"
        )
    negative = (cutouts.variance < 0).any(axis=(1, 2, 3))
    if negative.any():
        raise ValueError(f"{name}: the variance of cutout {int(np.argmax(negative))} is negative")
