"""Score every method on held-out skies of a field: errors, spectra, peaks, distribution, coverage of posterior
samples.
"""

import numpy as np

from armillary.files import write_arrays, write_json
from armillary.files_maps import read_shear_map, read_stack
from armillary.mass_evaluation import (
    MethodScores,
    coverage_metrics,
    coverage_of,
    error_metrics,
    peak_metrics,
    score_maps,
    spectrum_metrics,
    whole_map_metrics,
)
from armillary.metrics import resample_counts
from armillary.step import announce, run


def score_skies(
    shear: str, skies: str, maps: list[str], metrics: str, curves: str, *, field: str, methods: list[str],
    n_noise_seeds: int, n_resamples: int, n_multipole_bins: int, peak_smoothing_arcmin: float, convergence_edges:
    list[float], high_convergence: float, reference_smoothing_arcmin: float, seed: int,
) -> None:  # fmt: skip
    like, _, _ = read_shear_map(shear)
    truths = read_stack(skies)[:, 0].astype(float)
    draws = [sky for _ in range(n_noise_seeds) for sky in range(len(truths))]
    units = np.array(draws) if len(truths) > 1 else np.arange(len(draws))  # one sky: its noise draws are the units
    multipoles = np.geomspace(200, 0.8 * 10800 / like.pixel_arcmin, n_multipole_bins + 1)  # to 0.8 of Nyquist
    scores: dict[str, MethodScores] = {
        method: score_maps(read_stack(path), truths[draws], like, multipoles, peak_smoothing_arcmin)
        for method, path in zip(methods, maps, strict=True)
    }
    counts = resample_counts(int(units.max()) + 1, n_resamples, np.random.default_rng([seed, 61]))
    found = error_metrics(scores, units, counts) | spectrum_metrics(scores, units, counts) | peak_metrics(scores)
    images = {method: read_stack(path) for method, path in zip(methods, maps, strict=True)}
    images[f"kaiser_squires_{reference_smoothing_arcmin:g}arcmin".replace(".", "p")] = read_stack(
        maps[methods.index("kaiser_squires")], "fixed_smoothing"
    )
    found |= whole_map_metrics(images, truths[draws], like.mask, units, counts)
    arrays = {
        "multipole_edges": multipoles,
        "convergence_edges": np.array(convergence_edges),
        "methods": np.array(methods),
    }
    for method, score in scores.items():
        arrays |= {f"{method}_{name}": value for name, value in score.curves().items()}
    for method, path in zip(methods, maps, strict=True):
        samples = read_stack(path, "samples")
        if samples.ndim == 4:
            coverage = coverage_of(samples, truths[draws], like.mask, convergence_edges, high_convergence)
            arrays |= {f"{method}_coverage_{name}": value for name, value in coverage.items()}
            found |= coverage_metrics(method, coverage, samples, truths[draws], like, high_convergence)
        if method == "wiener":
            control = coverage_of(
                read_stack(path, "control_samples"),
                read_stack(path, "control_truth"),
                like.mask,
                convergence_edges,
                high_convergence,
            )
            arrays |= {f"control_coverage_{name}": value for name, value in control.items()}
            found |= coverage_metrics("control", control, None, None, like, high_convergence)
    announce(f"{field}: " + ", ".join(f"{m} {found[f'{m}_rmse']['value']:.5f}" for m in methods))
    write_json(metrics, _of_field(found, field))
    write_arrays(curves, **arrays)


def _of_field(found: dict, field: str) -> dict:
    """Metrics under the name of their field, baselines too."""
    named = {}
    for key, entry in found.items():
        baseline = None if entry["baseline"] is None else f"{field}_{entry['baseline']}"
        named[f"{field}_{key}"] = entry | {"baseline": baseline}
    return named


if __name__ == "__main__":
    run(score_skies, snakemake)
