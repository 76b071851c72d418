"""Time the training of masked networks with and without masking, by torch's own transformer, and what reading costs."""

import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from armillary.cutouts import Cutouts
from armillary.files import write_json
from armillary.files_cutouts import open_cutouts, write_cutouts
from armillary.metrics import measurement
from armillary.mim_batches import Scale, make_batch
from armillary.mim_losses import masked_loss
from armillary.mim_networks import build_network
from armillary.networks.masked_vit import SIZES, Architecture, draw_hidden
from armillary.step import announce, run

BANDS, IMAGE_PX, PATCH_PX = ["g", "r", "i", "z", "y"], 32, 4
SETTINGS = {"patch_px": PATCH_PX, "kind": "mse", "softening": 0.3, "normalize_patches": False}


def compare_masked_training(
    benchmark: str, *, n_steps: int, batch_size: int, n_pairs: int, seed: int, threads: int
) -> None:
    """Images a second of CPU of one thread; the ways take turns, and a pair is a turn of each."""
    torch.set_num_threads(threads)
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder, _file(Path(folder, "cutouts.h5"), 4 * batch_size, rng) as file:
        scale = Scale(BANDS, [1.0] * len(BANDS), 27.0, IMAGE_PX)
        batch = make_batch(file.read(0, batch_size, with_columns=False), scale)
        encoders = {"mae": None, "no_masking": None, "plain_torch": _torch_encoder()} | _timm_encoder()
        ways = {name: _way(name, encoder, batch, seed) for name, encoder in encoders.items()}
        ways["mae_reading"] = _with_reading(ways["mae"], file, scale, batch_size)
        times = {name: [] for name in ways}
        for way in ways.values():
            way(0)
        for pair in range(n_pairs):
            for name, way in ways.items():
                times[name].append(_seconds(way, n_steps))
            announce(
                f"pair {pair + 1}/{n_pairs}: " + ", ".join(f"{n} {batch_size / t[-1]:.0f}/s" for n, t in times.items())
            )
    write_json(benchmark, _entries(times, batch_size))


def _file(path: Path, n_rows: int, rng: np.random.Generator):
    """A file of noise of the form that training reads."""
    images = rng.standard_normal((n_rows, len(BANDS), IMAGE_PX, IMAGE_PX), np.float32)
    facts = {"bands": BANDS, "zero_point": 27.0, "pixel_arcsec": 0.168}
    write_cutouts(
        str(path), Cutouts(images, np.ones_like(images), np.zeros(images.shape, np.uint8), {}, facts), "float16"
    )
    return open_cutouts(str(path))


def _torch_encoder() -> nn.Module:
    """The same blocks as torch has them."""
    width, depth, n_heads = SIZES["demo"]
    layer = nn.TransformerEncoderLayer(width, n_heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
    return nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)


def _timm_encoder() -> dict[str, nn.Module]:
    """The same blocks as timm has them, if it can be used: it needs a torchvision that fits the torch that is there."""
    try:
        from timm.models.vision_transformer import Block
    except (ImportError, RuntimeError) as error:
        announce(f"without timm, which is optional here: {str(error).splitlines()[0]}")
        return {}
    width, depth, n_heads = SIZES["demo"]
    return {"plain_timm": nn.Sequential(*[Block(width, n_heads, 4.0, qkv_bias=True) for _ in range(depth)])}


def _way(name: str, encoder: nn.Module | None, batch, seed: int):
    """One training step, forward, backward and optimiser, as a function of a number; `encoder` in place of our own."""
    what = Architecture("mae", "demo", len(BANDS), IMAGE_PX, PATCH_PX, 64, 1, False, False)
    # without masking every patch is encoded, and a linear layer predicts
    network = build_network(what if name == "mae" else what._replace(objective="simmim"), seed)
    if encoder is not None:
        network.blocks = nn.ModuleList([encoder])
    optimiser = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], 1e-3)

    def step(number: int, given=None) -> None:
        images = batch if given is None else given
        rng = np.random.default_rng([seed, number])
        hidden = draw_hidden(what, len(images.images), mask_ratio=0.75, band_drop=0.0, rng=rng)
        predicted = network(images.images, images.unusable, hidden)
        loss = masked_loss(predicted, images.images, images.variance, images.unusable, hidden, **SETTINGS)
        optimiser.zero_grad(set_to_none=True)
        loss.value.backward()
        optimiser.step()

    return step


def _with_reading(step, file, scale: Scale, batch_size: int):
    """The same step on cutouts that are read from the file and prepared each time."""
    n_blocks = len(file) // batch_size

    def read_and_step(number: int) -> None:
        first = number % n_blocks * batch_size
        step(number, make_batch(file.read(first, first + batch_size, with_columns=False), scale))

    return read_and_step


def _seconds(way, n_steps: int) -> float:
    started = time.process_time()
    for number in range(n_steps):
        way(number)
    return (time.process_time() - started) / n_steps


def _entries(times: dict[str, list[float]], batch_size: int) -> dict:
    words = {
        "mae": "masked autoencoder, 75 % of the patches hidden",
        "mae_reading": "the same with reading and preparing",
        "no_masking": "all patches encoded, linear decoder",
        "plain_torch": "the same with torch.nn.TransformerEncoder",
        "plain_timm": "the same with the blocks of timm",
    }
    entries = {}
    for name, seconds in times.items():
        low, middle, high = np.percentile(batch_size / np.array(seconds), [16, 50, 84])
        baseline = None if name == "mae" else "mim_mae_images_a_second"
        note = f"{words[name]}; 32 px, patches of 4 px, width 128, depth 4, CPU of one thread"
        entries[f"mim_{name}_images_a_second"] = measurement(
            middle, low, high, len(seconds), "images/s", baseline, note
        )
    for name in [name for name in times if name != "mae"]:
        ratio = np.array(times[name]) / np.array(times["mae"]) - (name == "mae_reading")
        low, middle, high = np.percentile(ratio, [16, 50, 84])
        key, unit = ("reading_share", "of a step") if name == "mae_reading" else (f"{name}_over_mae_time", "ratio")
        entries[f"mim_{key}"] = measurement(middle, low, high, len(ratio), unit, "mim_mae_images_a_second")
    return entries


if __name__ == "__main__":
    run(compare_masked_training, snakemake)
