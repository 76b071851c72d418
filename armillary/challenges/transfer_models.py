"""Arms of transfer learning: frozen features with a linear probe, fine-tuning, from scratch, and random features."""

import copy
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from torch import Tensor, nn
from torch.nn import functional as F

from armillary.challenges.camels_models import MapNetwork, moment_loss, turned
from armillary.challenges.few_labels_models import Task, search_penalty, train_with_all
from armillary.challenges.loop import Training, applied, build, fit
from armillary.challenges.pixel_models import SmallUNet, filter_moments, pixel_values, sampled_pixels
from armillary.networks.efficientnet import (
    EfficientNetLite0,
    image_features,
    image_net_weights,
    load_weights,
    settle_norms,
)
from armillary.step import announce

TRAIN, VALIDATION, TEST = 0, 1, 2
PENALTIES = np.geomspace(1.0, 1e5, 11)


def train(variant: str, data: dict[str, np.ndarray], settings: dict, seed: int) -> dict[str, np.ndarray]:
    """Guesses (n_sizes, n_test) of one arm for every number of labels, and the truth; `n_steps` and `rate` (n_sizes,)
    are what the search of a network chose."""
    target, _, arm = variant.partition("_")
    return {"sky": train_sky, "maps": train_maps, "cloud": train_clouds}[target](arm, data, settings, seed)


