"""A network on a map of any size: at its training pixel scale, in overlapping squares that are blended smoothly."""

import numpy as np

from armillary.channels import CHANNELS
from armillary.cmb_networks import Model, apply_model
from armillary.estimators import Setting, window_of
from armillary.flatsky import Patch, fourier, pixels, resampled
from armillary.map_preparation import prepare_inputs, restore


def infer_any_size(
    model: Model, maps: dict[str, np.ndarray], setting: Setting, *, device: str, announce
) -> dict[str, np.ndarray]:
    """Estimates (1, n_y, n_x) of the model's outputs, seen through the window, on the grid of `setting`.

    `maps` hold q, u or estimates, (1, n_y, n_x) each, by channel name. They are brought to the training pixel scale by
    cutting or adding Fourier modes, which moves it by less than half a pixel in the side of the map.
    """
    preparation = model.preparation
    missing = [name for name in preparation.inputs if CHANNELS[name].source == "truth"]
    if missing:
        raise ValueError(f"cmb: observed: experiment: its network takes {missing[0]}, a truth that no observation has")
    grid = matched_patch(setting.patch, model.patch)
    side = model.what.side
    if min(grid.shape) < side:
        raise ValueError(
            f"the observed map is {grid.n_y} x {grid.n_x} pixels of {grid.pixel_arcmin:.2f} arcmin; the network of "
            f"`cmb: observed: experiment` needs at least {side} a side"
        )
    announce(f"network at {grid.pixel_arcmin:.3f} arcmin a pixel (trained at {model.patch.pixel_arcmin:.3f})")
    here = setting._replace(patch=grid, window=moved(window_of(setting)[None], setting.patch, grid)[0])
    needed = {*preparation.inputs, *(start for start in preparation.starts if start)}
    brought = {name: moved(maps[name], setting.patch, grid) for name in needed}
    inputs = prepare_inputs(preparation, brought, here, seed=0)
    corners = square_corners(grid.shape, side)
    squares = np.concatenate([inputs[:, :, y : y + side, x : x + side] for y, x in corners])
    outputs = apply_model(model, squares, device=device, precision="auto")
    blended = blend(outputs, corners, grid.shape)[None]
    found = restore(preparation, blended, brought, here)
    return {name: moved(values, grid, setting.patch) for name, values in found.items()}


def matched_patch(patch: Patch, trained: Patch) -> Patch:
    """The grid of the patch's area whose pixels are nearest to those of the training, even on both sides."""
    scale = patch.pixel_arcmin / trained.pixel_arcmin
    n_y = max(2 * round(patch.n_y * scale / 2), 2)
    n_x = max(2 * round(patch.n_x * n_y / patch.n_y / 2), 2)
    return Patch(n_y, n_x, patch.pixel_arcmin * patch.n_y / n_y)


def moved(maps: np.ndarray, old: Patch, new: Patch) -> np.ndarray:
    """Maps (n, n_y, n_x) on another grid of the same area."""
    return maps if old == new else pixels(resampled(fourier(maps), old, new), new).astype(np.float32)


def square_corners(shape: tuple[int, int], side: int) -> list[tuple[int, int]]:
    """First pixels (y, x) of squares that cover a map and overlap by a quarter or more."""
    starts = []
    for n in shape:
        count = 1 if n == side else int(np.ceil((n - side) / (0.75 * side))) + 1
        starts.append(np.round(np.linspace(0, n - side, count)).astype(int))
    return [(int(y), int(x)) for y in starts[0] for x in starts[1]]


def blend(squares: np.ndarray, corners: list[tuple[int, int]], shape: tuple[int, int]) -> np.ndarray:
    """Squares (n, C, side, side) as one map (C, n_y, n_x), weighted down smoothly towards their edges."""
    side = squares.shape[-1]
    weight = np.outer(*[np.sin(np.pi * (np.arange(side) + 0.5) / side) ** 2] * 2) + 1e-6
    total, sums = np.zeros(shape), np.zeros((squares.shape[1], *shape))
    for square, (y, x) in zip(squares, corners, strict=True):
        sums[:, y : y + side, x : x + side] += weight * square
        total[y : y + side, x : x + side] += weight
    return (sums / total).astype(np.float32)
