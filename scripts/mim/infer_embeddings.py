"""Embed the probe objects with a trained, or an untrained, network: as they are, and as if bands were missing."""

import torch

from armillary.files_cutouts import open_cutouts, write_embeddings
from armillary.mim_networks import embed, embed_pooled, read_model
from armillary.probe_scores import first_held_out
from armillary.step import announce, run


def infer_embeddings(
    cutouts: str, model: str, embeddings: str, missing: str, *, bands: list[str], missing_bands: list[str],
    pooling: str, search_pooling: str, expected: dict, n_probe: int | None, test_fraction: float, threads: int,
) -> None:  # fmt: skip
    """`expected` is what the network must have been built with. `embeddings` has vectors for searches, too, in the
    column `search`; `missing` has the objects that judge only."""
    torch.set_num_threads(threads)
    held = read_model(model, expected)
    if held.scale.bands != list(bands):
        raise ValueError(
            f"{model} was trained on the bands {' '.join(held.scale.bands)}; the config says {' '.join(bands)}"
        )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    facts = {"pooling": pooling, "search_pooling": search_pooling, "bands": list(bands)}
    with open_cutouts(cutouts, bands) as file:
        columns = {name: values[:n_probe] for name, values in file.columns().items()}
        n_objects = len(columns["ra"])
        settings = {"device": device, "n_most": n_objects}
        values, search = embed_pooled(held, file, poolings=[pooling, search_pooling], **settings)
        write_embeddings(embeddings, values, columns | {"search": search}, facts)
        start = first_held_out(n_objects, test_fraction)
        without = embed(held, file, pooling=pooling, hidden_bands=missing_bands, start=start, **settings)
        judging = {name: values[start:] for name, values in columns.items()}
        write_embeddings(missing, without, judging, facts | {"hidden_bands": missing_bands})
    announce(f"{values.shape[0]} objects, {values.shape[1]} numbers each")


if __name__ == "__main__":
    run(infer_embeddings, snakemake)
