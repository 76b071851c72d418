"""Generators of galaxy spectra and images, and what their latents know of the factors of what they make."""

import warnings
from typing import NamedTuple

import numpy as np
import torch
from sklearn.decomposition import FastICA
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import RidgeCV
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import KFold, cross_val_predict
from torch import Tensor, nn
from torch.func import jacrev, vmap
from torch.nn import functional as F

from armillary.challenges.adversary_models import Autoencoder, Game, Generator, Latents, play, reader
from armillary.challenges.components import Components, find_components, observe
from armillary.challenges.gan_latent import frechet_distance
from armillary.challenges.loop import Training, applied, build, fit
from armillary.challenges.spectra_models import told_apart

TRAIN, VALIDATION, TEST = 0, 1, 2
N_SHOWN = 8
N_NOISES = 8  # draws of the noise of each training object
STEPS_OF_TRAVERSAL = np.linspace(-1.6, 1.6, 7)
N_MIXTURES = (1, 4, 12)
N_JACOBIANS = 200


class Field(NamedTuple):
    """Spectra or galaxies: objects (n, d) as seen, weights of their components, scaled factors, kinds, splits; draws of
    the noise of training objects' weights (N_NOISES, n_train, K) and, if there are gaps, what is left of weights behind
    them (n_train, K, K)."""

    x: np.ndarray
    sigma: np.ndarray
    filler: np.ndarray
    components: Components
    weights: np.ndarray
    factors: np.ndarray
    kind: np.ndarray
    n_kinds: int
    split: dict[int, np.ndarray]
    noise: np.ndarray
    kept: np.ndarray | None

    def see(self, weights: Tensor, rows: np.ndarray, rng: np.random.Generator) -> Tensor:
        """Generated weights (B, K) with the noise and the gaps of the training objects `rows`."""
        if self.kept is not None:
            weights = (weights[:, None] @ torch.from_numpy(self.kept[rows]))[:, 0]
        return weights + torch.from_numpy(self.noise[rng.integers(N_NOISES), rows])

    @property
    def wishes(self) -> np.ndarray:
        """Scaled factors and, one of n being 1, kinds: (n, F + n_kinds)."""
        return np.column_stack([self.factors, np.eye(max(self.n_kinds, 1))[self.kind][:, : self.n_kinds]]).astype(
            np.float32
        )


class Made(NamedTuple):
    """A generator, or components with a mixture: latents (n_test, L) and the weights of what they make; the latents
    along directions found without factors, by name."""

    latents: np.ndarray
    weights: np.ndarray
    along: dict[str, np.ndarray]
    generate: Generator | None
    layout: Latents
    history: np.ndarray | None


class Estimator(NamedTuple):
    """A network that tells scaled factors and kinds from weights, learned from real objects alone."""

    network: nn.Module
    n_factors: int

    def factors(self, weights: np.ndarray) -> np.ndarray:
        """(n, F)."""
        return applied(self.network, torch.from_numpy(weights))[:, : self.n_factors]

    def kinds(self, weights: np.ndarray) -> np.ndarray:
        """(n,) the likeliest kind; 0 where there is but one."""
        scores = applied(self.network, torch.from_numpy(weights))[:, self.n_factors :]
        return scores.argmax(1) if scores.shape[1] else np.zeros(len(weights), int)


def train(variant: str, data: dict[str, np.ndarray], settings: dict, seed: int) -> dict[str, np.ndarray]:
    """What a method made, how it is told from held-out objects, and what its latents say of factors."""
    subject, _, method = variant.partition("_")
    field = prepare(subject, data, settings["n_latents"], seed)
    estimator = train_estimator(
        field, Training(settings["n_epochs"], settings["batch_size"], settings["learning_rate"]), seed
    )
    makers = {"pca": make_by_components, "vae": make_by_autoencoder}
    made = makers.get(method, make_by_game)(method, field, settings, seed)
    return judged(field, made, estimator, seed) | shown(field, made)


