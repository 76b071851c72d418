"""Score every method on held-out skies of a field: errors, spectra, peaks, distribution, coverage of posterior samples
and of intervals; and on skies that differ from those that were learned from.
"""

import numpy as np

from armillary.convergence_skies import MISMATCHES
from armillary.files import write_arrays, write_json
from armillary.files_maps import read_shear_map, read_stack
from armillary.mass_evaluation import (
    MethodScores,
    coverage_metrics,
    coverage_of,
    error_metrics,
    interval_coverage_of,
    mismatch_metrics,
    peak_metrics,
    sample_metrics,
    score_maps,
    spectrum_metrics,
    squared_errors,
    training_metrics,
    whole_map_metrics,
)
from armillary.metrics import join_notes, resample_counts
from armillary.step import announce, run

CENTRAL, CHOSEN = "central intervals, quantiles 0.16 to 0.84 of the samples", "the map's 68 % intervals"
ONE_MAP = "one map: its error is that of the noise alone, maps differ by more"


def score_skies(
    shear: str, skies: str, maps: list[str], mismatch: str, metrics: str, curves: str, *, field: str, methods:
    list[str], mismatch_methods: list[str], n_noise_seeds: int, n_resamples: int, n_multipole_bins: int,
    peak_smoothing_arcmin: float, convergence_edges: list[float], high_convergence: float,
    reference_smoothing_arcmin: float, seed: int,
) -> None:  # fmt: skip
    like, _, _ = read_shear_map(shear)
    truths = read_stack(skies)[:, 0].astype(float)
    draws = [sky for _ in range(n_noise_seeds) for sky in range(len(truths))]
    units = np.array(draws) if len(truths) > 1 else np.arange(len(draws))  # one sky: its noise draws are the units
    multipoles = np.geomspace(200, 0.8 * 10800 / like.pixel_arcmin, n_multipole_bins + 1)  # to 0.8 of Nyquist
    files = dict(zip(methods, maps, strict=True))
    images = {method: read_stack(path) for method, path in files.items()}
    scores: dict[str, MethodScores] = {
        method: score_maps(image, truths[draws], like, multipoles, peak_smoothing_arcmin)
        for method, image in images.items()
    }
    counts = resample_counts(int(units.max()) + 1, n_resamples, np.random.default_rng([seed, 61]))
    found = error_metrics(scores, units, counts) | spectrum_metrics(scores, units, counts) | peak_metrics(scores)
    trainings = np.array(
        [squared_errors(one, truths[draws], like.mask) for one in read_stack(files["learned"], "trainings")]
    )
    found |= training_metrics(scores, trainings, units, counts, np.random.default_rng([seed, 62]))
    fixed = f"kaiser_squires_{reference_smoothing_arcmin:g}arcmin".replace(".", "p")
    whole = images | {fixed: read_stack(files["kaiser_squires"], "fixed_smoothing")}
    found |= whole_map_metrics(whole, truths[draws], like.mask, units, counts)
    arrays = {
        "multipole_edges": multipoles,
        "convergence_edges": np.array(convergence_edges),
        "methods": np.array(methods),
    }
    for method, score in scores.items():
        arrays |= {f"{method}_{name}": value for name, value in score.curves().items()}
    bins = {"mask": like.mask, "edges": convergence_edges, "high": high_convergence}
    shown = {"edges": convergence_edges, "high": high_convergence}
    for method, path in files.items():
        samples, ends = read_stack(path, "samples"), read_stack(path, "intervals")
        if samples.ndim == 4:
            coverage = coverage_of(samples, truths[draws], **bins)
            arrays |= {f"{method}_coverage_{name}": value for name, value in coverage.items()}
            found |= coverage_metrics(f"{method}_coverage", coverage, units[: len(samples)], what=CENTRAL, **shown)
            found |= sample_metrics(method, samples, truths[draws], like)
        if ends.ndim == 4:
            coverage = interval_coverage_of(ends, images[method], truths[draws], **bins)
            arrays |= {f"{method}_interval_{name}": value for name, value in coverage.items()}
            found |= coverage_metrics(f"{method}_interval", coverage, units[: len(ends)], what=CHOSEN, **shown)
        if method == "wiener":
            control = coverage_of(read_stack(path, "control_samples"), read_stack(path, "control_truth"), **bins)
            arrays |= {f"control_coverage_{name}": value for name, value in control.items()}
            found |= coverage_metrics("control_coverage", control, np.arange(len(samples)), what=CENTRAL, **shown)
    found |= mismatch_metrics(_mismatch(mismatch, mismatch_methods), like.mask, bins, counts_seed=[seed, 63])
    announce(f"{field}: " + ", ".join(f"{m} {found[f'{m}_rmse']['value']:.5f}" for m in methods))
    write_json(metrics, _of_field(found, field, "" if len(truths) > 1 else ONE_MAP))
    write_arrays(curves, **arrays)


def _mismatch(path: str, methods: list[str]) -> dict[str, dict[str, np.ndarray]]:
    """Skies of each kind -> truths, the maps of each method, and the intervals of those that have any."""
    found = {}
    for kind in MISMATCHES:
        names = ["truth", *methods, *(f"{method}_intervals" for method in methods)]
        stacks = {name: read_stack(path, f"{kind}_{name}").astype(float) for name in names}
        found[kind] = {name: stack for name, stack in stacks.items() if stack.size}
    return found


def _of_field(found: dict, field: str, more: str) -> dict:
    """Metrics under the name of their field, baselines too, and what more there is to say of their errors."""
    named = {}
    for key, entry in found.items():
        baseline = None if entry["baseline"] is None else f"{field}_{entry['baseline']}"
        named[f"{field}_{key}"] = entry | {"baseline": baseline, "note": join_notes(entry["note"], more)}
    return named


if __name__ == "__main__":
    run(score_skies, snakemake)
