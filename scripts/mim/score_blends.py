"""Tell real stars from real galaxies by probes that were trained on the simulated sky alone."""

import numpy as np

from armillary.embedding_parts import read_choices
from armillary.files import read_arrays, write_json
from armillary.files_cutouts import read_cutouts
from armillary.metrics import interval_68, measurement
from armillary.object_photometry import aperture_magnitudes, colour_features
from armillary.object_shapes import shape_numbers
from armillary.probe_choices import predict_by_choice
from armillary.probes import area_under_roc, balanced_accuracy
from armillary.step import announce, run

N_LABELS, N_RESAMPLES = 3000, 500


def score_blends(
    blends: str, features: str, simulated: list[str], real: list[str], scores: str, *, bands: list[str],
    poolings: list[list[str]], image_px: int, seed: int,
) -> None:  # fmt: skip
    """Area under ROC and balanced accuracy over the sources that the networks never saw, with errors from resamples.

    `simulated` and `real` are embeddings of both skies, a file a network.
    """
    cutouts, columns = read_cutouts(blends, bands), read_choices(simulated[0], poolings)[1]
    labelled = np.flatnonzero((columns["class"] != 1) & (columns["lens"] == 0))
    labelled = np.random.default_rng(seed).permutation(labelled)[:N_LABELS]
    is_star, truth = (columns["class"][labelled] == 2).astype(int), (cutouts.columns["class"] == 2).astype(int)
    learned = [
        tuple(
            [np.concatenate(parts, 1)[rows].astype(float) for parts in read_choices(path, poolings)[0]]
            for path, rows in ((ours, labelled), (theirs, slice(None)))
        )
        for ours, theirs in zip(simulated, real, strict=True)
    ]
    arrays, measured = read_arrays(features), colour_features(*aperture_magnitudes(cutouts))
    photometry = [([arrays["photometry"][labelled].astype(float)], [measured])]
    shapes = [([arrays["shapes"][labelled].astype(float)], [shape_numbers(cutouts, image_px).astype(float)])]
    numbers = {}
    for name, pairs, kind in (
        ("mim", learned, "linear"),
        ("photometry", photometry, "linear"),
        ("shapes", shapes, "linear"),
        ("trees", photometry, "trees"),
    ):
        told = [predict_by_choice(ours, is_star, [theirs], "score", kind, seed)[0] for ours, theirs in pairs]
        numbers |= _numbers(f"blends_{name}", told, truth, np.random.default_rng(seed))
    announce(", ".join(f"{name} {entry['value']:.3f}" for name, entry in numbers.items()))
    write_json(scores, numbers)


def _numbers(name: str, told: list[np.ndarray], truth: np.ndarray, rng: np.random.Generator) -> dict:
    """Mean over networks; the interval is of sources resampled within stars and galaxies."""
    kinds = [np.flatnonzero(truth == kind) for kind in (0, 1)]
    rows = [np.concatenate([rng.choice(of, len(of)) for of in kinds]) for _ in range(N_RESAMPLES)]
    measures = {"auc": area_under_roc, "accuracy": lambda one, of: balanced_accuracy((one > 0.5).astype(int), of)}
    numbers = {}
    for measure, function in measures.items():
        value = np.mean([function(one, truth) for one in told])
        resampled = [np.mean([function(one[row], truth[row]) for one in told]) for row in rows]
        baseline = None if name == "blends_trees" else f"blends_trees_{measure}"
        note = f"{int(truth.sum())} stars; probe trained on the simulated sky"
        numbers[f"{name}_{measure}"] = measurement(value, *interval_68(resampled), len(truth), measure, baseline, note)
    return numbers


if __name__ == "__main__":
    run(score_blends, snakemake)