def prepare(subject: str, data, n_latents: int, seed: int) -> Field:
    """The field of one subject; factors are scaled by the training objects."""
    x, sigma = (data[f"{subject}_{name}"].astype(np.float32) for name in ("x", "sigma"))
    split = {k: np.flatnonzero(data[f"{subject}_split"] == k) for k in (TRAIN, VALIDATION, TEST)}
    rows = split[TRAIN]
    components = find_components(x[rows], sigma[rows], n_latents)
    y, kind = data[f"{subject}_y"], data[f"{subject}_label"]
    factors = ((y - y[rows].mean(0)) / y[rows].std(0)).astype(np.float32)
    known = sigma[rows] > 0
    filler = ((x[rows] * known).sum(0) / np.maximum(known.sum(0), 1)).astype(np.float32)
    n_kinds = int(kind.max()) + 1 if kind.any() else 0
    noise, kept = noise_of_weights(components, sigma[rows], filler, np.random.default_rng([seed, 133]))
    return Field(x, sigma, filler, components, components.weights(x), factors, kind, n_kinds, split, noise, kept)


def noise_of_weights(components: Components, sigma: np.ndarray, filler: np.ndarray, rng):
    """Draws (N_NOISES, n, K) of what noise and gaps add to weights, and (n, K, K) what gaps leave of them, if any."""
    known, shape = sigma > 0, (N_NOISES, len(sigma), len(components.spread))
    noise, kept = np.empty(shape, np.float32), None
    for one in noise:
        seen = np.where(known, sigma * rng.standard_normal(sigma.shape, np.float32), filler - components.mean)
        one[:] = seen @ components.basis.T / components.spread
    if not known.all():
        scaled = components.basis * components.spread[:, None]
        kept = np.stack([(scaled * one) @ components.basis.T / components.spread for one in known])
    return noise, kept


def train_estimator(field: Field, training: Training, seed: int) -> Estimator:
    """Learned from training objects, stopped by validation objects."""
    n_factors, rows, held = field.factors.shape[1], field.split[TRAIN], field.split[VALIDATION]
    network = build(lambda: reader(field.weights.shape[1], n_factors + field.n_kinds, 128), seed + 10)
    x, y, label = (torch.from_numpy(one) for one in (field.weights, field.factors, field.kind.astype(np.int64)))

    def loss(index):
        guess = network(x[index])
        found = F.mse_loss(guess[:, :n_factors], y[index])
        return found + 0.3 * F.cross_entropy(guess[:, n_factors:], label[index]) if field.n_kinds else found

    fit(network, lambda index, rng: loss(rows[index]), len(rows), lambda: loss(held), training, seed)
    return Estimator(network, n_factors)


def make_by_components(method: str, field: Field, settings: dict, seed: int) -> Made:
    """The first components, drawn from the Gaussian mixture that validation objects are likeliest in; turned to be
    independent (Hyvarinen 1999) beside."""
    n, test = settings["n_latents"], field.split[TEST]
    weights = field.weights[:, :n].astype(float)
    mixtures = [
        GaussianMixture(k, random_state=seed, reg_covar=1e-4).fit(weights[field.split[TRAIN]]) for k in N_MIXTURES
    ]
    best = max(mixtures, key=lambda one: one.score(weights[field.split[VALIDATION]]))
    rng = np.random.default_rng([seed, 149])
    latents = rng.permutation(best.sample(len(test))[0]).astype(np.float32)
    made = np.pad(latents, ((0, 0), (0, field.weights.shape[1] - n)))
    with warnings.catch_warnings():  # components that are Gaussian have no direction of their own to converge to
        warnings.simplefilter("ignore", ConvergenceWarning)
        turn = FastICA(n, random_state=seed).fit(weights[field.split[TRAIN]])
    along = {"independent": turn.transform(latents)}
    return Made(latents, made, along, None, Latents(0, 0, n), None)


