"""What a pixel of a patch of sky is surrounded by: features of networks and filters, and a small network for masks."""

from collections.abc import Iterator

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn
from torch.nn import functional as F

from armillary.networks.efficientnet import EfficientNetLite0

N_PIXELS = 4096  # that a probe learns from, of all labelled patches together
WIDTHS_PX = (1, 2, 4, 8)


class SmallUNet(nn.Module):
    """Two steps down and two up, with bridges, for those who start from scratch: (B, side, side) to logits of cloud."""

    def __init__(self, width: int = 8):
        super().__init__()
        sizes = ((1, width), (width, 2 * width), (2 * width, 4 * width), (6 * width, 2 * width), (3 * width, width))
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in sizes)
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) for _, b in sizes)
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        def layer(number, x):
            return F.relu(self.norms[number](self.layers[number](x)))

        wide = layer(0, images[:, None])
        middle = layer(1, F.max_pool2d(wide, 2))
        deep = layer(2, F.max_pool2d(middle, 2))
        x = layer(3, torch.cat([F.interpolate(deep, scale_factor=2), middle], 1))
        x = layer(4, torch.cat([F.interpolate(x, scale_factor=2), wide], 1))
        return self.head(x)[:, 0]


def filter_maps(image: np.ndarray) -> np.ndarray:
    """(11, side, side): the image, its mean and spread around each pixel on four scales, points, and its median."""
    means = [gaussian_filter(image, width) for width in WIDTHS_PX]
    squares = [gaussian_filter(image**2, width) for width in WIDTHS_PX]
    spreads = [np.sqrt(np.maximum(b - a**2, 0)) for a, b in zip(means, squares, strict=True)]
    return np.stack([image, *means, *spreads, image - means[0], np.full_like(image, np.median(image))])


def filter_moments(images: np.ndarray) -> np.ndarray:
    """(n, 44): mean, spread and extremes of the filtered images of each of `images` (n, side, side)."""
    found = []
    for image in images:
        maps = filter_maps(image).reshape(11, -1)
        found.append(np.concatenate([maps.mean(1), maps.std(1), *np.percentile(maps, (1, 99), axis=1)]))
    return np.array(found)


def sampled_pixels(side: int, n_images: int, rng: np.random.Generator) -> list[np.ndarray]:
    """As many pixels of each image, N_PIXELS in all: numbers on the flattened image."""
    return [rng.choice(side**2, max(N_PIXELS // n_images, 1), replace=False) for _ in range(n_images)]


def pixel_values(network: EfficientNetLite0 | None, images: Tensor, pixels: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Of each image the features of its `pixels`, (n_features, n_pixels), by a network or, without one, by filters."""
    for start in range(0, len(images), 32):
        part = images[start : start + 32]
        if network is None:
            maps = torch.stack([torch.from_numpy(filter_maps(one)) for one in part.numpy()])
        else:
            network.eval()
            with torch.inference_mode():
                maps = torch.cat([part[:, None], network.pixel_features(part)], 1)
        for one, at in zip(maps.flatten(2).numpy(), pixels[start : start + 32], strict=True):
            yield one[:, at]
