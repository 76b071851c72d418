"""Convolutions that know quarter turns: the group p4 of shifts and rotations by 90 degrees (Cohen & Welling 2016).

Feature maps have an axis of four orientations: (B, C, 4, H, W). A quarter turn of the image turns the maps and moves
that axis on by one; pooled over both, what comes out cannot depend on the turn. Sides must be even
where maps are pooled.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Lifting(nn.Module):
    """Images (B, C_in, H, W) to maps of four orientations: one kernel, turned four times."""

    def __init__(self, n_in: int, n_out: int, kernel: int = 3):
        super().__init__()
        first = nn.Conv2d(n_in, n_out, kernel)  # for its initial values
        self.weight, self.bias, self.padding = first.weight, first.bias, kernel // 2

    def forward(self, images: Tensor) -> Tensor:
        turned = torch.stack([torch.rot90(self.weight, turn, (-2, -1)) for turn in range(4)], 1)  # (O, 4, I, k, k)
        return _convolved(images, turned.flatten(0, 1), self.bias, self.padding)


class GroupConvolution(nn.Module):
    """Maps of four orientations to maps of four orientations: the kernel is turned and its orientations moved on."""

    def __init__(self, n_in: int, n_out: int, kernel: int = 3):
        super().__init__()
        first = nn.Conv2d(4 * n_in, n_out, kernel)
        self.weight = nn.Parameter(first.weight.detach().unflatten(1, (n_in, 4)))  # (O, I, 4, k, k)
        self.bias, self.padding = first.bias, kernel // 2

    def forward(self, maps: Tensor) -> Tensor:
        turned = torch.stack(
            [torch.rot90(self.weight.roll(turn, 2), turn, (-2, -1)) for turn in range(4)], 1
        )  # (O, 4, I, 4, k, k)
        return _convolved(maps.flatten(1, 2), turned.flatten(2, 3).flatten(0, 1), self.bias, self.padding)


def _convolved(maps: Tensor, weight: Tensor, bias: Tensor, padding: int) -> Tensor:
    return F.conv2d(maps, weight, bias.repeat_interleave(4), padding=padding).unflatten(1, (-1, 4))


def pooled(maps: Tensor) -> Tensor:
    """Maximum over squares of 2 x 2 px: (B, C, 4, H, W) to (B, C, 4, H / 2, W / 2)."""
    return F.max_pool2d(maps.flatten(1, 2), 2).unflatten(1, (-1, 4))
