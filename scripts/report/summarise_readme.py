"""Write README.md anew with the numbers of this run in its marked tables, and bring the figures that it shows."""

from pathlib import Path

from PIL import Image

from armillary.files import read_json
from armillary.pages import filled_tables, markdown_table, with_numbers
from armillary.step import run

WIDTH_PX, N_COLOURS = 1000, 256  # of a figure in the repository: some 100 kB


def summarise_readme(
    readme: str, metrics: list[str], figures: list[str], text: str, gallery: list[str], *, pages: dict[str, dict]
) -> None:
    """`pages`: those of the rule sets, by name; a table is marked with `<!-- numbers: set: its title -->`."""
    tables = {}
    for path in metrics:
        name = Path(path).parent.name
        for table in filled_tables(pages[name]["tables"], read_json(path)):
            rows = [[row["label"], *(cell["text"] for cell in row["cells"])] for row in table["rows"]]
            tables[f"{name}: {table['title']}"] = markdown_table(table["columns"], rows)
    Path(text).write_text(with_numbers(Path(readme).read_text(), tables, readme))
    for figure, shown in zip(figures, gallery, strict=True):
        _shrink(figure, shown)


def _shrink(figure: str, shown: str) -> None:
    with Image.open(figure) as image:
        height = round(image.height * WIDTH_PX / image.width)
        small = image.convert("RGB").resize((WIDTH_PX, height), Image.Resampling.LANCZOS)
    # by coverage, not by frequency: colour bars keep their colours beside a black sky
    small.quantize(N_COLOURS, Image.Quantize.MAXCOVERAGE).save(shown, optimize=True)


if __name__ == "__main__":
    run(summarise_readme, snakemake)
