"""Embed a file of cutouts with a trained, or an untrained, network."""

import torch

from armillary.files_cutouts import open_cutouts, write_embeddings
from armillary.mim_networks import embed, read_model
from armillary.step import announce, run


def infer_embeddings(
    cutouts: str, model: str, embeddings: str, *, bands: list[str], hidden_bands: list[str], pooling: str,
    expected: dict, threads: int,
) -> None:  # fmt: skip
    """`hidden_bands` are treated as if they were missing; `expected` is what the network must have been built with."""
    torch.set_num_threads(threads)
    held = read_model(model, expected)
    if held.scale.bands != list(bands):
        raise ValueError(
            f"{model} was trained on the bands {' '.join(held.scale.bands)}; the config says {' '.join(bands)}"
        )
    with open_cutouts(cutouts, bands) as file:
        values = embed(
            held,
            file,
            pooling=pooling,
            device="cuda" if torch.cuda.is_available() else "cpu",
            hidden_bands=hidden_bands,
        )
        columns = file.columns()
    announce(f"{values.shape[0]} objects, {values.shape[1]} numbers each")
    write_embeddings(
        embeddings, values, columns, {"pooling": pooling, "bands": list(bands), "hidden_bands": hidden_bands}
    )


if __name__ == "__main__":
    run(infer_embeddings, snakemake)
