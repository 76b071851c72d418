"""The scores of mass-mapping methods as metrics: averages over held-out skies, each with its error and its baseline.

Skies are resampled whole, and all methods with the same counts, so that the gain of one over another is a paired
comparison.
"""

from typing import NamedTuple

import numpy as np

from armillary.convergence import mean_free
from armillary.mass_scores import (
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
from armillary.metrics import Score, difference, estimate, measurement, over_trainings, resample_counts, sum_by_unit
from armillary.shear_catalogs import ShearMap

PEAK_EDGES = np.arange(-0.02, 0.1301, 0.01)
PDF_EDGES = np.arange(-0.06, 0.1601, 0.005)
HIGH_PEAK = 0.05
HIGH_PIXEL = 0.1
LEAST_SHARE = 0.01
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
        if method != "wiener":
            gain = gain_over(score.squared_error, scores["wiener"].squared_error, of_maps, counts)
            found[f"{method}_gain_over_wiener"] = gain.entry("wiener_rmse")
        if method == "wiener":
            gain = gain_over(score.squared_error, scores["kaiser_squires"].squared_error, of_maps, counts)
            found["wiener_gain_over_kaiser_squires"] = gain.entry("kaiser_squires_rmse")
    return found


def training_metrics(
    scores: dict[str, MethodScores], trainings: np.ndarray, units: np.ndarray, counts: np.ndarray,
    rng: np.random.Generator,
) -> dict:  # fmt: skip
    """The learned method's gain over Wiener as the mean of its trainings, with their spread in the error, and how far
    it is above every other method's gain; `trainings` are squared errors (n_trainings, n_maps). All on the same maps.
    """

    def gains(n_maps: int) -> Score:
        wiener = scores["wiener"].squared_error[:n_maps]
        each = [gain_over(one[:n_maps], wiener, units[:n_maps], counts) for one in trainings]
        return over_trainings(each, rng)

    found = {"learned_gain_over_wiener": gains(len(units)).entry("wiener_rmse")}
    for method, score in scores.items():
        if method in ("learned", "wiener"):
            continue
        n_maps = len(score.squared_error)
        other = gain_over(score.squared_error, scores["wiener"].squared_error, units[:n_maps], counts)
        note = f"share of Wiener's RMSE, the {n_maps} maps that both have; trainings and skies in the error"
        found[f"learned_gain_minus_{method}"] = difference(gains(n_maps), other, note).entry()
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


def gain_over(mine: np.ndarray, theirs: np.ndarray, units: np.ndarray, counts: np.ndarray) -> Score:
    """1 - RMSE / RMSE of another method, from squared errors (n,) of the same maps (theirs may have more)."""
    mine, my_samples = _mean_over_units(mine, units, counts)
    theirs, their_samples = _mean_over_units(theirs[: len(units)], units, counts)
    note = "share by which the RMSE is lower, same maps"
    return Score(1 - np.sqrt(mine / theirs), 1 - np.sqrt(my_samples / their_samples), len(units), "", note)


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
    """How often central 68 % intervals of samples (n_skies, n, n_y, n_x) hold the truth: in all, in bins of true and of
    inferred convergence; `sky` per sky, `high_*` where truth or posterior mean is above `high`; ranks of the truth.
    """
    inside, inferred, rank_bins = [], [], []
    for drawn, truth in zip(samples.astype(float), truths, strict=False):
        rank = rank_of_truth(drawn, truth, mask)
        inside.append(covered(rank, len(drawn)))
        inferred.append(mean_free(drawn, mask).mean(0))
        rank_bins.append(rank_density(rank, len(drawn)))
    return {"rank": np.mean(rank_bins, axis=0)} | _in_bins(inside, truths, inferred, mask, edges, high)


def interval_coverage_of(
    ends: np.ndarray, maps: np.ndarray, truths: np.ndarray, mask: np.ndarray, edges: list[float], high: float
) -> dict[str, np.ndarray]:
    """As `coverage_of`, of intervals that are given: ends (n, 2, n_y, n_x), low and high, of the first n maps; and
    their mean `width`.
    """
    inside = []
    for (low, top), truth in zip(ends.astype(float), truths, strict=False):
        truth = mean_free(truth, mask)
        inside.append(((truth >= low) & (truth <= top))[mask].astype(float))
    width = (ends[:, 1] - ends[:, 0])[:, mask].mean()
    return {"width": np.array(width)} | _in_bins(inside, truths, maps[: len(ends)].astype(float), mask, edges, high)


def _in_bins(inside: list, truths, maps, mask: np.ndarray, edges: list[float], high: float) -> dict[str, np.ndarray]:
    """Shares of pixels inside their intervals: a sky, in bins of truth and map, and above `high` of either."""
    true = np.concatenate([mean_free(truth, mask)[mask] for truth, _ in zip(truths, inside, strict=False)])
    inferred = np.concatenate([mean_free(kappa, mask)[mask] for kappa in maps])
    result = {"sky": np.array([one.mean() for one in inside])}
    every = np.concatenate(inside)
    for name, values in (("true", true), ("inferred", inferred)):
        result[f"by_{name}"], result[f"n_by_{name}"] = coverage_in_bins(every, values, np.array(edges))
        above = values > high
        result[f"high_{name}"] = np.array([every[above].mean() if above.any() else np.nan, above.sum()])
    return result


def coverage_metrics(
    key: str, coverage: dict[str, np.ndarray], units: np.ndarray, edges: list[float], high: float, what: str
) -> dict:
    """Coverage as metrics under `<key>...`; errors from the scatter over the skies of `units`, one a map.

    `<key>_least_*` is the lowest of the bins that hold at least LEAST_SHARE of the pixels.
    """
    sky = np.array([coverage["sky"][units == unit].mean() for unit in np.unique(units)])
    n, value = len(sky), coverage["sky"].mean()
    spread = sky.std(ddof=1) / np.sqrt(n) if n > 1 else np.nan
    found = {key: measurement(value, value - spread, value + spread, n, note=f"pixels inside {what}; 0.68 is right")}
    if "width" in coverage:
        found[f"{key}_width"] = measurement(coverage["width"], n=n, note=f"mean width of {what}")
    for name in ("true", "inferred"):
        shares, counts = coverage[f"by_{name}"], coverage[f"n_by_{name}"]
        for k, (share, n_pixels) in enumerate(zip(shares, counts, strict=True)):
            note = f"{name} convergence {edges[k]:g} to {edges[k + 1]:g}; {what}"
            found[f"{key}_{name}_{k}"] = measurement(share, n=int(n_pixels), note=note)
        full = counts >= LEAST_SHARE * counts.sum()
        found[f"{key}_least_{name}"] = measurement(
            np.nanmin(np.where(full, shares, np.nan)), n=n,
            note=f"lowest of the bins of {name} convergence with at least {LEAST_SHARE:.0%} of the pixels; {what}",
        )  # fmt: skip
        share, n_pixels = coverage[f"high_{name}"]
        found[f"{key}_{name}_high"] = measurement(share, n=int(n_pixels), note=f"where {name} kappa > {high}; {what}")
    return found


def squared_errors(maps: np.ndarray, truths: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """`squared_error` of maps (n, n_y, n_x) against the first n truths, (n,)."""
    return np.array([squared_error(a, b, mask) for a, b in zip(maps.astype(float), truths, strict=False)])


def mismatch_metrics(
    kinds: dict[str, dict[str, np.ndarray]],
    mask: np.ndarray,
    bins: dict,
    counts_seed: list[int],
    n_resamples: int = 200,
) -> dict:
    """Gain over Wiener and coverage of the intervals on skies of each kind: kind -> truth, the maps of each method, and
    `<method>_intervals` (n, 2, n_y, n_x) where there are any. `bins` are the arguments of `interval_coverage_of`.
    """
    found = {}
    for kind, stacks in kinds.items():
        truths = stacks["truth"]
        counts = resample_counts(len(truths), n_resamples, np.random.default_rng(counts_seed))
        wiener = squared_errors(stacks["wiener"], truths, mask)
        for method in (name for name in stacks if name not in ("truth", "wiener") and "_intervals" not in name):
            units = np.arange(len(stacks[method]))
            gain = gain_over(squared_errors(stacks[method], truths, mask), wiener, units, counts)
            alone = measurement(gain.value, n=1, note=f"{gain.note}; one sky: no error")
            found[f"mismatch_{kind}_{method}_gain"] = gain.entry() if len(units) > 1 else alone
            if f"{method}_intervals" in stacks:
                coverage = interval_coverage_of(stacks[f"{method}_intervals"], stacks[method], truths, **bins)
                entries = coverage_metrics(
                    f"mismatch_{kind}_{method}_interval", coverage, units, bins["edges"], bins["high"],
                    f"the map's 68 % intervals, skies: {kind}",
                )  # fmt: skip
                kept = ("interval", "interval_least_true", "interval_least_inferred")
                found |= {key: entry for key, entry in entries.items() if key.endswith(kept)}
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
