"""Completeness and purity of a cluster catalogue at the natural cluster rate, and the probability cut that sets them.

Simulated skies hold more clusters than the real one, so there is more to find and more in its way: a cluster with
another one in front of it is missed more often, and on the real sky few have one. Every true halo carries `weight`, the
ratio of its natural rate to the rate at which it was drawn. An object at some place of the sky counts with the product
of the weights of all haloes around it (`natural_weights`): a missed or found halo like a false detection.

A catalogue is what is listed in the redshift range that is scored; a detection that is estimated outside it is not in
the catalogue and finds nothing. Completeness is the share of true clusters above a richness that the catalogue holds.
Purity is the share of the *whole* catalogue, poor estimates included, whose halo has at least `pure_richness`. Both
change with the probability at which the catalogue is cut. A `CatalogueCurve` holds them at every distinct
probability: at each the catalogue above it is matched anew (`armillary.matching.match_as_threshold_falls`).
"""

from typing import NamedTuple

import numpy as np

from armillary.matching import UNMATCHED, candidate_pairs, match_as_threshold_falls, match_two_way
from armillary.metrics import Score, fraction

NEVER = np.iinfo(int).max  # index of the threshold at which a missed halo is found


class Criteria(NamedTuple):
    """What counts as a match, as pure, and in which true or estimated redshifts a cluster counts at all."""

    match_radius_mpc: float
    match_dz: float | None
    pure_richness: float
    redshift_range: tuple[float, float]

    @property
    def matching(self) -> dict:
        """The arguments of `armillary.matching`."""
        return {"match_radius_mpc": self.match_radius_mpc, "match_dz": self.match_dz}


# --- one catalogue


def judge(detections, truth, *, match_radius_mpc: float, match_dz: float | None):
    """Match a catalogue with the true haloes; both frames with the result.

    `truth` needs group (optional), ra, dec, redshift, richness, weight, inside and unit; `detections` needs
    group (optional), ra, dec, redshift, richness, probability and unit. Detections gain true_richness (0 where
    unmatched), weight, halo (row of truth or -1) and counted (False where the matched halo's centre lies outside the
    image). Truth gains `found`, and its weight becomes the natural weight.
    """
    halo = match_two_way(detections, truth, match_radius_mpc=match_radius_mpc, match_dz=match_dz)
    weight, true_weight = natural_weights(detections, truth, match_radius_mpc)
    judged = detections.assign(
        true_richness=_looked_up(truth["richness"], halo, 0.0),
        weight=weight,
        counted=_looked_up(truth["inside"], halo, True).astype(bool),
        halo=halo,
    )
    found = np.zeros(len(truth), dtype=bool)
    found[halo[halo != UNMATCHED]] = True
    return judged, truth.assign(found=found, weight=true_weight)


def natural_weights(detections, truth, radius_mpc: float) -> tuple[np.ndarray, np.ndarray]:
    """Weight of a detection and of a true halo at the natural rate, (n_detections,) and (n_truth,).

    Haloes are Poisson draws. If what happens at a place depends on the haloes within `radius_mpc` of it on the sky,
    each taken at its own redshift, then the ratio of the natural to the drawn probability of these haloes is the
    product of their weights, times a factor that is the same everywhere; that factor makes the weights of the haloes
    inside the images add up to their number at the natural rate.
    # ASSUME: a halo farther away on the sky than that does not matter, whatever its redshift.
    """
    weight, drawn = (_product_around(each, truth, radius_mpc) for each in (detections, truth))
    factor = weight_of_blank_sky(truth, radius_mpc)
    return factor * weight, factor * drawn


def weight_of_blank_sky(truth, radius_mpc: float) -> float:
    """The factor of `natural_weights`: the weight of a place without any halo around it."""
    inside = truth["inside"].to_numpy(dtype=bool)
    drawn = _product_around(truth[inside], truth, radius_mpc)
    return float(truth["weight"].to_numpy()[inside].sum() / drawn.sum()) if inside.any() else 1.0


def _product_around(objects, truth, radius_mpc: float) -> np.ndarray:
    pair_object, pair_halo, _ = candidate_pairs(objects, truth, radius_mpc)
    ln_weight = np.log(truth["weight"].to_numpy(dtype=float))[pair_halo]
    return np.exp(np.bincount(pair_object, ln_weight, minlength=len(objects)))


def _looked_up(column, row, otherwise) -> np.ndarray:
    """column[row], and `otherwise` where row is -1."""
    values = np.append(column.to_numpy(), otherwise)
    return values[row]


def in_range(detections, criteria: Criteria):
    """The detections that are listed: estimated redshift in the range that is scored."""
    return detections[between(detections["redshift"], *criteria.redshift_range)].reset_index(drop=True)


