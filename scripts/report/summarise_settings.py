"""Write the page that describes every setting: what it may be, its default, its value in this run, its meaning."""

from pathlib import Path

from armillary.files import read_json
from armillary.pages import render_page, settings_rows
from armillary.step import run


def summarise_settings(
    metrics: list[str], templates: list[str], html: str, *, sets: dict[str, dict], pages: list[dict]
) -> None:
    """`sets`: schema, defaults and values of each rule set, by name."""
    rows = [
        {"name": name, "rows": settings_rows(of["schema"], of["values"], of["defaults"])} for name, of in sets.items()
    ]
    text = render_page(
        Path(templates[0]).parent, "settings.html", here="settings", title="Settings", root="../", pages=pages,
        sets=rows, provenance=read_json(Path(metrics[0]).parent / "provenance/summarise_metrics.json"),
    )  # fmt: skip
    Path(html).write_text(text)


if __name__ == "__main__":
    run(summarise_settings, snakemake)
