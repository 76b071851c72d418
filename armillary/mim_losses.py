"""How well hidden pixels were predicted, in units of their own noise, and the value that perfect prediction has."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from armillary.networks.masked_vit import patches, spread


class Loss(NamedTuple):
    """The loss over all counted pixels, and its expectation if the noise-free sky were predicted."""

    value: Tensor
    floor: Tensor


def masked_loss(
    predicted: Tensor, images: Tensor, variance: Tensor, unusable: Tensor, hidden: Tensor, *, patch_px: int, kind: str,
    softening: float, normalize_patches: bool,
) -> Loss:  # fmt: skip
    """Mean over the pixels that were hidden and are usable; others count for nothing.

    `predicted` (B, P, C p p); `kind` is mse: (prediction - pixel)^2 / (variance + softening^2), or l1: its root.
    `normalize_patches` measures a patch from its own mean in units of its own scatter, which is no less than its noise.
    # ASSUME: compressed pixels have Gaussian noise of the variance given, by which the floor is reckoned.
    """
    counted = patches((spread(hidden, patch_px) & ~unusable).float(), patch_px)
    target, noise = patches(images, patch_px), patches(variance, patch_px)
    if normalize_patches:
        valid = patches((~unusable).float(), patch_px)
        target, noise = _normalised(target, noise, valid)
    scale = noise + softening**2
    if kind == "mse":
        each, floor = (predicted.float() - target) ** 2 / scale, noise / scale
    else:
        each, floor = (predicted.float() - target).abs() / scale.sqrt(), math.sqrt(2 / math.pi) * (noise / scale).sqrt()
    n_counted = counted.sum().clamp(min=1)
    return Loss((each * counted).sum() / n_counted, (floor * counted).sum() / n_counted)


def _normalised(target: Tensor, noise: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    n_valid = valid.sum(2, keepdim=True).clamp(min=1)
    mean = (target * valid).sum(2, keepdim=True) / n_valid
    spread_of_patch = ((target - mean) ** 2 * valid).sum(2, keepdim=True) / n_valid
    of_noise = (noise * valid).sum(2, keepdim=True) / n_valid
    scale = torch.maximum(spread_of_patch, of_noise).clamp(min=1e-6)
    return (target - mean) / scale.sqrt(), noise / scale
