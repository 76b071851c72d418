"""From a file of cutouts to what a masked network learns from: compressed pixels, their variance, what is missing."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from armillary.cutouts import Cutouts, check_cutouts, compressed, compressed_variance, usable_pixels
from armillary.files_cutouts import CutoutFile
from armillary.networks.masked_vit import sky_features


class Scale(NamedTuple):
    """What pixels are measured in: typical noise of each band (C,) in counts at `zero_point`; the bands, in order; the
    side of the square in the middle that the network sees."""

    bands: list[str]
    noise: list[float]
    zero_point: float
    image_px: int


class Batch(NamedTuple):
    """Images, their variance and which pixels are missing (B, C, S, S); features of the sky position (B, 8)."""

    images: Tensor
    variance: Tensor
    unusable: Tensor
    sky: Tensor | None

    def to(self, device: str) -> "Batch":
        """The same on a device."""
        return Batch(*(part if part is None else part.to(device) for part in self))

    def turned(self, n_quarter_turns: int, flipped: bool) -> "Batch":
        """Turned and mirrored: exact symmetries of the sky, which keep flux, noise and seeing."""
        turn = lambda x: torch.rot90(x.flip(3) if flipped else x, n_quarter_turns, (2, 3))  # noqa: E731
        return Batch(turn(self.images), turn(self.variance), turn(self.unusable), self.sky)


def make_batch(cutouts: Cutouts, scale: Scale, *, with_sky: bool = False, extra_noise: Tensor | None = None) -> Batch:
    """Compress cutouts (counts at their own zero point) in units of the network's noise.

    `extra_noise` (B,) adds noise of so many times each pixel's own, and its variance.
    """
    factor = np.float32(10 ** (0.4 * (scale.zero_point - float(cutouts.facts["zero_point"]))))
    edge = (cutouts.images.shape[-1] - scale.image_px) // 2
    middle = (slice(None), slice(None), slice(edge, edge + scale.image_px), slice(edge, edge + scale.image_px))
    images, variance = cutouts.images[middle] * factor, cutouts.variance[middle] * factor**2
    usable = usable_pixels(images, cutouts.mask[middle]) & np.isfinite(variance)
    images, variance = np.where(usable, images, 0), np.where(usable, variance, 0)
    if extra_noise is not None:
        level, normal = extra_noise
        images = (
            images + level[:, None, None, None] * np.sqrt(variance) * normal[:, :, : images.shape[2], : images.shape[3]]
        )
        variance = variance * (1 + level[:, None, None, None] ** 2)
    noise = np.asarray(scale.noise, np.float32)
    position = sky_features(cutouts.columns["ra"], cutouts.columns["dec"]) if with_sky else None
    return Batch(
        torch.from_numpy(compressed(images, noise)), torch.from_numpy(compressed_variance(images, variance, noise)),
        torch.from_numpy(~usable), None if position is None else torch.from_numpy(position),
    )  # fmt: skip


def check_size(file: CutoutFile, scale: Scale) -> None:
    """Raise ValueError if cutouts are smaller than what the network sees."""
    if file.size < scale.image_px:
        raise ValueError(
            f"{file.path} has cutouts of {file.size} px; the network sees {scale.image_px} (config key `mim: image_px`)"
        )


def rows_of_step(step: int, n_rows: int, batch_size: int, seed: int) -> tuple[int, int]:
    """First and last row of the block that a training step reads. An epoch goes once through the file in blocks of
    random order, from a random first row on; rows of the file are in random order themselves."""
    n_blocks = max(n_rows // batch_size, 1)
    epoch, place = divmod(step, n_blocks)
    rng = np.random.default_rng([seed, epoch])
    first = (
        int(rng.integers(max(n_rows - n_blocks * batch_size, 0) + 1))
        + int(rng.permutation(n_blocks)[place]) * batch_size
    )
    return first, min(first + batch_size, n_rows)


def batches_in_order(
    file: CutoutFile, scale: Scale, batch_size: int, n_most: int | None = None, with_sky: bool = False
) -> Iterator[Batch]:
    """The first `n_most` cutouts of a file, batch by batch, each checked."""
    check_size(file, scale)
    n_rows = len(file) if n_most is None else min(len(file), n_most)
    for first in range(0, n_rows, batch_size):
        cutouts = file.read(first, min(first + batch_size, n_rows))
        check_cutouts(cutouts, f"{file.path}, from row {first} on")
        yield make_batch(cutouts, scale, with_sky=with_sky)
