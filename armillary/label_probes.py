"""Probes that are networks themselves: attention over frozen tokens, the encoder fine-tuned, and a convolutional one.

The convolutional network is never pre-trained: it sees labelled objects alone, for as long as its settings say. Each
chooses its learning rate on labelled objects that are held back, with the budget that every other probe has.
Layer-wise decay of learning rates: Clark et al. (2020, ICLR).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from armillary.files_cutouts import CutoutFile
from armillary.mim_batches import Batch, make_batch
from armillary.mim_networks import Model, build_network
from armillary.networks.masked_vit import SIZES, AttentionPool, MaskedViT
from armillary.probes import N_SETTINGS, Budget, error_of, folds, tried

METHODS = ("attentive", "finetuned", "cnn")
RATES = np.logspace(-4, -2, N_SETTINGS)
LAYER_DECAY, WEIGHT_DECAY, WARMUP_SHARE = 0.7, 0.05, 0.1
ROWS_AT_ONCE = 64


class Training(NamedTuple):
    """How long a probe is trained, and on how many objects a step."""

    n_steps: int
    batch_size: int


class AttentiveProbe(nn.Module):
    """One query attends to frozen tokens (B, P, width), a linear layer reads what it finds."""

    def __init__(self, width: int, n_heads: int, n_out: int):
        super().__init__()
        self.pool, self.head = AttentionPool(width, n_heads), nn.Linear(width, n_out)
        nn.init.normal_(self.pool.query, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.pool(tokens))


class SmallConvolutions(nn.Module):
    """Five convolutions, the mean and the maximum over what they find, and a linear layer: Batch -> (B, n_out).

    A pixel without a value is 0, and a plane of ones and zeros beside each band says which pixels these are.
    """

    def __init__(self, n_bands: int, n_out: int):
        super().__init__()
        widths, kernels, strides = (2 * n_bands, 24, 32, 48, 48, 64), (5, 3, 3, 3, 3), (2, 1, 2, 1, 2)
        layers = []
        for k, (kernel, stride) in enumerate(zip(kernels, strides, strict=True)):
            layers += [nn.Conv2d(widths[k], widths[k + 1], kernel, stride, kernel // 2, bias=False)]
            layers += [nn.BatchNorm2d(widths[k + 1]), nn.ReLU()]
        self.body, self.head = nn.Sequential(*layers), nn.Linear(2 * widths[-1], n_out)

    def forward(self, batch: Batch) -> Tensor:
        known = ~batch.unusable
        found = self.body(torch.cat([torch.where(known, batch.images, 0), known.to(batch.images.dtype)], 1))
        return self.head(torch.cat([found.mean((2, 3)), found.amax((2, 3))], 1))


class WholeNetwork(nn.Module):
    """An encoder, the mean of its tokens, and a linear layer: Batch -> (B, n_out)."""

    def __init__(self, encoder: MaskedViT, n_out: int):
        super().__init__()
        self.encoder, self.norm, self.head = encoder, nn.LayerNorm(encoder.width), nn.Linear(encoder.width, n_out)

    def forward(self, batch: Batch) -> Tensor:
        tokens = self.encoder.features(batch.images, batch.unusable, batch.sky)
        return self.head(self.norm(tokens.mean(1)))


def read_objects(file: CutoutFile, model: Model, rows: np.ndarray) -> Batch:
    """The cutouts of some rows (ascending), as the network sees them."""
    parts = []
    for first in range(0, len(file), 16 * ROWS_AT_ONCE):
        wanted = rows[(rows >= first) & (rows < first + 16 * ROWS_AT_ONCE)]
        if len(wanted):
            block = file.read(first, min(first + 16 * ROWS_AT_ONCE, len(file)))
            parts.append(make_batch(block.rows(wanted - first), model.scale, with_sky=model.what.sky_token))
    return Batch(*(None if part[0] is None else torch.cat(part) for part in zip(*parts, strict=True)))


def frozen_tokens(model: Model, objects: Batch, device: str) -> Tensor:
    """All tokens (N, P, width) of the trained encoder, each feature standardised."""
    network, parts = model.network.to(device), _in_parts(objects.to(device), len(objects.images))
    with torch.inference_mode():
        tokens = torch.cat([network.features(part.images, part.unusable, part.sky) for part in parts])
    return (tokens - tokens.mean((0, 1))) / (tokens.std((0, 1)) + 1e-6)


def predict_by_training(
    method: str, model: Model, shown: Batch | Tensor, labels: np.ndarray, labelled: np.ndarray, held_out: np.ndarray, *,
    kind: str, training: Training, budget: Budget, seed: int, device: str,
) -> np.ndarray:  # fmt: skip
    """Answers for the rows `held_out` of a probe trained on the rows `labelled` of what is `shown`.

    `shown` are objects, for `attentive` their frozen tokens; `labels` are classes counted from 0, or values. The answer
    is a class, the probability of class 1, or a value, as `kind` (classes, score, value) says.
    """
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; known: {', '.join(METHODS)} (config key `mim: infer_label_probes`)")
    shown = shown.to(device)
    rates, errors = tried(RATES, budget), []
    for rate in rates:
        error = 0.0
        for judges in folds(len(labelled), budget, seed):
            told = _trained(method, model, shown, labels, labelled[~judges], kind, training, rate, seed)
            error += error_of(told(labelled[judges]), labels[labelled[judges]], kind)
        errors.append(error if np.isfinite(error) else np.inf)
    best = rates[int(np.argmin(errors))]
    return _trained(method, model, shown, labels, labelled, kind, training, best, seed)(held_out)


def _trained(
    method: str, model: Model, shown, labels: np.ndarray, rows: np.ndarray, kind: str, training: Training,
    rate: float, seed: int,
) -> Callable[[np.ndarray], np.ndarray]:  # fmt: skip
    """A probe trained on `rows`, as a function of the rows that it is asked about."""
    is_value = kind == "value"
    centre, width = (labels[rows].mean(), labels[rows].std() + 1e-9) if is_value else (0.0, 1.0)
    target = torch.from_numpy((labels - centre) / width).float() if is_value else torch.from_numpy(labels).long()
    n_out = 1 if is_value else int(labels[rows].max()) + 1
    device = _device(shown)
    network = _fresh(method, model, n_out, seed).to(device)
    groups = _groups(network, rate, LAYER_DECAY if method == "finetuned" else 1.0)
    optimiser = torch.optim.AdamW(groups, weight_decay=WEIGHT_DECAY, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate_at(step, training.n_steps))
    rng = np.random.default_rng([seed, 31])
    network.train()
    for chosen in _steps(rows, training, rng):
        batch = _picked(shown, chosen)
        if isinstance(batch, Batch):
            batch = batch.turned(int(rng.integers(4)), bool(rng.integers(2)))
        answer, wanted = network(batch), target[torch.from_numpy(chosen)].to(device)
        loss = F.mse_loss(answer[:, 0], wanted) if is_value else F.cross_entropy(answer, wanted)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    network.eval()

    def told(asked: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            parts = [network(part) for part in _in_parts(_picked(shown, asked), len(asked))]
        answer = torch.cat(parts).cpu()
        if is_value:
            return answer[:, 0].double().numpy() * width + centre
        return answer.softmax(1)[:, 1].double().numpy() if kind == "score" else answer.argmax(1).numpy()

    return told


def _fresh(method: str, model: Model, n_out: int, seed: int) -> nn.Module:
    """A probe before training; the generator of torch is forked, not touched."""
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        if method == "attentive":
            width, _, n_heads = SIZES[model.what.size]
            return AttentiveProbe(width, n_heads, n_out)
        if method == "cnn":
            return SmallConvolutions(model.what.n_bands, n_out)
        encoder = build_network(model.what, seed)
        encoder.load_state_dict(model.network.state_dict())
        encoder.decoder = nn.Identity()  # what predicts pixels is not needed
        return WholeNetwork(encoder, n_out)


def _groups(network: nn.Module, rate: float, decay: float) -> list[dict]:
    """Parameters with their learning rates: the farther a block of the encoder is from the head, the slower."""
    if not isinstance(network, WholeNetwork):
        return [{"params": list(network.parameters()), "lr": rate}]
    blocks = network.encoder.blocks
    groups = [{"params": [*network.norm.parameters(), *network.head.parameters()], "lr": rate}]
    for number, block in enumerate(blocks):
        groups.append({"params": list(block.parameters()), "lr": rate * decay ** (len(blocks) - number)})
    held = {id(p) for group in groups for p in group["params"]}
    rest = [p for p in network.parameters() if id(p) not in held and p.requires_grad]
    return [*groups, {"params": rest, "lr": rate * decay ** (len(blocks) + 1)}]


def _rate_at(step: int, n_steps: int) -> float:
    n_warmup = max(round(WARMUP_SHARE * n_steps), 1)
    if step < n_warmup:
        return (step + 1) / n_warmup
    return 0.5 * (1 + np.cos(np.pi * (step - n_warmup) / max(n_steps - n_warmup, 1)))


def _steps(rows: np.ndarray, training: Training, rng: np.random.Generator):
    """The rows of each step: epochs in random order, one after the other."""
    n_wanted = training.n_steps * training.batch_size
    order = np.concatenate([rng.permutation(rows) for _ in range(-(-n_wanted // len(rows)))])[:n_wanted]
    return order.reshape(training.n_steps, training.batch_size)


def _picked(shown: Batch | Tensor, rows: np.ndarray) -> Batch | Tensor:
    which = torch.from_numpy(np.asarray(rows)).to(_device(shown))
    if isinstance(shown, Batch):
        return Batch(*(None if part is None else part[which] for part in shown))
    return shown[which]


def _device(shown: Batch | Tensor) -> torch.device:
    return (shown.images if isinstance(shown, Batch) else shown).device


def _in_parts(shown: Batch | Tensor, n_rows: int):
    """What is shown, ROWS_AT_ONCE after the other."""
    for first in range(0, n_rows, ROWS_AT_ONCE):
        yield _picked(shown, np.arange(first, min(first + ROWS_AT_ONCE, n_rows)))
