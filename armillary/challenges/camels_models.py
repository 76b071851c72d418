"""Methods for CAMELS: ridge regression, ensembles of dense networks and of CNNs with errors, and adaptation.

Every regression is learned from each code in turn and applied to the test simulations of both.
"""

import numpy as np
import torch
from scipy import fft, linalg
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn import functional as F

from armillary.challenges.camels import CODES, PARAMETERS
from armillary.challenges.loop import Training, applied, build, fit

TRAIN, VALIDATION, TEST = 0, 1, 2
GAS = {"density": [0], "pressure": [1], "all": [0, 1, 2, 3]}
MAP_FIELD = {"matter": 0, "contrast": 0, "pressure": 1}


def train(variant: str, data: dict[str, np.ndarray], settings: dict, seed: int) -> dict[str, np.ndarray]:
    """Means and errors of the parameters of the test simulations of both codes, learned from each code in turn."""
    method, _, what = variant.partition("_")
    on_maps = what in MAP_FIELD
    sets = {code: _map_set(data, code, what, method) if on_maps else _profile_set(data, code, what) for code in CODES}
    if method == "which":
        return tell_codes_apart(sets, seed)
    tests = [_part(sets[code], TEST) for code in CODES]
    found = {
        "truth": np.concatenate([y for _, y, _ in tests]),
        "simulation": np.concatenate([group for _, _, group in tests]),
        "code": np.repeat([0, 1], [len(y) for _, y, _ in tests]),
    }
    for learned in CODES:
        parts = {k: _part(sets[learned], k)[:2] for k in (TRAIN, VALIDATION)}
        if what.endswith("both"):
            parts = {k: _joined(*(_part(sets[code], k)[:2] for code in CODES)) for k in parts}
        inputs = [x for x, _, _ in tests]
        if what.endswith("adapted"):
            inputs = [
                x if code == learned else align(x, _part(sets[code], TRAIN)[0], parts[TRAIN][0])
                for code, x in zip(CODES, inputs, strict=True)
            ]
        if method in ("ridge", "summaries"):
            predict = train_ridge(parts)
        else:
            predict = train_ensemble(method, parts, settings, seed)
        found[f"mean_{learned}"], found[f"sigma_{learned}"], found[f"disagreement_{learned}"] = predict(
            np.concatenate(inputs)
        )
    return found


def _part(one, split: int):
    x, y, group, where = one
    rows = where == split
    return x[rows], y[rows], group[rows]


def _joined(one, two):
    return tuple(np.concatenate(pair) for pair in zip(one, two, strict=True))


def _profile_set(data, code: str, what: str):
    """Inputs (n, n_features), parameters, simulation and split: radii 2 to 13 of the fields that `what` begins with,
    and log halo counts if it says so."""
    words = what.split("_")
    fields = GAS.get(words[0], GAS["all"])
    x = data[f"profiles_{code}"][:, :, fields, 2:14]
    x = x.reshape(len(x), -1)
    if "counts" in words:
        x = np.column_stack([x, np.log10(data[f"counts_{code}"])])
    return x.astype(np.float32), data[f"parameters_{code}"], np.arange(len(x)), data[f"split_{code}"]


def _map_set(data, code: str, what: str, method: str):
    """Maps (n, side, side) of a field, or their summaries, with parameters, simulation and split."""
    maps = data[f"maps_{code}"][:, MAP_FIELD[what]]
    if what == "contrast":
        maps = maps - np.log10(np.mean(10.0**maps, (1, 2), keepdims=True))
    x = maps if method == "cnn" else summaries(maps)
    return x.astype(np.float32), data[f"map_parameters_{code}"], data[f"simulation_{code}"], data[f"map_split_{code}"]


