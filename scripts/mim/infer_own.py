"""Embed a file of cutouts of your own with a network that is already trained."""

import torch

from armillary.files_cutouts import open_cutouts, write_embeddings
from armillary.mim_networks import embed, read_model
from armillary.step import announce, run


def infer_own(cutouts: str, model: str, embeddings: str, *, bands: list[str], pooling: str, threads: int) -> None:
    """The network says which bands it wants; `bands` names those of a file that does not."""
    torch.set_num_threads(threads)
    held = read_model(model)
    if held.scale.bands != list(bands):
        raise ValueError(
            f"{model} wants the bands {' '.join(held.scale.bands)}; config key `mim: bands` says {' '.join(bands)}"
        )
    with open_cutouts(cutouts, held.scale.bands) as file:
        values = embed(held, file, pooling=pooling, device="cuda" if torch.cuda.is_available() else "cpu")
        columns = file.columns()
    announce(f"{values.shape[0]} objects, {values.shape[1]} numbers each")
    write_embeddings(embeddings, values, columns, {"pooling": pooling, "bands": held.scale.bands})


if __name__ == "__main__":
    run(infer_own, snakemake)
