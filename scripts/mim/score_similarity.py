"""Search for a rare class by example: how many of the nearest objects are of it, by each kind of features."""

import numpy as np

from armillary.files import read_arrays, write_arrays, write_json
from armillary.metrics import measurement
from armillary.probe_scores import as_measurement
from armillary.probes import impute
from armillary.similarity import nearest, precision_at, query_vector, read_search_vectors, whiten
from armillary.step import announce, run


def score_similarity(
    features: str, trained: list[str], untrained: list[str], scores: str, found: str, *, n_wanted: int, n_examples: int,
    n_queries: int, seed: int,
) -> None:  # fmt: skip
    """The same queries for all features; the query of the last file shows what the first network finds."""
    embeddings = [read_search_vectors(path) for path in trained]
    is_rare = embeddings[0][1]["lens"] == 1
    arrays = read_arrays(features)
    contestants = {
        "mim": [embedding for embedding, _ in embeddings],
        "random": [read_search_vectors(path)[0] for path in untrained],
        "pca": [arrays["pca"]],
        "colours": [impute(arrays["colours"].astype(float), arrays["colours"].astype(float))],
        "photometry": [impute(arrays["photometry"].astype(float), arrays["photometry"].astype(float))],
    }
    settings = {"n_wanted": n_wanted, "n_examples": n_examples, "n_queries": n_queries}
    shares = {
        name: np.array([precision_at(one, is_rare, rng=np.random.default_rng(seed), **settings) for one in of])
        for name, of in contestants.items()
    }
    prevalence = float(is_rare.mean())
    numbers = {"similarity_prevalence": measurement(prevalence, n=len(is_rare), note="share of simulated lenses")}
    for name, values in shares.items():
        numbers[f"similarity_{name}_precision"] = as_measurement(
            values.mean(), _error(values), n_queries, f"precision at {n_wanted}", "similarity_prevalence"
        )
    for other in ("random", "pca", "colours", "photometry"):
        difference = shares["mim"] - shares[other]
        numbers[f"similarity_mim_over_{other}"] = as_measurement(
            difference.mean(),
            _error(difference),
            n_queries,
            f"precision at {n_wanted}",
            f"similarity_{other}_precision",
        )
    announce(
        ", ".join(f"{name} {values.mean():.3f}" for name, values in shares.items()) + f", prevalence {prevalence:.3f}"
    )
    write_json(scores, numbers)
    write_arrays(found, **_shown(embeddings[0][0], is_rare, n_examples, seed))


def _error(values: np.ndarray) -> float:
    """One-sigma error of the mean of (n_networks, n_queries), from both.

    # ASSUME: queries are as good as independent, although they draw from one pool of examples.
    """
    of_queries = values.mean(0).std(ddof=1) / np.sqrt(values.shape[1])
    of_networks = values.mean(1).std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return float(np.hypot(of_queries, of_networks))


def _shown(embedding: np.ndarray, is_rare: np.ndarray, n_examples: int, seed: int) -> dict[str, np.ndarray]:
    examples = np.random.default_rng(seed).choice(np.flatnonzero(is_rare), n_examples, replace=False)
    whitened = whiten(embedding)
    rows, cosine = nearest(whitened, query_vector(whitened, examples), 24, examples)
    return {"examples": examples, "rows": rows, "cosine": cosine, "is_rare": is_rare[rows]}


if __name__ == "__main__":
    run(score_similarity, snakemake)