def between(values, low: float, high: float) -> np.ndarray:
    """low <= values < high as a bool array."""
    values = np.asarray(values)
    return (values >= low) & (values < high)


# --- every threshold


class Changes(NamedTuple):
    """Changes of a weighted count as the threshold falls: index of the threshold (rising), unit, and by how much."""

    threshold: np.ndarray
    unit: np.ndarray
    weight: np.ndarray

    def sums(self, counts: np.ndarray, n_thresholds: int) -> np.ndarray:
        """The count at every threshold in every resample, (B, K) of `counts` (B, n_units)."""
        running = np.cumsum(counts[:, self.unit] * self.weight, axis=1)
        running = np.concatenate([np.zeros((len(counts), 1)), running], axis=1)
        return running[:, np.searchsorted(self.threshold, np.arange(n_thresholds), side="right")]


class CatalogueCurve(NamedTuple):
    """A catalogue at every distinct probability, `threshold` (K,) falling.

    listed and pure are the weighted numbers of detections above the threshold and of the pure ones among them; `truth`
    is the judged truth with `found_at`, the index of the threshold from which on a halo is found.
    """

    threshold: np.ndarray
    listed: Changes
    pure: Changes
    truth: object
    criteria: Criteria

    def completeness(self, richness_above: float, counts: np.ndarray) -> np.ndarray:
        """Weighted share found of the true clusters above a richness, (B, K); NaN where there are none."""
        wanted = self.truth[self.truth["inside"] & (self.truth["richness"] > richness_above)]
        wanted = wanted[between(wanted["redshift"], *self.criteria.redshift_range)].sort_values("found_at")
        unit, weight = wanted["unit"].to_numpy(dtype=int), wanted["weight"].to_numpy(dtype=float)
        found = Changes(wanted["found_at"].to_numpy(), unit, weight).sums(counts, len(self.threshold))
        total = (counts[:, unit] * weight).sum(axis=1, keepdims=True)
        return np.divide(found, total, out=np.full(found.shape, np.nan), where=total > 0)

    def purity(self, counts: np.ndarray) -> np.ndarray:
        """Weighted share of the listed detections that are pure, (B, K); 1 where nothing is listed."""
        listed, pure = self.n_listed(counts), self.n_pure(counts)
        return np.divide(pure, listed, out=np.ones(listed.shape), where=listed > 1e-12)

    def n_pure(self, counts: np.ndarray) -> np.ndarray:
        """Weighted number of pure detections, (B, K)."""
        return self.pure.sums(counts, len(self.threshold))

    def n_listed(self, counts: np.ndarray) -> np.ndarray:
        """Weighted number of listed detections, (B, K)."""
        return self.listed.sums(counts, len(self.threshold))


def catalogue_curve(detections, truth, criteria: Criteria, *, estimated_above: float = -np.inf) -> CatalogueCurve:
    """The curve of a catalogue.

    Only detections in the redshift range take part (`in_range`). A detection counts in the purity if its halo's centre
    is in the image (or it has no halo), and its estimated richness above `estimated_above`, by default whatever it is.
    """
    detections = in_range(detections, criteria)
    order, changes = match_as_threshold_falls(detections, truth, **criteria.matching)
    weight, true_weight = natural_weights(detections, truth, criteria.match_radius_mpc)
    probability = detections["probability"].to_numpy(float)[order]
    threshold, index_of_step = _distinct(probability)
    index = index_of_step[changes.step - 1]

    eligible = detections["richness"].to_numpy(float) > estimated_above
    weight = np.where(eligible, weight, 0.0)[changes.detection]
    unit = detections["unit"].to_numpy(dtype=int)[changes.detection]
    is_listed = np.append(truth["inside"].to_numpy(dtype=bool), [False, True])  # [-2]: absent, [-1]: without halo
    is_pure = np.append(truth["richness"].to_numpy(float) >= criteria.pure_richness, [False, False])
    is_pure &= is_listed

    def change(flag) -> Changes:
        by = weight * (flag[changes.after].astype(float) - flag[changes.before])
        return Changes(index[by != 0], unit[by != 0], by[by != 0])

    found_at = np.full(len(truth), NEVER)
    matched = changes.after > UNMATCHED
    np.minimum.at(found_at, changes.after[matched], index[matched])
    truth = truth.assign(weight=true_weight, found_at=found_at)
    return CatalogueCurve(threshold, change(is_listed), change(is_pure), truth, criteria)


