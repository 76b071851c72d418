"""Arms of transfer learning: frozen features with a linear probe, fine-tuning, from scratch, and random features."""

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from torch import Tensor, nn
from torch.nn import functional as F

from armillary.challenges.camels_models import MapNetwork, moment_loss, turned
from armillary.challenges.loop import Training, applied, build, fit
from armillary.networks.efficientnet import (
    EfficientNetLite0,
    image_features,
    image_net_weights,
    load_weights,
    settle_norms,
)
from armillary.precision import rate_at
from armillary.step import announce

TRAIN, VALIDATION, TEST = 0, 1, 2
BATCH_SIZE = 16
MAX_FEATURE = 4.0  # standard deviations of the labelled objects
N_FREEZE_NORMS = 64  # fewer labels than this keep the batch norms of the source


def train(variant: str, data: dict[str, np.ndarray], settings: dict, seed: int) -> dict[str, np.ndarray]:
    """Guesses (n_sizes, n_test) of one arm for every number of labels, and the truth."""
    target, _, arm = variant.partition("_")
    return (train_sky if target == "sky" else train_maps)(arm, data, settings, seed)


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


def few_shot(network: nn.Module, x: Tensor, y: Tensor, loss, n_steps: int, rates: list[dict], rng, keep_norms: bool):
    """Train in place for `n_steps` of at most 16 objects; `rates` are torch's groups of parameters and rates."""
    optimiser = torch.optim.AdamW(rates, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate_at(step, n_steps))
    network.train()
    for module in network.modules():
        if keep_norms and isinstance(module, nn.BatchNorm2d):
            module.eval()
    for _ in range(n_steps):
        index = torch.from_numpy(rng.choice(len(x), min(BATCH_SIZE, len(x)), replace=False))
        value = loss(network(turned_still(x[index], rng)), y[index])
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        schedule.step()
    network.eval()


def turned_still(images: Tensor, rng: np.random.Generator) -> Tensor:
    """A batch turned and mirrored."""
    images = torch.rot90(images, int(rng.integers(4)), (1, 2))
    return images.flip(2) if rng.integers(2) else images


def train_sky(arm: str, data, settings, seed: int) -> dict[str, np.ndarray]:
    """Classes of the test patches by one arm, for each number of labels."""
    rng = np.random.default_rng([seed, 113])
    inside, outside = (np.flatnonzero(data["sky_split"] == k) for k in (TRAIN, TEST))
    label = data["sky_label"]
    inside = inside[label_order(label[inside], np.random.default_rng([seed, 112]))]  # the same labels for every arm
    images, truth = torch.from_numpy(data["sky_images"]), torch.from_numpy(label.astype(np.int64))
    n_classes = int(label.max()) + 1
    sizes = [n for n in settings["sizes"] if n <= len(inside)]
    outcome = {"sizes": np.array(sizes), "truth": label[outside]}
    if arm in ("probe", "random"):
        features = frozen_features(arm, images, data, seed)
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))
        guess = [probe.fit(features[inside[:n]], label[inside[:n]]).predict(features[outside]) for n in sizes]
        return outcome | {"guess": np.array(guess)}
    guess = []
    for n in sizes:
        network = build(lambda: (SmallNetwork if arm == "small" else EfficientNetLite0)(n_classes), seed)
        if arm == "finetune":
            load_weights(network, image_net_weights(str(data["weights"])))
        few_shot(
            network, images[inside[:n]], truth[inside[:n]], F.cross_entropy,
            settings["n_small_steps" if arm == "small" else "n_steps"], _rates(network, arm == "finetune"), rng,
            keep_norms=arm == "finetune" and n < N_FREEZE_NORMS,
        )  # fmt: skip
        if arm == "scratch":
            settle_norms(network, images[inside])
        guess.append(applied(network, images[outside]).argmax(1))
    return outcome | {"guess": np.array(guess)}


