"""The U-Net generator and the patch discriminator of Isola et al. (2017), sized to the maps.

The generator halves the map until one pixel is left (seven times for 128 px), so its sides must be a power of two. Its
last layer is linear here: a Gaussian field has no bounds for a tanh. The discriminator judges overlapping squares of
70 px, given the inputs and a true or a generated target.
"""

import torch
from torch import Tensor, nn

WIDTH = 64
MAX_WIDTH = 8 * WIDTH
N_DROPOUT_LEVELS = 3  # the innermost layers of the decoder


class Pix2Pix(nn.Module):
    """Maps (B, n_in, S, S) -> (B, n_out, S, S) with S = 2^n; 41.8 million parameters for 128 px, 2 -> 1 maps.

    `high_res_len` stride-1 convolutions follow the last upsampling; the published network has 0. `residuals` has no
    meaning here and is ignored; `kernel_size` is even, 4 as published.
    """

    def __init__(
        self, n_in: int, n_out: int, *, side: int, skip_connections: bool, dropout: float, use_bias: bool,
        high_res_len: int, kernel_size: int = 4,
    ):  # fmt: skip
        super().__init__()
        self.skip_connections = skip_connections
        n_levels = side.bit_length() - 1
        widths = [min(WIDTH * 2**level, MAX_WIDTH) for level in range(n_levels)]
        self.down = nn.ModuleList()
        for level, (before, after) in enumerate(zip([n_in, *widths], widths, strict=False)):
            # the first layer has no norm, as published, and one pixel has no spread to normalise
            norm = nn.BatchNorm2d(after) if 0 < level < n_levels - 1 else nn.Identity()
            conv = nn.Conv2d(before, after, kernel_size, 2, kernel_size // 2 - 1, bias=use_bias)
            self.down.append(nn.Sequential(conv, norm, nn.LeakyReLU(0.2)))
        self.up = nn.ModuleList()
        for number, level in enumerate(range(n_levels - 2, -1, -1)):
            before = widths[level + 1] * (2 if skip_connections and number > 0 else 1)
            conv = nn.ConvTranspose2d(before, widths[level], kernel_size, 2, kernel_size // 2 - 1, bias=use_bias)
            drop = nn.Dropout(dropout) if number < N_DROPOUT_LEVELS else nn.Identity()
            self.up.append(nn.Sequential(conv, nn.BatchNorm2d(widths[level]), drop, nn.ReLU()))
        last = WIDTH * (2 if skip_connections else 1)
        self.last = nn.Sequential(*_stem(last, n_out, high_res_len, use_bias))
        self.apply(_start)

    def forward(self, x: Tensor) -> Tensor:
        """(B, n_in, S, S) -> (B, n_out, S, S)."""
        skips = []
        for layer in self.down:
            x = layer(x)
            skips.append(x)
        skips.pop()
        for layer in self.up:
            x = layer(x)
            skip = skips.pop()
            x = torch.cat([x, skip], 1) if self.skip_connections else x
        return self.last(x)


def _stem(n_in: int, n_out: int, high_res_len: int, use_bias: bool) -> list[nn.Module]:
    """From half to full resolution, and the stride-1 convolutions that follow."""
    if high_res_len == 0:
        return [nn.ConvTranspose2d(n_in, n_out, 4, 2, 1)]
    layers = [nn.ConvTranspose2d(n_in, WIDTH, 4, 2, 1, bias=use_bias), nn.BatchNorm2d(WIDTH), nn.ReLU()]
    for _ in range(high_res_len - 1):
        layers += [nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=use_bias), nn.BatchNorm2d(WIDTH), nn.ReLU()]
    return [*layers, nn.Conv2d(WIDTH, n_out, 3, padding=1)]


class PatchDiscriminator(nn.Module):
    """Inputs (B, n_in, S, S) and target (B, n_out, S, S) -> logits (B, 1, S/8 - 2, S/8 - 2), one a square of 70 px."""

    def __init__(self, n_in: int, n_out: int, *, dropout: float, use_bias: bool):
        super().__init__()
        widths = [WIDTH, 2 * WIDTH, 4 * WIDTH]
        layers = []
        for level, (before, after) in enumerate(zip([n_in + n_out, *widths], widths, strict=False)):
            layers += [nn.Conv2d(before, after, 4, 2, 1, bias=use_bias)]
            layers += [nn.BatchNorm2d(after)] if level else []
            layers += [nn.LeakyReLU(0.2), nn.Dropout(dropout)]
        layers += [nn.Conv2d(widths[-1], MAX_WIDTH, 4, 1, 1, bias=use_bias), nn.BatchNorm2d(MAX_WIDTH)]
        layers += [nn.LeakyReLU(0.2), nn.Dropout(dropout), nn.Conv2d(MAX_WIDTH, 1, 4, 1, 1)]
        self.layers = nn.Sequential(*layers)
        self.apply(_start)

    def forward(self, inputs: Tensor, target: Tensor) -> Tensor:
        """Logits that the target is a true one."""
        return self.layers(torch.cat([inputs, target], 1))


def _start(layer: nn.Module) -> None:
    """Weights from N(0, 0.02), norms from N(1, 0.02), as published."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(layer.weight, 0.0, 0.02)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    elif isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, 0.02)
