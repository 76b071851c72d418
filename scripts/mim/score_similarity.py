"""Search for a rare class by example: how many of the nearest objects are of it, by each kind of features."""

import numpy as np

from armillary.cutouts import sky_cells
from armillary.embedding_parts import read_choices
from armillary.files import read_arrays, write_arrays, write_json
from armillary.metrics import measurement
from armillary.probe_scores import as_measurement
from armillary.probes import impute
from armillary.similarity import CUTS, Queries, draw_queries, jackknife, nearest, precisions, query_vector, whiten
from armillary.simple_features import SIMPLE
from armillary.step import announce, run

OTHERS = ("random", *SIMPLE, "photometry_shapes", "mim_shapes")


def score_similarity(
    features: str, trained: list[str], untrained: list[str], tuning: list[str], scores: str, found: str, *,
    poolings: list[list[str]], cell_deg: float, n_wanted: int, n_examples: int, n_queries: int, seed: int,
) -> None:  # fmt: skip
    """The same queries for all features. Each chooses pooling and cut of the whitening by searches on the pre-training
    sky, `tuning` (the first network, trained and untrained); the last file shows what the first network finds."""
    settings = {"n_wanted": n_wanted, "n_examples": n_examples, "n_queries": n_queries}
    of_tuning, columns = _read([tuning[0]], [tuning[1]], read_arrays(features), "_tuning", poolings)
    trial = _queries(columns, cell_deg, seed, **(settings | {"n_wanted": max(n_wanted // 2, 1)}))
    contestants, columns = _read(trained, untrained, read_arrays(features), "", poolings)
    queries = _queries(columns, cell_deg, seed, **settings)
    prevalence = float(queries.is_rare.mean())
    numbers = {"similarity_prevalence": measurement(prevalence, n=len(queries.is_rare), note="share of lenses")}
    shares, chosen = {}, {}
    for name, by_network in contestants.items():
        pooling, cut = chosen[name] = _best_settings(of_tuning[name][0], trial)
        shares[name] = np.array([precisions(whiten(of[pooling], None, cut), queries) for of in by_network])
        pooled = f", pooling {' '.join(poolings[pooling])}" if len(by_network[0]) > 1 else ""
        numbers[f"similarity_{name}_precision"] = as_measurement(
            *_with_error(shares[name]), n_queries, f"precision at {n_wanted}", "similarity_prevalence",
            f"whitened down to {cut:g} of the largest variance{pooled}: best on the pre-training sky",
        )  # fmt: skip
    for one, other in [*(("mim", other) for other in OTHERS), ("mim_shapes", "shapes")]:
        difference = shares[one] - shares[other]
        numbers[f"similarity_{one}_over_{other}"] = as_measurement(
            *_with_error(difference), n_queries, f"precision at {n_wanted}", f"similarity_{other}_precision"
        )
    announce(
        ", ".join(f"{name} {values[:, 0].mean():.3f}" for name, values in shares.items())
        + f", prevalence {prevalence:.3f}"
    )
    write_json(scores, numbers)
    pooling, cut = chosen["mim"]
    write_arrays(found, **_shown(whiten(contestants["mim"][0][pooling], None, cut), queries.is_rare, n_examples, seed))


def _read(
    trained: list[str], untrained: list[str], arrays: dict, ending: str, poolings: list[list[str]]
) -> tuple[dict[str, list[list[np.ndarray]]], dict[str, np.ndarray]]:
    """Features by contestant, network and choice, missing ones filled in; the columns of the objects."""
    learned, random = ([_joined(path, poolings) for path in paths] for paths in (trained, untrained))
    simple = {name: arrays[f"{name}{ending}"].astype(float) for name in SIMPLE}
    simple["photometry_shapes"] = np.concatenate([simple["photometry"], simple["shapes"]], 1)
    filled = {name: impute(values, values) for name, values in simple.items()}
    mim = [choices for choices, _ in learned]
    contestants = {"mim": mim, "random": [choices for choices, _ in random]}
    contestants |= {name: [[values]] for name, values in filled.items()}
    contestants["mim_shapes"] = [[np.concatenate([one, filled["shapes"]], 1) for one in of] for of in mim]
    return contestants, learned[0][1]


def _joined(path: str, poolings: list[list[str]]) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    choices, columns = read_choices(path, poolings)
    return [np.concatenate(parts, 1) for parts in choices], columns


def _queries(columns: dict[str, np.ndarray], cell_deg: float, seed: int, **settings) -> Queries:
    field = np.unique(sky_cells(columns["ra"], columns["dec"], cell_deg), return_inverse=True)[1]
    return draw_queries(columns["lens"] == 1, field, rng=np.random.default_rng(seed), **settings)


def _best_settings(choices: list[np.ndarray], trial: Queries) -> tuple[int, float]:
    """The pooling (its number) and the cut of the whitening with which the searches of a trial find most."""
    tried = [(number, cut) for number in range(len(choices)) for cut in CUTS]
    found = [precisions(whiten(choices[number], None, cut), trial)[0].mean() for number, cut in tried]
    return tried[int(np.argmax(found))]


def _with_error(values: np.ndarray) -> tuple[float, float]:
    """Mean of (n_networks, n_fields + 1, n_queries), and its one-sigma error from fields and from networks."""
    value, of_fields = jackknife(values.mean(0))
    by_network = values[:, 0].mean(1)
    of_networks = by_network.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return value, float(np.hypot(of_fields, of_networks))


def _shown(whitened: np.ndarray, is_rare: np.ndarray, n_examples: int, seed: int) -> dict[str, np.ndarray]:
    examples = np.random.default_rng(seed).choice(np.flatnonzero(is_rare), n_examples, replace=False)
    rows, cosine = nearest(whitened, query_vector(whitened, examples), 24, examples)
    return {"examples": examples, "rows": rows, "cosine": cosine, "is_rare": is_rare[rows]}


if __name__ == "__main__":
    run(score_similarity, snakemake)
