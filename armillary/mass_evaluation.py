"""The scores of mass-mapping methods as metrics: averages over held-out skies, each with its error and its baseline.

Skies are resampled whole, and all methods with the same counts, so that the gain of one over another is a paired
comparison.
"""

from typing import NamedTuple

import numpy as np

from armillary.convergence import mean_free
from armillary.mass_scores import (
    QUANTILES_68,
    UPPER_QUANTILES_68,
    correlation,
    coverage_in_bins,
    covered,
    distribution,
    peak_counts,
    peaks,
    rank_density,
    rank_of_truth,
    spectra,
    squared_error,
    whole_map_errors,
)
from armillary.metrics import estimate, measurement, sum_by_unit
from armillary.shear_catalogs import ShearMap

PEAK_EDGES = np.arange(-0.02, 0.1301, 0.01)
PDF_EDGES = np.arange(-0.06, 0.1601, 0.005)
HIGH_PEAK = 0.05
HIGH_PIXEL = 0.1
SAMPLE_MULTIPOLES = (300.0, 5000.0)
SAMPLE_SMOOTHING_ARCMIN = 1.0


class MethodScores(NamedTuple):
    """What one method scored on each sky; arrays start with the sky."""

    squared_error: np.ndarray
    truth_variance: np.ndarray
    correlation: np.ndarray
    spectra: np.ndarray  # (n, 3, n_bins): of the map, of the truth, across
    peaks: np.ndarray  # counts at PEAK_EDGES
    true_peaks: np.ndarray
    distribution: np.ndarray  # at PDF_EDGES
    true_distribution: np.ndarray

    def curves(self) -> dict[str, np.ndarray]:
        """The means over skies that figures show."""
        power = self.spectra.mean(0)
        return {
            "power_ratio": power[0] / power[1], "coherence": power[2] / np.sqrt(power[0] * power[1]), "power": power,
            "peaks": self.peaks.mean(0), "true_peaks": self.true_peaks.mean(0), "peak_edges": PEAK_EDGES,
            "distribution": self.distribution.mean(0), "true_distribution": self.true_distribution.mean(0),
            "pdf_edges": PDF_EDGES,
        }  # fmt: skip


def score_maps(
    maps: np.ndarray, truths: np.ndarray, like: ShearMap, multipoles: np.ndarray, peak_smoothing_arcmin: float
) -> MethodScores:
    """Scores of maps (n, n_y, n_x) against the first n truths."""
    mask, smoothing_px = like.mask, peak_smoothing_arcmin / like.pixel_arcmin
    rows = []
    for kappa, truth in zip(maps.astype(float), truths, strict=False):
        kappa, truth = mean_free(kappa, mask), mean_free(truth, mask)
        heights = [peak_counts(peaks(one, mask, smoothing_px), PEAK_EDGES) for one in (kappa, truth)]
        shares = [distribution(one, mask, PDF_EDGES) for one in (kappa, truth)]
        power = spectra(kappa, truth, mask, like.pixel_arcmin, multipoles)
        error = squared_error(kappa, truth, mask)
        rows.append((error, truth[mask].var(), correlation(kappa, truth, mask), power, *heights, *shares))
    return MethodScores(*(np.array(column) for column in zip(*rows, strict=True)))


def error_metrics(scores: dict[str, MethodScores], units: np.ndarray, counts: np.ndarray) -> dict:
    """RMSE, NRMSE and r of every method, and by which share its RMSE is below those of Wiener and Kaiser-Squires."""
    found = {}
    for method, score in scores.items():
        of_maps = units[: len(score.squared_error)]
        rmse, samples = _mean_over_units(score.squared_error, of_maps, counts)
        variance, variances = _mean_over_units(score.truth_variance, of_maps, counts)
        r, r_samples = _mean_over_units(score.correlation, of_maps, counts)
        n, baseline = len(of_maps), None if method == "kaiser_squires" else "kaiser_squires_"
        found[f"{method}_rmse"] = estimate(np.sqrt(rmse), np.sqrt(samples), n, "", baseline and f"{baseline}rmse")
        found[f"{method}_nrmse"] = estimate(
            np.sqrt(rmse / variance),
            np.sqrt(samples / variances),
            n,
            "",
            baseline and f"{baseline}nrmse",
            "1 is a map of zeros",
        )
        found[f"{method}_r"] = estimate(r, r_samples, n, "", baseline and f"{baseline}r")
        for other in {"wiener": ["kaiser_squires"], "kaiser_squires": []}.get(method, ["wiener"]):
            found[f"{method}_gain_over_{other}"] = _gain(score, scores[other], of_maps, counts, f"{other}_rmse")
    return found


