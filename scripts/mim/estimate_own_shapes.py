"""Measure the shapes of the objects of a file of cutouts of your own: no network, nothing learned."""

import numpy as np

from armillary.cutouts import check_cutouts
from armillary.files_cutouts import open_cutouts, write_embeddings
from armillary.object_shapes import shape_facts, shape_numbers
from armillary.step import announce, run

ROWS_AT_ONCE = 1000


def estimate_own_shapes(cutouts: str, shapes: str, *, bands: list[str], image_px: int) -> None:
    """A file like that of embeddings: `embedding` and `search` hold the numbers that the attribute `names` lists."""
    with open_cutouts(cutouts, bands) as file:
        if file.size < image_px:
            raise ValueError(f"{cutouts} has cutouts of {file.size} px; `mim: image_px` is {image_px}")
        parts, columns = [], file.columns()
        for first in range(0, len(file), ROWS_AT_ONCE):
            block = file.read(first, min(first + ROWS_AT_ONCE, len(file)))
            check_cutouts(block, f"{cutouts}, from row {first} on")
            parts.append(shape_numbers(block, image_px))
    values, facts = np.concatenate(parts), shape_facts(bands, image_px)
    announce(f"{len(values)} objects, {values.shape[1]} numbers each: {', '.join(facts['names'][:8])}, ...")
    write_embeddings(shapes, values, columns | {"search": values}, facts)


if __name__ == "__main__":
    run(estimate_own_shapes, snakemake)
