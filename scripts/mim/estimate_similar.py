"""List the objects most similar to those of a query: by their ids, their positions, or a file of cutouts."""

import numpy as np
import pandas as pd
import torch

from armillary.files import write_arrays
from armillary.files_cutouts import open_cutouts
from armillary.mim_networks import embed, read_model
from armillary.similarity import nearest, query_vector, read_search_vectors, rows_at, whiten
from armillary.step import run

TOLERANCE_ARCSEC = 2.0


def estimate_similar(
    embeddings: str, model: str, query_cutouts: str | list, similar: str, found: str, *, ids: list[int],
    positions: list[list[float]], n_wanted: int, search_pooling: str, threads: int,
) -> None:  # fmt: skip
    """Cosine of whitened search vectors with the mean direction of the query; its own objects are left out."""
    torch.set_num_threads(threads)
    values, columns = read_search_vectors(embeddings)
    whitened, rows = whiten(values), np.array([], int)
    if ids:
        unknown = np.setdiff1d(ids, columns["object_id"])
        if len(unknown):
            raise ValueError(f"{embeddings} has no object {unknown[0]} (config key `mim: similarity: ids`)")
        rows = np.flatnonzero(np.isin(columns["object_id"], ids))
    if positions:
        rows = np.append(rows, rows_at(columns["ra"], columns["dec"], positions, TOLERANCE_ARCSEC))
    vectors = [query_vector(whitened, rows)] if len(rows) else []
    if query_cutouts:
        held = read_model(model)
        with open_cutouts(query_cutouts, held.scale.bands) as file:
            outside = whiten(embed(held, file, pooling=search_pooling, device="cpu"), values)
        vectors.append(query_vector(outside, np.arange(len(outside))))
    if not vectors:
        raise ValueError("mim: similarity: name objects by `ids`, `positions` or `cutouts`")
    best, cosine = nearest(whitened, np.mean(vectors, 0), n_wanted, rows)
    plain = {name: value[best] for name, value in columns.items() if value.ndim == 1}
    pd.DataFrame({"cosine": cosine, "row": best, **plain}).to_csv(similar, index=False)
    write_arrays(found, examples=rows, rows=best, cosine=cosine)


if __name__ == "__main__":
    run(estimate_similar, snakemake)
