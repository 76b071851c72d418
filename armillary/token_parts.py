"""Embeddings in parts: what tokens are pooled to, part by part, so that whoever reads them can choose what to join."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from armillary.cutouts import Cutouts, check_cutouts
from armillary.files_cutouts import CutoutFile
from armillary.mim_batches import check_size, make_batch
from armillary.mim_networks import Model
from armillary.networks.masked_vit import MaskedViT

ROWS_AT_ONCE = 64


def embed_parts(
    model: Model, file: CutoutFile, *, parts: list[str], device: str, rows: np.ndarray,
    change: Callable[[Cutouts], Cutouts] | None = None,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Parts (len(rows), d) by name for some rows (ascending) of a file, seen through `change` if there is one.

    A part is a pooling of the network, or `spread`: the standard deviation of each feature over the tokens.
    """
    check_size(file, model.scale)
    network, found = model.network.to(device).eval(), {name: [] for name in parts}
    with torch.inference_mode():
        for cutouts in _in_order(file, rows):
            cutouts = cutouts if change is None else change(cutouts)
            batch = make_batch(cutouts, model.scale, with_sky=model.what.sky_token).to(device)
            tokens = network.features(batch.images, batch.unusable, batch.sky)
            for name, values in found.items():
                values.append(_pooled(network, tokens, name).float().cpu().numpy())
    return {name: np.concatenate(values) for name, values in found.items()}


def _pooled(network: MaskedViT, tokens: Tensor, part: str) -> Tensor:
    return tokens.std(1) if part == "spread" else network.pooled(tokens, part)


def _in_order(file: CutoutFile, rows: np.ndarray) -> Iterator[Cutouts]:
    """The cutouts of some rows, about ROWS_AT_ONCE of them at once, each checked."""
    step = ROWS_AT_ONCE * max(len(file) // max(len(rows), 1), 1)
    for first in range(0, len(file), step):
        wanted = rows[(rows >= first) & (rows < first + step)]
        if len(wanted):
            cutouts = file.read(first, min(first + step, len(file))).rows(wanted - first)
            check_cutouts(cutouts, f"{file.path}, from row {first} on")
            yield cutouts
