"""What the pages of the challenges say: numbers, ranges, figures, literature and caveats, ready for their templates."""

from pathlib import Path
from types import ModuleType

from armillary.metrics import measurement
from armillary.pages import file_address, shown


def check_expectations(scores: dict, challenge: str, expect: dict) -> list[dict]:
    """Every expected range held against its number, the mean of all seeds: {"key", "range", "value", "lo", "hi",
    "note", "passed"}; null leaves an end open, and a number that was not measured (its variant was not run) has value
    and passed None."""
    checks = []
    for key, (low, high) in expect.items():
        entry = scores.get(f"{challenge}_{key}") or measurement(None)
        value = entry["value"]
        inside = value is not None and (low is None or value >= low) and (high is None or value <= high)
        told = {name: entry[name] for name in ("value", "lo", "hi", "note")}
        checks.append({"key": key, "range": [low, high], **told, "passed": None if value is None else inside})
    return checks


def page_content(
    challenge: str, facts: ModuleType, source: str, n_seeds: int, scores: dict, checks: list[dict], figures: list[str],
    cpu_seconds: dict[str, float],
) -> dict:  # fmt: skip
    """What challenge.html shows. `facts` has its QUESTION, LITERATURE and CAVEATS."""
    return {
        "name": challenge, "title": challenge.replace("_", " "), "question": facts.QUESTION, "source": source,
        "n_seeds": n_seeds, "numbers": [_number(key, entry, challenge) for key, entry in scores.items()],
        "checks": [_check(check) for check in checks],
        "figures": [{"name": Path(path).stem.replace("_", " "), "picture": file_address(path)} for path in figures],
        "literature": facts.LITERATURE, "caveats": facts.CAVEATS, "cpu_seconds": cpu_seconds,
    }  # fmt: skip


def overview_rows(scores: dict, told: dict[str, dict]) -> list[dict]:
    """What challenges.html shows, a line each: headline number beside its baseline, checks, seeds, seconds, data."""
    rows = []
    for name, one in told.items():
        key, baseline = one["headline"]
        rows.append({
            "name": name, "number": key.removeprefix(f"{name}_"), "value": _with_unit(scores.get(key)),
            "baseline": _with_unit(scores.get(baseline)), "seeds": (scores.get(key) or measurement(None))["note"],
            "n_checks": len(one["checks"]),
            "n_passed": sum(check["passed"] is True for check in one["checks"]),
            "seconds": sum(one["cpu_seconds"].values()), "source": one["source"],
        })  # fmt: skip
    return rows


def _number(key: str, entry: dict, challenge: str) -> dict:
    name, baseline = (text.removeprefix(f"{challenge}_") for text in (key, entry["baseline"] or ""))
    told = {"unit": entry["unit"], "n": "" if entry["n"] is None else f"{entry['n']:g}", "note": entry["note"]}
    return {"name": name, "baseline": baseline, "value": shown(entry), **told}


def _check(check: dict) -> dict:
    low, high = ("" if end is None else f"{end:g}" for end in check["range"])
    verdict = {None: "not measured", True: "inside", False: "missed"}[check["passed"]]
    value = "" if check["value"] is None else shown(check)
    return {
        "key": check["key"],
        "value": value,
        "range": f"{low} ... {high}",
        "seeds": check["note"],
        "verdict": verdict,
    }


def _with_unit(entry: dict | None) -> str:
    return f"{shown(entry)} {entry['unit'] if entry else ''}".strip()
