"""Completeness and purity of a cluster catalogue at the natural cluster rate, and the cut that sets them.

Simulated skies hold more clusters than the real one, so there is more to find and more that is in its way: a cluster
with another before it is missed more often, and on the real sky few have one. Every true halo carries `weight`, the
ratio of its natural rate to the rate at which it was drawn; what lies at some place of the sky counts with the product
of the weights of all haloes around it (`natural_weights`), a missed or found halo like a false detection.

Two frames go through the module. *Judged detections*: probability, redshift, richness, true_richness (0 where
unmatched), weight, counted (False where the matched halo's centre lies outside the image), unit. *Judged
truth*: richness, redshift, weight, inside, unit, found_probability (-1 where missed). Both come from `judge`.
"""

import numpy as np

from armillary.matching import UNMATCHED, candidate_pairs, match_two_way
from armillary.metrics import fraction

MISSED = -1.0


def judge(detections, truth, *, match_radius_mpc: float, match_dz: float | None):
    """Match, and return (judged detections, judged truth).

    `truth` needs group (optional), ra, dec, redshift, richness, weight, inside and unit; `detections` needs
    group (optional), ra, dec, redshift, richness, probability and unit.
    """
    halo = match_two_way(detections, truth, match_radius_mpc=match_radius_mpc, match_dz=match_dz)
    matched = halo != UNMATCHED
    weight, true_weight = natural_weights(detections, truth, match_radius_mpc)
    judged = detections.assign(
        true_richness=_looked_up(truth["richness"], halo, 0.0),
        weight=weight,
        counted=_looked_up(truth["inside"], halo, True).astype(bool),
        halo=halo,
    )
    found = np.full(len(truth), MISSED)
    found[halo[matched]] = detections["probability"].to_numpy()[matched]
    return judged, truth.assign(found_probability=found, weight=true_weight)


def natural_weights(detections, truth, radius_mpc: float) -> tuple[np.ndarray, np.ndarray]:
    """What a detection and a true halo count for at the natural rate, (n_detections,) and (n_truth,).

    Haloes are Poisson draws. If what happens at a place depends on the haloes within `radius_mpc` of it on the sky,
    each taken at its own redshift, then the ratio of the natural to the drawn probability of these haloes is the
    product of their weights, times a factor that is the same everywhere; that factor makes the weights of the haloes
    inside the images add up to their number at the natural rate.
    # ASSUME: a halo farther away on the sky than that does not matter, whatever its redshift.
    """
    weight, drawn = (_product_around(each, truth, radius_mpc) for each in (detections, truth))
    inside = truth["inside"].to_numpy(dtype=bool)
    factor = truth["weight"].to_numpy()[inside].sum() / drawn[inside].sum() if inside.any() else 1.0
    return factor * weight, factor * drawn


def _product_around(objects, truth, radius_mpc: float) -> np.ndarray:
    pair_object, pair_halo, _ = candidate_pairs(objects, truth, radius_mpc)
    ln_weight = np.log(truth["weight"].to_numpy(dtype=float))[pair_halo]
    return np.exp(np.bincount(pair_object, ln_weight, minlength=len(objects)))


def _looked_up(column, row, otherwise) -> np.ndarray:
    """column[row], and `otherwise` where row is -1."""
    values = np.append(column.to_numpy(), otherwise)
    return values[row]


def between(values, low: float, high: float) -> np.ndarray:
    """low <= values < high as a bool array."""
    values = np.asarray(values)
    return (values >= low) & (values < high)


def completeness_purity_curve(judged, truth, *, richness_above, pure_richness, redshift_range) -> dict:
    """Completeness and purity for richness > `richness_above`, threshold falling.

    Completeness counts true haloes of that true richness in `redshift_range`, found as whatever; purity counts
    detections of that estimated richness whose estimated redshift is in it; a detection is pure when its halo has
    richness >= `pure_richness`. Arrays over distinct probabilities.
    """
    wanted = truth[truth["inside"] & (truth["richness"] > richness_above) & between(truth["redshift"], *redshift_range)]
    rich = judged["richness"] > richness_above
    counted = judged[judged["counted"] & rich & between(judged["redshift"], *redshift_range)]
    order = np.argsort(-counted["probability"].to_numpy(), kind="stable")
    probability, weight = (counted[name].to_numpy()[order] for name in ("probability", "weight"))
    pure = counted["true_richness"].to_numpy()[order] >= pure_richness
    last_of_tie = np.flatnonzero(np.append(np.diff(probability) != 0, True)) if len(order) else order
    threshold = probability[last_of_tie]
    purity = np.cumsum(weight * pure)[last_of_tie] / np.cumsum(weight)[last_of_tie]
    return {
        "threshold": threshold,
        "completeness": weight_found(wanted, threshold),
        "purity": purity,
        "n_detections": last_of_tie + 1,
    }


