"""What a Wiener map lacks, read off its surroundings pixel by pixel: by a network, by a line, by a curve.

A Wiener map shrinks peaks and voids alike. A small network (`armillary.inverse.local_network`) sees the Wiener map,
the unfiltered Kaiser-Squires map and the depth around a pixel at several scales, and adds what skies of the same
noise and mask had there: a shrinkage that knows where it is. Trained on simulated skies of the field's own mask and
noise. Two closed forms learn from the same pixels and say how much of that is simple: a polynomial of the same
features, and a cubic of the Wiener map's value alone. (Ten of the features are linear filters of the shear, of which
the Wiener filter is the best already: a line through the features has next to nothing to find.)
"""

import jax
import jax.numpy as jnp
import numpy as np

from armillary.convergence import kaiser_squires, mean_free, smooth
from armillary.inverse.local_network import Kept, Weights, fit, initial_weights, perceptron
from armillary.mass_intervals import fit_intervals
from armillary.shear_catalogs import ShearMap

WIENER_WIDTHS_PX = (1, 2, 4, 8, 16)
SHEAR_WIDTHS_PX = (1.5, 3, 6, 12)
PIXELS_PER_STEP = 4096
NETWORK_NAMES = ("w1", "b1", "w2", "b2", "w3", "b3")
REGRESSIONS = ("cubic", "polynomial")
RIDGES = (1e-6, 1e-4, 1e-3, 1e-2, 1e-1)  # times the number of pixels


def residual_features(wiener: np.ndarray, shear: ShearMap) -> np.ndarray:
    """Features (n, n_features) of the n pixels in the mask, in the maps' own units."""
    mask = shear.mask
    wiener = mean_free(wiener, mask)
    raw = kaiser_squires(shear.g1, shear.g2)[0]
    gradient = np.hypot(*np.gradient(smooth(wiener, 2)))
    local_rms = np.sqrt(np.maximum(smooth(wiener**2, 4), 0.0))
    depth = smooth(np.where(mask, 1.0 / np.square(np.where(mask, shear.sigma1, 1.0)), 0.0), 4)
    maps = [wiener, *(smooth(wiener, width) for width in WIENER_WIDTHS_PX)]
    maps += [smooth(raw, width) for width in SHEAR_WIDTHS_PX]
    maps += [gradient, local_rms, np.log(np.maximum(depth, 0.0) + 0.1 * depth.max())]
    return np.stack([image[mask] for image in maps], axis=-1).astype(np.float32)


def train_residual(
    features: list[np.ndarray], lacking: list[np.ndarray], n_validation: int, *, n_hidden: int, n_steps: int,
    n_trainings: int, learning_rate: float, seed: int, kept: Kept,
) -> tuple[dict[str, np.ndarray], list[dict]]:  # fmt: skip
    """What `with_residual` and `with_regression` need, the rule of the intervals, and the first training's history.

    `features` and `lacking` (truth less Wiener, the pixels in the mask) have one array a sky; the last `n_validation`
    skies are held out. Losses are in units of the variance that the Wiener map leaves. Weights have a leading axis:
    the first network is the method, the others say how far trainings differ.
    """
    train, held_out = (
        np.concatenate(features[part]) for part in (slice(None, -n_validation), slice(-n_validation, None))
    )
    target, held_out_lacking = (
        np.concatenate(lacking[part]) for part in (slice(None, -n_validation), slice(-n_validation, None))
    )
    centre, spread, scale = train.mean(0), train.std(0) + 1e-12, float(target.std())
    train = (train - centre) / spread
    found = {"centre": centre, "spread": spread, "scale": np.float32(scale)}
    for name in REGRESSIONS:
        standard = [(one - centre) / spread for one in features]
        found[name] = _regression(name, standard, lacking, n_validation)
    inputs, wanted = jnp.asarray(train), jnp.asarray(target / scale)
    held_out_inputs, held_out_target = jnp.asarray((held_out - centre) / spread), jnp.asarray(held_out_lacking / scale)

    def loss(weights: Weights, key: jax.Array) -> jax.Array:
        chosen = jax.random.randint(key, (PIXELS_PER_STEP,), 0, len(wanted))
        return jnp.mean((perceptron(weights, inputs[chosen])[:, 0] - wanted[chosen]) ** 2)

    def validation_loss(weights: Weights) -> jax.Array:
        return jnp.mean((perceptron(weights, held_out_inputs)[:, 0] - held_out_target) ** 2)

    trainings = []
    for training in range(n_trainings):
        start = initial_weights(jax.random.key(seed + training), inputs.shape[1], n_hidden, 1)
        trainings.append(
            fit(
                start, loss, validation_loss, n_steps=n_steps, learning_rate=learning_rate, seed=seed + training,
                kept=kept._replace(path=kept.path.replace(".npz", f"_{training}.npz")),
                label=f"learned residual, training {training + 1} of {n_trainings}",
            )
        )  # fmt: skip
    found |= {name: np.array([weights[name] for weights, _ in trainings]) for name in trainings[0][0]}
    wiener = held_out[:, 0]
    learned = wiener + scale * np.asarray(perceptron(trainings[0][0], held_out_inputs)[:, 0])
    rule = fit_intervals(learned.astype(float), (wiener + held_out_lacking).astype(float))
    return found | {f"interval_{name}": value for name, value in rule.items()}, trainings[0][1]