def make_by_autoencoder(method: str, field: Field, settings: dict, seed: int) -> Made:
    """A variational autoencoder with the noise's own likelihood; objects are made from the unit Gaussian."""
    n, rows, held, test = settings["n_latents"], *(field.split[k] for k in (TRAIN, VALIDATION, TEST))
    layout = Latents(0, 0, n)
    network = build(lambda: Autoencoder(n, field.weights.shape[1], settings["n_hidden"]), seed)
    x = torch.from_numpy(field.weights)
    variance = noise_variance(field)

    def loss(index, noise):
        mean, ln_variance = network.encode(x[index])
        model = network.generator(mean + noise * torch.exp(0.5 * ln_variance))
        divergence = 0.5 * (mean**2 + ln_variance.exp() - 1 - ln_variance).sum(1)
        return (0.5 * ((x[index] - model) ** 2 / variance[index]).sum(1) + settings["beta"] * divergence).mean()

    def noisy(index, rng):
        return loss(rows[index], torch.from_numpy(rng.normal(size=(len(index), n)).astype(np.float32)))

    training = Training(3 * settings["n_epochs"], settings["batch_size"], settings["learning_rate"])
    fit(network, noisy, len(rows), lambda: loss(held, 0.0), training, seed)
    rng = np.random.default_rng([seed, 149])
    latents = layout.draw(len(test), np.zeros((len(test), 0)), rng)
    generator = network.generator
    along = directions(generator, latents, noise_variance(field).mean(0).numpy() ** -0.5)
    return Made(latents, applied(generator, torch.from_numpy(latents)), along, generator, layout, None)


def noise_variance(field: Field) -> Tensor:
    """Variance of the noise in each weight of each object (n, K)."""
    return torch.from_numpy((field.sigma**2 @ field.components.basis.T**2) / field.components.spread**2 + 1e-6)


def make_by_game(method: str, field: Field, settings: dict, seed: int) -> Made:
    """A GAN, an InfoGAN or a conditional GAN."""
    n, n_factors = settings["n_latents"], field.factors.shape[1]
    n_codes, n_kinds = (n_factors, field.n_kinds) if method in ("infogan", "cgan") else (0, 0)
    layout = Latents(n_codes, n_kinds, n - n_codes, asked=method == "cgan")
    rows, held, test = (field.split[k] for k in (TRAIN, VALIDATION, TEST))
    wishes = field.wishes
    game = Game(layout, settings["n_hidden"], settings["n_steps"], settings["gan_batch_size"],
                settings["gan_learning_rate"], settings["information"] if method == "infogan" else 0.0)  # fmt: skip

    def draw(size, rng):
        places = rng.integers(len(rows), size=size)
        return torch.from_numpy(layout.draw(size, wishes[rows[places]], rng)), places

    def distance(generator):
        rng = np.random.default_rng([seed, 143])
        latents, places = draw(4 * len(held), rng)
        with torch.inference_mode():
            made = field.see(generator(latents), places, rng).numpy()
        return frechet_distance(made, field.weights[held])

    real = torch.from_numpy(field.weights[rows])
    generator, history = play(game, real, torch.from_numpy(wishes[rows]), field.see, distance, seed)
    latents = layout.draw(len(test), wishes[test], np.random.default_rng([seed, 149]))
    made = applied(generator, torch.from_numpy(latents))
    along = {} if n_codes else directions(generator, latents, noise_variance(field).mean(0).numpy() ** -0.5)
    return Made(latents, made, along, generator, layout, history)


