"""Merge the numbers of all challenges, and write the overview with one line for each."""

from pathlib import Path

from armillary.challenges.pages import overview_rows
from armillary.files import read_json, write_json
from armillary.metrics import merge_metrics
from armillary.pages import render_page
from armillary.step import announce, run


def summarise_metrics(
    parts: list[str], checks: list[str], templates: list[str], metrics: str, overview: str, *, names: list[str]
) -> None:
    merged = merge_metrics({path: read_json(path) for path in parts})
    told = {name: read_json(path) for name, path in zip(names, checks, strict=True)}
    announce(f"{len(merged)} numbers from {', '.join(names)}")
    write_json(metrics, merged)
    rows = overview_rows(told)
    page = render_page(Path(templates[0]).parent, "challenges.html", title="Challenges", rows=rows)
    Path(overview).write_text(page)


if __name__ == "__main__":
    run(summarise_metrics, snakemake)
