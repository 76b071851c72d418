"""The training loop of the challenges: minutes at most, so it keeps no state between runs.

A run is a function of its settings and seed: order and augmentation come from generators seeded by (seed, epoch).
"""

import copy
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from armillary.precision import rate_at

Loss = Callable[[Tensor, np.random.Generator], Tensor]


class Training(NamedTuple):
    """How a small network is trained; the words are those of the config."""

    n_epochs: int
    batch_size: int
    learning_rate: float


def build(maker: Callable[[], nn.Module], seed: int) -> nn.Module:
    """A freshly initialised network; torch's own generator is forked, not touched."""
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(seed)
        return maker()


def fit(
    network: nn.Module, loss: Loss, n_train: int, validation: Callable[[], Tensor], training: Training, seed: int
) -> np.ndarray:
    """Train in place to the best epoch by `validation()`; the loss of each epoch on both, (n_epochs, 2).

    `loss(index, rng)` is that of the training objects `index`; AdamW, half a cosine.
    """
    n_steps = -(-n_train // training.batch_size) * training.n_epochs
    optimiser = torch.optim.AdamW(network.parameters(), training.learning_rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate_at(step, n_steps))
    history, best, best_loss = [], None, float("inf")
    for epoch in range(training.n_epochs):
        network.train()
        rng = np.random.default_rng([seed, epoch])
        losses = []
        for index in torch.from_numpy(rng.permutation(n_train)).split(training.batch_size):
            value = loss(index, rng)
            optimiser.zero_grad(set_to_none=True)
            value.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()
            schedule.step()
            losses.append(float(value.detach()))
        network.eval()
        with torch.inference_mode():
            held_out = float(validation())
        history.append((np.mean(losses), held_out))
        if held_out < best_loss or best is None:
            best, best_loss = copy.deepcopy(network.state_dict()), held_out
    network.load_state_dict(best)
    return np.array(history)


def applied(network: nn.Module, inputs: Tensor, batch_size: int = 256) -> np.ndarray:
    """The network's outputs for all inputs, in evaluation mode."""
    network.eval()
    with torch.inference_mode():
        return torch.cat([network(part) for part in inputs.split(batch_size)]).numpy()


def gaussian_loss(mean: Tensor, ln_variance: Tensor, target: Tensor, beta: float = 0.5) -> Tensor:
    """Negative log-likelihood weighted by variance^beta, so that hard objects count, too (Seitzer et al. 2022)."""
    ln_variance = ln_variance.clamp(-12, 8)
    each = 0.5 * (ln_variance + (target - mean) ** 2 * torch.exp(-ln_variance))
    return (each * torch.exp(beta * ln_variance).detach()).mean()
