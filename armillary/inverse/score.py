"""A neural prior of convergence, learned by denoising a field that was made as Gaussian as one curve can make it.

kappa = shift (exp(u + offset) - 1): the shift is the one at which u has no skewness on the training skies, and the
power of u is what those have. A field u with white noise of width sigma added has the score (D(y, sigma) - y) /
sigma^2, where D is the mean of the clean field given the noisy one (Robbins 1956; Vincent 2011). D starts from the
Wiener filter, which is right for a Gaussian field, and a network that sees its surroundings at several scales corrects
it, by a bounded amount.

In convergence itself the same network fails: peaks are many times the rms, there are few of them to learn from, and
what the network lacks at 5 rms of noise pushes them further up. In u a peak is a pixel of 3 or 4 rms like any other.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import brentq

from armillary.convergence import binned_spectra, mode_share, multipole_length, power_on_grid
from armillary.inverse.local_network import (
    Kept,
    Weights,
    filtered,
    fit,
    gaussian_bank,
    gradient_size,
    initial_weights,
    perceptron,
)

WIDTHS_PX = (1.0, 2.0, 4.0, 8.0)
N_FEATURES = 9
MAX_OFFSET = 3.0  # of the rms that the Wiener filter leaves
SIGMA_MIN, SIGMA_MAX = 0.05, 1.5  # of the rms of u
MOST_SHIFT = 1000.0  # of the rms of kappa; as good as infinite
N_SPECTRUM_BINS = 10
NETWORK_NAMES = ("w1", "b1", "w2", "b2", "w3", "b3")


class ScorePrior(NamedTuple):
    """What the prior needs on a grid, float32; spectra and filters on the half plane."""

    power: jax.Array  # variance of the modes of u
    bank: jax.Array  # Gaussian filters of WIDTHS_PX
    mode_share: jax.Array  # of each mode in the sum of the squares of the pixels
    rms: jax.Array  # of a pixel of u
    shift: jax.Array
    offset: jax.Array
    weights: Weights


def fitted_shift(kappa: np.ndarray) -> float:
    """The shift at which ln(1 + kappa / shift) has no skewness; MOST_SHIFT rms where no smaller one does it."""
    kappa = np.asarray(kappa, float).ravel()

    def skewness(ln_shift: float) -> float:
        u = np.log1p(kappa / np.exp(ln_shift))
        return float(((u - u.mean()) ** 3).mean() / u.std() ** 3)

    least, most = np.log(1.001 * -kappa.min()), np.log(MOST_SHIFT * kappa.std())
    if skewness(most) <= 0 or skewness(least) >= 0:
        return float(np.exp(most if skewness(most) <= 0 else least))
    return float(np.exp(brentq(skewness, least, most, xtol=1e-4)))


def stretched(kappa: np.ndarray, shift: float) -> np.ndarray:
    """ln(1 + kappa / shift), for what is below the floor that of a pixel just above it."""
    return np.log(np.maximum(1.0 + kappa / shift, 1e-3))


def spectrum_of_stretched(
    kappa: np.ndarray, u: np.ndarray, multipole: np.ndarray, power: np.ndarray, pixel_arcmin: float
) -> np.ndarray:
    """C(l) of u at `multipole`: that of kappa, times what the skies (n, size, size) have of one over the other.

    The ratio varies slowly; beyond the skies' multipoles it stays as it is at their ends.
    """
    length = multipole_length(kappa.shape[1:], pixel_arcmin)
    edges = np.geomspace(0.999 * length[length > 0].min(), 1.001 * length.max(), N_SPECTRUM_BINS + 1)
    of_u, of_kappa = (
        np.sum([binned_spectra(sky, sky, pixel_arcmin, edges)[0] for sky in skies], axis=0) for skies in (u, kappa)
    )
    ratio = np.log(of_u / of_kappa)
    return power * np.exp(np.interp(np.log(multipole), 0.5 * np.log(edges[1:] * edges[:-1]), ratio))


def score_prior(learned: dict[str, np.ndarray], shape: tuple[int, int], pixel_arcmin: float) -> ScorePrior:
    """The prior on a map of `shape`, from what `train_score` found."""
    variance = power_on_grid(learned["multipole"], learned["power"], shape, pixel_arcmin)
    share = mode_share(shape)
    arrays = (variance, gaussian_bank(shape, WIDTHS_PX), share, np.sqrt((variance * share).sum()))
    arrays = (*arrays, learned["shift"], learned["offset"], {name: learned[name] for name in NETWORK_NAMES})
    return ScorePrior(*jax.tree.map(lambda array: jnp.asarray(array, jnp.float32), arrays))


def wiener_gain(prior: ScorePrior, sigma: jax.Array) -> tuple[jax.Array, jax.Array]:
    """What the Wiener filter keeps of each mode of a noisy Gaussian field, and the rms of what it misses."""
    gain = prior.power / (prior.power + sigma**2)
    return gain, sigma * jnp.sqrt((prior.mode_share * gain).sum())


def correction(prior: ScorePrior, noisy: jax.Array, sigma: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The Wiener filter's mean of u given a noisy field (n_y, n_x), and what the network adds to it.

    It adds only to what the noise hides: the factor 1 - gain. On large scales the score is the small difference of two
    large fields, D and y, over sigma^2; without the factor an error of 0.5 % of what is missing outweighs the spectrum.
    """
    gain, missing_rms = wiener_gain(prior, sigma)
    base = filtered(noisy, gain)
    output = perceptron(prior.weights, _features(prior, base, sigma, missing_rms))[..., 0]
    return base, filtered(MAX_OFFSET * missing_rms * jnp.tanh(output), 1.0 - gain)


