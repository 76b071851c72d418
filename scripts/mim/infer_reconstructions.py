"""Fill in hidden parts of the first validation cutouts with a trained network."""

import torch

from armillary.files import write_arrays
from armillary.files_cutouts import open_cutouts
from armillary.mim_networks import read_model, reconstruct
from armillary.step import run


def infer_reconstructions(
    cutouts: str, model: str, reconstructions: str, *, n_shown: int, mask_ratio: float, threads: int
) -> None:
    torch.set_num_threads(threads)
    held = read_model(model)
    with open_cutouts(cutouts, held.scale.bands) as file:
        write_arrays(reconstructions, **reconstruct(held, file, min(n_shown, len(file)), mask_ratio, "cpu"))


if __name__ == "__main__":
    run(infer_reconstructions, snakemake)
