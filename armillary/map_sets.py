"""Maps that a CMB network learns from, and the ways training turns them: the sky has no preferred direction."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from armillary.channels import CHANNELS


class MapSet(NamedTuple):
    """Prepared maps of a split, float32 tensors (n, C, H, W), and the names of their channels."""

    inputs: Tensor
    targets: Tensor
    input_names: list[str]
    target_names: list[str]


def turned(maps: Tensor, names: list[str], *, n_quarter_turns: int, mirrored: bool) -> Tensor:
    """Maps (B, C, H, W) of the sky turned by quarter turns (`torch.rot90`) and then mirrored in x, as they transform.

    A quarter turn changes the sign of Q and U; a mirror that of U and of the odd channels.
    """
    signs = torch.ones(len(names), dtype=maps.dtype, device=maps.device)
    for number, name in enumerate(names):
        symmetry = CHANNELS[name].symmetry
        if symmetry == "spin2" and n_quarter_turns % 2:
            signs[number] *= -1
        if mirrored and (symmetry == "odd" or name in ("u", "U")):
            signs[number] *= -1
    maps = torch.rot90(maps, n_quarter_turns, (2, 3)) * signs[:, None, None]
    return maps.flip(3) if mirrored else maps


def augmented(inputs: Tensor, targets: Tensor, data: MapSet, *, periodic: bool, rng: np.random.Generator):
    """Inputs and targets of one map (1, C, H, W), turned and mirrored together; a periodic patch is shifted, too."""
    turn = {"n_quarter_turns": int(rng.integers(4)), "mirrored": bool(rng.integers(2))}
    if inputs.shape[2] != inputs.shape[3]:
        turn["n_quarter_turns"] = 2 * (turn["n_quarter_turns"] // 2)
    pair = turned(inputs, data.input_names, **turn), turned(targets, data.target_names, **turn)
    if not periodic:
        return pair
    shift = tuple(int(rng.integers(n)) for n in inputs.shape[2:])
    return tuple(maps.roll(shift, (2, 3)) for maps in pair)
