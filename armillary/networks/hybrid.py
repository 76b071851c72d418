"""The small network that improves on classical estimates: a U-Net of product layers at half the map's resolution.

What lensing did is a product of fields (a deflection times a gradient), so every pair of convolutions multiplies two
linear maps of its input before it mixes them. It starts as zero: an untrained network leaves the estimate as it is.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MARGIN = 8  # px around a periodic patch that are filled from its other side


class ProductPair(nn.Module):
    """Two 3 x 3 convolutions around a product, with a shortcut."""

    def __init__(self, n_in: int, n_out: int, *, residuals: bool, dropout: float, bias: bool):
        super().__init__()
        self.factors = nn.Conv2d(n_in, 2 * n_out, 3, padding=1, bias=bias)
        self.mix = nn.Conv2d(n_out, n_out, 3, padding=1, bias=bias)
        self.norm = nn.BatchNorm2d(n_out)
        self.drop = nn.Dropout(dropout)
        self.around = nn.Identity() if n_in == n_out else nn.Conv2d(n_in, n_out, 1, bias=bias)
        self.residuals = residuals

    def forward(self, x: Tensor) -> Tensor:
        """(B, n_in, H, W) -> (B, n_out, H, W)."""
        one, other = self.factors(x).chunk(2, 1)
        y = self.norm(self.mix(one * torch.tanh(other)))
        return self.drop(F.silu(y + self.around(x) if self.residuals else y))


class Hybrid(nn.Module):
    """Maps (B, n_in, H, W) -> (B, n_out, H, W), 0.27 million parameters at width 24; H and W multiples of 8.

    `high_res_len` product pairs follow the last upsampling.
    """

    def __init__(
        self, n_in: int, n_out: int, *, width: int, periodic: bool, skip_connections: bool, residuals: bool,
        dropout: float, use_bias: bool, high_res_len: int,
    ):  # fmt: skip
        super().__init__()
        self.periodic, self.skip_connections = periodic, skip_connections
        more = {"residuals": residuals, "dropout": dropout, "bias": use_bias}
        w, skip = width, int(skip_connections)
        self.stem = nn.Conv2d(4 * n_in, w, 5, padding=2, bias=use_bias)
        self.enc_half = ProductPair(w, w, **more)
        self.to_quarter = nn.Conv2d(w, 2 * w, 2, 2, bias=use_bias)
        self.enc_quarter = ProductPair(2 * w, 2 * w, **more)
        self.to_eighth = nn.Conv2d(2 * w, 2 * w, 2, 2, bias=use_bias)
        self.enc_eighth = ProductPair(2 * w, 2 * w, **more)
        self.join_quarter = nn.Conv2d((2 + 2 * skip) * w, 2 * w, 1, bias=use_bias)
        self.out_quarter = ProductPair(2 * w, 2 * w, **more)
        self.join_half = nn.Conv2d((2 + skip) * w, w, 1, bias=use_bias)
        self.out_half = nn.Sequential(*(ProductPair(w, w, **more) for _ in range(high_res_len)))
        self.head = nn.Conv2d(w, 4 * n_out, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, n_in, H, W) -> (B, n_out, H, W)."""
        x = F.pad(x, (MARGIN,) * 4, mode="circular") if self.periodic else x
        half = self.enc_half(self.stem(F.pixel_unshuffle(x, 2)))  # (B, w, H/2, W/2)
        quarter = self.enc_quarter(self.to_quarter(half))  # (B, 2w, H/4, W/4)
        eighth = self.enc_eighth(self.to_eighth(quarter))  # (B, 2w, H/8, W/8)
        quarter = self.out_quarter(self.join_quarter(self._joined(eighth, quarter)))
        half = self.out_half(self.join_half(self._joined(quarter, half)))
        y = F.pixel_shuffle(self.head(half), 2)
        return y[..., MARGIN:-MARGIN, MARGIN:-MARGIN] if self.periodic else y

    def _joined(self, low: Tensor, high: Tensor) -> Tensor:
        raised = F.interpolate(low, scale_factor=2, mode="nearest")
        return torch.cat([raised, high], 1) if self.skip_connections else raised