def whole_map_metrics(
    maps: dict[str, np.ndarray], truths: np.ndarray, mask: np.ndarray, units: np.ndarray, counts: np.ndarray
) -> dict:
    """RMSE and r of maps (name -> (n, n_y, n_x)) against the first n truths as Remy et al. (2023) define them."""
    found = {}
    for name, images in maps.items():
        pairs = zip(images.astype(float), truths, strict=False)
        values = np.array([whole_map_errors(kappa, truth, mask) for kappa, truth in pairs])
        for key, column in zip(("rmse", "r"), values.T, strict=True):
            mean, samples = _mean_over_units(column, units[: len(values)], counts)
            note = "means of whole maps taken off, mean over maps"
            found[f"{name}_{key}_whole_map"] = estimate(mean, samples, len(values), "", None, note)
    return found


def _gain(score: MethodScores, other: MethodScores, units: np.ndarray, counts: np.ndarray, baseline: str) -> dict:
    """1 - RMSE / RMSE of another method on the same maps."""
    mine, my_samples = _mean_over_units(score.squared_error, units, counts)
    theirs, their_samples = _mean_over_units(other.squared_error[: len(units)], units, counts)
    return estimate(
        1 - np.sqrt(mine / theirs), 1 - np.sqrt(my_samples / their_samples), len(units), "", baseline,
        "share by which the RMSE is lower, same maps",
    )  # fmt: skip


