"""A masked network as a file, and what it gives: embeddings, reconstructions, live probes."""

from typing import NamedTuple

import numpy as np
import torch

from armillary.files_cutouts import CutoutFile
from armillary.mim_batches import Scale, batches_in_order
from armillary.networks.masked_vit import Architecture, MaskedViT, draw_hidden, spread, unpatched

FORMAT = "armillary masked network 1"


class Model(NamedTuple):
    """A network with what it takes to use it; `facts` say how it was made."""

    network: MaskedViT
    what: Architecture
    scale: Scale
    facts: dict


def build_network(what: Architecture, seed: int) -> MaskedViT:
    """A freshly initialised network; the generator of torch is forked, not touched."""
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        return MaskedViT(what)


def n_parameters(network: torch.nn.Module) -> int:
    """Number of learned values."""
    return sum(p.numel() for p in network.parameters())


def write_model(path: str, model: Model) -> None:
    """Weights, architecture, scale and facts in one file, readable without running code."""
    weights = {name: value.detach().cpu() for name, value in model.network.state_dict().items()}
    parts = {"what": model.what._asdict(), "scale": model.scale._asdict(), "facts": model.facts, "weights": weights}
    torch.save({"format": FORMAT, **parts}, path)


def read_model(path: str, expected: dict | None = None) -> Model:
    """The model of a file; ValueError in one line if it is none, or was built otherwise than `expected` says.

    `expected` holds words of the architecture that must be equal, for example size and patch_px.
    """
    try:
        saved = torch.load(path, weights_only=True, map_location="cpu")
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} does not exist") from None
    except Exception as error:
        raise ValueError(f"{path} is not a whole checkpoint: {str(error).splitlines()[0]}") from error
    if not isinstance(saved, dict) or saved.get("format") != FORMAT:
        raise ValueError(f"{path} is not a masked network of this project")
    for name, value in (expected or {}).items():
        if saved["what"][name] != value:
            raise ValueError(
                f"{path} was built with {name} {saved['what'][name]!r}; the config says {value!r}: another network"
            )
    what = Architecture(**saved["what"])
    network = MaskedViT(what)
    try:
        network.load_state_dict(saved["weights"])
    except RuntimeError as error:
        raise ValueError(f"{path}: its weights do not fit its architecture: {str(error).splitlines()[0]}") from error
    return Model(network.eval(), what, Scale(**saved["scale"]), saved["facts"])


def embed(model: Model, file: CutoutFile, *, pooling: str, device: str, n_most: int | None = None) -> np.ndarray:
    """Embeddings (N, d) of the first `n_most` cutouts of a file."""
    return embed_pooled(model, file, poolings=[pooling], device=device, n_most=n_most)[0]


def embed_pooled(
    model: Model, file: CutoutFile, *, poolings: list[str], device: str, n_most: int | None = None, batch_size: int = 64
) -> list[np.ndarray]:
    """The same tokens, pooled in several ways: one array (N, d) a pooling."""
    network, out = model.network.to(device).eval(), [[] for _ in poolings]
    with torch.inference_mode():
        for batch in batches_in_order(file, model.scale, batch_size, n_most, model.what.sky_token):
            batch = batch.to(device)
            tokens = network.features(batch.images, batch.unusable, batch.sky)
            for pooling, parts in zip(poolings, out, strict=True):
                parts.append(network.pooled(tokens, pooling).float().cpu().numpy())
    return [np.concatenate(parts) for parts in out]


def reconstruct(model: Model, file: CutoutFile, n_images: int, mask_ratio: float, device: str) -> dict[str, np.ndarray]:
    """Compressed pixels (n, C, S, S) of the first cutouts: image, what was hidden, the prediction everywhere, noise.

    Nothing of the hidden truth enters the prediction: no patch's own mean or scatter is given back to it.
    """
    batch = next(iter(batches_in_order(file, model.scale, n_images, n_images, model.what.sky_token))).to(device)
    rng = np.random.default_rng(0)
    hidden = draw_hidden(model.what, len(batch.images), mask_ratio=mask_ratio, band_drop=0.0, rng=rng).to(device)
    network = model.network.to(device).eval()
    with torch.inference_mode():
        predicted = network(batch.images, batch.unusable, hidden, batch.sky)
    n_bands, patch_px = model.what.n_bands, model.what.patch_px
    shown = {
        "image": torch.where(batch.unusable, torch.nan, batch.images), "hidden": spread(hidden, patch_px),
        "prediction": unpatched(predicted.float(), n_bands, patch_px), "noise": batch.variance.sqrt(),
    }  # fmt: skip
    return {name: value.cpu().numpy() for name, value in shown.items()}
