"""Write README.md anew with the numbers of this run in its marked tables, and bring the figures that it shows."""

from pathlib import Path

from PIL import Image

from armillary.costs import step_costs
from armillary.files import read_json
from armillary.pages import filled_tables, headline, markdown_table, with_numbers
from armillary.step import run

HEADLINE_COLUMNS = ["target", "core-minutes of its demo", "judged by", "demo", "baseline"]
WIDTH_PX, N_COLOURS = 1000, 256  # of a figure in the repository: some 100 kB


def summarise_readme(
    readme: str, metrics: list[str], figures: list[str], text: str, gallery: list[str], *, pages: dict[str, dict],
    steps: dict[str, list[str]],
) -> None:  # fmt: skip
    """`pages`: those of the rule sets, by name; a table is marked with `<!-- numbers: set: its title -->`, the one of
    all sets with `<!-- numbers: all: rule sets -->`."""
    sets = [_headline_row(pages[Path(path).parent.name], Path(path), steps) for path in metrics]
    tables = {"all: rule sets": markdown_table(HEADLINE_COLUMNS, sets)}
    for path in metrics:
        name = Path(path).parent.name
        for table in filled_tables(pages[name]["tables"], read_json(path)):
            rows = [[row["label"], *(cell["text"] for cell in row["cells"])] for row in table["rows"]]
            tables[f"{name}: {table['title']}"] = markdown_table(table["columns"], rows)
    Path(text).write_text(with_numbers(Path(readme).read_text(), tables, readme))
    for figure, shown in zip(figures, gallery, strict=True):
        _shrink(figure, shown)


def _headline_row(page: dict, metrics: Path, steps: dict[str, list[str]]) -> list[str]:
    name = metrics.parent.name
    minutes = step_costs(name, metrics.parent / "benchmarks", steps[name]).core_s.sum() / 60
    numbers = headline(page, read_json(metrics))
    return [page["title"], f"`{name}`", f"{minutes:.0f}", numbers["text"], numbers["value"], numbers["baseline"]]


def _shrink(figure: str, shown: str) -> None:
    with Image.open(figure) as image:
        height = round(image.height * WIDTH_PX / image.width)
        small = image.convert("RGB").resize((WIDTH_PX, height), Image.Resampling.LANCZOS)
    # by coverage, not by frequency: colour bars keep their colours beside a black sky
    small.quantize(N_COLOURS, Image.Quantize.MAXCOVERAGE).save(shown, optimize=True)


if __name__ == "__main__":
    run(summarise_readme, snakemake)
