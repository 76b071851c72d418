"""The source system's network for galaxy clusters, rebuilt from its published layer table as a baseline.

GroupNorm throughout, a 5x5 stem at full resolution over 14 asinh planes a band, halvings by the tile size,
and a detection head. Only what it sees differs: the planes are set by the noise instead of by running
quantiles of the training images, so that they do not depend on the order of the data.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from armillary.networks.sources import OUTPUTS

# Levels of the planes in sky sigmas: noise quantiles first, then the bright tail of galaxies and stars.
LEVELS = (-2.33, -1.28, -0.84, -0.52, -0.25, 0.0, 0.25, 0.52, 0.84, 1.28, 2.33, 10.0, 100.0, 1000.0)


def conv_block(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution without bias, GroupNorm with min(32, channels / 4) groups, SiLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False),
        nn.GroupNorm(min(32, out_channels // 4), out_channels),
        nn.SiLU(),
    )


class Bottlenecks(nn.Module):
    """Two branches of half the channels, one through n residual pairs of 1x1 and 3x3 blocks, joined again."""

    def __init__(self, channels: int, n: int):
        super().__init__()
        half = channels // 2
        self.direct, self.entry = conv_block(channels, half, 1), conv_block(channels, half, 1)
        self.pairs = nn.ModuleList(
            [nn.Sequential(conv_block(half, half, 1), conv_block(half, half, 3)) for _ in range(n)]
        )
        self.exit = conv_block(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.entry(x)
        for pair in self.pairs:
            y = y + pair(y)
        return self.exit(torch.cat([y, self.direct(x)], 1))


class BlissEncoder(nn.Module):
    """B asinh-coded images (C, h, w) -> (B, n_outputs, T, T); `tile_pixels` a power of two."""

    def __init__(self, n_bands: int, tile_pixels: int, width: int, pixel_arcsec: float):
        super().__init__()
        n_halvings = tile_pixels.bit_length() - 1
        if 1 << n_halvings != tile_pixels:
            raise ValueError(
                f"clusters: tile_size / bin_factor is {tile_pixels}; architecture bliss needs a power of two"
            )
        self.n_bands, self.tile_pixels = n_bands, tile_pixels
        self.register_buffer("levels", torch.tensor(LEVELS))
        self.stem = nn.Conv3d(n_bands, width, (len(LEVELS), 5, 5), padding=(0, 2, 2))
        self.stem_norm = nn.GroupNorm(min(32, width // 4), width)
        n_four, n_two = divmod(n_halvings - 1, 2)
        layers, channels = [], width
        for stride in [4] * n_four + [2] * n_two:
            layers.append(conv_block(channels, channels * 2, 5, stride))
            channels *= 2
        layers += [conv_block(channels, width, 5), *[conv_block(width, width, 5) for _ in range(4)]]
        layers += [
            conv_block(width, 2 * width, 3, 2),
            *[conv_block(2 * width, 2 * width, 3) for _ in range(5)],
        ]
        layers += [conv_block(2 * width, 4 * width, 3)]
        self.layers = nn.Sequential(*layers)
        deep = 4 * width
        self.detection = nn.Sequential(
            conv_block(deep, deep, 3), conv_block(deep, deep, 3), Bottlenecks(deep, 4), conv_block(deep, deep, 3),
            nn.Conv2d(deep, len(OUTPUTS), 1),
        )  # fmt: skip

    def prepare(self, coded: Tensor, sky_sigma: Tensor) -> Tensor:
        """The coded image itself; noise is its unit, so sky_sigma is not needed."""
        return coded

    def cropped(self, prepared: Tensor, row: int, column: int, size: int) -> Tensor:
        y, x, side = row * self.tile_pixels, column * self.tile_pixels, size * self.tile_pixels
        return prepared[:, y : y + side, x : x + side]

    def turned(self, prepared: Tensor, n_quarter_turns: int, flipped: bool) -> Tensor:
        turned = torch.rot90(prepared, n_quarter_turns, (1, 2))
        return turned.flip(2) if flipped else turned

    def without_bands(self, prepared: Tensor, dropped: list[int]) -> Tensor:
        hidden = prepared.clone()
        hidden[dropped] = torch.nan
        return hidden

    def forward(self, prepared: list[Tensor]) -> Tensor:
        coded = torch.stack(prepared)
        sigmas = torch.sinh(torch.nan_to_num(coded).clamp(-12, 12))[:, :, None]  # (B, C, 1, h, w)
        levels = self.levels[None, None, :, None, None]
        planes = torch.asinh(5 * (sigmas - levels) / levels.abs().clamp(min=0.25))  # (B, C, 14, h, w)
        x = F.silu(self.stem_norm(self.stem(planes).squeeze(2)))  # (B, width, h, w)
        return self.detection(self.layers(x)).float()
