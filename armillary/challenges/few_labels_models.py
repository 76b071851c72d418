"""Learning from few labels: some are set aside, a search among settings by their loss, and a last training with all.

Every arm of the challenge transfer is tuned by this one search, so that none is ahead for having been looked after.
"""

import copy
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from armillary.challenges.loop import applied
from armillary.networks.efficientnet import settle_norms
from armillary.step import announce

HELD_SHARE = 1 / 3  # of the labels, to choose by
BATCH_SIZE = 16
N_DOUBLINGS = 3  # of the number of steps, up to the most
WEIGHT_DECAY = 0.01  # hardly acts within so few steps, so it is not searched
WARM_STEPS = 16
MEAN_STEPS = 16
PRETRAINED_SHARE = 0.1  # of the rates, for what has learned already


class Task(NamedTuple):
    """What is learned: `x` (n, side, side) and `y` (n, ...) of labelled objects, in the order in which labels come."""

    x: Tensor
    y: Tensor
    loss: Callable[[Tensor, Tensor], Tensor]

    def part(self, rows: np.ndarray) -> "Task":
        """The task with some of its objects."""
        return self._replace(x=self.x[rows], y=self.y[rows])


class Choice(NamedTuple):
    """What a search came to: how badly it did on what was set aside, the rate, and the number of steps."""

    loss: float
    rate: float
    n_steps: int


def held_out(group: np.ndarray) -> np.ndarray:
    """Which of the objects (n,) are set aside: those of the last groups to come, whole, a third of all at least.

    Raises ValueError if all are of one group.
    """
    names, first, place, sizes = np.unique(group, return_index=True, return_inverse=True, return_counts=True)
    if len(names) < 2:
        raise ValueError(f"{len(group)} labels of one simulation cannot be split (challenges: transfer: sizes)")
    late = np.argsort(-first)
    enough = 1 + int(np.searchsorted(np.cumsum(sizes[late]), HELD_SHARE * len(group) - 1e-9))
    return np.isin(place, late[: min(enough, len(names) - 1)])


def search_penalty(fit: Callable, loss: Callable, penalties: np.ndarray, group: np.ndarray):
    """The penalty whose `fit(rows, penalty)` has the least `loss(model, rows)` on what is set aside, and the model of
    all labels with it."""
    aside = held_out(group)
    learned, held = np.flatnonzero(~aside), np.flatnonzero(aside)
    losses = [loss(fit(learned, penalty), held) for penalty in penalties]
    best = penalties[int(np.argmin(losses))]
    return best, fit(np.arange(len(group)), best)


class Runner:
    """A network in training at one rate; pretrained ones keep their batch norms, those of others are of the batch while
    they learn and of all labelled objects in use. What is used is the mean of its last steps, which does for any number
    of them what a falling rate does for one."""

    def __init__(self, network: nn.Module, task: Task, rate: float, pretrained: bool, seed: list[int]):
        self.network, self.task, self.rate, self.pretrained = network, task, rate, pretrained
        self.mean = copy.deepcopy(network).requires_grad_(False)
        self.optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=WEIGHT_DECAY, fused=True)
        self.warming = torch.optim.lr_scheduler.LinearLR(self.optimiser, 1 / WARM_STEPS, 1.0, WARM_STEPS)
        self.rng = np.random.default_rng(seed)
        self.n_steps = 0

    def train(self, n_steps: int) -> None:
        """Go on to `n_steps` in all, of at most 16 objects each, turned and mirrored."""
        self.network.train()
        for module in self.network.modules():
            if self.pretrained and isinstance(module, nn.BatchNorm2d):
                module.eval()
        n = len(self.task.x)
        for step in range(self.n_steps + 1, n_steps + 1):
            index = torch.from_numpy(self.rng.choice(n, min(BATCH_SIZE, n), replace=False))
            x, y = turned_still(self.task.x[index], self.task.y[index], self.rng)
            value = self.task.loss(self.network(x), y)
            self.optimiser.zero_grad(set_to_none=True)
            value.backward()
            nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
            self.optimiser.step()
            self.warming.step()
            torch._foreach_lerp_(
                list(self.mean.parameters()), list(self.network.parameters()), 1 / min(step, MEAN_STEPS)
            )
        self.n_steps = n_steps

    def apply(self, x: Tensor) -> Tensor:
        """Outputs for `x`."""
        if not self.pretrained:
            settle_norms(self.mean, self.task.x)
        return torch.from_numpy(applied(self.mean, x))


def turned_still(x: Tensor, y: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A batch turned and mirrored, and so its labels if they are images."""
    quarter, flip = int(rng.integers(4)), bool(rng.integers(2))

    def turn(one):
        one = torch.rot90(one, quarter, (1, 2))
        return one.flip(2) if flip else one

    return turn(x), turn(y) if y.ndim == 3 else y


def search_steps(
    make: Callable[[np.ndarray], nn.Module], task: Task, group: np.ndarray, rates: list[float], n_most: int,
    pretrained: bool, seed: int,
) -> Choice:  # fmt: skip
    """Rate and number of steps by the loss on what is set aside; none at all if training makes a pretrained one worse.

    `make(rows)` is the network before it is trained on the labels of `rows`. All rates run an eighth of the steps; the
    better half runs to a quarter, and so on; one that has become worse than it was stops early. Pretrained networks are
    searched at a tenth of the rates.
    """
    rates = [rate * PRETRAINED_SHARE for rate in rates] if pretrained else rates
    aside = held_out(group)
    rows = np.flatnonzero(~aside)
    learned, held = task.part(rows), task.part(np.flatnonzero(aside))
    runners = [Runner(make(rows), learned, rate, pretrained, [seed, k]) for k, rate in enumerate(rates)]
    least = Choice(float("inf"), rates[0], 0)
    if pretrained:
        least = Choice(float(task.loss(runners[0].apply(held.x), held.y)), rates[0], 0)
    best = dict.fromkeys(rates, least.loss)
    for doubling in range(N_DOUBLINGS, -1, -1):
        n_steps = max(n_most >> doubling, 1)
        found = []
        for runner in runners:
            runner.train(n_steps)
            value = float(task.loss(runner.apply(held.x), held.y).nan_to_num(nan=torch.inf))
            least = min(least, Choice(value, runner.rate, n_steps))
            found.append((value, runner))
        going = [one for one in found if one[0] <= best[one[1].rate] or doubling == N_DOUBLINGS]
        best |= {runner.rate: min(value, best[runner.rate]) for value, runner in found}
        runners = [runner for _, runner in sorted(going, key=lambda one: one[0])[: -(-len(runners) // 2)]]
    return least


def train_with_all(make, task: Task, group, rates: list[float], n_most: int, pretrained: bool, seed: int) -> Runner:
    """Search, then train on all labels at the rate and for the steps that were chosen."""
    choice = search_steps(make, task, group, rates, n_most, pretrained, seed)
    announce(f"{len(task.x)} labels: {choice.n_steps} steps at {choice.rate:g}, loss set aside {choice.loss:.3g}")
    runner = Runner(make(np.arange(len(task.x))), task, choice.rate, pretrained, [seed, len(rates)])
    runner.train(choice.n_steps)
    return runner