def _rates(network, is_pretrained: bool) -> list[dict]:
    """A tenth of the head's rate for what has learned already."""
    head = list(network.head.parameters())
    names = {id(one) for one in head}
    body = [one for one in network.parameters() if id(one) not in names]
    return [{"params": head, "lr": 2e-3}, {"params": body, "lr": 2e-4 if is_pretrained else 2e-3}]


def frozen_features(arm: str, images: Tensor, data, seed: int) -> np.ndarray:
    """Features of ImageNet's network, or of one that has learned nothing."""
    network = build(lambda: EfficientNetLite0(2), seed)
    if arm == "random":
        settle_norms(network, images)
    else:
        announce(load_weights(network, image_net_weights(str(data["weights"]))))
    return image_features(network, images)


def train_maps(arm: str, data, settings, seed: int) -> dict[str, np.ndarray]:
    """Omega_m of the test maps of the target code by one arm, for each number of labels; `direct` is what the network
    of the source code says without any."""
    rng = np.random.default_rng([seed, 115])
    inside, outside = (np.flatnonzero(data["target_split"] == k) for k in (TRAIN, TEST))
    inside = inside[np.random.default_rng([seed, 114]).permutation(len(inside))]
    middle, spread = data["source_maps"].mean(), data["source_maps"].std()
    maps = torch.from_numpy((data["target_maps"] - middle) / spread)
    omega_m = data["target_parameters"][:, 0]
    sizes = [n for n in settings["sizes"] if n <= len(inside)]
    outcome = {"sizes": np.array(sizes), "truth": omega_m[outside], "simulation": data["target_simulation"][outside]}
    if arm in ("probe", "random", "imagenet"):
        if arm == "imagenet":
            low, high = np.percentile(data["source_maps"], (1, 99.9))
            grey = np.clip((data["target_maps"] - low) / (high - low), 0, 1).astype(np.float32)
            features = frozen_features(arm, torch.from_numpy(grey.repeat(2, 1).repeat(2, 2)), data, seed)
        else:
            network = build(MapNetwork, seed) if arm == "random" else pretrained(data, settings, seed)
            features = map_features(network, maps)
        # a feature that hardly varies among few labelled maps may be hundreds of their deviations away in another
        clipped = FunctionTransformer(np.clip, kw_args={"a_min": -MAX_FEATURE, "a_max": MAX_FEATURE})
        probe = make_pipeline(StandardScaler(), clipped, RidgeCV(np.geomspace(1, 1e5, 16)))
        guess = [probe.fit(features[inside[:n]], omega_m[inside[:n]]).predict(features[outside]) for n in sizes]
        return outcome | {"guess": np.array(guess)}
    target = torch.from_numpy(scaled_parameters(data["target_parameters"], data).astype(np.float32))
    source = pretrained(data, settings, seed) if arm == "finetune" else None
    guess = []
    for n in sizes:
        network = build(MapNetwork, seed)
        if source is not None:
            network.load_state_dict(source.state_dict())
        few_shot(
            network, maps[inside[:n]], target[inside[:n]], first_error, settings["n_small_steps"],
            _rates(network, source is not None), rng, keep_norms=source is not None and n < N_FREEZE_NORMS,
        )  # fmt: skip
        guess.append(read_omega_m(network, maps[outside], data))
    if source is not None:
        outcome["direct"] = read_omega_m(source, maps[outside], data)
    return outcome | {"guess": np.array(guess)}


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
    return F.mse_loss(output[:, 0, 0], target[:, 0])


def read_omega_m(network, maps: Tensor, data) -> np.ndarray:
    """Omega_m that a network gives for maps."""
    source = data["source_parameters"][:, 0]
    return applied(network, maps)[:, 0, 0] * source.std() + source.mean()


def map_features(network: MapNetwork, maps: Tensor) -> np.ndarray:
    """What the head of the network is given, (n, 8 x width)."""
    seen = []
    handle = network.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].numpy()))
    applied(network, maps)
    handle.remove()
    return np.concatenate(seen)
