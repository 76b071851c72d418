"""Draw what is most similar to the objects of a query of one's own."""

import numpy as np

from armillary.figures.mim_scores import draw_found, stamps_of
from armillary.figures.style import page
from armillary.files import read_arrays
from armillary.files_cutouts import open_cutouts
from armillary.step import run

N_EXAMPLES = 8


def plot_similar(found: str, cutouts: str, query_cutouts: str | list, figure: str) -> None:
    """`cutouts` are those of the objects that were searched; `query_cutouts` a file of examples, if there is one."""
    arrays, examples = read_arrays(found), []
    if query_cutouts:
        with open_cutouts(query_cutouts) as file:
            examples = list(stamps_of(file, np.arange(min(len(file), N_EXAMPLES))))
    with open_cutouts(cutouts) as file:
        if len(arrays["examples"]):
            examples += list(stamps_of(file, arrays["examples"][:N_EXAMPLES]))
        images = stamps_of(file, arrays["rows"])
    with page(figure, 1600, 300 + 190 * -(-len(images) // N_EXAMPLES)) as sheet:
        draw_found(sheet, examples[:N_EXAMPLES], images, np.zeros(len(images), bool), arrays["cosine"])


if __name__ == "__main__":
    run(plot_similar, snakemake)
