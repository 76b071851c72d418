"""Objects that look alike: exact cosine similarity of whitened embeddings, and how pure the nearest ones are."""

from typing import NamedTuple

import numpy as np

from armillary.files_cutouts import read_embeddings

LEAST_VARIANCE = 1e-9  # of the largest: below are rounding errors
CUTS = (1e-9, 1e-6, 1e-4, 1e-2)  # that a search may choose among
OBJECTS_A_DIRECTION = 10  # fewer do not tell how wide a direction is


def read_search_vectors(path: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Vectors (N, d) that searches compare, and columns by name; ValueError if a file of embeddings has none."""
    _, columns = read_embeddings(path)
    if "search" not in columns:
        raise ValueError(f"{path} has no vectors for searches (dataset `search`): embed its objects anew")
    return columns.pop("search"), columns


def whiten(
    embedding: np.ndarray, fitted_on: np.ndarray | None = None, least_variance: float = LEAST_VARIANCE
) -> np.ndarray:
    """Rotate and scale to unit variance in all directions that have `least_variance` of the largest, (N, d); of few
    objects the widest alone.

    What is rare hides in directions of little variance. A cut at 1e-4 of the largest leaves a quarter of those of an
    embedding but all principal components, and a third of the lenses that a search finds is lost with it.
    """
    fitted_on = (embedding if fitted_on is None else fitted_on).astype(float)
    mean = fitted_on.mean(0)
    variance, directions = np.linalg.eigh(np.cov((fitted_on - mean).T))
    n_most = max(len(fitted_on) // OBJECTS_A_DIRECTION, 2)
    kept = (variance > least_variance * variance.max()) & (np.arange(len(variance))[::-1] < n_most)
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


class Queries(NamedTuple):
    """Searches for a rare class by example: a half of the fields gives the examples, in the other half is searched."""

    is_rare: np.ndarray  # (N,) of the objects
    field: np.ndarray  # (N,) counted from 0
    examples: np.ndarray  # (n_queries, n_examples) rows
    searched: np.ndarray  # (n_queries, n_fields) whether a field is searched
    n_wanted: int


def draw_queries(
    is_rare: np.ndarray, field: np.ndarray, *, n_wanted: int, n_examples: int, n_queries: int, rng: np.random.Generator
) -> Queries:
    """Queries, each with its own half of the fields and its own examples; the same for all that are compared."""
    n_fields = int(field.max()) + 1
    rare = np.flatnonzero(is_rare)
    if n_fields < 2 or len(rare) < n_examples + n_wanted:
        raise ValueError(
            f"{len(rare)} objects of the rare class in {n_fields} fields; {n_examples} examples and {n_wanted} to be "
            f"found need {n_examples + n_wanted} in two fields at least (config key `mim: score_similarity`)"
        )
    examples, searched = [], np.ones((n_queries, n_fields), bool)
    for number in range(n_queries):
        while True:
            giving = rng.permutation(n_fields)[: n_fields // 2]
            of = rare[np.isin(field[rare], giving)]
            if n_examples <= len(of) < len(rare):
                break
        searched[number, giving] = False
        examples.append(rng.choice(of, n_examples, replace=False))
    return Queries(np.asarray(is_rare, bool), field, np.array(examples), searched, n_wanted)


def precisions(whitened: np.ndarray, queries: Queries) -> np.ndarray:
    """Share of the rare class among the `n_wanted` nearest objects: (n_fields + 1, n_queries), first of all fields,
    then with one field after the other left out; NaN for a query whose examples lie in the field left out."""
    unit = whitened / np.maximum(np.linalg.norm(whitened, axis=1, keepdims=True), 1e-12)
    n_fields = queries.searched.shape[1]
    found = np.full((n_fields + 1, len(queries.examples)), np.nan)
    for number, rows in enumerate(queries.examples):
        cosine = unit @ unit[rows].mean(0)
        candidates = np.flatnonzero(queries.searched[number, queries.field])
        n_kept = min(len(candidates), 8 * queries.n_wanted)
        best = candidates[np.argpartition(-cosine[candidates], n_kept - 1)[:n_kept]]
        best = best[np.argsort(-cosine[best])]
        found[0, number] = queries.is_rare[best[: queries.n_wanted]].mean()
        for left_out in set(range(n_fields)) - set(queries.field[rows].tolist()):
            rest = best[queries.field[best] != left_out][: queries.n_wanted]
            found[left_out + 1, number] = queries.is_rare[rest].mean() if len(rest) else np.nan
    return found


def jackknife(by_field: np.ndarray) -> tuple[float, float]:
    """Mean over queries of (n_fields + 1, n_queries) or of a difference of two such, and its error over the fields.

    Quenouille and Tukey: (n - 1) / n times the sum of squares of the means with a field left out about their mean.
    With two fields, one of which is searched, none can be left out: then the error is that over the queries.
    """
    means = np.array([np.nanmean(row) for row in by_field if np.isfinite(row).any()])
    left_out, n = means[1:], len(means) - 1
    if n < 2:
        return float(means[0]), float(by_field[0].std(ddof=1) / np.sqrt(by_field.shape[1]))
    return float(means[0]), float(np.sqrt((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum()))


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