def weight_found(wanted, threshold) -> np.ndarray:
    """Weighted fraction of the judged truth found at or above each threshold; NaN of no truth."""
    order = np.argsort(-wanted["found_probability"].to_numpy(), kind="stable")
    cumulative = np.append(0.0, np.cumsum(wanted["weight"].to_numpy()[order]))
    n_found = np.searchsorted(-wanted["found_probability"].to_numpy()[order], -threshold, side="right")
    return cumulative[n_found] / cumulative[-1] if cumulative[-1] > 0 else np.full(len(threshold), np.nan)


def area_under(curve: dict) -> float:
    """Sum of completeness gained times purity, an average precision; 0 without detections."""
    return float(np.sum(np.diff(curve["completeness"], prepend=0.0) * curve["purity"]))


def completeness_at_purity(curve: dict, purity: float) -> float:
    """Largest completeness of a curve where it has at least this purity; 0 where it has it nowhere."""
    return float(np.max(curve["completeness"], where=curve["purity"] >= purity, initial=0.0))


def choose_operating_point(
    detections, truth, *, richness_above, pure_richness, redshift_range, match_radius_mpc, match_dz
) -> dict:
    """Probability threshold, to be chosen on validation fields, with the completeness and purity it has there.

    The threshold where they balance: the lesser of completeness for true richness > `richness_above` and purity of
    estimated richness > `richness_above`, at the natural rate, is largest. Of equally good ones the middle, a margin to
    both sides for fields not seen.
    """
    curve = completeness_purity_curve(
        *judge(detections, truth, match_radius_mpc=match_radius_mpc, match_dz=match_dz),
        richness_above=richness_above, pure_richness=pure_richness, redshift_range=redshift_range,
    )  # fmt: skip
    threshold, completeness, purity = (curve[name] for name in ("threshold", "completeness", "purity"))
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


def richness_bins(edges) -> dict[str, tuple[float, float]]:
    """label -> (low, high): the bins between the edges, above the last, and above each edge but the last."""
    bins = {f"richness_{low:g}_{high:g}": (low, high) for low, high in zip(edges[:-1], edges[1:], strict=True)}
    return bins | {f"richness_gt{edge:g}": (edge, np.inf) for edge in edges}


def redshift_bins(edges) -> dict[str, tuple[float, float]]:
    """label -> (low, high); 0.2 to 0.35 is "redshift_020_035"."""
    pairs = zip(edges[:-1], edges[1:], strict=True)
    return {f"redshift_{100 * low:03.0f}_{100 * high:03.0f}": (low, high) for low, high in pairs}


def scores_in_bins(
    judged, truth, threshold, counts, *, richness_edges, redshift_edges, richness_above, pure_richness
) -> list[dict]:
    """Completeness and purity in every bin: rows of key, score, against, bin_low, bin_high and measurement.

    Completeness is binned in true, purity in estimated richness and redshift. Richness bins span the whole
    redshift range, redshift bins take richness > `richness_above`. `judged` is cut at `threshold` here.
    """
    span = (redshift_edges[0], redshift_edges[-1])
    above = {f"richness_gt{richness_above:g}": (richness_above, np.inf)}
    boxes = [
        (label, "richness", limits, limits, span) for label, limits in (richness_bins(richness_edges) | above).items()
    ]
    boxes += [
        (f"{name}_{label}", "redshift", limits, richness, limits)
        for name, richness in above.items() for label, limits in redshift_bins(redshift_edges).items()
    ]  # fmt: skip
    kept = judged[judged["counted"] & (judged["probability"] >= threshold)]
    true = truth[truth["inside"]]
    rows = []
    for label, against, limits, richness, redshift in boxes:
        row = {"against": against, "bin_low": limits[0], "bin_high": limits[1]}
        completeness = fraction_in(true, true["found_probability"] >= threshold, richness, redshift, counts)
        purity = fraction_in(kept, kept["true_richness"] >= pure_richness, richness, redshift, counts)
        rows.append(row | {"key": f"completeness_{label}", "score": "completeness", "measurement": completeness})
        rows.append(row | {"key": f"purity_{label}", "score": "purity", "measurement": purity})
    return rows


def fraction_in(frame, part, richness, redshift, counts, note: str = "") -> dict:
    """Weighted fraction of the rows in a box of richness and redshift for which `part` holds."""
    chosen = between(frame["richness"], *richness) & between(frame["redshift"], *redshift)
    box = frame[chosen]
    return fraction(
        np.asarray(part)[chosen], box["weight"].to_numpy(), box["unit"].to_numpy(dtype=int), counts, note=note
    )