def with_residual(
    weights: dict[str, np.ndarray], wiener: np.ndarray, shear: ShearMap, training: int = 0
) -> np.ndarray:  # fmt: skip
    """The Wiener map (n_y, n_x) with what the network says it lacks, mean-free in the mask."""
    inputs = (residual_features(wiener, shear) - weights["centre"]) / weights["spread"]
    network = {name: weights[name][training] for name in NETWORK_NAMES}
    lacking = np.asarray(_perceptron(network, jnp.asarray(inputs))[:, 0]) * float(weights["scale"])
    return _added(wiener, lacking, shear.mask)


def with_regression(
    weights: dict[str, np.ndarray], name: str, wiener: np.ndarray, shear: ShearMap
) -> np.ndarray:  # fmt: skip
    """The Wiener map (n_y, n_x) with what the regression `name`, one of REGRESSIONS, says it lacks."""
    inputs = (residual_features(wiener, shear) - weights["centre"]) / weights["spread"]
    return _added(wiener, _columns(name, inputs) @ weights[name], shear.mask)


def _columns(name: str, features: np.ndarray) -> np.ndarray:
    """What a regression sees of standardised features (n, n_features), Wiener first: 1 and the Wiener value's powers;
    or 1, all features, all products of two, and these times the Wiener value.
    """
    one, wiener = np.ones((len(features), 1), np.float32), features[:, :1]
    if name == "cubic":
        return np.hstack([one, wiener, wiener**2, wiener**3])
    first, second = np.triu_indices(features.shape[1])
    products = features[:, first] * features[:, second]
    return np.hstack([one, features, products, wiener * products])


def _regression(name: str, features: list[np.ndarray], target: list[np.ndarray], n_validation: int) -> np.ndarray:
    """Least squares by the normal equations, float64, sky by sky; of RIDGES the one with the least error on the last
    `n_validation` skies, which are not fitted.
    """
    matrix, vector, n_pixels = 0.0, 0.0, 0
    for one, wanted in zip(features[:-n_validation], target[:-n_validation], strict=True):
        columns = _columns(name, one).astype(float)
        matrix, vector, n_pixels = matrix + columns.T @ columns, vector + columns.T @ wanted, n_pixels + len(wanted)
    penalty = n_pixels * np.diag(np.arange(len(matrix)) > 0)  # the mean is free
    tried = np.array([np.linalg.solve(matrix + ridge * penalty, vector) for ridge in RIDGES])
    errors = 0.0
    for one, wanted in zip(features[-n_validation:], target[-n_validation:], strict=True):
        errors = errors + np.square(_columns(name, one) @ tried.T - wanted[:, None]).sum(0)
    return tried[np.argmin(errors)]


def _added(wiener: np.ndarray, lacking: np.ndarray, mask: np.ndarray) -> np.ndarray:
    added = np.zeros(wiener.shape)
    added[mask] = lacking
    return mean_free(wiener + added, mask)


_perceptron = jax.jit(lambda weights, inputs: perceptron(weights, inputs))
