"""The one form every reported number takes, and the bootstrap that gives it an error bar.

A metrics file is a flat dictionary: key -> {"value", "lo", "hi", "n", "unit", "baseline", "note"}.
`lo` and `hi` bound the central 68 %; `baseline` names the key the number is compared with, or is None.
A number that cannot be computed (an empty bin) has the value None and says why in its note.

The bootstrap resamples whole *units* (fields of sky, or clusters), because objects of one field share
their sky: tiles of one field are not independent draws. A resample is a row of integer counts, one a unit,
so every statistic that is a ratio of sums costs one matrix product, and two methods scored with the same
counts are compared pair by pair.
"""

import math

import numpy as np

FORM = ("value", "lo", "hi", "n", "unit", "baseline", "note")
SIGMA_PERCENTILES = (15.865, 84.135)


def measurement(value, lo=None, hi=None, n=None, unit="", baseline=None, note="") -> dict:
    """One number in the metrics form; NaN or infinite entries become None (JSON has no NaN)."""
    return {
        "value": _finite(value), "lo": _finite(lo), "hi": _finite(hi), "n": _finite(n),
        "unit": unit, "baseline": baseline, "note": note,
    }  # fmt: skip


def _finite(number):
    if number is None or not math.isfinite(number):
        return None
    return int(number) if isinstance(number, int | np.integer) else float(number)


def estimate(value, samples, n=None, unit="", baseline=None, note="") -> dict:
    """A measurement whose 68 % interval is read off bootstrap `samples` (1-d; NaN samples are left out)."""
    lo, hi = interval_68(samples)
    return measurement(value, lo, hi, n, unit, baseline, note)


def interval_68(samples) -> tuple[float, float]:
    """Central 68 % of the finite samples; (nan, nan) when there is none."""
    samples = np.asarray(samples, dtype=float)
    samples = samples[np.isfinite(samples)]
    if samples.size == 0:
        return math.nan, math.nan
    lo, hi = np.percentile(samples, SIGMA_PERCENTILES)
    return float(lo), float(hi)


def resample_counts(n_units: int, n_resamples: int, rng: np.random.Generator) -> np.ndarray:
    """How often each resample draws each unit: (n_resamples, n_units), rows sum to n_units."""
    if n_units < 1:
        raise ValueError(f"bootstrap over {n_units} units: at least one field (or cluster) is needed")
    return rng.multinomial(n_units, np.full(n_units, 1.0 / n_units), size=n_resamples).astype(float)


def sum_by_unit(values, unit, n_units: int) -> np.ndarray:
    """Sum of `values` (n,) over the items of each unit: (n_units,)."""
    return np.bincount(np.asarray(unit), weights=np.asarray(values, dtype=float), minlength=n_units)


def bootstrap_ratio(numerator, denominator, unit, counts) -> tuple[float, np.ndarray]:
    """Sum(numerator) / sum(denominator) over items, and for each resample in `counts` (B, n_units)."""
    top = sum_by_unit(numerator, unit, counts.shape[1])
    bottom = sum_by_unit(denominator, unit, counts.shape[1])
    return _divide(top.sum(), bottom.sum()).item(), _divide(counts @ top, counts @ bottom)


def _divide(top, bottom) -> np.ndarray:
    top, bottom = np.asarray(top, dtype=float), np.asarray(bottom, dtype=float)
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)


def bootstrap_statistic(statistic, unit, counts) -> tuple[float, np.ndarray]:
    """Any weighted statistic: `statistic(weights (n,)) -> float`, with unit weights and for each resample."""
    unit = np.asarray(unit)
    samples = np.array([statistic(row[unit]) for row in counts])
    return statistic(np.ones(unit.shape)), samples


def fraction(part, weight, unit, counts, baseline=None, note="") -> dict:
    """Weighted fraction of the items for which `part` (n,) is true, with its bootstrap interval.

    `n` is the effective number of items, (sum w)^2 / sum w^2 (Kish 1965). Where every resample agrees (all or
    none of a few items) the bootstrap sees no error, and the Wilson (1927) interval of `n` items stands in.
    """
    part, weight = np.asarray(part, dtype=bool), np.asarray(weight, dtype=float)
    if weight.sum() <= 0:
        return measurement(None, n=0, baseline=baseline, note=join_notes(note, "no object in this bin"))
    value, samples = bootstrap_ratio(part * weight, weight, unit, counts)
    n = effective_number(weight)
    lo, hi = interval_68(samples)
    if hi - lo < 1e-9:
        lo, hi = wilson_68(value, n)
    return measurement(value, lo, hi, round(n, 1), "", baseline, note)


def effective_number(weight) -> float:
    """Kish's effective sample size of a weighted sample, (sum w)^2 / sum w^2; 0 for none."""
    weight = np.asarray(weight, dtype=float)
    return float(_divide(weight.sum() ** 2, np.square(weight).sum())) if weight.sum() > 0 else 0.0


def wilson_68(value: float, n: float) -> tuple[float, float]:
    """Wilson score interval (one sigma) of a fraction `value` measured on `n` items."""
    centre = (value + 0.5 / n) / (1 + 1 / n)
    half = math.sqrt(max(value * (1 - value), 0.0) / n + 0.25 / n**2) / (1 + 1 / n)
    return max(centre - half, 0.0), min(centre + half, 1.0)


def advantage_sigma(value, samples, baseline_value, baseline_samples) -> float:
    """(value - baseline) in units of the spread of the paired difference over the same resamples."""
    difference = np.asarray(samples, dtype=float) - np.asarray(baseline_samples, dtype=float)
    difference = difference[np.isfinite(difference)]
    spread = float(np.std(difference)) if difference.size else 0.0
    return (value - baseline_value) / spread if spread > 0 else math.nan


def join_notes(*notes: str) -> str:
    """Notes that say something, joined by semicolons."""
    return "; ".join(note for note in notes if note)


def merge_metrics(parts: dict[str, dict]) -> dict:
    """One metrics dictionary from several, `parts` being name of the part -> its metrics.

    Raises ValueError for a key that two parts give, an entry out of form, or a baseline that no part has.
    """
    merged, origin = {}, {}
    for name, part in parts.items():
        for key, entry in part.items():
            if key in merged:
                raise ValueError(f"metrics key '{key}' is given twice, by {origin[key]} and by {name}: rename one")
            merged[key], origin[key] = entry, name
    validate_metrics(merged, ", ".join(parts))
    return merged


def validate_metrics(metrics: dict, name: str) -> None:
    """Raise ValueError naming the key when an entry of `metrics` is not in the form this module describes."""
    for key, entry in metrics.items():
        if not isinstance(entry, dict) or tuple(sorted(entry)) != tuple(sorted(FORM)):
            raise ValueError(f"metrics key '{key}' in {name} must hold exactly {', '.join(FORM)}; got {entry!r}")
        for part in ("value", "lo", "hi", "n"):
            number = entry[part]
            if number is not None and not (isinstance(number, int | float) and math.isfinite(number)):
                raise ValueError(
                    f"metrics key '{key}' in {name}: {part} is {number!r}, expected a finite number or null"
                )
        if None not in (entry["lo"], entry["hi"]) and entry["lo"] > entry["hi"]:
            raise ValueError(f"metrics key '{key}' in {name}: lo {entry['lo']} is above hi {entry['hi']}")
        if entry["baseline"] is not None and entry["baseline"] not in metrics:
            raise ValueError(f"metrics key '{key}' in {name}: its baseline '{entry['baseline']}' is not among the keys")