def summaries(maps: np.ndarray) -> np.ndarray:
    """(n, n_numbers) of log maps (n, side, side): the mean of the map itself, which goes as Omega_m in matter, and its
    logarithm; percentiles, ln of the power in bins of k, counts of peaks."""
    side = maps.shape[1]
    linear = 10.0**maps
    mean = linear.mean((1, 2))
    power = np.abs(fft.fft2(maps - maps.mean((1, 2), keepdims=True))) ** 2
    waves = np.hypot(*np.meshgrid(*[fft.fftfreq(side, 1 / side)] * 2))
    edges = np.geomspace(0.9, side / 2, 9)
    bins = [(waves >= low) & (waves < high) for low, high in zip(edges[:-1], edges[1:], strict=True)]
    spectrum = np.stack([np.log(power[:, one].mean(1)) for one in bins if one.any()], 1)
    around = np.max([np.roll(maps, (i, j), (1, 2)) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j], 0)
    heights = maps[maps > around].mean() + np.array([-0.5, 0.0, 0.5, 1.0]) * maps.std()
    peaks = np.stack([np.log1p(((maps > around) & (maps > level)).sum((1, 2))) for level in heights], 1)
    percentiles = np.percentile(maps, (2, 16, 50, 84, 98, 99.5), axis=(1, 2)).T
    return np.column_stack([mean / 1e11, np.log10(mean), percentiles, spectrum, peaks])


def train_ridge(parts):
    """Ridge regression with a penalty for each parameter (one for all would follow those that nothing tells); its error
    is that on validation simulations, the same everywhere."""
    model = make_pipeline(StandardScaler(), RidgeCV(np.geomspace(1e-3, 1e3, 13), alpha_per_target=True))
    model.fit(*parts[TRAIN])
    x, y = parts[VALIDATION]
    sigma = np.sqrt(np.mean((model.predict(x) - y) ** 2, 0))

    def predict(x):
        mean = model.predict(x)
        return mean, np.broadcast_to(sigma, mean.shape), np.zeros_like(mean)

    return predict


class DenseEnsemble(nn.Module):
    """Independent dense networks side by side: (B, n_inputs) to (B, members, 2 x parameters)."""

    def __init__(self, n_inputs: int, n_members: int, width: int = 128):
        super().__init__()
        sizes = [n_inputs, width, width, 2 * len(PARAMETERS)]
        self.weights = nn.ParameterList(
            torch.randn(n_members, a, b) * (2 / a) ** 0.5 for a, b in zip(sizes[:-1], sizes[1:], strict=True)
        )
        self.biases = nn.ParameterList(torch.zeros(n_members, 1, b) for b in sizes[1:])

    def forward(self, x: Tensor) -> Tensor:
        x = x.expand(len(self.weights[0]), *x.shape)  # (members, B, n_inputs)
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, x if number == 0 else F.silu(x), weight)
        return x.transpose(0, 1)


class MapNetwork(nn.Module):
    """Four convolutions on a periodic map, mean and spread over it, two dense layers: (B, 1, 2 x parameters)."""

    def __init__(self, width: int = 12):
        super().__init__()
        sizes = [1, width, 2 * width, 4 * width, 4 * width]
        self.layers = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=1, padding_mode="circular") for a, b in zip(sizes[:-1], sizes[1:], strict=True)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) for b in sizes[1:])
        self.head = nn.Sequential(nn.Linear(8 * width, 64), nn.SiLU(), nn.Linear(64, 2 * len(PARAMETERS)))

    def forward(self, maps: Tensor) -> Tensor:
        x = maps[:, None]  # (B, 1, side, side)
        for number, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            x = F.silu(norm(layer(x)))
            x = F.avg_pool2d(x, 2) if number < 3 else x
        return self.head(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1))[:, None]


def moment_loss(output: Tensor, target: Tensor) -> Tensor:
    """Moment networks (Jeffrey & Wandelt 2020): ln of the summed squares of truth minus mean, and of (squared error
    minus variance), a member and parameter each. `output` (B, members, 2 P), `target` (B, P)."""
    mean, ln_sigma = output.chunk(2, -1)
    squared = (target[:, None] - mean) ** 2
    variance = torch.exp(2 * ln_sigma.clamp(-6, 3))
    return (torch.log(squared.mean(0) + 1e-8) + torch.log(((squared - variance) ** 2).mean(0) + 1e-8)).mean()


