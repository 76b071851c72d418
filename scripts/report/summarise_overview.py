"""Write the first page of the report: what each rule set asks, its headline number beside its baseline, its cost."""

import os
from pathlib import Path

from armillary.costs import step_costs
from armillary.files import read_json
from armillary.pages import headline, render_page
from armillary.step import run


def summarise_overview(
    metrics: list[str], figures: list[str], pages_of_sets: list[str], templates: list[str], html: str, *,
    pages: list[dict], steps: dict[str, list[str]],
) -> None:  # fmt: skip
    """`metrics` and `figures`: one a rule set, in the order of `pages` (name, title, question, headline)."""
    sets = [_entry(page, *paths, steps, html) for page, *paths in zip(pages, metrics, figures, strict=True)]
    text = render_page(
        Path(templates[0]).parent, "overview.html", here="overview", title="Report", root="", pages=sets,
        provenance=read_json(Path(metrics[0]).parent / "provenance/summarise_metrics.json"),
    )  # fmt: skip
    Path(html).write_text(text)


def _entry(page: dict, metrics: str, figure: str, steps: dict[str, list[str]], html: str) -> dict:
    numbers, folder = read_json(metrics), Path(metrics).parent
    costs = step_costs(page["name"], folder / "benchmarks", steps[page["name"]])
    return page | {
        "figure": os.path.relpath(figure, Path(html).parent),
        "core_minutes": f"{costs.core_s.sum() / 60:.0f}",
        "headline": headline(page, numbers),
    }


if __name__ == "__main__":
    run(summarise_overview, snakemake)
