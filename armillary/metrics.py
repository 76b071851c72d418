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
from typing import NamedTuple

import numpy as np

FORM = ("value", "lo", "hi", "n", "unit", "baseline", "note")
SIGMA_PERCENTILES = (15.865, 84.135)
SHARED_WAY_SIGMA = 2.0  # a shorter way has no meaningful share


class Score(NamedTuple):
    """A number with its bootstrap samples (B,); `bounds` (68 %) stand in where all resamples agree.

    Scores of the same resamples can be compared pair by pair; `entry` gives the form of the metrics file.
    """

    value: float
    samples: np.ndarray
    n: float | None = None
    unit: str = ""
    note: str = ""
    bounds: tuple[float, float] | None = None

    def entry(self, baseline: str | None = None) -> dict:
        """The score in the metrics form."""
        known = math.isfinite(self.value)
        lo, hi = (self.bounds or interval_68(self.samples)) if known else (None, None)
        return measurement(self.value, lo, hi, self.n, self.unit, baseline, self.note)


def over_trainings(scores: list[Score], rng: np.random.Generator) -> Score:
    """One score of several trainings: their mean, and an error that holds the spread from training to training.

    The spread (standard deviation of one training, n - 1 in the denominator) is added to the resamples as Gaussian
    noise. Of one training nothing is known of it, and the note says so.
    """
    known = [score for score in scores if math.isfinite(score.value)]
    if len(scores) == 1 or not known:
        return scores[0]._replace(note=join_notes(scores[0].note, "one training: its spread is not in the error"))
    values = np.array([score.value for score in known])
    spread = float(np.std(values, ddof=1)) if len(known) > 1 else 0.0
    samples = np.mean([score.samples for score in known], axis=0)
    samples = samples + spread * rng.standard_normal(len(samples))
    others = f" (no value in {len(scores) - len(known)} more)" if len(known) < len(scores) else ""
    note = join_notes(
        known[0].note, f"mean of {len(known)} trainings{others}; their spread of {spread:.2g} is in the error"
    )
    bounds = known[0].bounds if spread == 0.0 else None
    return known[0]._replace(value=float(values.mean()), samples=samples, note=note, bounds=bounds)


def difference(score: Score, other: Score, note: str) -> Score:
    """score - other, paired over the same resamples."""
    return Score(score.value - other.value, score.samples - other.samples, score.n, score.unit, note)


def share_of_way(score: Score, start: Score, end: Score, note: str) -> Score:
    """(score - start) / (end - start), paired over the same resamples: 0 at the start, 1 at the end.

    NaN where start and end differ by less than SHARED_WAY_SIGMA times the spread of their difference.
    """
    way = end.samples - start.samples
    if not end.value - start.value > SHARED_WAY_SIGMA * np.nanstd(way):
        nothing = np.full(way.shape, np.nan)
        return Score(math.nan, nothing, score.n, "", join_notes(note, "start and end do not differ by two errors"))
    share = (score.value - start.value) / (end.value - start.value)
    return Score(share, _divide(score.samples - start.samples, way), score.n, "", note)


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


def fraction(part, weight, unit, counts, note="") -> Score:
    """Weighted fraction of the items for which `part` (n,) is true; NaN of none.

    `n` is the effective number of items, (sum w)^2 / sum w^2 (Kish 1965). Where resamples hardly differ (all or none
    of a few items) the bootstrap sees too small an error: the Wilson (1927) interval of `n` items stands in for a
    narrower one.
    """
    part, weight = np.asarray(part, dtype=bool), np.asarray(weight, dtype=float)
    if weight.sum() <= 0:
        nothing = np.full(len(counts), np.nan)
        return Score(math.nan, nothing, 0, "", join_notes(note, "no object in this bin"))
    value, samples = bootstrap_ratio(part * weight, weight, unit, counts)
    n = effective_number(weight)
    lo, hi = interval_68(samples)
    wilson = wilson_68(value, n)
    bounds = wilson if hi - lo < wilson[1] - wilson[0] else None
    return Score(value, samples, round(n, 1), "", note, bounds)


def effective_number(weight) -> float:
    """Kish's effective sample size of a weighted sample, (sum w)^2 / sum w^2; 0 for none."""
    weight = np.asarray(weight, dtype=float)
    return float(_divide(weight.sum() ** 2, np.square(weight).sum())) if weight.sum() > 0 else 0.0


def wilson_68(value: float, n: float) -> tuple[float, float]:
    """Wilson score interval (one sigma) of a fraction `value` measured on `n` items."""
    centre = (value + 0.5 / n) / (1 + 1 / n)
    half = math.sqrt(max(value * (1 - value), 0.0) / n + 0.25 / n**2) / (1 + 1 / n)
    return max(centre - half, 0.0), min(centre + half, 1.0)


def poisson_68(n: int) -> tuple[float, float]:
    """68 % bounds of the mean of a Poisson count. Eqs. (7) and (12), Gehrels (1986), ApJ 303, 336."""
    upper = n + math.sqrt(n + 0.75) + 1
    lower = n * (1 - 1 / (9 * n) - 1 / (3 * math.sqrt(n))) ** 3 if n > 0 else 0.0
    return lower, upper


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
