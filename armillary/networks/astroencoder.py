"""The residual U-Net that recovers maps from lensed polarisation: the network of Caldeira et al. (2019, DeepCMB) in the
multi-output form of Guzman & Meyers (2021), whose layer table it follows.

Convolutions are 5 x 5 with SELU and batch normalisation; two strided ones shrink the map to a quarter of its side and
nearest-neighbour upsampling brings it back. A shortcut runs around every pair of convolutions, U-shaped skips are
concatenated, and each target has a branch of its own.
"""

import torch
from torch import Tensor, nn

WIDTH = 64


class Block(nn.Module):
    """(upsample) -> dropout -> convolution -> SELU -> batch normalisation."""

    def __init__(self, n_in: int, n_out: int, *, dropout: float, bias: bool, stride: int = 1, up: bool = False):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Upsample(scale_factor=2) if up else nn.Identity(),
            nn.Dropout(dropout),
            nn.Conv2d(n_in, n_out, 5, stride=stride, padding=2, bias=bias),
            nn.SELU(),
            nn.BatchNorm2d(n_out),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, n_in, H, W) -> (B, n_out, H', W')."""
        return self.layers(x)


class Shortcut(nn.Module):
    """What runs around a pair of convolutions: itself, or a 1 x 1 convolution where the shape changes, normalised."""

    def __init__(self, n_in: int, n_out: int, *, bias: bool, stride: int = 1, up: bool = False):
        super().__init__()
        same = n_in == n_out and stride == 1 and not up
        self.up = nn.Upsample(scale_factor=2) if up else nn.Identity()
        self.match = nn.Identity() if same else nn.Conv2d(n_in, n_out, 1, stride=stride, bias=bias)
        self.norm = nn.BatchNorm2d(n_out)

    def forward(self, main: Tensor, x: Tensor) -> Tensor:
        """The main path plus what came around it, normalised."""
        return self.norm(main + self.match(self.up(x)))


class Plain(nn.Module):
    """No shortcut: `residuals: false`."""

    def forward(self, main: Tensor, x: Tensor) -> Tensor:
        """The main path alone."""
        return main


class Branch(nn.Module):
    """Layers of one target: `n_blocks` convolutions at full resolution, then a linear one, normalised."""

    def __init__(self, n_blocks: int, *, dropout: float, bias: bool, residuals: bool):
        super().__init__()
        self.first = Block(WIDTH, WIDTH, dropout=dropout, bias=bias)
        self.shortcut = Shortcut(WIDTH, WIDTH, bias=bias) if residuals else Plain()
        self.rest = nn.Sequential(*(Block(WIDTH, WIDTH, dropout=dropout, bias=bias) for _ in range(n_blocks - 1)))
        self.last = nn.Sequential(nn.Conv2d(WIDTH, 1, 5, padding=2, bias=bias), nn.BatchNorm2d(1))

    def forward(self, x: Tensor, before: Tensor) -> Tensor:
        """(B, 64, H, W), and what entered the layer before -> (B, 1, H, W)."""
        return self.last(self.rest(self.shortcut(self.first(x), before)))


class AstroEncoder(nn.Module):
    """q, u or other maps (B, n_in, H, W) -> (B, n_out, H, W); H and W multiples of 4.

    `high_res_len` convolutions of a branch follow the shared layers at full resolution; the published network has 2,
    and 4.87 million parameters for one output.
    """

    def __init__(
        self, n_in: int, n_out: int, *, skip_connections: bool, residuals: bool, dropout: float, use_bias: bool,
        high_res_len: int,
    ):  # fmt: skip
        super().__init__()
        more = {"dropout": dropout, "bias": use_bias}
        around = (lambda *a, **k: Shortcut(*a, bias=use_bias, **k)) if residuals else lambda *a, **k: Plain()
        skip, w = int(skip_connections), WIDTH
        self.skip_connections = skip_connections
        self.enc1 = nn.ModuleList([Block(n_in, w, dropout=0.0, bias=use_bias), Block(w, w, **more)])
        self.enc2 = nn.ModuleList([Block(w, w, **more), Block(w, 2 * w, stride=2, **more)])
        self.enc3 = nn.ModuleList([Block(2 * w, 2 * w, **more), Block(2 * w, 2 * w, **more)])
        self.bridge = nn.ModuleList([Block(2 * w, 4 * w, stride=2, **more), Block(4 * w, 2 * w, up=True, **more)])
        self.dec1 = nn.ModuleList([Block((2 + 2 * skip) * w, 2 * w, **more), Block(2 * w, 2 * w, **more)])
        self.dec2 = nn.ModuleList([Block(2 * w, w, up=True, **more), Block((1 + skip) * w, w, **more)])
        self.dec3 = Block(w, w, **more)
        self.around = nn.ModuleList([
            around(n_in, w), around(w, 2 * w, stride=2), around(2 * w, 2 * w), around(2 * w, 2 * w),
            around((2 + 2 * skip) * w, 2 * w), around(2 * w, w, up=True),
        ])  # fmt: skip
        self.branches = nn.ModuleList(Branch(high_res_len, residuals=residuals, **more) for _ in range(n_out))

    def forward(self, x: Tensor) -> Tensor:
        """(B, n_in, H, W) -> (B, n_out, H, W)."""
        enc1 = self.around[0](self.enc1[1](self.enc1[0](x)), x)  # (B, 64, H, W)
        high = self.enc2[0](enc1)  # (B, 64, H, W)
        enc2 = self.around[1](self.enc2[1](high), enc1)  # (B, 128, H/2, W/2)
        enc3 = self.around[2](self.enc3[1](self.enc3[0](enc2)), enc2)
        bridge = self.around[3](self.bridge[1](self.bridge[0](enc3)), enc3)  # (B, 128, H/2, W/2), by way of H/4
        low = torch.cat([bridge, enc3], 1) if self.skip_connections else bridge
        dec1 = self.around[4](self.dec1[1](self.dec1[0](low)), low)
        raised = self.dec2[0](dec1)  # (B, 64, H, W)
        raised = torch.cat([raised, high], 1) if self.skip_connections else raised
        dec2 = self.around[5](self.dec2[1](raised), dec1)
        shared = self.dec3(dec2)
        return torch.cat([branch(shared, dec2) for branch in self.branches], 1)
