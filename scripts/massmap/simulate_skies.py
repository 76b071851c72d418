"""Draw convergence and shear of skies in a field's frame, each with a shift of its own; a field with a true map is its
own test sky.
"""

import numpy as np

from armillary.convergence_skies import SkyModel, draw_field, field_of_sky, with_drawn_shift
from armillary.files import read_arrays
from armillary.files_maps import read_plain_image, read_shear_map, write_stack
from armillary.step import announce, progress, run

STREAMS = {"train": 11, "validation": 12, "test": 13}


def simulate_skies(
    spectrum: str, shear: str, truths: list[str], skies: str, *, split: str, sky: str, shift_spread: float,
    true_shift: float | None, margin_px: int, reduced_shear: bool, n_skies: int, seed: int,
) -> None:  # fmt: skip
    like, grid, _ = read_shear_map(shear)
    if truths and split == "test":
        announce(f"the truth of {truths[0]} is the test sky")
        truth = read_plain_image(truths[0])
        if truth.shape != grid.shape:
            raise ValueError(
                f"{truths[0]} has {truth.shape} pixels, the field's maps {grid.shape}; they must be the same "
                "(config keys `maps: convergence`, `map_shape`)"
            )
        write_stack(skies, field_of_sky(truth, grid.shape, reduced_shear)[None])
        return
    table = read_arrays(spectrum)
    is_known = split == "test" and true_shift is not None
    shift, spread = (true_shift, 0.0) if is_known else (float(table["shift"]), shift_spread)
    model = SkyModel(table["multipole"], table["power"], sky, shift, like.pixel_arcmin)
    rngs = [np.random.default_rng([seed, STREAMS[split], k]) for k in range(n_skies)]
    fields = [
        draw_field(with_drawn_shift(model, spread, rng), grid.shape, margin_px, reduced_shear, rng)
        for rng in progress(rngs, "skies")
    ]
    write_stack(skies, np.array(fields))


if __name__ == "__main__":
    run(simulate_skies, snakemake)
