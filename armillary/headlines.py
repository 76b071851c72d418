"""Headlines: what a rule set claims, held against the strongest baseline that was measured beside it.

config/headlines/<set>.yaml lists the headlines of a rule set. Each names the quantity, the method that is claimed for,
all fair baselines, a limit if there is one, and where in metrics.json their numbers are. Nobody picks the baseline that
is shown, nor the sentence of verdict: both follow from the numbers.

A headline is a dictionary: name, quantity, better ("higher", "lower" or the ideal value), unit (what the errors
resample), method, baselines, limit, metrics (contestant -> key) and, optionally, differences (baseline -> key of method
minus baseline over the same resamples). Contestants: name -> label, kind, inputs, augmentation, tuning, calibration.
"""

import math
from typing import NamedTuple

from armillary.metrics import measurement
from armillary.pages import MISSING, shown

N_SIGMA = 2.0  # a difference counts from this many of its errors on
STATISTICS = {"accuracy", "auc", "precision at 20", "r2", "share"}  # stand in `unit`, but are none
WINNERS = {
    "learned": "A learned baseline wins",
    "closed form": "The closed form wins",
    "classical": "The classical method wins",
}


class Duel(NamedTuple):
    """Method against one baseline: `gain` is positive where the method is better, `sigma` half of its 68 % interval."""

    baseline: str
    quality: float  # of the baseline; the larger the better
    gain: float
    sigma: float
    entry: dict  # the gain as a measurement

    @property
    def is_won(self) -> bool:
        return self.gain > N_SIGMA * self.sigma

    @property
    def is_lost(self) -> bool:
        return self.gain < -N_SIGMA * self.sigma


def check_headlines(table: dict, name: str) -> None:
    """ValueError where a headline names a contestant that the table does not describe, or one without a key."""
    seen = set()
    for headline in table["headlines"]:
        place = f"headlines of {name}: {headline['name']}"
        if headline["name"] in seen:
            raise ValueError(f"{place}: there are two of this name")
        seen.add(headline["name"])
        limit = [headline["limit"]] if headline.get("limit") else []
        for contestant in [headline["method"], *headline["baselines"], *limit]:
            if contestant not in table["contestants"]:
                raise ValueError(f"{place}: '{contestant}' is not among the contestants")
            if contestant not in headline["metrics"]:
                raise ValueError(f"{place}: no metrics key for '{contestant}'")
        for contestant in headline.get("differences", {}):
            if contestant not in headline["baselines"]:
                raise ValueError(f"{place}: a difference from '{contestant}', which is no baseline")


def told(headline: dict, contestants: dict[str, dict], metrics: dict[str, dict]) -> dict[str, str]:
    """A headline as text: quantity, method and baseline with their numbers, limit, outcome, sentence of verdict.

    `outcome` is "won" (the method beats every measured baseline by N_SIGMA errors), "lost" (a baseline beats it by as
    much), "tied", or "unmeasured". The baseline shown is the one that beats the method, else the strongest.
    """
    label = {name: contestant["label"] for name, contestant in contestants.items()}
    duels = _duels(headline, metrics)
    outcome = _outcome(duels)
    lost = [duel for duel in duels if duel.is_lost]
    against = max(lost or duels, key=lambda duel: duel.quality, default=None)
    method = headline["method"]
    texts = {
        "name": headline["name"],
        "quantity": headline["quantity"],
        "unit": headline["unit"],
        "method": label[method],
        "value": _number(headline, method, metrics),
        "baseline": label[against.baseline] if against else MISSING,
        "baseline_value": _number(headline, against.baseline, metrics) if against else MISSING,
        "limit": _number(headline, headline.get("limit"), metrics),
        "outcome": outcome,
    }
    return texts | {"verdict": _verdict(outcome, against, texts, contestants)}


def absent_keys(headline: dict, metrics: dict[str, dict]) -> list[str]:
    """Keys that a headline asks for and a run did not write."""
    wanted = [*headline["metrics"].values(), *headline.get("differences", {}).values()]
    return [key for key in wanted if key not in metrics]


def _duels(headline: dict, metrics: dict[str, dict]) -> list[Duel]:
    """The method against each baseline that this run measured; none if it did not measure the method."""
    method = _measured(headline, headline["method"], metrics)
    others = {name: _measured(headline, name, metrics) for name in headline["baselines"]}
    if method is None:
        return []
    return [_duel(headline, name, method, other, metrics) for name, other in others.items() if other is not None]


def _duel(headline: dict, name: str, method: dict, other: dict, metrics: dict[str, dict]) -> Duel:
    better = headline["better"]
    paired = metrics.get(headline.get("differences", {}).get(name))
    gain = quality(method["value"], better) - quality(other["value"], better)
    sigma = math.hypot(_sigma(method), _sigma(other))
    if paired is not None and paired["value"] is not None and better in ("higher", "lower"):
        gain = paired["value"] if better == "higher" else -paired["value"]
        sigma = _sigma(paired)
    bounds = (gain - sigma, gain + sigma) if math.isfinite(sigma) else (None, None)
    entry = measurement(gain, *bounds, unit=other["unit"])
    return Duel(name, quality(other["value"], better), gain, sigma, entry)


def quality(value: float, better: str | float) -> float:
    """The value as a number that is larger the better it is."""
    if better == "higher":
        return value
    return -value if better == "lower" else -abs(value - better)


def _sigma(entry: dict) -> float:
    """Half of the 68 % interval; infinite where no error was measured, so that nothing follows from the number."""
    if entry["lo"] is None or entry["hi"] is None:
        return math.inf
    return 0.5 * (entry["hi"] - entry["lo"])


def _measured(headline: dict, name: str, metrics: dict[str, dict]) -> dict | None:
    entry = metrics.get(headline["metrics"][name])
    return entry if entry is not None and entry["value"] is not None else None


def _number(headline: dict, name: str | None, metrics: dict[str, dict]) -> str:
    entry = metrics.get(headline["metrics"][name]) if name else None
    return _with_unit(entry) if entry else MISSING


def _outcome(duels: list[Duel]) -> str:
    if not duels:
        return "unmeasured"
    if any(duel.is_lost for duel in duels):
        return "lost"
    return "won" if all(duel.is_won for duel in duels) else "tied"


def _verdict(outcome: str, against: Duel | None, texts: dict[str, str], contestants: dict[str, dict]) -> str:
    """The sentence; differences are given as the winner's lead."""
    method, baseline = texts["method"], texts["baseline"]
    if outcome == "unmeasured":
        return "Not measured in this run."
    is_behind = against.gain < 0
    lead = _with_unit(_turned(against.entry) if is_behind else against.entry)
    if outcome == "won":
        return f"{capital(method)} wins: better than the strongest baseline, {baseline}, by {lead}."
    if outcome == "lost":
        winner = WINNERS[contestants[against.baseline]["kind"]]
        return f"{winner}: {baseline} is better than {method} by {lead}."
    first = "the second" if is_behind else "the first"
    return f"{capital(method)} and {baseline} cannot be told apart: {first} leads by {lead}."


def _with_unit(entry: dict) -> str:
    unit = "" if entry["unit"] in STATISTICS else entry["unit"]
    return f"{shown(entry)} {unit}".strip()


def _turned(entry: dict) -> dict:
    return entry | {"value": -entry["value"], "lo": -entry["hi"], "hi": -entry["lo"]}


def capital(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]
