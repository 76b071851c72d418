"""Write README.md anew with the numbers of this run in its marked tables, and bring the figures that it shows."""

from pathlib import Path

from PIL import Image

from armillary.costs import step_costs
from armillary.files import read_json
from armillary.headlines import absent_keys, told
from armillary.pages import filled_tables, markdown_table, with_numbers
from armillary.step import run

SET_COLUMNS = ["target", "core-minutes of its demo", "judged by", "method", "strongest baseline", "verdict"]
HEADLINE_COLUMNS = ["method", "strongest baseline", "limit", "verdict"]
WIDTH_PX, N_COLOURS = 1000, 256  # of a figure in the repository: some 100 kB


def summarise_readme(
    readme: str,
    metrics: list[str],
    figures: list[str],
    text: str,
    gallery: list[str],
    *,
    pages: dict[str, dict],
    headlines: dict[str, dict],
    steps: dict[str, list[str]],
) -> None:
    """`pages` and `headlines`: those of the rule sets, by name.

    A table is marked with `<!-- numbers: set: its title -->`, a rule set's headlines with `<!-- numbers: set: headlines
    -->`, and the first headline of every set with `<!-- numbers: all: rule sets -->`.
    """
    tables, first_rows = {}, []
    for path in map(Path, metrics):
        name, numbers = path.parent.name, read_json(path)
        absent = [key for one in headlines[name]["headlines"] for key in absent_keys(one, numbers)]
        if absent:
            raise ValueError(f"config/headlines/{name}.yaml: {path} has no {', '.join(absent)}")
        told_ones = [told(one, headlines[name]["contestants"], numbers) for one in headlines[name]["headlines"]]
        minutes = step_costs(name, path.parent / "benchmarks", steps[name]).core_s.sum() / 60
        first_rows.append([pages[name]["title"], f"`{name}`", f"{minutes:.0f}", *_set_cells(told_ones[0])])
        tables[f"{name}: headlines"] = markdown_table(HEADLINE_COLUMNS, [_cells(one) for one in told_ones])
        tables |= {f"{name}: {title}": table for title, table in _page_tables(pages[name], numbers).items()}
    tables["all: rule sets"] = markdown_table(SET_COLUMNS, first_rows)
    Path(text).write_text(with_numbers(Path(readme).read_text(), tables, readme))
    for figure, shown in zip(figures, gallery, strict=True):
        _shrink(figure, shown)


def _set_cells(one: dict[str, str]) -> list[str]:
    return [one["quantity"], *_contestants(one), one["verdict"]]


def _cells(one: dict[str, str]) -> list[str]:
    return [one["quantity"], *_contestants(one), one["limit"], one["verdict"]]


def _contestants(one: dict[str, str]) -> list[str]:
    return [f"{one['method']}: {one['value']}", f"{one['baseline']}: {one['baseline_value']}"]


def _page_tables(page: dict, numbers: dict) -> dict[str, str]:
    tables = {}
    for table in filled_tables(page["tables"], numbers):
        rows = [[row["label"], *(cell["text"] for cell in row["cells"])] for row in table["rows"]]
        tables[table["title"]] = markdown_table(table["columns"], rows)
    return tables


def _shrink(figure: str, shown: str) -> None:
    with Image.open(figure) as image:
        height = round(image.height * WIDTH_PX / image.width)
        small = image.convert("RGB").resize((WIDTH_PX, height), Image.Resampling.LANCZOS)
    # by coverage, not by frequency: colour bars keep their colours beside a black sky
    small.quantize(N_COLOURS, Image.Quantize.MAXCOVERAGE).save(shown, optimize=True)


if __name__ == "__main__":
    run(summarise_readme, snakemake)
