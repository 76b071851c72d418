"""Masses of clusters by luminosity, without the core, by boosted shapes, and by networks with and without turns."""

from itertools import product

import numpy as np
import torch
from scipy.ndimage import median, rotate
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from torch import Tensor, nn
from torch.nn import functional as F

from armillary.challenges.loop import Training, applied, build, fit
from armillary.challenges.xray_mass import RADIUS_BINS
from armillary.networks.group_convolution import GroupConvolution, Lifting, pooled

TRAIN, VALIDATION, TEST = 0, 1, 2
INNER_PX = (0, 0.75, 1.5, 2.25, 3, 3.75, 4.5, 6)  # radii at 10^14.5 solar masses that core excision may take
OUTER_PX = (8, 11, 15, 21, 34)
APERTURES = {
    "luminosity": ((0,), "mean"),
    "core_excised": (INNER_PX, "mean"),
    "core_excised_median": (INNER_PX, "median"),
}
PROFILE_PX = (0, 1, 2, 3, 4, 5, 6.5, 8, 10, 12.5, 15.5, 19, 23)
PIVOT = 14.5


def train(variant: str, data: dict[str, np.ndarray], settings: dict, seed: int) -> dict[str, np.ndarray]:
    """log10 masses of the test images by one method, with their truth and cluster."""
    split = {k: np.flatnonzero(data["split"] == k) for k in (TRAIN, VALIDATION, TEST)}
    test = split[TEST]
    found = {"truth": data["log_mass"][test], "cluster": data["cluster"][test], "r500_px": data["r500_px"][test]}
    if variant == "training_curve":
        return found | training_curve(data, split, settings, seed)
    if variant in APERTURES:
        inner, ring = APERTURES[variant]
        guess, radii = fit_apertures(data, split[TRAIN], inner, ring)
        return found | {"prediction": guess[test], "aperture_px": radii}
    if variant == "profile_ridge":
        return found | {"prediction": fit_profile(data, split[TRAIN])[test]}
    if variant == "boosting":
        return found | {"prediction": boost_shapes(data, split, seed)[test]}
    return found | train_network(variant, data, split, settings, seed)


def fit_apertures(data, rows: np.ndarray, inner: tuple, ring: str) -> tuple[np.ndarray, np.ndarray]:
    """Masses of all images from counts in an annulus whose radii grow as M^(1/3) with the mass that comes out.

    The radii at the pivot mass have the least scatter on `rows`; the parabola in log counts is fitted there, too.
    `ring` is mean or median: what stands for all pixels of a ring.
    """
    step, inside = growth_curves(data["images"], ring)
    found = [
        (iterate_annulus(step, inside, data["log_mass"], rows, *ends), np.array(ends))
        for ends in product(inner, OUTER_PX)
    ]
    return min(found, key=lambda one: np.std((one[0] - data["log_mass"])[rows]))


def iterate_annulus(step, inside, log_mass, rows, low: float, high: float) -> np.ndarray:
    """Estimate, set radii by the estimate, count again; four times."""
    guess = np.full(len(inside), log_mass[rows].mean())
    for _ in range(4):
        scale = 10 ** ((np.clip(guess, 12, 16) - PIVOT) / 3)
        counts = np.log10(
            np.maximum(counts_within(step, inside, high * scale) - counts_within(step, inside, low * scale), 1)
        )
        guess = np.polyval(np.polyfit(counts[rows], log_mass[rows], 2), counts)
    return guess


