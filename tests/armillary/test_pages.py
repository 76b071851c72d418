"""Numbers, tables and settings become text; the templates take them."""

from pathlib import Path

import pytest
import yaml

from armillary.metrics import measurement
from armillary.pages import (
    allowed,
    filled_tables,
    markdown_table,
    render_page,
    settings_rows,
    shown,
    with_numbers,
)

TEMPLATES = Path(__file__).parents[2] / "resources/pages"


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (measurement(0.91234, 0.9052, 0.9191), "0.912 [0.905, 0.919]"),
        (measurement(13.06, 12.06, 14.06), "13.1 [12.1, 14.1]"),
        (measurement(0.0, -0.0011, 0.0009), "0.0000 [-0.0011, 0.0009]"),
        (measurement(1234.5, 1200.0, 1270.0), "1234 [1200, 1270]"),
        (measurement(0.9999994, 0.9999987, 1.0), "1.0000 [1.0000, 1.0000]"),
        (measurement(7), "7"),
        (measurement(2.125), "2.12"),
        (measurement(9.1e-7), "9.10e-07"),
        (measurement(1.0, 1.0, 1.0), "1"),
        (measurement(None), "–"),
        (None, "–"),
    ],
)
def test_a_number_has_the_decimals_that_its_error_bears(entry, text):
    assert shown(entry) == text


def test_a_table_is_filled_and_says_what_its_numbers_are():
    table = {
        "title": "Scores",
        "columns": ["ours", "theirs"],
        "rows": [["area", "area", "other"], ["only ours", "area", None]],
    }
    metrics = {"area": measurement(0.5, 0.4, 0.6, n=64, unit="deg", note="on test fields")}
    (filled,) = filled_tables([table], metrics)
    cell, absent = filled["rows"][0]["cells"]
    assert cell == {"text": "0.50 [0.40, 0.60]", "unit": "deg", "note": "on test fields; n = 64"}
    assert absent["text"] == filled["rows"][1]["cells"][1]["text"] == "–"


def test_settings_are_rows_with_what_this_run_changed():
    schema = {"properties": {
        "seed": {"type": "integer", "minimum": 0, "description": "Seed of every stream."},
        "train": {"type": "object", "properties": {"rate": {"type": "number", "exclusiveMinimum": 0, "maximum": 1}}},
    }}  # fmt: skip
    rows = settings_rows(schema, {"seed": 2, "train": {"rate": 0.1}}, {"seed": 1, "train": {"rate": 0.1}})
    assert [row["key"] for row in rows] == ["seed", "train: rate"]
    assert (rows[0]["default"], rows[0]["value"], rows[1]["value"]) == (1, 2, None)
    assert (rows[0]["allowed"], rows[1]["allowed"]) == ("integer, ≥ 0", "number, > 0, ≤ 1")
    assert allowed({"enum": ["a", None]}) == "a | null"


def test_what_a_page_shows_is_escaped():
    provenance = {"finished": "today", "revision": "<b>", "versions": {}}
    row = {"key": "a", "allowed": "<i>", "default": "</script>", "value": None, "description": "1 < 2"}
    html = render_page(
        TEMPLATES, "settings.html", here="settings", title="Settings", root="../", pages=[], provenance=provenance,
        sets=[{"name": "clusters", "rows": [row]}],
    )  # fmt: skip
    assert "&lt;i&gt;" in html and "<i>" not in html and "1 &lt; 2" in html and "</script>" not in html


def test_marked_tables_of_a_text_are_replaced():
    table = markdown_table(["ours"], [["area", "0.5"]])
    assert table == "| | ours |\n| --- | --- |\n| area | 0.5 |\n"
    text = "before\n\n<!-- numbers: cmb: Scores -->\nold\n<!-- end of numbers -->\nafter\n"
    filled = with_numbers(text, {"cmb: Scores": table}, "README.md")
    assert filled == text.replace("old\n", table)
    assert with_numbers(filled, {"cmb: Scores": table}, "README.md") == filled
    with pytest.raises(ValueError, match="README.md wants numbers of cmb: Scores; there are massmap: A"):
        with_numbers(text, {"massmap: A": table}, "README.md")


def test_the_readme_asks_only_for_tables_that_pages_have():
    pages = {path.stem: yaml.safe_load(path.read_text()) for path in TEMPLATES.glob("*.yaml")}
    tables = {f"{name}: {table['title']}": "" for name, page in pages.items() for table in page["tables"]}
    tables |= {"all: rule sets": ""} | {f"{name}: headlines": "" for name in pages}
    readme = (TEMPLATES.parents[1] / "README.md").read_text()
    with_numbers(readme, tables, "README.md")
    assert all(f"resources/gallery/{name}" in readme for page in pages.values() for name in page["gallery"])
