"""The default encoder: a patch stem, four halvings down to one cell a tile, and a context of the whole field.

An asinh-coded image (B, C, h, w), NaN where a pixel or a band is missing, becomes N_OUTPUTS numbers a tile.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

OUTPUTS = (
    "membership_logit", "centre_logit", "offset_x", "offset_y",
    "redshift", "redshift_ln_error", "ln_richness", "ln_richness_ln_error",
)  # fmt: skip
FAINT_SCALE = 30.0  # the second asinh scale, in sky sigmas: linear for galaxies, logarithmic for stars


def norm(channels: int) -> nn.GroupNorm:
    """GroupNorm with 16 channels a group: batches are small because fields are large."""
    return nn.GroupNorm(max(channels // 16, 1), channels)


class ResidualBlock(nn.Module):
    """x + two 3x3 convolutions, each GroupNorm -> SiLU -> convolution."""

    def __init__(self, channels: int, dilation: int = 1):
        super().__init__()
        self.norms = nn.ModuleList([norm(channels), norm(channels)])
        self.convs = nn.ModuleList(
            [nn.Conv2d(channels, channels, 3, padding=d, dilation=d, bias=False) for d in (dilation, 1)]
        )

    def forward(self, x: Tensor) -> Tensor:  # (B, c, h, w)
        y = x
        for normalise, conv in zip(self.norms, self.convs, strict=True):
            y = conv(F.silu(normalise(y)))
        return x + y


class PatchEncoder(nn.Module):
    """Per-tile variational factors of a field; `tile_pixels` binned pixels a tile, a multiple of 16."""

    def __init__(self, n_bands: int, tile_pixels: int, width: int):
        super().__init__()
        self.n_bands = n_bands
        stem = 4
        n_halvings = (tile_pixels // stem).bit_length() - 1
        if stem << n_halvings != tile_pixels:
            raise ValueError(f"clusters: tile_size / bin_factor is {tile_pixels}; it must be a power of two, at least 16")
        widths = [width * (level + 1) for level in range(n_halvings + 1)]
        self.stem = nn.Conv2d(3 * n_bands, widths[0], stem, stride=stem)
        stages = []
        for level in range(n_halvings):
            stages += [ResidualBlock(widths[level]), nn.Conv2d(widths[level], widths[level + 1], 2, stride=2)]
        self.stages = nn.Sequential(*stages)
        deep = widths[-1]
        self.context = nn.Sequential(*[ResidualBlock(deep, dilation) for dilation in (1, 2, 3)])
        self.field = nn.Linear(deep, deep)
        self.mix = ResidualBlock(deep)
        self.head = nn.Sequential(norm(deep), nn.SiLU(), nn.Conv2d(deep, len(OUTPUTS), 1))

    def forward(self, coded: Tensor) -> Tensor:  # (B, C, h, w) -> (B, n_outputs, T, T)
        valid = torch.isfinite(coded)
        faint = torch.where(valid, coded, 0.0)
        bright = torch.asinh(torch.sinh(faint.clamp(-12, 12)) / FAINT_SCALE)
        x = torch.cat([faint.clamp(-5, 12) / 2, bright, valid.to(faint.dtype)], 1)  # (B, 3C, h, w)
        x = self.stages(self.stem(x.contiguous(memory_format=torch.channels_last)))  # (B, deep, T, T)
        x = self.context(x)
        x = x + self.field(x.mean((2, 3)))[:, :, None, None]
        return self.head(self.mix(x)).float()
