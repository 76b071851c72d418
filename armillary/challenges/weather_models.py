"""Cloudy cells and kinds of frames: by stars alone, by boosting or extremely random trees on features of a cell, by a
network that pools over cells."""

import copy

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn import functional as F

from armillary.challenges.fisheye import INSIDE, N_CELLS, N_SECTORS, SATURATED
from armillary.challenges.loop import Training, applied, build, fit
from armillary.challenges.weather import cell_shares, points, relative

TRAIN, VALIDATION, TEST = 0, 1, 2
STAR_DEX = 0.1  # how far a pixel with a star is above its neighbours
N_LOCAL = 11  # features of a cell and its neighbours; those of the whole frame are of a camera and its exposures
REAL_WEIGHT = 10  # of a real cell or frame beside a simulated one


def train(variant: str, data: dict[str, np.ndarray], settings: dict, seed: int) -> dict[str, np.ndarray]:
    """Chances of cloud of each cell and of the classes of each test frame; of the real cells after simulated nights
    (real), after real frames of other blocks (real_only), and after both (real_adapted)."""
    if variant == "cnn":
        with torch.random.fork_rng():  # what is dropped out follows the seed, too
            torch.random.default_generator.manual_seed(seed)
            return train_network(data, settings, seed)
    return train_on_features(variant, data, settings, seed)