def _features(prior: ScorePrior, base: jax.Array, sigma: jax.Array, missing_rms: jax.Array) -> jax.Array:
    """(n_y, n_x, N_FEATURES): the denoised field at all scales, its local rms and gradient; the width of the noise."""
    smoothed = filtered(base, prior.bank)
    local_rms = jnp.sqrt(jnp.maximum(filtered(base**2, prior.bank[2]), 1e-12))
    maps = jnp.stack([base, *smoothed, local_rms, gradient_size(smoothed[0])]) / prior.rms
    level = jnp.stack([jnp.log(sigma / prior.rms), jnp.log(missing_rms / prior.rms)])
    level = jnp.broadcast_to(level[:, None, None], (2, *base.shape))
    return jnp.moveaxis(jnp.concatenate([maps, level]), 0, -1)


def train_score(
    skies: np.ndarray, multipole: np.ndarray, power: np.ndarray, pixel_arcmin: float, *, n_validation: int, n_hidden:
    int, n_steps: int, learning_rate: float, seed: int, kept: Kept,
) -> tuple[dict[str, np.ndarray], list[dict]]:  # fmt: skip
    """What `score_prior` needs, and the history of training on periodic skies (n, size, size), the last
    `n_validation` held out; `multipole` and `power` are those of kappa.

    A step sees two skies with noise whose log-width is uniform between SIGMA_MIN and SIGMA_MAX. Losses are in units
    of the variance that the Wiener filter leaves: below 1 is what the network knows beyond curve and power spectrum.
    """
    shift = fitted_shift(skies[:-n_validation])
    u = stretched(skies, shift)
    offset = u[:-n_validation].mean()
    # ASSUME: what varies from sky to sky in the mean of u is too little to matter
    u = jnp.asarray(u - u.mean(axis=(1, 2), keepdims=True), jnp.float32)
    train, held_out = u[:-n_validation], u[-n_validation:]
    power = spectrum_of_stretched(skies[:-n_validation], np.asarray(train), multipole, power, pixel_arcmin)
    start = initial_weights(jax.random.key(seed), N_FEATURES, n_hidden, 1)
    found = {"shift": np.float32(shift), "offset": np.float32(offset), "multipole": multipole, "power": power}
    prior = score_prior(found | start, skies.shape[1:], pixel_arcmin)
    ln_range = np.log(SIGMA_MIN), np.log(SIGMA_MAX)

    def loss_of(weights: Weights, sky: jax.Array, sigma: jax.Array, key: jax.Array) -> jax.Array:
        noisy = sky + sigma * jax.random.normal(key, sky.shape)
        base, added = correction(prior._replace(weights=weights), noisy, sigma)
        return jnp.mean((base + added - sky) ** 2) / wiener_gain(prior, sigma)[1] ** 2

    def loss(weights: Weights, key: jax.Array) -> jax.Array:
        choice, level, noise = jax.random.split(key, 3)
        chosen = train[jax.random.randint(choice, (2,), 0, len(train))]
        place = (jax.random.uniform(level) + jnp.array([0.0, 0.5])) % 1.0
        sigma = prior.rms * jnp.exp(ln_range[0] + (ln_range[1] - ln_range[0]) * place)
        return jnp.mean(jax.vmap(loss_of, (None, 0, 0, 0))(weights, chosen, sigma, jax.random.split(noise, 2)))

    def validation_loss(weights: Weights) -> jax.Array:
        keys = jax.random.split(jax.random.key(seed + 1), len(held_out))
        sigma = prior.rms * jnp.geomspace(SIGMA_MIN, SIGMA_MAX, len(held_out))
        return jnp.mean(jax.lax.map(lambda one: loss_of(weights, *one), (held_out, sigma, keys)))

    weights, history = fit(
        start,
        loss,
        validation_loss,
        n_steps=n_steps,
        learning_rate=learning_rate,
        seed=seed,
        kept=kept,
        label="score prior",
    )
    return found | {name: np.asarray(value) for name, value in weights.items()}, history
