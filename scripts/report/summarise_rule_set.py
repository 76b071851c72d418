"""Write the page of one rule set: its question, headlines, tables, figures, cost and origin."""

import os
from pathlib import Path

from PIL import Image

from armillary.costs import step_costs
from armillary.files import read_json
from armillary.headlines import told
from armillary.pages import filled_tables, render_page
from armillary.step import run

N_STEPS_SHOWN = 8


def summarise_rule_set(
    metrics: str,
    figures: list[str],
    captions: list[str],
    views: list[str],
    templates: list[str],
    html: str,
    *,
    rule_set: str,
    page: dict,
    headlines: dict,
    pages: list[dict],
    steps: list[str],
) -> None:
    """`captions` are text files, one a figure; `views` are pages to look around in; `headlines` is the rule set's table
    of them; `pages` (name, title) are those that the report links."""
    folder, numbers = Path(metrics).parent, read_json(metrics)
    costs = step_costs(rule_set, folder / "benchmarks", steps)
    text = render_page(
        Path(templates[0]).parent,
        "rule_set.html",
        here=rule_set,
        name=rule_set,
        root="../",
        pages=pages,
        title=page["title"],
        question=page["question"],
        command=page["command"],
        headlines=[told(one, headlines["contestants"], numbers) for one in headlines["headlines"]],
        contestants=list(headlines["contestants"].values()),
        views=[_view(view, Path(html).parent) for view in views],
        tables=filled_tables(page["tables"], numbers),
        figures=[_figure(*pair, Path(html).parent) for pair in zip(figures, captions, strict=True)],
        costs=costs.head(N_STEPS_SHOWN).to_dict("records"),
        n_jobs=costs.n_jobs.sum(),
        core_minutes=f"{costs.core_s.sum() / 60:.0f}",
        provenance=read_json(folder / "provenance/summarise_metrics.json"),
    )
    Path(html).write_text(text)


def _view(path: str, folder: Path) -> dict:
    name = Path(path).parent.name if Path(path).stem == "index" else Path(path).stem
    return {"path": os.path.relpath(path, folder), "title": name.replace("_", " ")}


def _figure(path: str, caption: str, folder: Path) -> dict:
    with Image.open(path) as image:
        width, height = image.size
    caption = " ".join(Path(caption).read_text().split())
    return {"path": os.path.relpath(path, folder), "caption": caption, "width": width, "height": height}


if __name__ == "__main__":
    run(summarise_rule_set, snakemake)
