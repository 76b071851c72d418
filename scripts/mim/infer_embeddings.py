"""Embed the probe objects with a trained, or an untrained, network: as they are, and as if bands were missing."""

import torch

from armillary.files_cutouts import open_cutouts, write_embeddings
from armillary.mim_networks import embed, read_model
from armillary.step import announce, run


def infer_embeddings(
    cutouts: str, model: str, embeddings: str, missing: str, *, bands: list[str], missing_bands: list[str],
    pooling: str, expected: dict, n_probe: int | None, threads: int,
) -> None:  # fmt: skip
    """`expected` is what the network must have been built with."""
    torch.set_num_threads(threads)
    held = read_model(model, expected)
    if held.scale.bands != list(bands):
        raise ValueError(
            f"{model} was trained on the bands {' '.join(held.scale.bands)}; the config says {' '.join(bands)}"
        )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with open_cutouts(cutouts, bands) as file:
        columns = {name: values[:n_probe] for name, values in file.columns().items()}
        for path, hidden in ((embeddings, []), (missing, missing_bands)):
            values = embed(held, file, pooling=pooling, device=device, n_most=n_probe, hidden_bands=hidden)
            write_embeddings(path, values, columns, {"pooling": pooling, "bands": list(bands), "hidden_bands": hidden})
    announce(f"{values.shape[0]} objects, {values.shape[1]} numbers each")


if __name__ == "__main__":
    run(infer_embeddings, snakemake)
