"""Objects that look alike: exact cosine similarity of whitened embeddings, and how pure the nearest ones are."""

import numpy as np

from armillary.files_cutouts import read_embeddings

LEAST_VARIANCE = 1e-9  # of the largest: below are rounding errors
OBJECTS_A_DIRECTION = 10  # fewer do not tell how wide a direction is


def read_search_vectors(path: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Vectors (N, d) that searches compare, and columns by name; ValueError if a file of embeddings has none."""
    _, columns = read_embeddings(path)
    if "search" not in columns:
        raise ValueError(f"{path} has no vectors for searches (dataset `search`): embed its objects anew")
    return columns.pop("search"), columns


def whiten(embedding: np.ndarray, fitted_on: np.ndarray | None = None) -> np.ndarray:
    """Rotate and scale to unit variance in all directions that have any, (N, d); of few objects the widest alone.

    What is rare hides in directions of little variance. A cut at 1e-4 of the largest leaves a quarter of those of an
    embedding but all principal components, and a third of the lenses that a search finds is lost with it.
    """
    fitted_on = (embedding if fitted_on is None else fitted_on).astype(float)
    mean = fitted_on.mean(0)
    variance, directions = np.linalg.eigh(np.cov((fitted_on - mean).T))
    n_most = max(len(fitted_on) // OBJECTS_A_DIRECTION, 2)
    kept = (variance > LEAST_VARIANCE * variance.max()) & (np.arange(len(variance))[::-1] < n_most)
    return (embedding - mean) @ (directions[:, kept] / np.sqrt(variance[kept]))


def nearest(whitened: np.ndarray, query: np.ndarray, n_wanted: int, left_out: np.ndarray | None = None):
    """Rows and cosines of the `n_wanted` objects most similar to a query (d,), best first, without the `left_out`."""
    length = np.linalg.norm(whitened, axis=1) * np.linalg.norm(query)
    cosine = whitened @ query / np.maximum(length, 1e-12)
    if left_out is not None:
        cosine[left_out] = -np.inf
    best = np.argpartition(-cosine, min(n_wanted, len(cosine) - 1))[:n_wanted]
    best = best[np.argsort(-cosine[best])]
    return best, cosine[best]


def neighbours(whitened: np.ndarray, n_wanted: int) -> np.ndarray:
    """Rows (N, n_wanted) of the objects most similar to each, best first, itself left out."""
    unit = whitened / np.maximum(np.linalg.norm(whitened, axis=1, keepdims=True), 1e-12)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -np.inf)
    return np.argsort(-cosine, axis=1)[:, :n_wanted]


def query_vector(whitened: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The mean direction of some objects."""
    unit = whitened[rows] / np.linalg.norm(whitened[rows], axis=1, keepdims=True)
    return unit.mean(0)


def precision_at(
    embedding: np.ndarray, is_rare: np.ndarray, *, n_wanted: int, n_examples: int, n_queries: int,
    rng: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    """Share of the rare class among the `n_wanted` nearest objects, one value a query (n_queries,).

    A query is the mean of `n_examples` rare objects drawn at random; they are never among its own answers.
    """
    rare = np.flatnonzero(is_rare)
    if len(rare) < n_examples + n_wanted:
        raise ValueError(
            f"{len(rare)} objects of the rare class; {n_examples} examples and {n_wanted} to be found need "
            f"{n_examples + n_wanted} (config key `mim: score_similarity`)"
        )
    whitened = whiten(embedding)
    shares = []
    for _ in range(n_queries):
        examples = rng.choice(rare, n_examples, replace=False)
        found, _ = nearest(whitened, query_vector(whitened, examples), n_wanted, examples)
        shares.append(is_rare[found].mean())
    return np.array(shares)


def rows_at(ra_deg: np.ndarray, dec_deg: np.ndarray, wanted: list[list[float]], tolerance_arcsec: float) -> np.ndarray:
    """The object nearest to each wanted (ra, dec); ValueError if one has none within the tolerance."""
    from armillary.sky import separation_arcsec

    rows = []
    for ra, dec in wanted:
        distance = separation_arcsec(ra_deg, dec_deg, ra, dec)
        nearest_row = int(np.argmin(distance))
        if not distance[nearest_row] <= tolerance_arcsec:
            raise ValueError(
                f"no object lies within {tolerance_arcsec:g} arcsec of ra {ra:g}, dec {dec:g}; the nearest is "
                f"{distance[nearest_row]:.1f} arcsec away (config key `mim: similarity: positions`)"
            )
        rows.append(nearest_row)
    return np.array(rows)
