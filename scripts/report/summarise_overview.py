"""Write the first page of the report: what each rule set asks, its headline beside the strongest baseline, its cost."""

import os
from pathlib import Path

from armillary.costs import step_costs
from armillary.files import read_json
from armillary.headlines import told
from armillary.pages import render_page
from armillary.step import run


def summarise_overview(
    metrics: list[str],
    figures: list[str],
    pages_of_sets: list[str],
    templates: list[str],
    html: str,
    *,
    pages: list[dict],
    headlines: dict[str, dict],
    steps: dict[str, list[str]],
) -> None:
    """`metrics` and `figures`: one a rule set, in the order of `pages` (name, title, question); `headlines`: tables by
    rule set."""
    sets = []
    for page, numbers, figure in zip(pages, metrics, figures, strict=True):
        name = page["name"]
        entry = {"figure": os.path.relpath(figure, Path(html).parent)}
        sets.append(page | entry | _row(name, Path(numbers), headlines[name], steps[name]))
    text = render_page(
        Path(templates[0]).parent,
        "overview.html",
        here="overview",
        title="Report",
        root="",
        pages=sets,
        provenance=read_json(Path(metrics[0]).parent / "provenance/summarise_metrics.json"),
    )
    Path(html).write_text(text)


def _row(name: str, metrics: Path, table: dict, steps: list[str]) -> dict:
    costs = step_costs(name, metrics.parent / "benchmarks", steps)
    return {
        "core_minutes": f"{costs.core_s.sum() / 60:.0f}",
        "headline": told(table["headlines"][0], table["contestants"], read_json(metrics)),
    }


if __name__ == "__main__":
    run(summarise_overview, snakemake)
