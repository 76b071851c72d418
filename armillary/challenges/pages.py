"""What the pages of the challenges say: the question, what was found, three rows, figures, what to try, and the rest.

The sentence of what was found is made from the numbers, one for each headline that config/headlines/challenges.yaml
lists: a method against the strongest of its baselines. Nobody writes who wins.
"""

import math
from pathlib import Path
from types import ModuleType

from armillary.metrics import measurement
from armillary.pages import file_address, filled_tables, shown

N_ERRORS = 2.0  # differences of fewer errors (68 %) tell nothing apart
AS_EXPECTED, BETTER, MISSED, NOT_MEASURED = "as expected", "better than expected", "missed", "not measured"


def check_expectations(scores: dict, challenge: str, expect: dict) -> list[dict]:
    """Every expectation held against its number, the mean of all seeds.

    An expectation has `range` (null leaves an end open), `kind` (literature, prediction or regression), `source` and,
    where both ends are closed, perhaps `better` (higher or lower): beyond the range on that side is no miss. Each check
    adds key, value, lo, hi, note and verdict; what was not measured (its variant was not run) says so.
    """
    checks = []
    for key, told in expect.items():
        entry = scores.get(f"{challenge}_{key}") or measurement(None)
        number = {name: entry[name] for name in ("value", "lo", "hi", "note")}
        verdict = _verdict(entry["value"], *told["range"], told.get("better"))
        expected = {name: told[name] for name in ("range", "kind", "source")}
        checks.append({"key": key, **expected, **number, "verdict": verdict})
    return checks


def _verdict(value: float | None, low: float | None, high: float | None, better: str | None) -> str:
    if value is None:
        return NOT_MEASURED
    if low is not None and value < low:
        return BETTER if better == "lower" else MISSED
    if high is not None and value > high:
        return BETTER if better == "higher" else MISSED
    return AS_EXPECTED


def found(headline: dict, contestants: dict, scores: dict) -> str:
    """One sentence or two of what a headline comes to: the method against the strongest baseline that was measured.

    The difference is the paired one where the headline names it, else that of the two numbers, errors added in
    quadrature.
    """
    keys = headline["metrics"]
    known = {name: key for name, key in keys.items() if (scores.get(key) or {}).get("value") is not None}
    method, better = headline["method"], headline["better"]
    baselines = [name for name in headline["baselines"] if name in known]
    if method not in known or not baselines:
        missing = [name for name in (method, *headline["baselines"]) if name not in known]
        told = ", ".join(contestants[name]["label"] for name in missing)
        return f"This run did not measure {told}."
    goodness = {name: _goodness(scores[known[name]]["value"], better) for name in (method, *baselines)}
    strongest = max(baselines, key=goodness.get)
    ours, theirs = scores[known[method]], scores[known[strongest]]
    names = {name: contestants[name]["label"] for name in (method, strongest)}
    unit = f" {ours['unit']}" if ours["unit"] else ""
    sentence = (
        f"{_capital(headline['quantity'])}: {names[method]} {shown(ours)}{unit}; the strongest baseline, "
        f"{names[strongest]}, {shown(theirs)}{unit}. "
    )
    paired = scores.get((headline.get("differences") or {}).get(strongest))
    sentence += _comparison(ours, theirs, paired, better, contestants[method], contestants[strongest], unit)
    limit = headline.get("limit")
    if limit in known:
        sentence += f" The limit, {contestants[limit]['label']}, is {shown(scores[known[limit]])}{unit}."
    return sentence


def _goodness(value: float, better: str | float) -> float:
    """A number that rises as the value gets better: higher, lower, or nearer to an ideal."""
    if better == "higher":
        return value
    return -value if better == "lower" else -abs(value - better)


def _comparison(ours: dict, theirs: dict, paired: dict | None, better, method: dict, baseline: dict, unit: str) -> str:
    gain = _goodness(ours["value"], better) - _goodness(theirs["value"], better)
    use_pairs = paired is not None and paired["value"] is not None and isinstance(better, str)
    if use_pairs:
        gain, error = (paired["value"] if better == "higher" else -paired["value"]), _half_width(paired)
    else:
        error = math.hypot(_half_width(ours), _half_width(theirs))
    how = "paired" if use_pairs else "errors added in quadrature, not paired"
    size = f"{plus_minus(abs(gain), error)}{unit} ({how})"
    if abs(gain) < N_ERRORS * error or gain == 0:
        return f"They differ by {size}: these data cannot tell them apart."
    winner = method if gain > 0 else baseline
    return f"{_capital(winner['label'])} ({winner['kind']}) wins by {size}."


