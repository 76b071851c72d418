"""Draw the examples of a query and the objects that are most similar to them."""

from armillary.figures.mim_scores import draw_found, stamps_of
from armillary.figures.style import page
from armillary.files import read_arrays
from armillary.files_cutouts import open_cutouts
from armillary.step import run


def plot_similarity(found: str, cutouts: str, figure: str) -> None:
    arrays = read_arrays(found)
    with open_cutouts(cutouts) as file:
        examples, images = (stamps_of(file, arrays[name]) for name in ("examples", "rows"))
    with page(figure, 1600, 860) as sheet:
        draw_found(sheet, examples, images, arrays["is_rare"], arrays["cosine"])


if __name__ == "__main__":
    run(plot_similarity, snakemake)
