"""List the objects most similar to those of a query: by their ids, their positions, or a file of cutouts."""

import numpy as np
import pandas as pd
import torch

from armillary.files import write_arrays
from armillary.files_cutouts import open_cutouts
from armillary.mim_networks import embed, read_model
from armillary.object_shapes import shape_numbers
from armillary.probes import impute
from armillary.similarity import nearest, query_vector, read_search_vectors, rows_at, whiten
from armillary.step import run

TOLERANCE_ARCSEC = 2.0


def estimate_similar(
    embeddings: str, model: str | list, query_cutouts: str | list, similar: str, found: str, *, ids: list[int],
    positions: list[list[float]], n_wanted: int, search_pooling: str, bands: list[str], image_px: int, threads: int,
) -> None:  # fmt: skip
    """Cosine of whitened search vectors with the mean direction of the query; its own objects are left out. Without a
    `model` the vectors are shapes, and so are those of the query; missing ones are guessed from the others."""
    torch.set_num_threads(threads)
    values, columns = read_search_vectors(embeddings)
    known = values.astype(float)
    values = impute(known, known)
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
        asked = _embedded(query_cutouts, model, search_pooling) if model else _measured(query_cutouts, bands, image_px)
        if asked.shape[1] != values.shape[1]:
            raise ValueError(
                f"{embeddings} has vectors of {values.shape[1]} numbers, the query of {asked.shape[1]}: they are of "
                "different kinds (config key `mim: similarity: by`)"
            )
        outside = whiten(impute(asked.astype(float), known), values)
        vectors.append(query_vector(outside, np.arange(len(outside))))
    if not vectors:
        raise ValueError("mim: similarity: name objects by `ids`, `positions` or `cutouts`")
    best, cosine = nearest(whitened, np.mean(vectors, 0), n_wanted, rows)
    plain = {name: value[best] for name, value in columns.items() if value.ndim == 1}
    pd.DataFrame({"cosine": cosine, "row": best, **plain}).to_csv(similar, index=False)
    write_arrays(found, examples=rows, rows=best, cosine=cosine)


def _embedded(cutouts: str, model: str, pooling: str) -> np.ndarray:
    held = read_model(model)
    with open_cutouts(cutouts, held.scale.bands) as file:
        return embed(held, file, pooling=pooling, device="cpu")


def _measured(cutouts: str, bands: list[str], image_px: int) -> np.ndarray:
    with open_cutouts(cutouts, bands) as file:
        return shape_numbers(file.read(0, len(file)), image_px)


if __name__ == "__main__":
    run(estimate_similar, snakemake)