def label_order(label: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Objects in the order in which they get labels: shuffled, with the classes in turn, so that none is missing."""
    order = rng.permutation(len(label))
    turn = np.empty(len(label), int)
    for one in np.unique(label):
        turn[order[label[order] == one]] = np.arange(np.sum(label == one))
    return order[np.argsort(turn[order], kind="stable")]


class SmallNetwork(nn.Module):
    """Three convolutions and a mean, for those who start from scratch: (B, side, side) to scores."""

    def __init__(self, n_outputs: int, width: int = 16):
        super().__init__()
        sizes = [1, width, 2 * width, 4 * width]
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in zip(sizes[:-1], sizes[1:], strict=True))
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) for b in sizes[1:])
        self.head = nn.Linear(8 * width, n_outputs)

    def forward(self, images: Tensor) -> Tensor:
        x = images[:, None]
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = F.max_pool2d(F.relu(norm(layer(x))), 2)
        return self.head(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1))


class Features(NamedTuple):
    """Features of frozen networks (n, d), and the mean and spread (d,) that they have among unlabelled objects."""

    values: np.ndarray
    middle: np.ndarray
    spread: np.ndarray

    def scaled(self, rows) -> np.ndarray:
        """Those of some objects, in units of their spread."""
        return (self.values[rows] - self.middle) / self.spread


def standardised(values: np.ndarray, pool: np.ndarray) -> Features:
    """`values` with their mean and spread over the training objects `pool`, labelled or not."""
    return Features(values, values[pool].mean(0), values[pool].std(0) + 1e-6)


def train_sky(arm: str, data, settings, seed: int) -> dict[str, np.ndarray]:
    """Classes of the test patches by one arm, for each number of labels."""
    inside, outside = (np.flatnonzero(data["sky_split"] == k) for k in (TRAIN, TEST))
    label = data["sky_label"]
    inside = inside[label_order(label[inside], np.random.default_rng([seed, 112]))]  # the same labels for every arm
    images, truth = torch.from_numpy(data["sky_images"]), torch.from_numpy(label.astype(np.int64))
    n_classes = int(label.max()) + 1
    sizes = [n for n in settings["sizes"] if n <= len(inside)]
    network = partial(build, lambda: (SmallNetwork if arm == "small" else EfficientNetLite0)(n_classes), seed)
    features = None if arm == "small" else sky_features(arm, images, data, inside, seed)
    guess, chosen = [], []
    for n in sizes:
        rows, group = inside[:n], np.arange(n)
        if features:
            penalty, probe = search_penalty(*sky_probe(features, rows, label), PENALTIES, group)
        if arm in ("probe", "random", "filters"):
            guess.append(probe.predict(features.scaled(outside)))
            continue

        def make(part, rows=rows, penalty=penalty if features else None):
            made = network()
            if features:
                load_weights(made, image_net_weights(str(data["weights"])))
                set_head(made.head, *class_scores(sky_probe(features, rows, label)[0](part, penalty)), features)
            return made

        runner = train_with_all(
            make, Task(images[rows], truth[rows], F.cross_entropy), group, settings["rates"],
            small_steps(settings, n) if arm == "small" else settings["n_steps"], bool(features), seed,
        )  # fmt: skip
        guess.append(runner.apply(images[outside]).argmax(1).numpy())
        chosen.append((runner.n_steps, runner.rate))
    return {"sizes": np.array(sizes), "truth": label[outside], "guess": np.array(guess)} | _told(chosen)


def _told(chosen: list[tuple[int, float]]) -> dict[str, np.ndarray]:
    return {name: np.array(one) for name, one in zip(("n_steps", "rate"), zip(*chosen, strict=True), strict=False)}


def sky_probe(features: Features, rows: np.ndarray, label: np.ndarray):
    """`fit(part, penalty)` and `loss(model, part)` of logistic regression on the labelled objects `rows`."""
    x, y = features.scaled(rows), label[rows]

    def fit_classes(part, penalty):
        return LogisticRegression(C=1 / penalty, max_iter=300).fit(x[part], y[part])

    def loss(model, part):
        chance = np.full((len(part), int(label.max()) + 1), 1e-9)
        chance[:, model.classes_] = model.predict_proba(x[part])
        return -np.log(np.maximum(chance[np.arange(len(part)), y[part]], 1e-9)).mean()

    return fit_classes, loss


def class_scores(model: LogisticRegression) -> tuple[np.ndarray, np.ndarray]:
    """Weights (n_classes, d) and offsets of the scores of which `model` takes the softmax."""
    if len(model.classes_) == 2:
        return np.concatenate([-model.coef_, model.coef_]) / 2, np.r_[-model.intercept_, model.intercept_] / 2
    return model.coef_, model.intercept_


def set_head(head: nn.Linear, weight: np.ndarray, offset: np.ndarray, features: Features) -> None:
    """Make `head` do to features what a probe does to scaled ones."""
    weight = weight / features.spread
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weight))
        head.bias.copy_(torch.from_numpy(offset - weight @ features.middle))


def sky_features(arm: str, images: Tensor, data, pool: np.ndarray, seed: int) -> Features:
    """Features of ImageNet's network, of one that has learned nothing, or moments of filtered images."""
    if arm == "filters":
        return standardised(filter_moments(images.numpy()), pool)
    network = build(lambda: EfficientNetLite0(2), seed)
    large_network(network, arm, images[pool], data)
    return standardised(image_features(network, images), pool)


def large_network(network: EfficientNetLite0, arm: str, images: Tensor, data) -> None:
    """Give it ImageNet's weights, or leave it random with the norms of unlabelled images."""
    if arm == "random":
        settle_norms(network, images)
    else:
        announce(load_weights(network, image_net_weights(str(data["weights"]))))


def small_steps(settings: dict, n_labels: int) -> int:
    """Most steps of a small network: more where there is more to see, up to twice as many."""
    return settings["n_small_steps"] * (2 if n_labels >= 512 else 1)


def train_maps(arm: str, data, settings, seed: int) -> dict[str, np.ndarray]:
    """Omega_m of the test maps of the target code by one arm, for each number of labels; `direct` is what the network
    of the source code says without any, `settled` the same once it has the norms of unlabelled maps."""
    inside, outside = (np.flatnonzero(data["target_split"] == k) for k in (TRAIN, TEST))
    inside = inside[np.random.default_rng([seed, 114]).permutation(len(inside))]
    middle, spread = data["source_maps"].mean(), data["source_maps"].std()
    maps = torch.from_numpy((data["target_maps"] - middle) / spread)
    target = scaled_parameters(data["target_parameters"], data)[:, 0].astype(np.float32)
    sizes = [n for n in settings["sizes"] if n <= len(inside)]
    source = pretrained(data, settings, seed) if arm in ("probe", "finetune") else build(MapNetwork, seed)
    features = None
    if arm == "imagenet":
        low, high = np.percentile(data["source_maps"], (1, 99.9))
        grey = np.clip((data["target_maps"] - low) / (high - low), 0, 1).astype(np.float32)
        features = sky_features(arm, torch.from_numpy(grey.repeat(2, 1).repeat(2, 2)), data, inside, seed)
    elif arm != "scratch":
        direct = applied(source, maps[outside])[:, 0, 0]
        settle_norms(source, maps[inside])  # maps without labels tell how the target code's differ as a whole
        features = standardised(map_features(source, maps), inside)
    guess, chosen = [], []
    for n in sizes:
        rows = inside[:n]
        group = data["target_simulation"][rows]
        if features:
            penalty, probe = search_penalty(*map_probe(features, rows, target), PENALTIES, group)
        if arm in ("probe", "random", "imagenet"):
            guess.append(probe.predict(features.scaled(outside)))
            continue

        def make(part, rows=rows, penalty=penalty if features else None):
            made = copy.deepcopy(source)
            if features:
                made.head = nn.Linear(features.values.shape[1], 1)
                model = map_probe(features, rows, target)[0](part, penalty)
                set_head(made.head, model.coef_[None], np.array([model.intercept_]), features)
            return made

        runner = train_with_all(
            make, Task(maps[rows], torch.from_numpy(target[rows]), first_error), group, settings["rates"],
            small_steps(settings, n), bool(features), seed,
        )  # fmt: skip
        guess.append(runner.apply(maps[outside])[:, 0, 0].numpy())
        chosen.append((runner.n_steps, runner.rate))
    outcome = {"guess": np.array(guess)}
    if arm == "finetune":
        outcome |= {"direct": direct, "settled": applied(source, maps[outside])[:, 0, 0]}
    omega_m = data["source_parameters"][:, 0]
    outcome = {name: one * omega_m.std() + omega_m.mean() for name, one in outcome.items()} | _told(chosen)
    where = {"truth": data["target_parameters"][outside, 0], "simulation": data["target_simulation"][outside]}
    return outcome | where | {"sizes": np.array(sizes)}


def train_clouds(arm: str, data, settings, seed: int) -> dict[str, np.ndarray]:
    """Which pixels of the test patches are cloud, by one arm, for each number of labelled patches."""
    inside, outside = (np.flatnonzero(data["cloud_split"] == k) for k in (TRAIN, TEST))
    inside = inside[np.random.default_rng([seed, 116]).permutation(len(inside))]
    images, mask = torch.from_numpy(data["cloud_images"]), data["cloud_mask"]
    sizes = [n for n in settings["sizes"] if n <= len(inside)]
    network = None
    if arm in ("probe", "random"):
        network = build(lambda: EfficientNetLite0(2), seed)
        large_network(network, arm, images[inside], data)
    guess, chosen = [], []
    for n in sizes:
        rows = inside[:n]
        if arm == "small":
            task = Task(images[rows], torch.from_numpy(mask[rows]).float(), F.binary_cross_entropy_with_logits)
            runner = train_with_all(
                lambda part: build(SmallUNet, seed), task, np.arange(n), settings["rates"], small_steps(settings, n),
                False, seed,
            )  # fmt: skip
            guess.append(runner.apply(images[outside]).numpy() > 0)
            chosen.append((runner.n_steps, runner.rate))
            continue
        pixels = sampled_pixels(images.shape[1], n, np.random.default_rng([seed, n]))
        values = np.concatenate(list(pixel_values(network, images[rows], pixels)), 1).T
        features = standardised(values, np.arange(len(values)))
        label = np.concatenate([mask[row].ravel()[at] for row, at in zip(rows, pixels, strict=True)]).astype(int)
        group = np.repeat(np.arange(n), len(pixels[0]))
        _, model = search_penalty(*sky_probe(features, np.arange(len(label)), label), PENALTIES[::2], group)
        whole = [np.arange(mask[0].size)] * len(outside)
        cloudy = [
            model.predict((part.T - features.middle) / features.spread).astype(bool)
            for part in pixel_values(network, images[outside], whole)
        ]
        guess.append(np.array(cloudy).reshape(len(outside), *mask.shape[1:]))
    return {"sizes": np.array(sizes), "truth": mask[outside], "guess": np.array(guess)} | _told(chosen)


def map_probe(features: Features, rows: np.ndarray, target: np.ndarray):
    """`fit(part, penalty)` and `loss(model, part)` of ridge regression on the labelled objects `rows`."""
    x, y = features.scaled(rows), target[rows]
    return (
        lambda part, penalty: Ridge(penalty).fit(x[part], y[part]),
        lambda model, part: float(np.mean((model.predict(x[part]) - y[part]) ** 2)),
    )


def pretrained(data, settings, seed: int) -> MapNetwork:
    """A network that learned all parameters from the maps of the source code."""
    middle, spread = data["source_maps"].mean(), data["source_maps"].std()
    maps = torch.from_numpy((data["source_maps"] - middle) / spread)
    target = torch.from_numpy(scaled_parameters(data["source_parameters"], data).astype(np.float32))
    inside, held = (np.flatnonzero(data["source_split"] == k) for k in (TRAIN, VALIDATION))
    network = build(MapNetwork, seed)
    fit(
        network, lambda index, rng: moment_loss(network(turned(maps[inside[index]], rng)), target[inside[index]]),
        len(inside), lambda: moment_loss(network(maps[held]), target[held]),
        Training(settings["n_source_epochs"], 32, 3e-3), seed,
    )  # fmt: skip
    return network


def scaled_parameters(parameters: np.ndarray, data) -> np.ndarray:
    """Parameters in units of their spread in the source."""
    source = data["source_parameters"]
    return (parameters - source.mean(0)) / source.std(0)


def first_error(output: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of Omega_m alone, the first mean of the moment network."""
    return F.mse_loss(output[:, 0, 0], target)


def map_features(network: MapNetwork, maps: Tensor) -> np.ndarray:
    """What the head of the network is given, (n, 8 x width)."""
    seen = []
    handle = network.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].numpy()))
    applied(network, maps)
    handle.remove()
    return np.concatenate(seen)
