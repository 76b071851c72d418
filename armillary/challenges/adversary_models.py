"""Generators that learn from a critic, and the autoencoder they are held against; all between latents and components.

The critic sees what a telescope would: generated objects get the noise of real ones before they are judged. Bounded
slopes of the critic (Gouk et al. 2021), two rates (Heusel et al. 2017), the spread within a batch as a feature (Karras
et al. 2018) and a running mean of the generator keep the game stable; of its snapshots, the one nearest to validation
data is kept.
"""

import copy
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from armillary.challenges.loop import build
from armillary.precision import rate_at

CODE_SPREAD = 3**0.5  # a code is uniform between its plus and minus: spread 1, as noise has
SLOPE = 4.0  # largest of a layer of the critic
MEAN_STEPS = 100  # of the generator's running mean
N_SNAPSHOTS = 8


class Latents(NamedTuple):
    """What a generator is given, in this order: wishes or codes, kinds (one of n is 1), noise."""

    n_codes: int
    n_kinds: int
    n_noise: int
    asked: bool = False  # codes and kinds are wishes, taken from data

    @property
    def size(self) -> int:
        """Numbers in all."""
        return self.n_codes + self.n_kinds + self.n_noise

    def draw(self, n: int, wishes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(n, size); `wishes` (n, n_codes + n_kinds) are used if it is them that are asked for."""
        codes = rng.uniform(-CODE_SPREAD, CODE_SPREAD, (n, self.n_codes))
        kinds = np.eye(self.n_kinds)[rng.integers(self.n_kinds, size=n)] if self.n_kinds else np.zeros((n, 0))
        given = wishes if self.asked else np.column_stack([codes, kinds])
        return np.column_stack([given, rng.normal(size=(n, self.n_noise))]).astype(np.float32)


class Generator(nn.Module):
    """Latents (B, size) to weights of components (B, K)."""

    def __init__(self, n_latents: int, n_weights: int, n_hidden: int):
        super().__init__()
        self.first = nn.Linear(n_latents, n_hidden)
        self.second = nn.Linear(n_hidden, n_hidden)
        self.last = nn.Linear(n_hidden, n_weights)

    def hidden(self, latents: Tensor) -> Tensor:
        """Features of the first layer (B, n_hidden)."""
        return F.silu(self.first(latents))

    def forward(self, latents: Tensor) -> Tensor:
        return self.last(F.silu(self.second(self.hidden(latents))))


class Critic(nn.Module):
    """Weights of components, and wishes if there are any, to a score: large for what looks real."""

    def __init__(self, n_weights: int, n_wishes: int, n_hidden: int):
        super().__init__()
        sizes = (n_weights + n_wishes, n_hidden, n_hidden)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes[:-1], sizes[1:], strict=True))
        self.last = nn.Linear(n_hidden + 1, 1)
        self.tops = [F.normalize(torch.ones(b), dim=0) for b in (*sizes[1:], 1)]

    def forward(self, weights: Tensor, wishes: Tensor, n_parts: int) -> Tensor:
        """Scores (n_parts, B / n_parts) of a batch of as many parts; how much a part varies is a feature of it."""
        hidden = torch.cat([weights, wishes], 1)
        for layer in self.layers:
            hidden = F.leaky_relu(layer(hidden), 0.2)
        parts = hidden.unflatten(0, (n_parts, -1))
        alike = parts.std(1).mean(1)[:, None, None].expand(-1, parts.shape[1], 1)
        return self.last(torch.cat([parts, alike], 2))[..., 0]

    @torch.no_grad()
    def bound(self) -> None:
        """Shrink each layer whose largest singular value is above SLOPE, by one step of power iteration a call."""
        for number, layer in enumerate([*self.layers, self.last]):
            right = F.normalize(self.tops[number] @ layer.weight, dim=0)
            left = layer.weight @ right
            size = left.norm()
            self.tops[number] = left / size
            layer.weight.mul_((SLOPE / size).clamp(max=1.0))


class Autoencoder(nn.Module):
    """Weights of components to a Gaussian of latents, and back through a generator."""

    def __init__(self, n_latents: int, n_weights: int, n_hidden: int):
        super().__init__()
        self.encoder = reader(n_weights, 2 * n_latents, n_hidden)
        self.generator = Generator(n_latents, n_weights, n_hidden)

    def encode(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and ln variance (B, n_latents)."""
        mean, ln_variance = self.encoder(weights).chunk(2, 1)
        return mean, ln_variance.clamp(-12, 4)


def reader(n_inputs: int, n_outputs: int, n_hidden: int) -> nn.Module:
    """A dense network of two hidden layers."""
    return nn.Sequential(
        nn.Linear(n_inputs, n_hidden), nn.SiLU(), nn.Linear(n_hidden, n_hidden), nn.SiLU(),
        nn.Linear(n_hidden, n_outputs),
    )  # fmt: skip


class Game(NamedTuple):
    """How adversaries are trained; `information` weighs how well codes can be read (0: nobody reads them)."""

    latents: Latents
    n_hidden: int
    n_steps: int
    batch_size: int
    learning_rate: float
    information: float


def play(
    game: Game, real: Tensor, wishes: Tensor, see: Callable[[Tensor, np.ndarray, np.random.Generator], Tensor],
    distance: Callable[[Generator], float], seed: int,
) -> tuple[Generator, np.ndarray]:  # fmt: skip
    """The generator, and a history (n_snapshots, 4): step, losses of critic and generator, distance to validation.

    `real` (n, K) are weights of training objects as seen, `wishes` (n, w) their factors; `see(weights, rows, rng)`
    gives generated weights the noise of those objects.
    """
    layout, n_wishes = game.latents, wishes.shape[1] if game.latents.asked else 0
    generator = build(lambda: Generator(layout.size, real.shape[1], game.n_hidden), seed)
    critic = build(lambda: Critic(real.shape[1], n_wishes, game.n_hidden), seed + 1)
    kept, makers = copy.deepcopy(generator).requires_grad_(False), [*generator.parameters()]
    if game.information:
        codes = build(lambda: reader(real.shape[1], layout.n_codes + layout.n_kinds, 128), seed + 2)
        makers += codes.parameters()
    optimisers = [
        torch.optim.Adam(part, game.learning_rate * factor, betas=(0.5, 0.9), fused=True)
        for part, factor in ((critic.parameters(), 2), (makers, 1))
    ]
    schedules = [torch.optim.lr_scheduler.LambdaLR(one, lambda step: rate_at(step, game.n_steps)) for one in optimisers]
    rng = np.random.default_rng([seed, 131])
    every = max(game.n_steps // N_SNAPSHOTS, 1)
    history, losses, best = [], [], None

    def made():
        rows = rng.integers(len(real), size=game.batch_size)
        latents = torch.from_numpy(layout.draw(game.batch_size, wishes[rows].numpy(), rng))
        return latents, wishes[rows, :n_wishes], see(generator(latents), rows, rng)

    for step in range(1, game.n_steps + 1):
        rows = rng.integers(len(real), size=game.batch_size)
        with torch.no_grad():
            _, asked, fake = made()
        seen, known = [fake, real[rows]], [asked, wishes[rows, :n_wishes]]
        if n_wishes:  # real objects that are not what is asked for are no better than made ones (Reed et al. 2016)
            seen, known = [real[rows], *seen], [asked, *known]
        scores = critic(torch.cat(seen), torch.cat(known), len(seen))
        loss = F.softplus(-scores[-1]).mean() + F.softplus(scores[:-1]).mean(1).sum()
        _step(optimisers[0], loss)
        critic.bound()
        latents, asked, fake = made()
        cheating = F.softplus(-critic(fake, asked, 1)).mean()
        told = unread(codes(fake), latents, layout) if game.information else 0.0
        _step(optimisers[1], cheating + game.information * told)
        for schedule in schedules:
            schedule.step()
        with torch.no_grad():
            torch._foreach_lerp_(list(kept.parameters()), list(generator.parameters()), 1 / min(step, MEAN_STEPS))
        losses.append((float(loss.detach()), float(cheating.detach())))
        if step % every == 0 or step == game.n_steps:
            away = distance(kept)
            history.append((step, *np.mean(losses, 0), away))
            losses = []
            if best is None or away < best[0]:
                best = away, copy.deepcopy(kept)
    return best[1], np.array(history)


def unread(guess: Tensor, latents: Tensor, layout: Latents) -> Tensor:
    """How badly codes and kinds are read off what was made: the bound of Chen et al. (2016), but for a constant."""
    n = layout.n_codes
    loss = F.mse_loss(guess[:, :n], latents[:, :n])
    if layout.n_kinds:
        loss = loss + F.cross_entropy(guess[:, n:], latents[:, n : n + layout.n_kinds].argmax(1))
    return loss


def _step(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