def turned(maps: Tensor, rng: np.random.Generator) -> Tensor:
    """A batch shifted, turned and mirrored: the parameters do not care."""
    maps = torch.roll(maps, [int(rng.integers(n)) for n in maps.shape[1:]], (1, 2))
    maps = torch.rot90(maps, int(rng.integers(4)), (1, 2))
    return maps.flip(2) if rng.integers(2) else maps


def train_ensemble(method: str, parts, settings, seed: int):
    """Members from different starts; the variance is that of the members, in the mean, and that of their means;
    scaled to what validation simulations of the same code say."""
    on_maps = method == "cnn"
    (x, y), (x_held, y_held) = parts[TRAIN], parts[VALIDATION]
    axis = None if on_maps else 0
    middle, spread = x.mean(axis), x.std(axis) + 1e-6
    y_middle, y_spread = y.mean(0), y.std(0)
    inputs, held = (torch.from_numpy(((one - middle) / spread).astype(np.float32)) for one in (x, x_held))
    target, held_target = (torch.from_numpy(((one - y_middle) / y_spread).astype(np.float32)) for one in (y, y_held))
    n_epochs = settings["n_map_epochs" if on_maps else "n_epochs"]
    training = Training(n_epochs, settings["batch_size"], settings["learning_rate"])
    networks = [
        build((lambda: MapNetwork()) if on_maps else (lambda: DenseEnsemble(x.shape[1], settings["n_members"])),
              seed * 100 + member)
        for member in range(settings["n_map_members"] if on_maps else 1)
    ]  # fmt: skip
    for member, network in enumerate(networks):

        def loss(index, rng, network=network):
            batch = inputs[index]
            return moment_loss(network(turned(batch, rng) if on_maps else batch), target[index])

        held_out = lambda network=network: moment_loss(network(held), held_target)  # noqa: E731
        fit(network, loss, len(x), held_out, training, seed * 100 + member)

    def raw(x):
        seen = torch.from_numpy(((x - middle) / spread).astype(np.float32))
        outputs = np.concatenate([applied(network, seen) for network in networks], 1)  # (B, members, 2 P)
        means, ln_sigma = np.split(outputs, 2, -1)
        disagreement = means.std(1)
        sigma = np.sqrt(np.exp(2 * ln_sigma.clip(-6, 3)).mean(1) + disagreement**2)
        return means.mean(1) * y_spread + y_middle, sigma * y_spread, disagreement * y_spread

    mean, sigma, _ = raw(x_held)
    factor = np.sqrt(np.mean(((mean - y_held) / sigma) ** 2, 0))  # (P,), so that chi2 is 1 on validation simulations

    def predict(x):
        mean, sigma, disagreement = raw(x)
        return mean, sigma * factor, disagreement * factor

    return predict


def align(x: np.ndarray, own: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Inputs moved and sheared so that the mean and covariance of `own` become those of `wanted` (Sun et al. 2016)."""
    eye = np.eye(x.shape[1]) * 1e-3
    from_own = linalg.inv(linalg.sqrtm(np.cov(own.T) + eye).real)
    to_wanted = linalg.sqrtm(np.cov(wanted.T) + eye).real
    return ((x - own.mean(0)) @ from_own @ to_wanted + wanted.mean(0)).astype(np.float32)


def tell_codes_apart(sets, seed: int) -> dict[str, np.ndarray]:
    """Which code made this simulation: probability of the second by boosting, of the test simulations of both."""
    parts = {k: [_part(sets[code], k) for code in CODES] for k in (TRAIN, TEST)}
    x, code, group = {}, {}, {}
    for k, both in parts.items():
        x[k], group[k] = (np.concatenate([one[place] for one in both]) for place in (0, 2))
        code[k] = np.repeat([0, 1], [len(one[0]) for one in both])
    model = HistGradientBoostingClassifier(max_iter=60, random_state=seed).fit(x[TRAIN], code[TRAIN])
    return {"probability": model.predict_proba(x[TEST])[:, 1], "code": code[TEST], "simulation": group[TEST]}