def directions(generator: Generator, latents: np.ndarray, spread: np.ndarray) -> dict[str, np.ndarray]:
    """Latents (n, L) along directions that were found without factors, the strongest first.

    `factorised`: singular vectors of the first layer (SeFa, Shen & Zhou 2021); `features`: principal components of its
    features (GANSpace, Harkonen et al. 2020); `jacobian`: what changes objects most, on average; `random`. `spread`
    (K,) scales weights to the units in which a change is measured.
    """
    z = torch.from_numpy(latents)
    with torch.no_grad():
        hidden = generator.hidden(z).numpy()
        factorised = np.linalg.svd(generator.first.weight.numpy(), full_matrices=False)[2].T
    hidden = hidden - hidden.mean(0)
    scores = hidden @ np.linalg.svd(hidden, full_matrices=False)[2][: latents.shape[1]].T
    slopes = vmap(jacrev(lambda one: generator(one[None])[0]))(z[:N_JACOBIANS]).detach().numpy() * spread[:, None]
    turns = {
        "factorised": factorised, "features": np.linalg.lstsq(latents, scores, rcond=None)[0],
        "jacobian": np.linalg.eigh(np.einsum("nkl,nkm->lm", slopes, slopes))[1][:, ::-1],
        "random": np.linalg.qr(np.random.default_rng(139).normal(size=factorised.shape))[0],
    }  # fmt: skip
    return {name: latents @ turn for name, turn in turns.items()}


def judged(field: Field, made: Made, estimator: Estimator, seed: int) -> dict[str, np.ndarray]:
    """All that `score` needs of one method, a row for each test object or each made one."""
    test, rows = field.split[TEST], field.split[TRAIN]
    rng = np.random.default_rng([seed, 151])
    drawn = observe(field.components.objects(made.weights), field.sigma[test], field.filler, rng).astype(np.float32)
    weights, real = field.components.weights(drawn), field.weights[test]
    chance, chance_real = told_apart(*(described(field, part) for part in (drawn, field.x[test])), seed)
    factors = estimator.factors(weights)
    folds, linear = KFold(2, shuffle=True, random_state=seed), RidgeCV(np.geomspace(0.1, 1e4, 11))
    boosted = HistGradientBoostingRegressor(max_iter=30, learning_rate=0.2, max_leaf_nodes=15, random_state=seed)
    found = {
        "latents": made.latents, "factors": factors, "kinds": estimator.kinds(weights),
        "real_factors": field.factors[test], "real_guess": estimator.factors(real),
        "real_kinds": field.kind[test], "real_kinds_guess": estimator.kinds(real), "n_kinds": np.array(field.n_kinds),
        "weights": weights, "real_weights": real,
        "again_weights": field.weights[rng.choice(rows, len(test), replace=len(rows) < len(test))],
        "judged": chance, "judged_real": chance_real, "n_codes": np.array(made.layout.n_codes),
        "probe_linear": cross_val_predict(linear, made.latents, factors, cv=folds),
        "probe_boosted": np.column_stack([cross_val_predict(boosted, made.latents, one, cv=folds)
                                          for one in factors.T]),
    }  # fmt: skip
    return found | {f"along_{name}": part for name, part in made.along.items()}


def described(field: Field, x: np.ndarray) -> np.ndarray:
    """What the judge sees: weights of components and the ln rms of what is beyond them, (n, K + 1)."""
    weights = field.components.weights(x)
    return np.column_stack([weights, np.log((x - field.components.objects(weights)).std(1))])


def shown(field: Field, made: Made) -> dict[str, np.ndarray]:
    """Examples, the history of the game, and what becomes of an object along the first three codes or latents."""
    found = {
        "examples": field.components.objects(made.weights[:N_SHOWN]),
        "real_examples": field.x[field.split[TEST][:N_SHOWN]],
    }
    if made.history is not None:
        found["history"] = made.history
    if made.generate is None:
        return found
    layout = made.layout
    middle = np.zeros(layout.size)
    if layout.n_kinds:
        middle[layout.n_codes + 1] = 1
    path = middle + STEPS_OF_TRAVERSAL[:, None] * np.eye(layout.size)[:3, None]  # (ways, steps, L)
    along = applied(made.generate, torch.from_numpy(path.reshape(-1, layout.size).astype(np.float32)))
    return found | {"traversals": field.components.objects(along).reshape(3, len(STEPS_OF_TRAVERSAL), -1)}
