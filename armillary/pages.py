"""Pages of the report: numbers with their errors, settings with their meaning, one template for all of them."""

import base64
import io
import re
from pathlib import Path

import jinja2
import numpy as np
from PIL import Image

MISSING = "–"
MARKED = re.compile(r"(<!-- numbers: (.+?) -->\n).*?(<!-- end of numbers -->)", re.DOTALL)


def shown(entry: dict | None) -> str:
    """A measurement as text: value [lo, hi], as many decimals as the interval bears; a dash where there is none."""
    if entry is None or entry["value"] is None:
        return MISSING
    value, low, high = entry["value"], entry["lo"], entry["hi"]
    width = 0.5 * (high - low) if low is not None and high is not None else 0.0
    form = _form(value, width)
    text = form.format(value)
    return f"{text} [{form.format(low)}, {form.format(high)}]" if width > 0 else text


def _form(value: float, width: float) -> str:
    """One or two digits of the error, as the Particle Data Group rounds, or three of a value without one, at most
    four of a value; powers of ten where a plain number would be long."""
    digits = _first_decimal(width / 3.55) if width > 0 else _first_decimal(value) + 2
    digits = min(digits, _first_decimal(value) + 3) if value else digits
    if float(value).is_integer() and width == 0 and abs(value) < 1e6:
        return "{:.0f}"
    return f"{{:.{min(max(digits, 0), 9)}f}}" if 1e-4 <= abs(value) < 1e6 or value == 0 else "{:.2e}"


def _first_decimal(number: float) -> int:
    """Place of the first digit behind the point: 1 for 0.2, 3 for 0.002, 0 for 3, -1 for 30."""
    return -int(f"{abs(number):e}".partition("e")[2]) if number else 0


def filled_tables(tables: list[dict], metrics: dict[str, dict]) -> list[dict]:
    """Tables of a page with cells in place of keys: text, and the note of the measurement to be shown when asked for.

    A table has title, columns and rows; a row is a label and one metric key a column, null for an empty cell. A key
    that the run did not measure (another config) is a dash.
    """
    return [
        table
        | {"rows": [{"label": row[0], "cells": [_cell(metrics.get(key)) for key in row[1:]]} for row in table["rows"]]}
        for table in tables
    ]


def _cell(entry: dict | None) -> dict:
    if entry is None:
        return {"text": MISSING, "unit": "", "note": ""}
    n = f"n = {entry['n']:g}" if entry["n"] is not None else ""
    return {"text": shown(entry), "unit": entry["unit"], "note": "; ".join(filter(None, [entry["note"], n]))}


def markdown_table(columns: list[str], rows: list[list[str]]) -> str:
    """A table as Markdown; the first cell of a row is its label."""
    lines = [["", *columns], ["---"] * (len(columns) + 1), *rows]
    return "".join(f"| {' | '.join(line)} |\n".replace("|  |", "| |") for line in lines)


def with_numbers(text: str, tables: dict[str, str], name: str) -> str:
    """The text with what stands between its marks (MARKED) replaced by the tables that they name; `name` for errors."""
    unknown = [found[2] for found in MARKED.finditer(text) if found[2] not in tables]
    if unknown:
        raise ValueError(f"{name} wants numbers of {', '.join(unknown)}; there are {', '.join(tables)}")
    return MARKED.sub(lambda found: found[1] + tables[found[2]] + found[3], text)


def settings_rows(schema: dict, values: dict, defaults: dict, place: str = "") -> list[dict]:
    """One row a key of a schema, blocks opened: key, what it may be, default, value where it differs, sentence."""
    rows = []
    for name, part in schema.get("properties", {}).items():
        key = f"{place}: {name}" if place else name
        value, default = (of.get(name) if isinstance(of, dict) else None for of in (values, defaults))
        if "properties" in part:
            rows += settings_rows(part, value, default, key)
        else:
            changed = value if value != default else None
            row = {"key": key, "allowed": allowed(part), "default": default, "value": changed}
            rows.append(row | {"description": part.get("description", "")})
    return rows


def allowed(part: dict) -> str:
    """What a schema lets a key be, in words."""
    if "enum" in part:
        return " | ".join("null" if value is None else str(value) for value in part["enum"])
    kinds = part.get("type", "any")
    words = " or ".join(kinds) if isinstance(kinds, list) else kinds
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {part[name]:g}" for name, sign in signs.items() if name in part]
    return ", ".join([words, *bounds])


def render_page(folder: str | Path, template: str, **content) -> str:
    """HTML of one of the templates in `folder`; what is not there is an error, text is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(template).render(**content)


def file_address(path: str | Path) -> str:
    """An address that holds a PNG file itself."""
    return f"data:image/png;base64,{base64.b64encode(Path(path).read_bytes()).decode()}"


def picture_address(values: np.ndarray, kind: str) -> str:
    """An address that holds a picture itself, PNG or JPEG: values 0 to 1, (n_y, n_x) or with colours, rows from the
    bottom."""
    stream = io.BytesIO()
    options = {"quality": 85} if kind == "JPEG" else {}
    Image.fromarray((255 * values[::-1]).astype(np.uint8)).save(stream, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(stream.getvalue()).decode()}"
