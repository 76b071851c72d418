"""The score prior: its curve and spectrum, what its network learns, and chains that draw what they should."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from armillary.convergence import power_on_grid, shear_of_convergence
from armillary.convergence_skies import SkyModel, draw_convergence, white_to_gaussian_power
from armillary.inverse.annealing import Schedule, annealed_samples
from armillary.inverse.local_network import Kept, initial_weights
from armillary.inverse.lognormal import ChainSettings
from armillary.inverse.score import (
    N_FEATURES,
    fitted_shift,
    score_prior,
    spectrum_of_stretched,
    stretched,
    train_score,
)
from armillary.inverse.trajectories import place_at, sampled, warmed_up
from armillary.inverse.wiener import wiener_map, wiener_problem, wiener_samples

PIXEL = 0.6
MULTIPOLE = np.geomspace(10, 1e5, 60)
POWER = 2e-9 * (MULTIPOLE / 100) ** -0.6 / (1 + (MULTIPOLE / 3000) ** 1.5)
MODEL = SkyModel(MULTIPOLE, POWER, "lognormal", 0.033, PIXEL)
SHAPE = (24, 25)


def chain(problem, prior, data, key):
    """Samples and mean of a short chain; one compilation for all tests."""
    settings = ChainSettings(n_between_samples=3, n_leapfrog=8)
    return annealed_samples(problem, prior, data, jax.random.key(key), Schedule(1.0, 0.1, 6, 8), settings, 120, False)


@pytest.fixture(scope="module")
def skies() -> np.ndarray:
    rng = np.random.default_rng(11)
    return np.array([draw_convergence(MODEL, 48, rng) for _ in range(60)])


def trained(skies, folder, n_steps) -> tuple[dict, list[dict]]:
    return train_score(
        skies, MULTIPOLE, POWER, PIXEL, n_validation=12, n_hidden=12, n_steps=n_steps, learning_rate=4e-3, seed=0,
        kept=Kept(str(folder / "state.npz"), "these settings"),
    )  # fmt: skip


def problem_of(shape, sigma, mask=None):
    noise = np.full(shape, sigma)
    return wiener_problem(MULTIPOLE, POWER, noise, noise, np.ones(shape, bool) if mask is None else mask, PIXEL)


def test_the_curve_and_the_spectrum_of_a_log_normal_sky_are_found(skies):
    shift = fitted_shift(skies)
    assert shift == pytest.approx(0.033, rel=0.03)
    found = spectrum_of_stretched(skies, stretched(skies, shift), MULTIPOLE, POWER, PIXEL)
    wanted = white_to_gaussian_power(MODEL, (48, 48))[0]
    ratio = power_on_grid(MULTIPOLE, found, (48, 48), PIXEL)[wanted > 0] / wanted[wanted > 0]
    assert np.median(ratio) == pytest.approx(1.0, abs=0.04)
    assert np.percentile(ratio, [5, 95]) == pytest.approx(1.0, abs=0.12)


def test_a_gaussian_sky_is_hardly_bent():
    rng = np.random.default_rng(12)
    skies = np.array([draw_convergence(MODEL._replace(kind="gaussian"), 48, rng) for _ in range(20)])
    assert fitted_shift(skies) > 15 * skies.std()
    assert fitted_shift(-np.exp(rng.normal(size=1000))) > 15  # a skewness that no shift takes away


def test_the_network_learns_what_no_curve_makes_gaussian(tmp_path):
    """Gaussian skies whose strength varies across the field: the strength can be read off the surroundings."""
    rng = np.random.default_rng(13)
    gaussian = [draw_convergence(MODEL._replace(kind="gaussian"), 48, rng) for _ in range(40)]
    x, y = np.meshgrid(*(np.arange(48) * 2 * np.pi / 48,) * 2)
    phase = rng.uniform(0, 2 * np.pi, (40, 2))
    strength = np.array([np.exp(np.sin(x + one) + np.sin(y + other)) for one, other in phase])
    strength /= np.sqrt((strength**2).mean())
    _, history = trained(strength * np.array(gaussian), tmp_path, 80)
    assert history[-1]["validation_loss"] < 0.985  # 1 is the Wiener filter


def test_without_data_a_long_chain_stays_with_the_skies_it_learned(skies, tmp_path):
    """Errors of the network do not feed themselves: rms, high pixels and floor of the skies, far from any data."""
    learned, _ = trained(skies, tmp_path, 40)
    prior, blank = score_prior(learned, SHAPE, PIXEL), (jnp.zeros(SHAPE),) * 2
    samples, mean = chain(problem_of(SHAPE, 1e4), prior, blank, 0)
    assert samples.std() == pytest.approx(skies.std(), rel=0.1)
    assert (samples > 0.1).mean() == pytest.approx((skies > 0.1).mean(), rel=0.4)
    assert samples.min() > -1.05 * MODEL.shift
    assert abs(mean.mean()) < 0.003


def test_an_untrained_prior_of_gaussian_skies_samples_the_gaussian_posterior():
    shape, sigma = SHAPE, 0.06
    mask = np.ones(shape, bool)
    mask[16:20, 4:10] = False
    rng = np.random.default_rng(2)
    truth = draw_convergence(MODEL._replace(kind="gaussian"), 25, rng)[:24]
    noisy = (np.where(mask, g + sigma * rng.normal(size=shape), 0.0) for g in shear_of_convergence(truth))
    data, problem = tuple(jnp.asarray(g, jnp.float32) for g in noisy), problem_of(shape, sigma, mask)
    weights = initial_weights(jax.random.key(0), N_FEATURES, 12, 1)
    far = {"shift": 5.0, "offset": 0.0, "multipole": MULTIPOLE, "power": POWER / 5.0**2}
    samples, mean = chain(problem, score_prior(far | weights, shape, PIXEL), data, 3)
    exact = np.asarray(wiener_samples(problem, *data, jax.random.split(jax.random.key(4), 120)))
    spread = exact[:, mask].std(0).mean()
    offset = (mean - np.asarray(wiener_map(problem, *data)[0]))[mask]
    assert (offset - offset.mean()).std() < 0.2 * spread
    samples, exact = (s - s[:, mask].mean(1)[:, None, None] for s in (samples, exact))
    assert samples[:, mask].std(0).mean() == pytest.approx(exact[:, mask].std(0).mean(), rel=0.05)


def test_a_push_counts_by_its_work():
    """A Gaussian whose energy is half told by a judge and half by a push has the variance of both together."""

    def judge(position):
        return 0.5 * (position**2).sum(), position

    def push(position):
        return -1.5 * position

    keys = jax.random.split(jax.random.key(1), 100)
    place = place_at(jnp.zeros((20, 20)), jnp.log(0.1), judge, push)
    place = warmed_up(judge, place, keys[:40], 8, push)
    positions, mean, share = sampled(judge, lambda position: position, place, keys[40:], 2, 8, push)
    assert positions.var() == pytest.approx(1 / 2.5, rel=0.05)
    assert abs(mean.mean()) < 0.03 and 0.5 < share < 0.98
