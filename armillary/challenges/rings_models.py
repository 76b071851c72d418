"""Methods for the rings: networks, and what must be beaten without one."""

import numpy as np
import torch
from sklearn.cluster import DBSCAN
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import ParameterGrid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import Tensor, nn
from torch.nn import functional as F

from armillary.challenges.cherenkov import PARTICLES
from armillary.challenges.loop import Training, applied, build, fit, gaussian_loss
from armillary.challenges.rings import SIDE_PX, draw_rings

ALL = slice(None)
SVM_GRID = ParameterGrid({"n_components": [40, 80, 120], "C": [1, 10, 100]})
CLASSES = {"two": 2, "three": 3, "four": 4}
TRAIN, VALIDATION, TEST = 0, 1, 2


def train(variant: str, data: dict[str, np.ndarray], settings: dict, seed: int) -> dict[str, np.ndarray]:
    """Outcome of one variant on the test images of its level."""
    method, _, what = variant.rpartition("_")
    if what in CLASSES:
        return train_counter(method, data, CLASSES[what], settings, seed)
    if variant == "training_curve":
        return training_curve(data, settings, seed)
    if variant == "generation_curve":
        return generation_curve(data, settings, seed)
    if variant == "dbscan":
        return count_clusters(data)
    if variant == "regressor":
        return train_regressor(data, settings, seed)[1]
    if method == "generator":
        return train_generator(what, data, settings, seed)
    return train_detector(what, data, settings, seed)


class RingCounter(nn.Module):
    """Three convolutions and two dense layers: 28 x 28 px to scores of classes, or to any other numbers."""

    def __init__(self, n_outputs: int, width: int = 16):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),  # (B, w, 14, 14)
            nn.Conv2d(width, 2 * width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),  # (B, 2w, 7, 7)
            nn.Conv2d(2 * width, 4 * width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),  # (B, 4w, 3, 3)
            nn.Flatten(), nn.Linear(36 * width, 64), nn.ReLU(), nn.Linear(64, n_outputs),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images[:, None])


def scaled(images: np.ndarray) -> Tensor:
    """uint8 images as numbers between 0 and 1."""
    return torch.from_numpy(images.astype(np.float32) / 255)


