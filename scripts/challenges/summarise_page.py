"""Write the page of a challenge: question, data, numbers, checks, figures, literature, caveats, run time."""

import importlib
from pathlib import Path

from armillary.challenges.outcomes import read_outcomes
from armillary.challenges.pages import check_expectations, page_content
from armillary.files import read_json, write_json
from armillary.pages import render_page
from armillary.step import announce, run


def summarise_page(
    data: list[str], outcomes: list[str], metrics: str, figures: list[str], templates: list[str], page: str,
    checks: str, *, challenge: str, variants: list[str], expect: dict,
) -> None:  # fmt: skip
    tables, found = read_outcomes(data, outcomes, variants)
    scores = read_json(metrics)
    told = check_expectations(scores, challenge, expect)
    for check in told:
        if check["passed"] is False:
            announce(f"{challenge}: {check['key']} is {check['value']}, outside {check['range']}")
    seconds = {name: float(sum(run["cpu_seconds"] for run in runs)) for name, runs in found.items()}
    facts = importlib.import_module(f"armillary.challenges.{challenge}")
    content = page_content(challenge, facts, str(tables[0]["source"]), len(tables), scores, told, figures, seconds)
    Path(page).write_text(render_page(Path(templates[0]).parent, "challenge.html", **content))
    told_of = {"source": str(tables[0]["source"]), "n_seeds": len(tables), "cpu_seconds": seconds, "checks": told}
    write_json(checks, {**told_of, "headline": [f"{challenge}_{key}" for key in facts.HEADLINE]})


if __name__ == "__main__":
    run(summarise_page, snakemake)
