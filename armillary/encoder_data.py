"""The fields an encoder learns from: prepared inputs, labels of their tiles, and the ways training varies them."""

import numpy as np
import torch
from torch import Tensor, nn

from armillary.tiles import decode_pixels

LABELS = ("membership", "centre", "centre_offset", "cluster_redshift", "ln_richness", "weight")


class Fields:
    """Fields of several `.pt` files as one set; each is prepared by the network once, when it is first used."""

    def __init__(self, files: list[dict], network: nn.Module):
        self.files, self.network = files, network
        self.places = [(f, k) for f, data in enumerate(files) for k in range(len(data["field"]))]
        self.prepared = {}

    def __len__(self) -> int:
        return len(self.places)

    def inputs(self, index: int):
        """What the network takes of one field. Sources are kept; an image is read again each time."""
        if index in self.prepared:
            return self.prepared[index]
        f, k = self.places[index]
        coded = decode_pixels(self.files[f]["images"][k])
        prepared = self.network.prepare(coded, self.files[f]["sky_sigma"][k])
        if not isinstance(prepared, Tensor):
            self.prepared[index] = prepared
        return prepared

    @property
    def n_tiles(self) -> int:
        """Tiles along a side of a field."""
        return self.files[0]["tile_catalog"]["membership"].shape[1]

    def field(self, index: int) -> tuple:
        """Inputs of one field and its labels (1, T, T, n)."""
        f, k = self.places[index]
        catalog = self.files[f]["tile_catalog"]
        return self.inputs(index), {name: catalog[name][k : k + 1, :, :, 0].float() for name in LABELS}

    def labels(self, name: str) -> Tensor:
        return torch.cat([data["tile_catalog"][name][:, :, :, 0] for data in self.files])


def turn_labels(labels: dict[str, Tensor], n_quarter_turns: int, flipped: bool) -> dict[str, Tensor]:
    """Labels (B, T, T, n) after quarter turns (`torch.rot90` of rows and columns) and then a flip of x."""
    turned = {name: torch.rot90(value, n_quarter_turns, (1, 2)) for name, value in labels.items()}
    x, y = turned["centre_offset"].unbind(-1)
    for _ in range(n_quarter_turns % 4):
        x, y = y, 1 - x  # rot90 carries (row, column) to (N - 1 - column, row)
    turned["centre_offset"] = torch.stack([1 - x if flipped else x, y], -1)
    return {name: value.flip(2) for name, value in turned.items()} if flipped else turned


def crop_labels(labels: dict[str, Tensor], row: int, column: int, size: int) -> dict[str, Tensor]:
    """Labels (B, T, T, n) of the square of `size` tiles whose first tile is (row, column)."""
    return {name: value[:, row : row + size, column : column + size] for name, value in labels.items()}


def augmented(network, prepared, labels: dict[str, Tensor], *, n_tiles: int, band_drop: float, rng):
    """One field and its labels (1, T, T, n) as training sees them: a square of `n_tiles` anywhere in the field, turned,
    perhaps flipped, and with bands hidden."""
    row, column = (int(rng.integers(n - n_tiles + 1)) for n in labels["membership"].shape[1:3])
    n_turns, flipped = int(rng.integers(4)), bool(rng.integers(2))
    prepared = network.turned(network.cropped(prepared, row, column, n_tiles), n_turns, flipped)
    prepared = network.without_bands(prepared, dropped_bands(network.n_bands, band_drop, rng))
    return prepared, turn_labels(crop_labels(labels, row, column, n_tiles), n_turns, flipped)


def dropped_bands(n_bands: int, band_drop: float, rng: np.random.Generator) -> list[int]:
    """Each band with probability `band_drop`, never all of them."""
    kept = int(rng.integers(n_bands))
    return [band for band in range(n_bands) if rng.random() < band_drop and band != kept]