def _half_width(entry: dict) -> float:
    """Half of the 68 % interval; 0 where there is none."""
    return 0.5 * (entry["hi"] - entry["lo"]) if None not in (entry["lo"], entry["hi"]) else 0.0


def plus_minus(value: float, error: float) -> str:
    """A number with its error, to two digits of the error."""
    digits = min(max(1 - math.floor(math.log10(error)), 0), 9) if error > 0 else 3
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def boxes(told: list[dict], scores: dict) -> list[dict]:
    """Before and after a change, for the boxes of which both numbers were measured: title, text, two labels with their
    values."""
    drawn = []
    for box in told:
        entries = [scores.get(box[end]["key"]) for end in ("before", "after")]
        if all(entry is not None and entry["value"] is not None for entry in entries):
            ends = zip(("before", "after"), entries, strict=True)
            ends = {end: {"label": box[end]["label"], "value": _with_unit(entry)} for end, entry in ends}
            drawn.append({"title": box["title"], "text": box["text"], **ends})
    return drawn


def page_content(
    challenge: str, facts: ModuleType, story: dict, about: dict, scores: dict, checks: list[dict], figures: list[str],
) -> dict:  # fmt: skip
    """What challenge.html shows.

    `facts` has QUESTION, LITERATURE and CAVEATS; `story` is resources/pages/challenges/<name>.yaml with the headlines,
    their contestants and the settings to try as text; `about` has source, n_seeds and cpu_seconds.
    """
    pictures = {Path(path).stem: path for path in figures}
    shown_first = story["picture"]
    strange = sorted({shown_first, *pictures} - set(story["figures"])) + sorted({shown_first} - set(pictures))
    if strange:
        raise ValueError(f"resources/pages/challenges/{challenge}.yaml: no caption, or no figure, called {strange[0]}")
    drawn = {
        name: {"picture": file_address(path), "caption": story["figures"][name]} for name, path in pictures.items()
    }
    held = [check for check in checks if check["verdict"] in (AS_EXPECTED, BETTER)]
    return {
        "name": challenge, "title": challenge.replace("_", " "), "task": facts.QUESTION, **about,
        "asked": story["asked"], "author": story["author"],
        "found": [found(headline, story["contestants"], scores) for headline in story["headlines"]],
        "rows": filled_tables([story["rows"]], scores)[0], "boxes": boxes(story["boxes"], scores),
        "first": drawn.pop(shown_first), "figures": list(drawn.values()), "tries": story["try"],
        "exercise": story["exercise"], "checks": [_check(check) for check in checks], "n_held": len(held),
        "numbers": [_number(key, entry, challenge) for key, entry in scores.items()],
        "literature": facts.LITERATURE, "caveats": facts.CAVEATS,
    }  # fmt: skip


def overview_rows(told: dict[str, dict]) -> list[dict]:
    """What challenges.html shows, a line each: what was found, how many checks held, processor seconds, data."""
    rows = []
    for name, one in told.items():
        verdicts = [check["verdict"] for check in one["checks"]]
        n_held = sum(verdict in (AS_EXPECTED, BETTER) for verdict in verdicts)
        told_of = {"found": one["found"], "source": one["source"], "seconds": sum(one["cpu_seconds"].values())}
        rows.append({"name": name, "n_checks": len(verdicts), "n_held": n_held, **told_of})
    return rows


def _number(key: str, entry: dict, challenge: str) -> dict:
    name, baseline = (text.removeprefix(f"{challenge}_") for text in (key, entry["baseline"] or ""))
    told = {"unit": entry["unit"], "n": "" if entry["n"] is None else f"{entry['n']:g}", "note": entry["note"]}
    return {"name": name, "baseline": baseline, "value": shown(entry), **told}


def _check(check: dict) -> dict:
    low, high = ("" if end is None else f"{end:g}" for end in check["range"])
    value = "" if check["value"] is None else shown(check)
    told = {name: check[name] for name in ("key", "kind", "source", "verdict")}
    return {"value": value, "range": f"{low} ... {high}", "seeds": check["note"], **told}


def _with_unit(entry: dict | None) -> str:
    return f"{shown(entry)} {entry['unit'] if entry else ''}".strip()