def mirrored(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Each batch turned and mirrored at random: rings have no preferred side."""
    images = torch.rot90(images, int(rng.integers(4)), (-2, -1))
    return images.flip(-1) if rng.integers(2) else images


def train_counter(method: str, data, n_classes: int, settings, seed, n_train: int | None = None) -> dict:
    """Number of rings of each test image with at most `n_classes`; the training set has `n_per_class` of each."""
    count = data["count"]
    usable = count <= n_classes
    split = {k: np.flatnonzero(usable & (data["count_split"] == k)) for k in (TRAIN, VALIDATION, TEST)}
    n_train = min(n_train or settings["n_counting_train"], len(split[TRAIN]))
    inside = split[TRAIN][:n_train]
    images, truth, outside = data["count_images"], count[split[TEST]], split[VALIDATION]
    if method.startswith("pca_svm"):
        model = fit_components(method, images, count, inside, outside, seed)
        return {"guess": model(images[split[TEST]]), "truth": truth}
    x, y = scaled(images), torch.from_numpy(count - 1)
    network = build(lambda: RingCounter(n_classes), seed)

    def loss(index, rng):
        return F.cross_entropy(network(mirrored(x[inside[index]], rng)), y[inside[index]])

    history = fit(
        network, loss, n_train, lambda: F.cross_entropy(network(x[outside]), y[outside]), _training(settings), seed
    )
    return {"guess": applied(network, x[split[TEST]]).argmax(1) + 1, "truth": truth, "history": history}


def fit_components(method: str, images, count, inside, outside, seed):
    """Principal components and support vectors, as a function from images (n, 28, 28) to counts (n,).

    `pca_svm_whitened` has 60 components scaled to one spread and a fixed C. Others leave components as they are, and
    take their number and C from the validation images `outside`. `pca_svm` sees the eight turns and mirrorings, too, as
    the network does: of the support vectors, which are all that matter (Decoste & Schoelkopf 2002).
    """
    n_most = min(len(inside), max(one["n_components"] for one in SVM_GRID))
    whitened = method == "pca_svm_whitened"
    pca = PCA(min(60, n_most) if whitened else n_most, whiten=whitened, random_state=seed).fit(flat(images[inside]))
    if whitened:
        model = SVC(C=10, gamma="scale").fit(pca.transform(flat(images[inside])), count[inside])
        return lambda new: model.predict(pca.transform(flat(new)))

    def weights(some, n):
        return pca.transform(flat(some))[:, :n]

    best, n, best_share = None, 0, -1.0
    for one in SVM_GRID:
        model = SVC(C=one["C"], gamma="scale").fit(weights(images[inside], one["n_components"]), count[inside])
        share = model.score(weights(images[outside], one["n_components"]), count[outside])
        if share > best_share:
            best, n, best_share = model, one["n_components"], share
    if method == "pca_svm":
        few = inside[best.support_]
        turned = np.concatenate([weights(one, n) for one in eight_turns(images[few])])
        best = SVC(C=best.C, gamma="scale").fit(turned, np.tile(count[few], 8))
    return lambda new: best.predict(weights(new, n))


def flat(images: np.ndarray) -> np.ndarray:
    """Images as rows of numbers between 0 and 1."""
    return images.reshape(len(images), -1).astype(np.float32) / 255


def eight_turns(images: np.ndarray) -> list[np.ndarray]:
    """The images in the eight turns and mirrorings of a square."""
    return [np.rot90(one, turn, (1, 2)) for one in (images, images[..., ::-1]) for turn in range(4)]


def training_curve(data, settings, seed) -> dict[str, np.ndarray]:
    """Accuracy with one to four rings against the number of training images."""
    sizes = [n for n in settings["curve_sizes"] if n <= settings["n_counting_train"]]
    rows = []
    for size in sizes:
        runs = [train_counter(method, data, 4, settings, seed, size) for method in ("pca_svm", "cnn")]
        rows.append([np.mean(run["guess"] == run["truth"]) for run in runs])
    return {"sizes": np.array(sizes), "accuracies": np.array(rows)}


def count_clusters(data) -> dict[str, np.ndarray]:
    """How many clusters DBSCAN finds among the lit pixels of each test image; eps chosen on training images."""
    images, count = data["count_images"], data["count"]

    def clusters(image, eps):
        points = np.argwhere(image > 60)
        return len(set(DBSCAN(eps=eps, min_samples=3).fit_predict(points)) - {-1}) if len(points) else 0

    tuning = np.flatnonzero(data["count_split"] == TRAIN)[:300]
    grid = (1.0, 1.5, 2.3)
    right = [np.mean([clusters(images[k], eps) == count[k] for k in tuning]) for eps in grid]
    best = grid[int(np.argmax(right))]
    test = np.flatnonzero(data["count_split"] == TEST)
    return {
        "n_clusters": np.array([clusters(images[k], best) for k in test]),
        "truth": count[test],
        "eps": np.array(best),
    }


def train_regressor(data, settings, seed) -> tuple[nn.Module, dict[str, np.ndarray]]:
    """Centre, radius, thickness and deformation with an error of each: mean and ln variance by beta-NLL."""
    split = {k: np.flatnonzero(data["ring_split"] == k) for k in (TRAIN, VALIDATION, TEST)}
    labels = data["ring_labels"]
    middle, spread = labels[split[TRAIN]].mean(0), labels[split[TRAIN]].std(0) + 1e-6
    x, y = scaled(data["ring_images"]), torch.from_numpy(((labels - middle) / spread).astype(np.float32))
    network = build(lambda: RingCounter(2 * labels.shape[1]), seed)

    def loss(index, rng=None):
        mean, ln_variance = network(x[index]).chunk(2, 1)
        return gaussian_loss(mean, ln_variance, y[index], 0.5 if rng is not None else 0.0)

    inside = split[TRAIN]
    history = fit(network, lambda index, rng: loss(inside[index], rng), len(inside), lambda: loss(split[VALIDATION]),
                  _training(settings), seed)  # fmt: skip
    mean, ln_variance = np.split(applied(network, x[split[TEST]]), 2, 1)
    outcome = {
        "mean": mean * spread + middle, "sigma": np.exp(0.5 * ln_variance) * spread, "truth": labels[split[TEST]],
        "history": history,
    }  # fmt: skip
    network.middle, network.spread = middle, spread
    return network, outcome


class RingDrawer(nn.Module):
    """Labels, and for the variational one a code of eight numbers, to an image, pixel by pixel.

    A pixel is told how far it is from the circle of the labels and in which direction from its centre. So where a ring
    is need not be learned, only how it looks.
    """

    def __init__(self, n_codes: int, middle: np.ndarray, spread: np.ndarray, n_hidden: int = 32):
        super().__init__()
        self.n_codes = n_codes
        self.register_buffer("middle", torch.from_numpy(middle.astype(np.float32)))
        self.register_buffer("spread", torch.from_numpy(spread.astype(np.float32)))
        self.encoder = nn.Sequential(nn.Linear(SIDE_PX**2 + 5, 256), nn.ReLU(), nn.Linear(256, 2 * max(n_codes, 1)))
        self.places = nn.Linear(4, n_hidden)
        self.given = nn.Linear(5 + n_codes, n_hidden)
        self.rest = nn.Sequential(
            nn.SiLU(), nn.Linear(n_hidden, n_hidden), nn.SiLU(), nn.Linear(n_hidden, n_hidden), nn.SiLU(),
            nn.Linear(n_hidden, 1),
        )  # fmt: skip

    def forward(self, labels: Tensor, code: Tensor, rows: slice = ALL, columns: slice = ALL) -> Tensor:
        """Scaled labels (B, 5) and codes (B, n_codes) to images (B, 28, 28), or some rows and columns of them."""
        x, y, radius = (labels[:, :3] * self.spread[:3] + self.middle[:3]).T[:, :, None, None]
        pixels = torch.arange(SIDE_PX) + 0.5
        right, down = torch.broadcast_tensors(pixels[columns] - x, pixels[rows, None] - y)  # (B, rows, columns)
        away = torch.hypot(right, down)
        off = away - radius
        places = torch.stack([off, torch.exp(-0.5 * (off / 2) ** 2), right / (away + 1), down / (away + 1)], 3)
        hidden = self.places(places) + self.given(torch.cat([labels, code], 1))[:, None, None]
        return self.rest(hidden)[..., 0].sigmoid()

    def loss(self, images: Tensor, labels: Tensor, noise: Tensor, rows: slice = ALL, columns: slice = ALL) -> Tensor:
        """Gaussian likelihood of pixels, as wide as is likeliest for the batch (Rybkin et al. 2021), and the divergence
        of the code from the unit Gaussian, per image; pixels may be judged by some rows and columns."""
        mean, ln_variance = self.encoder(torch.cat([images.flatten(1), labels], 1)).chunk(2, 1)
        code = (mean + noise * torch.exp(0.5 * ln_variance))[:, : self.n_codes]
        misfit = 0.5 * SIDE_PX**2 * torch.log(F.mse_loss(self(labels, code, rows, columns), images[:, rows, columns]))
        divergence = 0.5 * (mean**2 + ln_variance.exp() - 1 - ln_variance).sum(1) if self.n_codes else torch.zeros(1)
        return misfit + divergence.mean()


def train_reader(data, settings, seed) -> nn.Module:
    """A regressor, independent of the one that is scored, to read drawn rings."""
    return train_regressor(data, {**settings, "n_epochs": max(settings["n_epochs"] // 2, 1)}, seed + 1000)[0]


def generation_curve(data, settings, seed) -> dict[str, np.ndarray]:
    """What an independent regressor reads in rings of the variational drawer, (n_sizes, n_test, 5), against the number
    of images that it learned from; each has as many training steps as the largest."""
    n_all = int((data["ring_split"] == TRAIN).sum())
    sizes = [n for n in settings["curve_sizes"] if n < n_all]
    reader = train_reader(data, settings, seed)
    runs = [train_generator("vae", data, settings, seed, reader, size) for size in sizes]
    return {"sizes": np.array(sizes), "asked": runs[0]["asked"], "seen": np.array([run["seen"] for run in runs]),
            "misfit": np.array([run["misfit"] for run in runs])}  # fmt: skip


def train_generator(what: str, data, settings, seed, reader=None, n_train: int | None = None) -> dict[str, np.ndarray]:
    """Draw rings with the labels of the test images, and have an independent regressor `reader` read them.

    `plain` draws one image for a set of labels, `vae` any number; `variance` is that of two drawings of one set,
    `misfit` (n_test,) the mean square of a drawing minus the simulator's image.
    """
    split = {k: np.flatnonzero(data["ring_split"] == k) for k in (TRAIN, VALIDATION, TEST)}
    n_all = len(split[TRAIN])
    split[TRAIN] = split[TRAIN][:n_train]
    n_epochs = settings["n_generator_epochs"] * n_all // len(split[TRAIN])
    reader = reader or train_reader(data, settings, seed)
    labels = torch.from_numpy(((data["ring_labels"] - reader.middle) / reader.spread).astype(np.float32))
    images = scaled(data["ring_images"])
    n_codes = 8 if what == "vae" else 0
    network = build(lambda: RingDrawer(n_codes, reader.middle, reader.spread), seed)
    inside, outside = split[TRAIN], split[VALIDATION]

    def noise(n, rng):
        return torch.from_numpy(rng.normal(0, 1, (n, max(n_codes, 1))).astype(np.float32))

    def loss(index, rng):
        every_other = (slice(int(start), None, 2) for start in rng.integers(2, size=2))  # a quarter of the pixels
        return network.loss(images[inside[index]], labels[inside[index]], noise(len(index), rng), *every_other)

    def held_out():
        return network.loss(images[outside], labels[outside], noise(len(outside), np.random.default_rng(0)))

    training = Training(n_epochs, 64, 2e-3)
    history = fit(network, loss, len(inside), held_out, training, seed)
    test = split[TEST]
    rng = np.random.default_rng([seed, 83])
    with torch.inference_mode():
        drawn = [network(labels[test], noise(len(test), rng)[:, :n_codes]).numpy() for _ in range(2)]
    real = [draw_rings(data["ring_labels"][test], rng) / 255.0 for _ in range(2)]
    pictures = (torch.from_numpy(drawn[0]), images[test])
    read = [applied(reader, one)[:, :5] * reader.spread + reader.middle for one in pictures]
    variance, variance_real = (0.5 * ((one - two) ** 2).mean((1, 2)) for one, two in (drawn, real))
    return {
        "asked": data["ring_labels"][test], "seen": read[0], "seen_real": read[1], "history": history,
        "drawn": drawn[0][:8], "drawn_again": drawn[1][:8], "variance": variance, "variance_real": variance_real,
        "misfit": ((drawn[0] - images[test].numpy()) ** 2).mean((1, 2)),
    }  # fmt: skip


class BarrelNetwork(nn.Module):
    """Convolutions over the unrolled barrel, closed in azimuth, and what they find at its best and on average."""

    def __init__(self, n_classes: int, width: int = 16):
        super().__init__()
        sizes = [2, width, 2 * width, 4 * width, 4 * width]
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, bias=False) for a, b in zip(sizes[:-1], sizes[1:], strict=True))
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) for b in sizes[1:])
        self.head = nn.Sequential(
            nn.Linear(2 * sizes[-1], 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, n_classes)
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        for number, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            x = F.pad(F.pad(x, (1, 1, 0, 0), mode="circular"), (0, 0, 1, 1))
            x = norm(layer(x)).relu()
            x = F.max_pool2d(x, 2) if number in (0, 2) else x  # (B, ., 8, 20), then (B, ., 4, 10)
        return self.head(torch.cat([x.amax((2, 3)), x.mean((2, 3))], 1))


def hand_features(events: np.ndarray) -> np.ndarray:
    """(n, 18): charge, lit modules, how concentrated the charge is, its likeness to itself further on, times."""
    charge = np.expm1(events[:, 0])
    flat = charge.reshape(len(charge), -1)
    total = flat.sum(1)
    ordered = -np.sort(-flat, 1)
    shares = np.stack([ordered[:, :k].sum(1) / total for k in (3, 10, 30, 80, 150)], 1)
    root = np.sqrt(charge)
    norm = (root**2).sum((1, 2))
    around = [(root * np.roll(root, shift, 2)).sum((1, 2)) / norm for shift in (1, 2, 4, 8)]
    along = [(root[:, shift:] * root[:, :-shift]).sum((1, 2)) / norm for shift in (1, 2, 4)]
    lit = charge > 0
    faint = ((charge > 0) & (charge < 3)).sum((1, 2)) / lit.sum((1, 2))
    time = np.where(lit, events[:, 1], np.nan).reshape(len(charge), -1)
    return np.column_stack([
        np.log(total), lit.sum((1, 2)), faint, shares, *around, *along, np.nanstd(time, 1),
        *np.nanpercentile(time, (5, 95), axis=1),
    ])  # fmt: skip


def train_detector(what: str, data, settings, seed) -> dict[str, np.ndarray]:
    """Probabilities (n, 4) of PARTICLES for each test event, from the total charge, by boosting, or by a network."""
    split = {k: np.flatnonzero(data["event_split"] == k) for k in (TRAIN, VALIDATION, TEST)}
    events, particle = data["events"], data["particle"]
    inside, test = split[TRAIN], split[TEST]
    probability = np.zeros((len(test), len(PARTICLES)))
    if what == "cnn":
        x, y = torch.from_numpy(events), torch.from_numpy(particle)
        network = build(lambda: BarrelNetwork(len(PARTICLES)), seed)

        def loss(index, rng):
            batch = torch.roll(x[inside[index]], int(rng.integers(x.shape[3])), 3)
            batch = batch.flip(2) if rng.integers(2) else batch
            return F.cross_entropy(network(batch), y[inside[index]])

        outside = split[VALIDATION]
        held_out = lambda: F.cross_entropy(network(x[outside]), y[outside])  # noqa: E731
        training = _training({**settings, "n_epochs": settings["n_detector_epochs"]})
        history = fit(network, loss, len(inside), held_out, training, seed)
        logits = torch.from_numpy(applied(network, x[test]))
        return {"probability": logits.softmax(1).numpy(), "history": history}
    features = hand_features(events)
    model = HistGradientBoostingClassifier(max_iter=120, learning_rate=0.08, random_state=seed)
    if what == "charge":
        features, model = features[:, :1], make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(features[inside], particle[inside])
    probability[:, model.classes_] = model.predict_proba(features[test])
    return {"probability": probability}


def _training(settings) -> Training:
    return Training(settings["n_epochs"], settings["batch_size"], settings["learning_rate"])