def _mean_over_units(values: np.ndarray, units: np.ndarray, counts: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean of a value a map, and its resampled means; resamples without any of these maps are nan."""
    top = sum_by_unit(values, units, counts.shape[1])
    bottom = sum_by_unit(np.ones(len(values)), units, counts.shape[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(values.mean()), (counts @ top) / (counts @ bottom)


def spectrum_metrics(scores: dict[str, MethodScores], units: np.ndarray, counts: np.ndarray) -> dict:
    """Power over the truth's and coherence with it, each in bins of l."""
    found = {}
    for method, score in scores.items():
        power = score.spectra.mean(0)
        for k in range(power.shape[1]):
            found[f"{method}_power_ratio_{k}"] = measurement(
                power[0, k] / power[1, k], n=len(score.spectra), note=f"bin {k} of l"
            )
            found[f"{method}_coherence_{k}"] = measurement(
                power[2, k] / np.sqrt(power[0, k] * power[1, k]), n=len(score.spectra), note=f"bin {k} of l"
            )
    return found


def peak_metrics(scores: dict[str, MethodScores]) -> dict:
    """Peaks above HIGH_PEAK a map, at equal smoothing of map and truth."""
    high = PEAK_EDGES[:-1] >= HIGH_PEAK - 1e-9
    truth = next(iter(scores.values()))
    found = {
        "true_peaks": measurement(
            truth.true_peaks[:, high].sum(1).mean(), n=len(truth.peaks), note=f"above {HIGH_PEAK}, a map"
        )
    }
    for method, score in scores.items():
        found[f"{method}_peaks"] = measurement(
            score.peaks[:, high].sum(1).mean(),
            n=len(score.peaks),
            baseline="true_peaks",
            note=f"above {HIGH_PEAK}, a map",
        )
    return found


def coverage_of(
    samples: np.ndarray, truths: np.ndarray, mask: np.ndarray, edges: list[float], high: float
) -> dict[str, np.ndarray]:
    """How often 68 % intervals of samples (n_skies, n, n_y, n_x) hold the truth: in all, in bins of true and of
    inferred convergence.

    `sky` and `sky_upper` are per sky, of central intervals and of those between UPPER_QUANTILES_68; `*_high` count
    pixels above `high`, in the truth and in the posterior mean.
    """
    central, upper, true, inferred, rank_bins, sky = [], [], [], [], [], []
    for drawn, truth in zip(samples.astype(float), truths, strict=False):
        rank = rank_of_truth(drawn, truth, mask)
        central.append(covered(rank, len(drawn)))
        upper.append(covered(rank, len(drawn), UPPER_QUANTILES_68))
        true.append(mean_free(truth, mask)[mask])
        inferred.append(mean_free(drawn, mask).mean(0)[mask])
        rank_bins.append(rank_density(rank, len(drawn)))
        sky.append([one.mean() for one in (central[-1], upper[-1])])
    central, upper, true, inferred = (np.concatenate(part) for part in (central, upper, true, inferred))
    result = {"rank": np.mean(rank_bins, axis=0), "sky": np.array(sky)[:, 0], "sky_upper": np.array(sky)[:, 1]}
    result["by_true"], result["n_by_true"] = coverage_in_bins(central, true, np.array(edges))
    result["by_inferred"], result["n_by_inferred"] = coverage_in_bins(central, inferred, np.array(edges))
    result["upper_by_true"], _ = coverage_in_bins(upper, true, np.array(edges))
    for name, where in (("true", true > high), ("inferred", inferred > high)):
        values = [part[where].mean() if where.any() else np.nan for part in (central, upper)]
        result[f"high_{name}"] = np.array([*values, where.sum()])
    return result


def coverage_metrics(
    method: str, coverage: dict[str, np.ndarray], samples: np.ndarray | None, truths: np.ndarray | None, like:
    ShearMap, high: float
) -> dict:  # fmt: skip
    """Coverage as metrics; with samples given also the power of single samples over the truth's."""
    n = len(coverage["sky"])
    spread = coverage["sky"].std(ddof=1) / np.sqrt(n) if n > 1 else None
    value = coverage["sky"].mean()
    bounds = (None, None) if spread is None else (value - spread, value + spread)
    kind = f"{QUANTILES_68[0]:.2f} to {QUANTILES_68[1]:.2f}"
    raised = f"{UPPER_QUANTILES_68[0]} to {UPPER_QUANTILES_68[1]}"
    found = {
        f"{method}_coverage": measurement(
            value, *bounds, n, note=f"pixels inside quantiles {kind} of the samples; 0.68 is right"
        ),
        f"{method}_coverage_raised": measurement(
            coverage["sky_upper"].mean(), None, None, n, note=f"quantiles {raised}"
        ),
    }
    for name in ("true", "inferred"):
        for k, (value, n_pixels) in enumerate(zip(coverage[f"by_{name}"], coverage[f"n_by_{name}"], strict=True)):
            found[f"{method}_coverage_{name}_{k}"] = measurement(
                value, n=int(n_pixels), note=f"bin {k} of {name} convergence; quantiles {kind}"
            )
        central, upper, n_pixels = coverage[f"high_{name}"]
        found[f"{method}_coverage_{name}_high"] = measurement(
            central, n=int(n_pixels), note=f"where {name} kappa > {high}; quantiles {kind}"
        )
        found[f"{method}_coverage_raised_{name}_high"] = measurement(
            upper, n=int(n_pixels), note=f"where {name} kappa > {high}; quantiles {raised}"
        )
    if samples is not None:
        found |= sample_metrics(method, samples, truths, like)
    return found


def sample_metrics(method: str, samples: np.ndarray, truths: np.ndarray, like: ShearMap) -> dict:
    """Whether single samples (n_skies, n, n_y, n_x) look like the truths: power, peaks and high pixels over theirs."""
    mask, smoothing_px = like.mask, SAMPLE_SMOOTHING_ARCMIN / like.pixel_arcmin
    edges = np.array(SAMPLE_MULTIPOLES)

    def looks(kappa: np.ndarray) -> tuple[float, float, float]:
        kappa = mean_free(kappa.astype(float), mask)
        power = spectra(kappa, kappa, mask, like.pixel_arcmin, edges)[0, 0]
        return power, (peaks(kappa, mask, smoothing_px) > HIGH_PEAK).sum(), (kappa[mask] > HIGH_PIXEL).sum()

    of_samples = np.array([np.mean([looks(one) for one in drawn], axis=0) for drawn in samples])
    of_truths = np.array([looks(truth) for truth in truths[: len(samples)]])
    names = {
        "power": f"power at {edges[0]:.0f} < l < {edges[1]:.0f}",
        "peak": f"peaks above {HIGH_PEAK} through {SAMPLE_SMOOTHING_ARCMIN:g} arcmin",
        "tail": f"pixels above {HIGH_PIXEL}",
    }
    return {
        f"{method}_sample_{name}_ratio": _ratio(top, bottom, f"{what}, single samples over truths")
        for (name, what), top, bottom in zip(names.items(), of_samples.T, of_truths.T, strict=True)
    }


def _ratio(top: np.ndarray, bottom: np.ndarray, note: str) -> dict:
    """Sum over sum, with the standard error of a ratio of means over skies; nan where the truths have none."""
    n, total = len(top), bottom.sum()
    value = top.sum() / total if total > 0 else np.nan
    if n < 2 or not np.isfinite(value):
        return measurement(value, n=n, note=note)
    error = np.sqrt(n / (n - 1) * np.square(top - value * bottom).sum()) / total
    return measurement(value, value - error, value + error, n, note=note)
