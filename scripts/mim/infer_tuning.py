"""Embed objects of the pre-training sky, trained and untrained: searches choose their settings there."""

import numpy as np
import torch

from armillary.embedding_parts import parts_of, write_parts
from armillary.files_cutouts import open_cutouts
from armillary.mim_networks import read_model
from armillary.step import run
from armillary.token_parts import embed_parts


def infer_tuning(
    cutouts: str, models: list[str], embeddings: list[str], *, bands: list[str], poolings: list[list[str]],
    n_tuning: int, threads: int,
) -> None:  # fmt: skip
    """The first `n_tuning` objects, one file of `embeddings` a network of `models`."""
    torch.set_num_threads(threads)
    device, parts = "cuda" if torch.cuda.is_available() else "cpu", parts_of(poolings)
    with open_cutouts(cutouts, bands) as file:
        rows = np.arange(min(n_tuning, len(file)))
        columns = {name: values[: len(rows)] for name, values in file.columns().items()}
        for model, path in zip(models, embeddings, strict=True):
            found = embed_parts(read_model(model), file, parts=parts, device=device, rows=rows)
            write_parts(path, found, columns, {"bands": list(bands)}, parts[0])


if __name__ == "__main__":
    run(infer_tuning, snakemake)
