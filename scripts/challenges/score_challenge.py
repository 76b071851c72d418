"""Score all variants and seeds of a challenge on the data that no training has seen."""

import importlib

import numpy as np

from armillary.challenges.outcomes import read_outcomes
from armillary.files import write_json
from armillary.metrics import validate_metrics
from armillary.step import announce, run


def score_challenge(
    data: list[str], outcomes: list[str], metrics: str, *, challenge: str, variants: list[str], settings: dict
) -> None:
    tables, found = read_outcomes(data, outcomes, variants)
    scores = importlib.import_module(f"armillary.challenges.{challenge}").score(
        tables, found, settings, np.random.default_rng(2015)
    )
    scores = {f"{challenge}_{key}": entry for key, entry in scores.items()}
    for entry in scores.values():
        entry["baseline"] = entry["baseline"] and f"{challenge}_{entry['baseline']}"
    validate_metrics(scores, challenge)
    announce(f"{challenge}: {len(scores)} numbers from {len(data)} seeds and {len(variants)} variants")
    write_json(metrics, scores)


if __name__ == "__main__":
    run(score_challenge, snakemake)
