"""Reading the latent space of a generator: factors told from what was made, probes, directions, and the way back."""

from typing import NamedTuple

import numpy as np
import torch
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from torch import Tensor, nn
from torch.func import jacrev, vmap
from torch.nn import functional as F

from armillary.challenges.adversary_models import Generator, Latents, reader, unread
from armillary.challenges.loop import Training, applied, build, fit
from armillary.challenges.scores import r_squared

N_KERNEL = 1500  # training objects of the second estimator
N_REFINE = 150
REFINE_RATE = 0.05
N_JACOBIANS = 200


class Estimators(NamedTuple):
    """Two ways to tell factors (scaled) and kinds from weights: a network and, for factors alone, kernel ridge."""

    network: nn.Module
    kernel: KernelRidge
    n_factors: int

    def factors(self, weights: np.ndarray) -> np.ndarray:
        """(n, F) by the network."""
        return applied(self.network, torch.from_numpy(weights))[:, : self.n_factors]

    def kinds(self, weights: np.ndarray) -> np.ndarray:
        """(n,) the likeliest kind; 0 where there is but one."""
        scores = applied(self.network, torch.from_numpy(weights))[:, self.n_factors :]
        return scores.argmax(1) if scores.shape[1] else np.zeros(len(weights), int)


def train_estimators(weights, factors, kind, n_kinds: int, rows, held, training: Training, seed: int) -> Estimators:
    """Learned from real objects alone: `weights` (n, K) as seen, scaled `factors` (n, F), rows to learn from and to
    stop by; the width of the kernel is the one that does best on the latter."""
    n_factors = factors.shape[1]
    network = build(lambda: reader(weights.shape[1], n_factors + n_kinds, 128), seed + 10)
    x, y, label = torch.from_numpy(weights), torch.from_numpy(factors), torch.from_numpy(kind.astype(np.int64))

    def loss(index):
        guess = network(x[index])
        found = F.mse_loss(guess[:, :n_factors], y[index])
        return found + 0.3 * F.cross_entropy(guess[:, n_factors:], label[index]) if n_kinds else found

    fit(network, lambda index, rng: loss(rows[index]), len(rows), lambda: loss(held), training, seed)
    part = rows[:N_KERNEL]
    kernels = [
        KernelRidge(kernel="rbf", gamma=gamma / weights.shape[1], alpha=0.03).fit(weights[part], factors[part])
        for gamma in (0.03, 0.1, 0.3)
    ]
    return Estimators(
        network, max(kernels, key=lambda one: r_squared(factors[held], one.predict(weights[held]))), n_factors
    )


def probes(latents: np.ndarray, factors: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Factors (n, F) as a linear and a boosted probe tell them from latents of the other half, and as a linear one does
    that was shown shuffled factors; `importance` (L, F) of the latents to a forest."""
    folds = KFold(2, shuffle=True, random_state=seed)
    shuffled = np.random.default_rng([seed, 137]).permutation(factors)
    linear = RidgeCV(np.geomspace(0.1, 1e4, 11))
    boosted = HistGradientBoostingRegressor(max_iter=30, learning_rate=0.2, max_leaf_nodes=15, random_state=seed)
    forest = ExtraTreesRegressor(40, min_samples_leaf=5, random_state=seed)
    return {
        "linear": cross_val_predict(linear, latents, factors, cv=folds),
        "boosted": np.column_stack([cross_val_predict(boosted, latents, one, cv=folds) for one in factors.T]),
        "shuffled": cross_val_predict(linear, latents, shuffled, cv=folds), "shuffled_factors": shuffled,
        "importance": np.column_stack([forest.fit(latents, one).feature_importances_ for one in factors.T]),
    }  # fmt: skip


def directions(generator: Generator, latents: np.ndarray, spread: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Rotations (L, L) of the latents, a direction a column, the strongest first.

    `factorised`: of the first layer's weights (SeFa, Shen & Zhou 2021); `features`: principal components of its
    features (GANSpace, Harkonen et al. 2020); `jacobian`: of what changes objects most, on average; `random`.
    `spread` (K,) scales weights to the units in which a change is measured.
    """
    z = torch.from_numpy(latents)
    with torch.no_grad():
        hidden = generator.hidden(z).numpy()
        factorised = np.linalg.svd(generator.first.weight.numpy(), full_matrices=False)[2].T
    hidden = hidden - hidden.mean(0)
    scores = hidden @ np.linalg.svd(hidden, full_matrices=False)[2][: latents.shape[1]].T
    features = np.linalg.lstsq(latents, scores, rcond=None)[0]
    features /= np.linalg.norm(features, axis=0)
    slopes = vmap(jacrev(lambda one: generator(one[None])[0]))(z[:N_JACOBIANS]).detach().numpy() * spread[:, None]
    jacobian = np.linalg.eigh(np.einsum("nkl,nkm->lm", slopes, slopes))[1][:, ::-1]
    turned = np.linalg.qr(np.random.default_rng([seed, 139]).normal(size=factorised.shape))[0]
    return {"factorised": factorised, "features": features, "jacobian": jacobian, "random": turned}


def train_encoder(generator: Generator, layout: Latents, draw, see, seed: int, n_steps: int) -> nn.Module:
    """Weights as seen to latents, learned from what the generator makes; `draw(n, rng)` gives latents and rows whose
    noise `see` is to use."""
    encoder = build(lambda: reader(generator.last.out_features, layout.size, 128), seed + 20)
    optimiser = torch.optim.Adam(encoder.parameters(), 2e-3, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / n_steps)
    rng = np.random.default_rng([seed, 141])
    for _ in range(n_steps):
        latents, rows = draw(128, rng)
        with torch.no_grad():
            seen = see(generator(latents), rows, rng)
        guess = encoder(seen)
        start = layout.n_codes + layout.n_kinds
        loss = unread(guess[:, :start], latents[:, :start], layout) if start else 0.0
        loss = loss + F.mse_loss(guess[:, start:], latents[:, start:]) if layout.n_noise else loss
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
    return encoder


def encoded(encoder: nn.Module, layout: Latents, weights: np.ndarray) -> np.ndarray:
    """Latents (n, L) by the encoder, the likeliest kind being 1."""
    guess = applied(encoder, torch.from_numpy(weights))
    kinds = slice(layout.n_codes, layout.n_codes + layout.n_kinds)
    if layout.n_kinds:
        guess[:, kinds] = np.eye(layout.n_kinds)[guess[:, kinds].argmax(1)]
    return guess


def refined(
    generator: Generator, layout: Latents, start: np.ndarray, x: Tensor, sigma: Tensor, parts: tuple[Tensor, ...]
) -> np.ndarray:
    """Latents that fit each object best from `start` (n, L): chi2 and a unit Gaussian, 150 steps of Adam.

    `parts` are mean, basis and spread of the components; kinds stay as they are.
    """
    mean, basis, spread = parts
    latents = torch.from_numpy(start.copy()).requires_grad_()
    free = torch.ones(layout.size)
    free[layout.n_codes : layout.n_codes + layout.n_kinds] = 0
    ivar = torch.where(sigma > 0, 1 / sigma.clamp(min=1e-12) ** 2, 0)
    optimiser = torch.optim.Adam([latents], REFINE_RATE)
    for _ in range(N_REFINE):
        model = mean + (generator(latents) * spread) @ basis
        loss = 0.5 * (ivar * (x - model) ** 2).sum() + 0.5 * (free * latents**2).sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        latents.grad *= free
        optimiser.step()
    return latents.detach().numpy()
