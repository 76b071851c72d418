"""Embed the sources of real HSC blends with every network of a run."""

import torch

from armillary.files_cutouts import open_cutouts, write_embeddings
from armillary.mim_networks import embed, read_model
from armillary.step import run


def infer_blends(
    blends: str, models: list[str], embeddings: list[str], *, bands: list[str], pooling: str, threads: int
) -> None:
    torch.set_num_threads(threads)
    with open_cutouts(blends, bands) as file:
        for model, path in zip(models, embeddings, strict=True):
            values = embed(read_model(model), file, pooling=pooling, device="cpu")
            write_embeddings(path, values, file.columns(), {"pooling": pooling, "bands": list(bands)})


if __name__ == "__main__":
    run(infer_blends, snakemake)
