"""Embed the probe objects with a trained, or an untrained, network: as they are, and those that judge it otherwise."""

import numpy as np
import torch

from armillary.cutout_views import VIEWS, views_of
from armillary.embedding_parts import parts_of, write_parts
from armillary.field_splits import fields_that_judge
from armillary.files_cutouts import open_cutouts
from armillary.mim_networks import read_model
from armillary.step import announce, run
from armillary.token_parts import embed_parts


def infer_embeddings(
    cutouts: str, structures: list[str], model: str, embeddings: str, missing: str, seeing: str,
    of_structures: list[str], *, bands: list[str], missing_bands: list[str], worse_seeing_arcsec: float,
    poolings: list[list[str]], pooling: str, search_pooling: str, expected: dict, n_probe: int | None,
    network_number: int, n_networks: int, test_fraction: float, cell_deg: float, seed: int, threads: int,
) -> None:  # fmt: skip
    """`expected` is what the network must have been built with. `embeddings` has all objects, `missing` and `seeing`
    those of the fields that judge this network, with their rows."""
    torch.set_num_threads(threads)
    held = read_model(model, expected)
    if held.scale.bands != list(bands):
        raise ValueError(
            f"{model} was trained on the bands {' '.join(held.scale.bands)}; the config says {' '.join(bands)}"
        )
    settings = {"device": "cuda" if torch.cuda.is_available() else "cpu", "parts": parts_of(poolings)}
    facts = {"pooling": pooling, "search_pooling": search_pooling, "bands": list(bands)}
    with open_cutouts(cutouts, bands) as file:
        columns = {name: values[:n_probe] for name, values in file.columns().items()}
        n_objects = len(columns["ra"])
        wanted = sorted({*settings["parts"], pooling, search_pooling})
        found = embed_parts(held, file, rows=np.arange(n_objects), **(settings | {"parts": wanted}))
        write_parts(embeddings, found, columns | {"search": found[search_pooling]}, facts, pooling)
        field, judging = fields_that_judge(columns, cell_deg, test_fraction, n_networks, seed)
        rows = np.flatnonzero(np.isin(field, judging[network_number]))
        views = views_of(missing_bands, worse_seeing_arcsec, seed)
        for view, path in zip(VIEWS, (missing, seeing), strict=True):
            seen = embed_parts(held, file, rows=rows, change=views[view], **settings)
            write_parts(path, seen, {"row": rows}, facts | {"view": view}, settings["parts"][0])
    for source, path in zip(structures, of_structures, strict=True):
        with open_cutouts(source, bands) as file:
            seen = embed_parts(held, file, rows=np.arange(len(file)), **settings)
            write_parts(path, seen, file.columns(), facts, settings["parts"][0])
    announce(f"{n_objects} objects, {len(rows)} of them judge")


if __name__ == "__main__":
    run(infer_embeddings, snakemake)
