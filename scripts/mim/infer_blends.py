"""Embed the sources of real HSC blends with every network of a run."""

import numpy as np
import torch

from armillary.embedding_parts import parts_of, write_parts
from armillary.files_cutouts import open_cutouts
from armillary.mim_networks import read_model
from armillary.step import run
from armillary.token_parts import embed_parts


def infer_blends(
    blends: str, models: list[str], embeddings: list[str], *, bands: list[str], poolings: list[list[str]], threads: int
) -> None:
    torch.set_num_threads(threads)
    parts = parts_of(poolings)
    with open_cutouts(blends, bands) as file:
        for model, path in zip(models, embeddings, strict=True):
            found = embed_parts(read_model(model), file, parts=parts, device="cpu", rows=np.arange(len(file)))
            write_parts(path, found, file.columns(), {"bands": list(bands)}, parts[0])


if __name__ == "__main__":
    run(infer_blends, snakemake)