def cell_features(images: np.ndarray) -> np.ndarray:
    """(n, 33, 15): stars, light, its spread and extremes in each cell, the same for neighbours and the whole frame."""
    light = relative(images)
    stars, shares = points(light), cell_shares().astype(np.float32)
    flat = shares.reshape(N_CELLS, -1)
    n = len(images)

    def means(values):
        return values.reshape(n, -1).astype(np.float32) @ flat.T  # (n, 33)

    number, brightness = means(stars > STAR_DEX), means(stars)
    mean, square = means(light), means(light**2)
    spread = np.sqrt(np.maximum(square - mean**2, 0))
    texture = means(np.abs(light - gaussian_filter(light, (0, 5, 5))))
    step = means(np.abs(light - np.roll(light, 4, 1)) + np.abs(light - np.roll(light, 4, 2)))
    ring = np.broadcast_to(np.r_[0, 1 + np.arange(N_CELLS - 1) // N_SECTORS], (n, N_CELLS))
    around = np.stack([number, mean, texture], 2)
    around = np.concatenate([around[:, :1], _neighbours(around[:, 1:])], 1)
    level = np.log10(np.maximum(np.median(images[:, INSIDE], 1), 1))
    whole = np.stack([level, number.mean(1), texture.mean(1), (images[:, INSIDE] >= SATURATED).mean(1)], 1)
    own = np.stack([number, brightness, mean, spread, step, square, ring, texture], 2)
    return np.concatenate([own, around, np.broadcast_to(whole[:, None], (n, N_CELLS, 4))], 2)


def _neighbours(values: np.ndarray) -> np.ndarray:
    """Mean of the two neighbours along each ring: (n, 32, k)."""
    rings = values.reshape(len(values), -1, N_SECTORS, values.shape[2])
    return (0.5 * (np.roll(rings, 1, 2) + np.roll(rings, -1, 2))).reshape(values.shape)


def frame_features(cells: np.ndarray) -> np.ndarray:
    """(n, 60): mean, spread and extremes of the features over the cells of a frame."""
    return np.concatenate(
        [cells.mean(1), cells.std(1), np.quantile(cells, (0.1, 0.9), 1).transpose(1, 0, 2).reshape(len(cells), -1)], 1
    )


def train_on_features(variant: str, data, settings, seed) -> dict[str, np.ndarray]:
    """Boosting, extremely random trees, or logistic regression on the stars of a cell and its ring; of cells after
    simulated nights, after real frames of other blocks, and after both; of classes of frames."""
    features = cell_features(data["images"])
    split = {k: np.flatnonzero(data["split"] == k) for k in (TRAIN, TEST)}
    columns = [0, 1, 6] if variant == "stars" else slice(N_LOCAL)
    found = {}

    def fit_cells(x, cell, weight):
        x = x[:, :, columns].reshape(cell.size, -1)
        names = {"stars": "logisticregression__sample_weight"}
        weights = {names.get(variant, "sample_weight"): np.repeat(weight, N_CELLS)}
        return make_model(variant, settings["n_trees"], seed).fit(x, cell.ravel(), **weights)

    def chances(fitted, x):
        return fitted.predict_proba(x[:, :, columns].reshape(len(x) * N_CELLS, -1))[:, 1].reshape(len(x), -1)

    x, cell = features[split[TRAIN]], data["cell"][split[TRAIN]]
    if cell.min() >= 0:
        cells = fit_cells(x, cell, np.ones(len(x)))
        found["cell_probability"] = chances(cells, features[split[TEST]])
    if cell.min() >= 0 and "real_cell" in data:
        real, truth = cell_features(data["real_images"]), data["real_cell"]
        found |= {"real_probability": chances(cells, real)} | {
            f"{arm}_probability": np.zeros(truth.shape) for arm in ("real_only", "real_adapted")
        }
        for block in np.unique(data["real_block"]):
            out = data["real_block"] == block
            alone = fit_cells(real[~out], truth[~out], np.ones(sum(~out)))
            both = np.concatenate([x, real[~out]]), np.concatenate([cell, truth[~out]])
            added = fit_cells(*both, np.repeat([1, REAL_WEIGHT], [len(x), sum(~out)]))
            found["real_only_probability"][out] = chances(alone, real[out])
            found["real_adapted_probability"][out] = chances(added, real[out])
    frames = frame_features(features[:, :, columns] if variant == "stars" else features)
    classes = make_model(variant, settings["n_trees"], seed).fit(frames[split[TRAIN]], data["label"][split[TRAIN]])
    chance = np.zeros((len(split[TEST]), len(data["classes"])))
    chance[:, classes.classes_] = classes.predict_proba(frames[split[TEST]])
    return found | {"class_probability": chance}


def make_model(variant: str, n_trees: int, seed: int):
    """The classifier of a variant on features."""
    if variant == "stars":
        return make_pipeline(StandardScaler(), LogisticRegression())
    if variant == "trees":
        return ExtraTreesClassifier(n_trees, random_state=seed)
    return HistGradientBoostingClassifier(max_iter=n_trees, learning_rate=0.08, max_leaf_nodes=15, random_state=seed)


class SkyNetwork(nn.Module):
    """Convolutions over the frame, means and maxima over each cell, and two heads: cells, and kinds of frames."""

    def __init__(self, n_classes: int, width: int = 16):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(4, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 2 * width, 3, padding=1), nn.ReLU()
        )
        pooled = torch.from_numpy(cell_shares().astype(np.float32)).unflatten(1, (30, 4)).unflatten(3, (30, 4))
        self.register_buffer("shares", pooled.sum((2, 4)).flatten(1))  # (33, 900)
        self.register_buffer("ring", torch.from_numpy(np.r_[0, 1 + np.arange(N_CELLS - 1) // N_SECTORS]))
        self.cells = nn.Sequential(nn.Linear(4 * width + 5, 48), nn.ReLU(), nn.Dropout(0.2), nn.Linear(48, 1))
        self.frames = nn.Sequential(nn.Linear(4 * width, 48), nn.ReLU(), nn.Dropout(0.2), nn.Linear(48, n_classes))

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, 4, 30, 30) to (B, 33 + n_classes) logits."""
        maps = self.layers(inputs).flatten(2)  # (B, 2w, 900)
        own = maps @ self.shares.T  # (B, 2w, 33)
        whole = own.mean(2)
        ring = F.one_hot(self.ring, 5).float().expand(len(maps), -1, -1)
        both = torch.cat([own.transpose(1, 2), whole[:, None].expand(-1, N_CELLS, -1), ring], 2)
        frames = self.frames(torch.cat([whole, own.amax(2)], 1))
        return torch.cat([self.cells(both)[..., 0], frames], 1)


def network_inputs(images: np.ndarray) -> Tensor:
    """(n, 4, 30, 30): light, ln of its spread, the brightest point and the number of points in squares of 4 x 4 px.

    0 beyond the horizon and of mean 0 and about unit spread within, by fixed numbers, as cameras differ.
    """
    light = relative(images)
    inside = INSIDE.reshape(30, 4, 30, 4).all((1, 3))
    parts = [one.reshape(len(one), 30, 4, 30, 4) for one in (light, points(light))]
    spread = np.log(parts[0].std((2, 4)) + 0.005)
    maps = [parts[0].mean((2, 4)) / 0.2, spread / 0.8 + 4, parts[1].max((2, 4)) / 0.08 - 1]
    maps.append((parts[1] > STAR_DEX).mean((2, 4)) / 0.05 - 0.5)
    return torch.from_numpy((np.stack(maps, 1) * inside).astype(np.float32))


def network_loss(outputs: Tensor, cell: Tensor, label: Tensor | None) -> Tensor:
    """Cross-entropy of known cells, and of the kinds of frames."""
    known = cell >= 0
    loss = outputs.sum() * 0
    if known.any():
        loss = loss + F.binary_cross_entropy_with_logits(outputs[:, :N_CELLS][known], cell[known].float())
    return loss if label is None else loss + 0.5 * F.cross_entropy(outputs[:, N_CELLS:], label)


def train_network(data, settings, seed) -> dict[str, np.ndarray]:
    """One network for cells and frames; fine-tuned on real frames of all blocks but the one that is tried."""
    split = {k: np.flatnonzero(data["split"] == k) for k in (TRAIN, VALIDATION, TEST)}
    x, cell, label = network_inputs(data["images"]), torch.from_numpy(data["cell"]), torch.from_numpy(data["label"])
    network = build(lambda: SkyNetwork(len(data["classes"])), seed)
    inside, outside = split[TRAIN], split[VALIDATION]

    def loss(index, rng):
        rows = inside[index]
        batch, cells = mirrored(x[rows], cell[rows], rng)
        return network_loss(network(batch), cells, label[rows])

    def held_out():
        return network_loss(network(x[outside]), cell[outside], label[outside])

    training = Training(settings["n_epochs"], settings["batch_size"], settings["learning_rate"])
    history = fit(network, loss, len(inside), held_out, training, seed)
    logits = torch.from_numpy(applied(network, x[split[TEST]]))
    found = {"class_probability": logits[:, N_CELLS:].softmax(1).numpy(), "history": history}
    if data["cell"].min() >= 0:
        found["cell_probability"] = logits[:, :N_CELLS].sigmoid().numpy()
    if data["cell"].min() >= 0 and "real_cell" in data:
        found |= adapt(network, x[inside], cell[inside], data, settings, seed)
    return found


def adapt(network, x, cell, data, settings, seed) -> dict[str, np.ndarray]:
    """The real cells by the network as it is; after steps on real frames of other blocks beside simulated ones; and by
    a network that starts from scratch and learns those real frames alone."""
    real, truth = network_inputs(data["real_images"]), torch.from_numpy(data["real_cell"])
    found = {"real_probability": applied_cells(network, real)}
    found |= {f"{arm}_probability": np.zeros(truth.shape) for arm in ("real_only", "real_adapted")}
    n_steps, rate = settings["n_adapt_steps"], settings["learning_rate"]
    for block in np.unique(data["real_block"]):
        rows, out = (
            np.flatnonzero(data["real_block"] == block if held else data["real_block"] != block) for held in (0, 1)
        )
        fresh = build(lambda: SkyNetwork(len(data["classes"])), seed + 1 + int(block))
        parts = [(real[rows], truth[rows])]
        step_on(fresh, parts, n_steps, rate, [seed, int(block), 71])
        added = copy.deepcopy(network)
        step_on(added, [*parts, (x, cell)], n_steps, rate, [seed, int(block), 71])
        found["real_only_probability"][out] = applied_cells(fresh, real[out])
        found["real_adapted_probability"][out] = applied_cells(added, real[out])
    return found


def step_on(network: nn.Module, parts: list[tuple[Tensor, Tensor]], n_steps: int, rate: float, seed) -> None:
    """Train in place on cells of `parts`, each (inputs, cells): all of the first and as many of each other, a step."""
    network.train()
    optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=1e-4)
    rng = np.random.default_rng(seed)
    size = len(parts[0][0])
    for _ in range(n_steps):
        chosen = [rng.integers(len(x), size=size) if k else np.arange(size) for k, (x, _) in enumerate(parts)]
        batches = [mirrored(x[rows], cell[rows], rng) for rows, (x, cell) in zip(chosen, parts, strict=True)]
        loss = sum(network_loss(network(images), cells, None) for images, cells in batches)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()


def applied_cells(network: nn.Module, inputs: Tensor) -> np.ndarray:
    """Chance of cloud of each cell (n, 33)."""
    return torch.from_numpy(applied(network, inputs)[:, :N_CELLS]).sigmoid().numpy()


def mirrored(inputs: Tensor, cell: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A batch turned by quarters and mirrored, cells along."""
    quarter = int(rng.integers(4))
    inputs = torch.rot90(inputs, quarter, (2, 3))
    rings = cell[:, 1:].unflatten(1, (-1, N_SECTORS)).roll(-2 * quarter, 2)
    if rng.integers(2):
        inputs, rings = inputs.flip(2), rings.flip(2)
    return inputs, torch.cat([cell[:, :1], rings.flatten(1)], 1)
