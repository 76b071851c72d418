"""Pages of the challenges: self-contained HTML with tables and figures, and the overview of all of them."""

import base64
from html import escape
from pathlib import Path
from types import ModuleType

LOOK = (
    "body{font:15px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;margin:1em 0}td,th{padding:.25em .8em;border-bottom:1px solid #ddd;text-align:left}"
    "img{max-width:100%}.missed{color:#b3400a;font-weight:bold}.quiet{color:#777}"
)


def check_expectations(scores: dict, challenge: str, expect: dict) -> list[dict]:
    """Every expected range held against its number: {"key", "range", "value", "passed"}; null leaves an end open, and a
    number that was not measured (its variant was not run) has value and passed None."""
    checks = []
    for key, (low, high) in expect.items():
        value = scores.get(f"{challenge}_{key}", {"value": None})["value"]
        inside = value is not None and (low is None or value >= low) and (high is None or value <= high)
        checks.append({"key": key, "range": [low, high], "value": value, "passed": None if value is None else inside})
    return checks


def write_page(
    path: str, challenge: str, facts: ModuleType, source: str, n_seeds: int, scores: dict, checks: list[dict],
    figures: list[str], cpu_seconds: dict[str, float],
) -> None:  # fmt: skip
    """One challenge. `facts` has its QUESTION, LITERATURE and CAVEATS."""
    seeds = f"{n_seeds} seed{'s' if n_seeds > 1 else ''}"
    body = [
        f"<h1>{escape(challenge.replace('_', ' '))}</h1><p>{escape(facts.QUESTION)}</p>",
        f"<p class=quiet>Data: {escape(source)}. {seeds}; intervals are 68 %, over test objects and seeds.</p>",
        "<h2>Numbers</h2>" + table(["", "value", "68 %", "n", "baseline"], _rows(scores, challenge)),
        "<h2>Held against what was expected</h2>"
        + (table(["", "value", "range", ""], map(_check_row, checks)) if checks else "<p>Nothing was expected.</p>"),
        *(f"<h2>{escape(Path(f).stem.replace('_', ' '))}</h2>{_image(f)}" for f in figures),
        "<h2>Literature</h2><p class=quiet>Values of the papers, other data than ours.</p>"
        + table(["what", "value", "reference"], facts.LITERATURE),
        "<h2>Caveats</h2><ul>" + "".join(f"<li>{escape(text)}</li>" for text in facts.CAVEATS) + "</ul>",
        "<h2>CPU seconds of training, all seeds</h2>"
        + table(["variant", "seconds"], [(name, f"{value:.1f}") for name, value in cpu_seconds.items()]),
    ]
    _write(path, challenge, body)


def write_overview(path: str, scores: dict, told: dict[str, dict]) -> None:
    """All challenges, a line each: headline number beside its baseline, checks, seeds, seconds, data."""
    rows = []
    for name, one in told.items():
        key, baseline = one["headline"]
        n_passed = sum(check["passed"] is True for check in one["checks"])
        seconds = f"{sum(one['cpu_seconds'].values()):.0f}"
        rows.append([
            name, key.removeprefix(f"{name}_"), *(_interval(scores.get(k)) for k in (key, baseline)),
            f"{n_passed} of {len(one['checks'])}", one["n_seeds"], seconds, one["source"],
        ])  # fmt: skip
    head = ["challenge", "number", "method", "baseline", "checks passed", "seeds", "CPU s", "data"]
    _write(path, "Challenges", ["<h1>Challenges</h1>", table(head, rows)])


def table(head: list[str], rows) -> str:
    """An HTML table; cells that begin with `missed` are marked."""
    lines = ["<table><tr>" + "".join(f"<th>{escape(str(cell))}</th>" for cell in head) + "</tr>"]
    for row in rows:
        cells = (f"<td{' class=missed' if str(c).startswith('missed') else ''}>{escape(str(c))}</td>" for c in row)
        lines.append("<tr>" + "".join(cells) + "</tr>")
    return "\n".join([*lines, "</table>"])


def _rows(scores: dict, challenge: str):
    for key, entry in scores.items():
        name, baseline = key.removeprefix(f"{challenge}_"), entry["baseline"] or ""
        interval = "" if entry["lo"] is None else f"{entry['lo']:.4g} to {entry['hi']:.4g}"
        value = "none" if entry["value"] is None else f"{entry['value']:.4g} {entry['unit']}"
        yield name, value, interval, entry["n"], baseline.removeprefix(f"{challenge}_")


def _check_row(check: dict):
    low, high = ("" if end is None else f"{end:g}" for end in check["range"])
    if check["value"] is None:
        return check["key"], "", f"{low} ... {high}", "not measured"
    return check["key"], f"{check['value']:.4g}", f"{low} ... {high}", "inside" if check["passed"] else "missed"


def _interval(entry: dict | None) -> str:
    if entry is None or entry["value"] is None:
        return ""
    ends = "" if entry["lo"] is None else f" [{entry['lo']:.3g}, {entry['hi']:.3g}]"
    return f"{entry['value']:.3g}{ends} {entry['unit']}".strip()


def _image(path: str) -> str:
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(Path(path).read_bytes()).decode()}">'


def _write(path: str, title: str, body: list[str]) -> None:
    head = f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title><style>{LOOK}</style>"
    Path(path).write_text("\n".join([head, *body, "</html>"]) + "\n")
