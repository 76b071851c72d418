"""Write the page of a challenge: question, picture, what was found, three rows, figures, what to try, the rest."""

import importlib
from pathlib import Path

from armillary.challenges.outcomes import read_outcomes
from armillary.challenges.pages import MISSED, check_expectations, page_content
from armillary.files import read_json, write_json
from armillary.pages import render_page
from armillary.step import announce, run


def summarise_page(
    data: list[str], outcomes: list[str], metrics: str, figures: list[str], templates: list[str], page: str,
    checks: str, *, challenge: str, variants: list[str], expect: dict, story: dict,
) -> None:  # fmt: skip
    tables, runs = read_outcomes(data, outcomes, variants)
    scores = read_json(metrics)
    held = check_expectations(scores, challenge, expect)
    for check in held:
        if check["verdict"] == MISSED:
            announce(f"{challenge}: {check['key']} is {check['value']}, outside {check['range']} ({check['kind']})")
    seconds = {name: float(sum(run["cpu_seconds"] for run in of_seeds)) for name, of_seeds in runs.items()}
    about = {"source": str(tables[0]["source"]), "n_seeds": len(tables), "cpu_seconds": seconds}
    facts = importlib.import_module(f"armillary.challenges.{challenge}")
    content = page_content(challenge, facts, story, about, scores, held, figures)
    for sentence in content["found"]:
        announce(f"{challenge}: {sentence}")
    Path(page).write_text(render_page(Path(templates[0]).parent, "challenge.html", **content))
    write_json(checks, {**about, "checks": held, "found": content["found"]})


if __name__ == "__main__":
    run(summarise_page, snakemake)
