"""Generators of galaxy spectra and images, what their latents know, and how well they cover their data."""

from typing import NamedTuple

import numpy as np
import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor

from armillary.challenges.adversary_models import Autoencoder, Game, Generator, Latents, play
from armillary.challenges.components import Components, find_components, observe
from armillary.challenges.latent_probe_models import (
    Estimators,
    directions,
    encoded,
    probes,
    refined,
    train_encoder,
    train_estimators,
)
from armillary.challenges.latent_scores import frechet_distance, neighbour_counts
from armillary.challenges.loop import Training, applied, build, fit
from armillary.challenges.spectra_models import told_apart

TRAIN, VALIDATION, TEST = 0, 1, 2
N_SHOWN = 8
N_NOISES = 8  # draws of the noise of each training object
STEPS_OF_TRAVERSAL = np.linspace(-1.6, 1.6, 7)
N_MIXTURES = (1, 4, 12)


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
    """A generator, or components with a mixture: latents and what they make, as many as there are test objects; the
    latents of the test objects themselves."""

    latents: np.ndarray
    weights: np.ndarray
    inverted: np.ndarray
    rebuilt: np.ndarray
    generate: Generator | None
    layout: Latents
    found: dict[str, np.ndarray]


def train(variant: str, data: dict[str, np.ndarray], settings: dict, seed: int) -> dict[str, np.ndarray]:
    """What a method made, how it is told from held-out objects, what its latents say of factors, and the way back."""
    subject, _, method = variant.partition("_")
    field = prepare(subject, data, settings["n_latents"], seed)
    training = Training(settings["n_epochs"], settings["batch_size"], settings["learning_rate"])
    rows, held = field.split[TRAIN], field.split[VALIDATION]
    estimators = train_estimators(field.weights, field.factors, field.kind, field.n_kinds, rows, held, training, seed)
    makers = {"pca": make_by_components, "vae": make_by_autoencoder}
    made = makers.get(method, make_by_game)(method, field, settings, seed)
    rng = np.random.default_rng([seed, 151])
    return judged(field, made, estimators, seed, rng) | made.found | shown(field, made, method)


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


def make_by_components(method: str, field: Field, settings: dict, seed: int) -> Made:
    """The control: the first components, drawn from the Gaussian mixture that validation objects are likeliest in."""
    n = settings["n_latents"]
    weights = field.weights[:, :n].astype(float)
    mixtures = [
        GaussianMixture(k, random_state=seed, reg_covar=1e-4).fit(weights[field.split[TRAIN]]) for k in N_MIXTURES
    ]
    best = max(mixtures, key=lambda one: one.score(weights[field.split[VALIDATION]]))
    test = field.split[TEST]
    rng = np.random.default_rng([seed, 149])
    latents = rng.permutation(best.sample(len(test))[0]).astype(np.float32)
    pad = lambda part: np.pad(part, ((0, 0), (0, field.weights.shape[1] - n)))  # noqa: E731
    layout = Latents(0, 0, n)
    return Made(latents, pad(latents), weights[test], pad(weights[test]), None, layout, {})


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
    history = fit(network, noisy, len(rows), lambda: loss(held, 0.0), training, seed)
    rng = np.random.default_rng([seed, 149])
    latents = layout.draw(len(test), np.zeros((len(test), 0)), rng)
    with torch.inference_mode():
        inverted = network.encode(x[test])[0].numpy()
    generator = network.generator
    made, rebuilt = (applied(generator, torch.from_numpy(part)) for part in (latents, inverted))
    return Made(latents, made, inverted, rebuilt, generator, layout, {"history": history})


def noise_variance(field: Field) -> Tensor:
    """Variance of the noise in each weight of each object (n, K)."""
    return torch.from_numpy((field.sigma**2 @ field.components.basis.T**2) / field.components.spread**2 + 1e-6)


def make_by_game(method: str, field: Field, settings: dict, seed: int) -> Made:
    """A GAN, an InfoGAN or a conditional GAN, and its inverse: an encoder, refined for each test object."""
    n, n_factors = settings["n_latents"], field.factors.shape[1]
    with_codes = method in ("infogan", "cgan")
    n_codes, n_kinds = (n_factors, field.n_kinds) if with_codes else (0, 0)
    layout = Latents(n_codes, n_kinds, n - n_codes, asked=method == "cgan")
    rows, held, test = (field.split[k] for k in (TRAIN, VALIDATION, TEST))
    wishes = field.wishes
    game = Game(layout, settings["n_hidden"], settings["n_steps"], settings["gan_batch_size"],
                settings["gan_learning_rate"], settings["information"] if method == "infogan" else 0.0)  # fmt: skip

    def distance(generator):
        rng = np.random.default_rng([seed, 143])
        places = rng.integers(len(rows), size=4 * len(held))
        latents = torch.from_numpy(layout.draw(len(places), wishes[rows[places]], rng))
        with torch.inference_mode():
            made = field.see(generator(latents), places, rng).numpy()
        return frechet_distance(made, field.weights[held])

    real = torch.from_numpy(field.weights[rows])
    generator, history = play(game, real, torch.from_numpy(wishes[rows]), field.see, distance, seed)

    def draw(size, rng):
        places = rng.integers(len(rows), size=size)
        return torch.from_numpy(layout.draw(size, wishes[rows[places]], rng)), places

    encoder = train_encoder(generator, layout, draw, field.see, seed, settings["n_encoder_steps"])
    start = encoded(encoder, layout, field.weights[test])
    parts = tuple(torch.from_numpy(part) for part in field.components)
    seen = (torch.from_numpy(part[test]) for part in (field.x, field.sigma))
    inverted = refined(generator, layout, start, *seen, parts)
    rng = np.random.default_rng([seed, 149])
    latents = layout.draw(len(test), wishes[test], rng)
    made, rebuilt = (applied(generator, torch.from_numpy(part)) for part in (latents, inverted))
    with torch.inference_mode():
        back = encoded(
            encoder, layout, field.see(torch.from_numpy(made), np.arange(len(test)) % len(rows), rng).numpy()
        )
    return Made(latents, made, inverted, rebuilt, generator, layout, {"history": history, "returned": back})


