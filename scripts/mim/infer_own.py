"""Embed a file of cutouts of your own with a network that is already trained."""

import torch

from armillary.files_cutouts import open_cutouts, write_embeddings
from armillary.mim_networks import embed_pooled, read_model
from armillary.step import announce, run


def infer_own(
    cutouts: str, model: str, embeddings: str, *, bands: list[str], pooling: str, search_pooling: str, threads: int
) -> None:
    """The network says which bands it wants; `bands` names those of a file that does not. The column `search` holds the
    vectors that mim_similarity compares."""
    torch.set_num_threads(threads)
    held = read_model(model)
    if held.scale.bands != list(bands):
        raise ValueError(
            f"{model} wants the bands {' '.join(held.scale.bands)}; config key `mim: bands` says {' '.join(bands)}"
        )
    with open_cutouts(cutouts, held.scale.bands) as file:
        device, poolings = "cuda" if torch.cuda.is_available() else "cpu", [pooling, search_pooling]
        values, search = embed_pooled(held, file, poolings=poolings, device=device)
        columns = file.columns() | {"search": search}
    facts = {"pooling": pooling, "search_pooling": search_pooling, "bands": held.scale.bands}
    announce(f"{values.shape[0]} objects, {values.shape[1]} numbers each")
    write_embeddings(embeddings, values, columns, facts)


if __name__ == "__main__":
    run(infer_own, snakemake)
