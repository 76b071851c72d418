"""Networks of the CMB rule set: built from settings, applied to maps, stored with all that their numbers mean."""

from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from armillary.channels import check_side
from armillary.flatsky import Patch
from armillary.map_preparation import Preparation
from armillary.networks.astroencoder import AstroEncoder
from armillary.networks.hybrid import Hybrid
from armillary.networks.pix2pix import PatchDiscriminator, Pix2Pix
from armillary.precision import autocast, pick_precision

FORMAT = 1


class Architecture(NamedTuple):
    """What a network is, in the words of the config."""

    architecture: str
    n_inputs: int
    n_outputs: int
    side: int  # of the maps it is trained on, px
    periodic: bool
    width: int
    kernel_size: int
    skip_connections: bool
    residuals: bool
    generator_dropout: float
    discriminator_dropout: float
    generator_bias: bool
    discriminator_bias: bool
    high_res_len: int


def build_generator(what: Architecture, *, seed: int) -> nn.Module:
    """A freshly initialised network; the generator of torch is forked, not touched."""
    check_side(what.architecture, what.side)
    common = {
        "skip_connections": what.skip_connections, "dropout": what.generator_dropout, "use_bias": what.generator_bias,
        "high_res_len": what.high_res_len,
    }  # fmt: skip
    counts = (what.n_inputs, what.n_outputs)
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(seed)
        if what.architecture == "astroencoder":
            network = AstroEncoder(*counts, residuals=what.residuals, **common)
        elif what.architecture == "pix2pix":
            network = Pix2Pix(*counts, side=what.side, kernel_size=what.kernel_size, **common)
        else:
            network = Hybrid(*counts, width=what.width, periodic=what.periodic, residuals=what.residuals, **common)
    return network


def build_discriminator(what: Architecture, *, seed: int) -> nn.Module:
    """The conditional patch discriminator of adversarial training."""
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(seed)
        return PatchDiscriminator(
            what.n_inputs, what.n_outputs, dropout=what.discriminator_dropout, use_bias=what.discriminator_bias
        )


def n_parameters(network: nn.Module) -> int:
    """Trainable numbers."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def apply_network(
    network: nn.Module, inputs: np.ndarray, *, device: str, dtype: torch.dtype, batch_size: int = 16
) -> np.ndarray:
    """Outputs (n, n_outputs, H, W), float32, of prepared inputs (n, n_inputs, H, W)."""
    network.eval()
    found = []
    with torch.inference_mode(), autocast(device, dtype):
        for batch in torch.from_numpy(inputs).split(batch_size):
            found.append(network(batch.to(device)).float().cpu())
    return torch.cat(found).numpy()


class Model(NamedTuple):
    """A trained network and what it needs to be applied."""

    network: nn.Module
    what: Architecture
    preparation: Preparation
    patch: Patch
    sky: dict  # settings of the sky it was trained on
    facts: dict  # number of parameters, settings of the training


def write_model(path: str, model: Model) -> None:
    """One file of torch's, readable without running code in it."""
    preparation = {
        name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
        for name, value in model.preparation._asdict().items()
    }
    torch.save(
        {
            "format": FORMAT, "what": model.what._asdict(), "patch": list(model.patch), "sky": model.sky,
            "facts": model.facts,
            "preparation": preparation, "network": {k: v.cpu() for k, v in model.network.state_dict().items()},
        },
        path,
    )  # fmt: skip


def read_model(path: str, device: str = "cpu") -> Model:
    """What `write_model` wrote, ready to be applied."""
    saved = torch.load(path, weights_only=True, map_location="cpu")
    if saved.get("format") != FORMAT:
        raise ValueError(f"{path} is a model of format {saved.get('format')}; this version reads format {FORMAT}")
    what = Architecture(**saved["what"])
    network = build_generator(what, seed=0)
    network.load_state_dict(saved["network"])
    preparation = {k: v.numpy() if isinstance(v, torch.Tensor) else v for k, v in saved["preparation"].items()}
    patch = Patch(int(saved["patch"][0]), int(saved["patch"][1]), saved["patch"][2])
    return Model(network.to(device), what, Preparation(**preparation), patch, saved["sky"], saved["facts"])


def pick_device(devices: str | list[int]) -> str:
    """The device of a single process for `devices`: "auto", "cpu" or GPU numbers."""
    if devices == "cpu" or not torch.cuda.is_available():
        if isinstance(devices, list):
            raise ValueError(f"cmb: devices is {devices}, but torch sees no GPU here; say auto or cpu")
        return "cpu"
    return "cuda" if devices == "auto" else f"cuda:{devices[0]}"


def apply_model(model: Model, inputs: np.ndarray, *, device: str, precision: str) -> np.ndarray:
    """`apply_network` at the precision that the hardware is best at."""
    return apply_network(model.network, inputs, device=device, dtype=pick_precision(precision, device))