def judged(field: Field, made: Made, estimators: Estimators, seed: int, rng) -> dict[str, np.ndarray]:
    """All that `score` needs of one method, a row for each test object or each made one."""
    test, rows = field.split[TEST], field.split[TRAIN]
    drawn = observe(field.components.objects(made.weights), field.sigma[test], field.filler, rng).astype(np.float32)
    weights = field.components.weights(drawn)
    features = [described(field, part) for part in (drawn, field.x[test])]
    chance, chance_real = told_apart(*features, seed)
    again = field.weights[rng.choice(rows, len(test), replace=len(rows) < len(test))]
    density, coverage = neighbour_counts(field.weights[test], weights)
    floor = neighbour_counts(field.weights[test], again)
    factors, kernel = estimators.factors(weights), estimators.kernel.predict(weights)
    found = {
        "latents": made.latents, "factors": factors, "factors_kernel": kernel, "kinds": estimators.kinds(weights),
        "real_factors": field.factors[test], "real_kinds": field.kind[test],
        "real_guess": estimators.factors(field.weights[test]),
        "real_kernel": estimators.kernel.predict(field.weights[test]),
        "real_kinds_guess": estimators.kinds(field.weights[test]),
        "edges": np.quantile(field.factors[rows], [1 / 3, 2 / 3], axis=0), "n_kinds": np.array(field.n_kinds),
        "weights": weights, "real_weights": field.weights[test], "again_weights": again,
        "again_factors": estimators.factors(again), "again_kinds": estimators.kinds(again),
        "judged": chance, "judged_real": chance_real, "density": density, "coverage": coverage,
        "real_density": floor[0], "real_coverage": floor[1],
        "chi2": misfit(field, made.rebuilt, test), "inverted": made.inverted, "n_codes": np.array(made.layout.n_codes),
        "n_noise": np.array(made.layout.n_noise),
    }  # fmt: skip
    found |= {f"probe_{name}": part for name, part in probes(made.latents, factors, seed).items()}
    way_back = probes(made.inverted, field.factors[test], seed)
    return found | {f"true_{name}": way_back[name] for name in ("linear", "boosted", "shuffled", "shuffled_factors")}


def described(field: Field, x: np.ndarray) -> np.ndarray:
    """What the judge sees: weights of components and the ln rms of what is beyond them, (n, K + 1)."""
    weights = field.components.weights(x)
    return np.column_stack([weights, np.log((x - field.components.objects(weights)).std(1))])


def misfit(field: Field, weights: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """chi2 a measured pixel of rebuilt objects (n,)."""
    sigma = field.sigma[rows]
    known = sigma > 0
    left = np.where(known, (field.x[rows] - field.components.objects(weights)) / np.where(known, sigma, 1), 0)
    return (left**2).sum(1) / known.sum(1)


def shown(field: Field, made: Made, method: str) -> dict[str, np.ndarray]:
    """Examples, and what becomes of an object along its codes, or the strongest three directions of its latents."""
    found = {
        "examples": field.components.objects(made.weights[:N_SHOWN]),
        "real_examples": field.x[field.split[TEST][:N_SHOWN]],
    }
    if made.generate is None:
        return found
    layout, n_ways = made.layout, 3
    ways = np.eye(layout.size)
    if not layout.n_codes:
        variance = noise_variance(field).mean(0).numpy()
        turns = directions(made.generate, made.latents, variance**-0.5, 0)
        found |= {f"along_{name}": made.latents @ turn for name, turn in turns.items()}
        ways = turns["jacobian"].T
    middle = np.zeros(layout.size)
    if layout.n_kinds:
        middle[layout.n_codes + 1] = 1
    path = middle + STEPS_OF_TRAVERSAL[:, None] * ways[:n_ways, None]  # (ways, steps, L)
    with torch.inference_mode():
        along = made.generate(torch.from_numpy(path.reshape(-1, layout.size).astype(np.float32))).numpy()
    return found | {"traversals": field.components.objects(along).reshape(n_ways, len(STEPS_OF_TRAVERSAL), -1)}