def _distinct(probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct values (K,) of falling probabilities, and the index of each one's value."""
    is_new = np.append(True, np.diff(probability) != 0)[: len(probability)]
    return probability[is_new], np.cumsum(is_new) - 1


def area_under(completeness: np.ndarray, purity: np.ndarray) -> np.ndarray:
    """Sum of completeness gained times purity (B,) of curves (B, K), an average precision; 0 without detections."""
    return (np.diff(completeness, prepend=0.0, axis=1) * purity).sum(axis=1)


def completeness_at_purity(completeness: np.ndarray, purity: np.ndarray, wanted: float) -> np.ndarray:
    """Largest completeness (B,) where a curve (B, K) has at least the purity wanted; 0 where it has it nowhere."""
    return np.max(np.where(purity >= wanted, completeness, 0.0), axis=1, initial=0.0)


def at_density(values: np.ndarray, n_listed: np.ndarray, n_wanted: float) -> np.ndarray:
    """Values (B, K), 0 where nothing is listed, interpolated to the place where `n_wanted` are listed, (B,).

    NaN where the list ends before. A detection can weigh much, so thresholds alone reach a number only roughly.
    """
    rising = np.maximum.accumulate(n_listed, axis=1)  # the number listed hardly ever falls as the threshold does
    start = np.zeros((len(values), 1))
    rising, values = (np.concatenate([start, each], axis=1) for each in (rising, values))
    found = [np.interp(n_wanted, x, y) for x, y in zip(rising, values, strict=True)]
    return np.where(rising[:, -1] >= n_wanted, found, np.nan)


def choose_operating_point(detections, truth, criteria: Criteria, *, richness_above: float) -> dict:
    """Probability threshold, to be chosen on calibration fields, with the completeness and purity it has there.

    The threshold where they balance: the lesser of completeness for true richness > `richness_above` and purity of the
    whole catalogue is largest. Of equally good ones the middle, a margin to both sides for fields not seen.
    """
    curve = catalogue_curve(detections, truth, criteria)
    one = np.ones((1, 1 + max(_last(detections["unit"]), _last(truth["unit"]))))
    threshold, completeness, purity = curve.threshold, curve.completeness(richness_above, one)[0], curve.purity(one)[0]
    if len(threshold) == 0 or not np.isfinite(completeness).all():
        return {"threshold": 0.5, "completeness": float("nan"), "purity": float("nan")}
    merit = np.minimum(completeness, purity) + 1e-6 * np.maximum(completeness, purity)  # the greater one decides ties
    tied = np.flatnonzero(merit >= merit.max() - 1e-9)
    chosen = tied[np.argmin(np.abs(threshold[tied] - 0.5 * (threshold[tied].min() + threshold[tied].max())))]
    return {
        "threshold": float(threshold[chosen]),
        "completeness": float(completeness[chosen]),
        "purity": float(purity[chosen]),
    }


def _last(unit) -> int:
    return int(unit.max()) if len(unit) else 0


# --- bins


def richness_bins(edges) -> dict[str, tuple[float, float]]:
    """label -> (low, high): the bins between the edges, above the last, and above each edge but the last."""
    bins = {f"richness_{low:g}_{high:g}": (low, high) for low, high in zip(edges[:-1], edges[1:], strict=True)}
    return bins | {f"richness_gt{edge:g}": (edge, np.inf) for edge in edges}


def redshift_bins(edges) -> dict[str, tuple[float, float]]:
    """label -> (low, high); 0.2 to 0.35 is "redshift_020_035"."""
    pairs = zip(edges[:-1], edges[1:], strict=True)
    return {f"redshift_{100 * low:03.0f}_{100 * high:03.0f}": (low, high) for low, high in pairs}


def score_boxes(richness_edges, redshift_edges, richness_above: float) -> list[tuple]:
    """(label, axis, limits of the bin, limits of richness, limits of redshift) of every bin.

    Richness bins span the whole redshift range, redshift bins take richness > `richness_above`.
    """
    span = (redshift_edges[0], redshift_edges[-1])
    boxes = [(label, "richness", limits, limits, span) for label, limits in richness_bins(richness_edges).items()]
    above, rich = f"richness_gt{richness_above:g}", (richness_above, np.inf)
    boxes += [
        (f"{above}_{label}", "redshift", limits, rich, limits)
        for label, limits in redshift_bins(redshift_edges).items()
    ]
    return boxes


def fraction_in(frame, part, richness, redshift, counts, note: str = "") -> Score:
    """Weighted fraction of the rows in a box of richness and redshift for which `part` holds."""
    chosen = between(frame["richness"], *richness) & between(frame["redshift"], *redshift)
    box = frame[chosen]
    return fraction(
        np.asarray(part)[chosen], box["weight"].to_numpy(), box["unit"].to_numpy(dtype=int), counts, note=note
    )
