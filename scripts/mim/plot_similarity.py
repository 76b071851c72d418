"""Draw the examples of a query and the objects that are most similar to them."""

import numpy as np

from armillary.cutouts import band_noise
from armillary.figures.mim_scores import colour_images, draw_found
from armillary.figures.style import page
from armillary.files import read_arrays
from armillary.files_cutouts import open_cutouts
from armillary.step import run


def plot_similarity(found: str, cutouts: str, figure: str) -> None:
    arrays = read_arrays(found)
    with open_cutouts(cutouts) as file:
        some = file.read(0, min(len(file), 500), with_columns=False)
        noise = band_noise(some.images, some.variance, some.mask)
        images = {
            name: np.concatenate([file.read(int(row), int(row) + 1, with_columns=False).images for row in arrays[name]])
            for name in ("examples", "rows")
        }
        bands = file.facts["bands"]
    shown = [colour_images(images[name], noise, bands) for name in ("examples", "rows")]
    is_right = arrays["is_rare"] if "is_rare" in arrays else np.zeros(len(arrays["rows"]), bool)
    with page(figure, 1600, 860) as sheet:
        draw_found(sheet, *shown, is_right, arrays["cosine"])


if __name__ == "__main__":
    run(plot_similarity, snakemake)
