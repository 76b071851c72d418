"""Errors and slopes of flux, size and ellipticity, and PSNR, of every method on the same scenes; differences in pairs.

Errors come from resampled scenes; of a method that is learned they hold the spread of its trainings, too, where there
are several.
"""

import numpy as np

from armillary.metrics import Score, bootstrap_ratio, difference, join_notes, over_trainings
from armillary.stamp_scores import psnr_db, shapes

LEARNED = ("pca_mixture", "map", "vi", "score", "hmc")
REFERENCES = ("ml_positive", "monotonic", "bulge_disc", "pca_gaussian", "pca_mixture")
SMALLEST = 1e-3  # of the true flux: what is found is cut here before its logarithm is taken
SLOPE_NOTE = "of what is found on the truth; 1 is right, a mean of a right posterior has less"


def headline_metrics(trainings: list, counts: np.ndarray, rng: np.random.Generator) -> dict:
    """Metrics `<problem>_<method>_<quantity>`, and `..._minus_<other>` against each baseline, paired.

    `trainings` are ProblemData of the same scenes, the first with all methods, others with those that are learned.
    """
    first = trainings[0]
    scores = [{method: problem_scores(data, method, counts) for method in data.posteriors} for data in trainings]
    found = {}
    for method, of_first in scores[0].items():
        mine = [one for one in scores if method in one]
        for name in of_first:
            merged = _merged([one[method][name] for one in mine], method, rng)
            key = f"{first.name}_{method}_{name}"
            other = f"{first.name}_pca_mixture_{name}" if _simpler("pca_mixture", method, scores[0]) else None
            found[key] = merged.entry(other)
            for reference in REFERENCES:
                if _simpler(reference, method, scores[0]):
                    pairs = [
                        difference(one[method][name], one.get(reference, scores[0][reference])[name], "same scenes")
                        for one in mine
                    ]
                    found[f"{key}_minus_{reference}"] = _merged(pairs, method, rng).entry()
    return found


def _simpler(reference: str, method: str, methods) -> bool:
    """Whether a method is held against a reference: one of `methods` that comes before it."""
    order = [*REFERENCES, *(name for name in LEARNED if name not in REFERENCES)]
    return method in order and reference in methods and order.index(reference) < order.index(method)


def _merged(scores: list[Score], method: str, rng: np.random.Generator) -> Score:
    return over_trainings(scores, rng) if method in LEARNED else scores[0]


def problem_scores(data, method: str, counts: np.ndarray) -> dict[str, Score]:
    """Scores by quantity of one method, with resamples by the counts (n_resamples, n_scenes)."""
    images, truth, n_sources = data.posteriors[method]["image"], data.seen.truth, data.seen.truth.shape[1]
    unit = np.repeat(np.arange(len(images)), n_sources)
    mine, right = (shapes(one, data.fine_pixel_arcsec).reshape(-1, 4) for one in (images, truth))
    right[:, 0] = data.seen.true_flux.ravel()
    ratio = mine[:, 0] / right[:, 0]
    ln_flux = [np.log(right[:, 0]) + np.log(np.maximum(one, SMALLEST)) for one in (ratio, np.ones(len(ratio)))]
    ln_size = [np.log(np.maximum(one[:, 1], SMALLEST)) for one in (mine, right)]
    shape = [one[:, 2:].ravel() for one in (mine, right)]
    decibels = psnr_db(images, truth, data.seen.truth_variance).ravel()
    return {
        "psnr_db": _mean_score(decibels, unit, counts, "dB"),
        "flux_error_median": _median_score(np.abs(ratio - 1), unit, counts, "of the flux"),
        "flux_slope": _slope_score(*ln_flux, unit, counts, "ln flux"),
        "size_error": _rms_score(ln_size[0] - ln_size[1], unit, counts, "rms of ln size"),
        "size_slope": _slope_score(*ln_size, unit, counts, "ln size"),
        "ellipticity_error": _rms_score(shape[0] - shape[1], np.repeat(unit, 2), counts, "rms of a component"),
        "ellipticity_slope": _slope_score(*shape, np.repeat(unit, 2), counts, "both components"),
    }


def _mean_score(values: np.ndarray, unit: np.ndarray, counts: np.ndarray, name: str) -> Score:
    value, samples = bootstrap_ratio(values, np.ones(len(values)), unit, counts)
    return Score(value, samples, counts.shape[1], name)


def _median_score(values: np.ndarray, unit: np.ndarray, counts: np.ndarray, name: str) -> Score:
    drawn = [np.median(np.repeat(values, row[unit].astype(int))) for row in counts]
    return Score(float(np.median(values)), np.array(drawn), len(values), name)


def _rms_score(errors: np.ndarray, unit: np.ndarray, counts: np.ndarray, note: str) -> Score:
    value, samples = bootstrap_ratio(errors**2, np.ones(len(errors)), unit, counts)
    return Score(value**0.5, samples**0.5, len(errors), "", note)


def _slope_score(found: np.ndarray, truth: np.ndarray, unit: np.ndarray, counts: np.ndarray, note: str) -> Score:
    """Least-squares slope of what is found on the truth."""
    x, y = truth - truth.mean(), found - found.mean()
    sums = [np.bincount(unit, one, counts.shape[1]) for one in (np.ones(len(x)), x, y, x * x, x * y)]

    def slope(counts):
        n, x, y, xx, xy = (counts @ one for one in sums)
        return (n * xy - x * y) / np.maximum(n * xx - x * x, 1e-30)

    value = float(slope(np.ones(counts.shape[1])))
    return Score(value, slope(counts), len(x), "", join_notes(note, SLOPE_NOTE))
