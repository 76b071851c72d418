"""Residual blocks that the encoders share."""

from torch import Tensor, nn
from torch.nn import functional as F


def norm(channels: int) -> nn.GroupNorm:
    """GroupNorm with 16 channels a group: batches are small because fields are large."""
    return nn.GroupNorm(max(channels // 16, 1), channels)


class ResidualBlock(nn.Module):
    """x + two 3x3 convolutions, each GroupNorm -> SiLU -> convolution."""

    def __init__(self, channels: int):
        super().__init__()
        self.norms = nn.ModuleList([norm(channels), norm(channels)])
        self.convs = nn.ModuleList([nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2)])

    def forward(self, x: Tensor) -> Tensor:  # (B, c, h, w)
        y = x
        for normalise, conv in zip(self.norms, self.convs, strict=True):
            y = conv(F.silu(normalise(y)))
        return x + y


class SliceBlock(nn.Module):
    """x + a 3x3 convolution over tiles and one over three neighbouring redshifts, the same at every redshift."""

    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(channels), nn.LayerNorm(channels)])
        self.tiles = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.redshifts = nn.Conv1d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:  # (B, Z, T, T, c)
        y = F.silu(self.norms[0](x)).flatten(0, 1).movedim(-1, 1)
        y = self.tiles(y).movedim(1, -1).view(x.shape)
        y = F.silu(self.norms[1](y)).movedim(1, -1)  # (B, T, T, c, Z)
        y = self.redshifts(y.flatten(0, 2)).view(y.shape).movedim(-1, 1)
        return x + y