def counts_within(step: float, inside: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Growth curves (n, n_radii), one radius every `step` px from 0, read between their points at `radius` (n,)."""
    place = np.clip(radius / step, 0, inside.shape[1] - 1.001)
    below = place.astype(int)
    rows = np.arange(len(inside))
    return inside[rows, below] + (place - below) * (inside[rows, below + 1] - inside[rows, below])


def growth_curves(images: np.ndarray, ring: str = "mean") -> tuple[float, np.ndarray]:
    """Width of the rings in px, and counts within 0, 1, 2, ... widths (n, n_radii) about the middle of the light.

    The rings are half a pixel wide for the mean; for the `median`, which clumps and point sources do not move, one
    pixel. The middle is that of the square root of the counts, which no single source rules; the background, taken off,
    is the faintest five per cent of pixels.
    """
    side = images.shape[1]
    y, x = np.mgrid[:side, :side]
    step = 1.0 if ring == "median" else 0.5
    n_rings = int(side / step)
    area = np.pi * step**2 * (2 * np.arange(n_rings) + 1)
    curves = []
    for image in images.astype(float):
        light = image - np.quantile(image, 0.05)
        weight = np.sqrt(np.maximum(light, 0))
        weight = np.where(weight > 0.3 * np.quantile(weight, 0.99), weight, 0)
        place = np.hypot(x - np.average(x, weights=weight), y - np.average(y, weights=weight)) / step
        each = np.bincount(place.astype(int).ravel(), light.ravel(), n_rings)[:n_rings]
        if ring == "median":
            each = area * np.nan_to_num(median(light, place.astype(int), np.arange(n_rings)))
        curves.append(np.append(0, np.cumsum(each)))
    return step, np.array(curves)


def fit_profile(data, rows: np.ndarray) -> np.ndarray:
    """Masses of all images by a ridge regression on the medians of twelve rings, their squares and products; its
    penalty comes from leaving training images out, one by one."""
    step, inside = growth_curves(data["images"], "median")
    edges = np.array(PROFILE_PX)
    growth = np.array([counts_within(step, inside, np.full(len(inside), edge)) for edge in edges]).T
    profile = np.log10(np.maximum(np.diff(growth, axis=1) / np.diff(edges**2), 1))
    model = make_pipeline(
        StandardScaler(), PolynomialFeatures(2, include_bias=False), StandardScaler(), RidgeCV(np.logspace(-3, 4, 15))
    )
    return model.fit(profile[rows], data["log_mass"][rows]).predict(profile)


def shapes(images: np.ndarray) -> np.ndarray:
    """(n, 14): growth curve, ellipticity, power ratios, shift of the centroid and the brightest pixel of each image."""
    _, inside = growth_curves(images)
    counts = np.log10(np.maximum(inside[:, [2, 4, 8, 16, 24, 40]], 1))
    side = images.shape[1]
    y, x = np.mgrid[:side, :side] - 0.5 * (side - 1)
    distance, angle = np.hypot(x, y), np.arctan2(y, x)
    rows = []
    for image in images.astype(float):
        light = np.maximum(image - np.quantile(image, 0.05), 0)
        total = light.sum() + 1e-9
        inner = light * (distance < side / 6)
        powers = [
            np.abs((light * distance**m * np.exp(1j * m * angle)).sum()) / (light * distance**m).sum()
            for m in (1, 2, 3, 4)
        ]
        shift = np.hypot(
            *(np.average(axis, weights=inner + 1e-9) - np.average(axis, weights=light + 1e-9) for axis in (x, y))
        )
        rows.append([*powers, shift, np.log10(light.max() + 1), light.max() / total, inner.sum() / total])
    return np.column_stack([counts, np.array(rows)])


def boost_shapes(data, split, seed) -> np.ndarray:
    """Core-excised masses corrected by boosting on shapes; the correction is learned on training clusters."""
    rows = split[TRAIN]
    guess, _ = fit_apertures(data, rows, INNER_PX, "mean")
    features = np.column_stack([guess, shapes(data["images"])])
    model = HistGradientBoostingRegressor(
        max_iter=80, learning_rate=0.05, max_leaf_nodes=8, l2_regularization=1.0, random_state=seed
    )
    return guess + model.fit(features[rows], (data["log_mass"] - guess)[rows]).predict(features)


class MassNetwork(nn.Module):
    """Three convolutions with pooling, the mean over the image, and dense layers (as Ntampaka et al. 2019)."""

    def __init__(self, width: int = 12):
        super().__init__()
        self.first = nn.Conv2d(1, width, 3, padding=1)
        self.second = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.third = nn.Conv2d(2 * width, 4 * width, 3, padding=1)
        self.head = dense(4 * width)

    def forward(self, images: Tensor) -> Tensor:
        x = F.max_pool2d(self.first(images[:, None]).relu(), 2)
        x = F.max_pool2d(self.second(x).relu(), 2)
        x = F.max_pool2d(self.third(x).relu(), 2)
        return self.head(x.mean((2, 3)))[:, 0]


class TurningNetwork(nn.Module):
    """The same with p4 convolutions; half the width, so about as many weights."""

    def __init__(self, width: int = 6):
        super().__init__()
        self.first = Lifting(1, width)
        self.second = GroupConvolution(width, 2 * width)
        self.third = GroupConvolution(2 * width, 4 * width)
        self.head = dense(4 * width)

    def forward(self, images: Tensor) -> Tensor:
        x = pooled(self.first(images[:, None]).relu())
        x = pooled(self.second(x).relu())
        x = pooled(self.third(x).relu())
        return self.head(x.mean((2, 3, 4)))[:, 0]


def dense(n_in: int) -> nn.Sequential:
    """Features to one number."""
    return nn.Sequential(nn.Linear(n_in, 100), nn.ReLU(), nn.Linear(100, 20), nn.ReLU(), nn.Linear(20, 1))


def train_network(variant: str, data, split, settings, seed) -> dict[str, np.ndarray]:
    """Masses of the test images, also of them turned by 90 and 45 degrees, and where the network looks.

    `cnn` sees images as they are, `cnn_augmented` and `cnn_averaged` turned and mirrored; the last is the mean of the
    second over the eight turns of a test image; `p4` has turns built in, and sees them mirrored.
    """
    images = np.log10(1 + data["images"].astype(np.float32))
    rows, test = split[TRAIN], split[TEST]
    middle, spread = images[rows].mean(), images[rows].std()
    centre, width = data["log_mass"][rows].mean(), data["log_mass"][rows].std()
    x = torch.from_numpy((images - middle) / spread)
    y = torch.from_numpy(((data["log_mass"] - centre) / width).astype(np.float32))
    network = build(TurningNetwork if variant == "p4" else MassNetwork, seed)

    def loss(index, rng):
        batch = x[rows[index]]
        if variant != "cnn":
            batch = torch.rot90(batch, int(rng.integers(4)), (1, 2))
            batch = batch.flip(2) if rng.integers(2) else batch
        return F.mse_loss(network(batch), y[rows[index]])

    outside = split[VALIDATION]
    training = Training(settings["n_epochs"], settings["batch_size"], settings["learning_rate"])
    history = fit(network, loss, len(rows), lambda: F.mse_loss(network(x[outside]), y[outside]), training, seed)

    def masses(part: Tensor) -> np.ndarray:
        parts = eight_turns(part) if variant == "cnn_averaged" else [part]
        return centre + width * np.mean([applied(network, one) for one in parts], 0, dtype=float)

    circle = masked(x[test].numpy())
    return {
        "prediction": masses(x[test]), "turned_90": masses(torch.rot90(x[test], 1, (1, 2))),
        "circle": masses(torch.from_numpy(circle)), "turned_45": masses(torch.from_numpy(turned_45(circle))),
        "history": history, "sensitivity": sensitivity(network, x[test[:120]], data["r500_px"][test[:120]]),
    }  # fmt: skip


def masked(images: np.ndarray) -> np.ndarray:
    """Images (n, side, side) with their background, the median of the corners, outside the inscribed circle."""
    side = images.shape[1]
    y, x = np.mgrid[:side, :side] - 0.5 * (side - 1)
    outside = np.hypot(x, y) > 0.5 * side - 1
    background = np.median(images[:, outside], 1)
    return np.where(outside, background[:, None, None], images)


def turned_45(images: np.ndarray) -> np.ndarray:
    """Images whose corners are background, turned by 45 degrees; no corner leaves the frame or comes in."""
    return masked(rotate(images, 45, (1, 2), reshape=False, order=1, mode="nearest"))


def eight_turns(images: Tensor) -> list[Tensor]:
    """The images in the eight turns and mirrorings of a square."""
    return [torch.rot90(one, turn, (1, 2)) for one in (images, images.flip(2)) for turn in range(4)]


def sensitivity(network: nn.Module, images: Tensor, r500_px: np.ndarray) -> np.ndarray:
    """How much the output moves with the light of a pixel: mean size of the gradient in rings of R500 (n_rings,)."""
    images = images.clone().requires_grad_()
    network(images).sum().backward()
    size = images.grad.abs().numpy()
    side = size.shape[1]
    y, x = np.mgrid[:side, :side] - 0.5 * (side - 1)
    radius = np.hypot(x, y) / np.where(np.isfinite(r500_px), r500_px, side / 3)[:, None, None]
    place = np.digitize(radius, RADIUS_BINS) - 1
    rings = [size[place == k].mean() if (place == k).any() else np.nan for k in range(len(RADIUS_BINS) - 1)]
    return np.array(rings)


def training_curve(data, split, settings, seed) -> dict[str, np.ndarray]:
    """Masses by two networks that learn from few clusters: (n_sizes, n_test) each."""
    clusters = np.unique(data["cluster"][split[TRAIN]])
    sizes = [n for n in settings["curve_sizes"] if n < len(clusters)]
    guesses = {"cnn_augmented": [], "p4": []}
    for size in sizes:
        few = np.flatnonzero(np.isin(data["cluster"], clusters[:size]) & (data["split"] == TRAIN))
        for name, found in guesses.items():
            found.append(train_network(name, data, split | {TRAIN: few}, settings, seed)["prediction"])
    return {"sizes": np.array(sizes)} | {name: np.array(found) for name, found in guesses.items()}
