"""The score prior, the diffusion that draws from posteriors under it, and convolutional networks: closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from armillary.inverse.autoencoder import decode, encode, untrained_autoencoder
from armillary.inverse.diffusion import Data, descend
from armillary.inverse.galaxy_diffusion import moments_of_sources, score_draws
from armillary.inverse.galaxy_posteriors import Effort, gaussian_draws
from armillary.inverse.galaxy_prior import GalaxyPrior, arrays_of_score, score_of_arrays
from armillary.inverse.galaxy_score import (
    GalaxyScore,
    denoised,
    denoised_moments,
    denoising_losses,
    train_score,
    untrained_score,
    white_of_coefficients,
)
from armillary.inverse.local_network import Kept
from armillary.inverse.scenes import Camera, Problem, moffat_psf, scenes_of, simulated
from armillary.stamp_basis import coefficients_of, fit_basis

NETWORK = {"n_coefficients": 2, "architecture": "perceptron", "n_hidden": 16, "channels": [4, 8], "seed": 0}


@pytest.fixture(scope="module")
def galaxies() -> np.ndarray:
    """Elliptical Gaussians of flux 1 on 16 pixels."""
    rng = np.random.default_rng(3)
    places = np.arange(16) - 7.5
    width = rng.uniform(1.5, 2.5, (60, 2, 1, 1))
    images = np.exp(-0.5 * (places[:, None] / width[:, 0]) ** 2 - 0.5 * (places / width[:, 1]) ** 2)
    return images / images.sum((1, 2), keepdims=True)


@pytest.fixture(scope="module")
def basis(galaxies):
    """Four components of them."""
    return fit_basis(galaxies, 4, np.random.default_rng(0))


def test_with_a_gaussian_priors_score_the_draws_are_the_wiener_posteriors():
    """Eight levels of noise are enough: every step is exact, and so is going back to a middling noise."""
    rng = np.random.default_rng(1)
    root = 0.4 * (np.tril(rng.normal(size=(3, 3))) + 2 * np.eye(3))
    centre, prior, operator = np.array([0.3, -0.5, 0.1]), root @ root.T, rng.normal(size=(4, 3))
    data = Data(np.eye(4) / 0.3**2, rng.normal(size=4) / 0.3**2)
    wiener = np.linalg.inv(np.linalg.inv(prior) + operator.T @ data.gram @ operator)
    mean = wiener @ (np.linalg.solve(prior, centre) + operator.T @ data.pull)
    centre, prior, operator, mean, data = jax.tree.map(jnp.asarray, (centre, prior, operator, mean, data))

    def moments(noisy, sigma):
        gain = prior @ jnp.linalg.inv(prior + sigma**2 * jnp.eye(3))
        return centre + gain @ (noisy - centre), jnp.linalg.cholesky(sigma**2 * gain)

    @jax.jit
    def run(noisy, sigmas, key):
        keys = jax.random.split(key, len(noisy))
        forward = lambda unknowns: (operator @ unknowns, operator)  # noqa: E731
        return jax.vmap(lambda one, key: descend(moments, forward, data, one, mean, sigmas, key)[0])(noisy, keys)

    keys = jax.random.split(jax.random.key(0), 4)
    first = run(200.0 * jax.random.normal(keys[0], (5000, 3)), jnp.geomspace(200.0, 0.05, 8), keys[1])
    again = run(first + 0.7 * jax.random.normal(keys[2], first.shape), jnp.geomspace(0.7, 0.05, 3), keys[3])
    spread = np.sqrt(np.diag(wiener))
    for draws in (first, again):
        assert np.abs((np.asarray(draws).mean(0) - np.asarray(mean)) / spread).max() < 0.06
        error = np.cov(np.asarray(draws).T) - wiener
        assert np.abs(error / np.outer(spread, spread)).max() < 0.06


def test_an_untrained_score_is_the_gaussians(rng):
    coefficients = rng.normal(size=(500, 2)) * [3.0, 0.5] + 0.1
    score = untrained_score(coefficients, np.zeros((2, 4, 4)), **NETWORK)
    white = white_of_coefficients(score, jnp.asarray(coefficients, jnp.float32))
    assert np.cov(np.asarray(white).T) == pytest.approx(np.eye(2), abs=1e-3)
    mean, root = denoised_moments(score, white[0], jnp.float32(0.7))
    assert np.asarray(mean) == pytest.approx(np.asarray(white[0]) / 1.49, rel=1e-5)
    assert np.asarray(root @ root.T) == pytest.approx(0.49 / 1.49 * np.eye(2), abs=1e-5)
    with pytest.raises(ValueError, match="n_coefficients is 9; the basis has 2"):
        untrained_score(coefficients, np.zeros((2, 4, 4)), **NETWORK | {"n_coefficients": 9})


def test_a_trained_score_is_the_closed_form_of_two_peaks(rng, tmp_path):
    """Coefficients are +3 or -3 and narrow, times a Gaussian one: the mean given noise is a tanh."""
    coefficients = rng.normal(size=(2000, 2)) * [0.1, 1.0] + np.outer(rng.choice([-3.0, 3.0], 2000), [1.0, 0.0])
    start = untrained_score(coefficients[:1500], np.zeros((2, 4, 4)), **NETWORK)
    kept = Kept(str(tmp_path / "work.npz"), "x")
    score, history = train_score(
        start, coefficients[:1500], coefficients[1500:], n_steps=600, learning_rate=1e-2, seed=0, kept=kept
    )
    assert history[-1]["validation_loss"] < 0.75  # one of two variables is known beyond its Gaussian
    white = white_of_coefficients(score, jnp.asarray(coefficients[1500:], jnp.float32))
    sigma = jnp.full(len(white), 0.5)
    losses = [denoising_losses(one, white, sigma, jax.random.key(1)).mean() for one in (start, score)]
    assert losses[0] == pytest.approx(1.0, abs=0.1) and losses[1] < 0.7 * losses[0]
    places = jnp.stack([jnp.linspace(-2, 2, 9), jnp.zeros(9)], 1)
    width = float(jnp.std(jnp.abs(white[:, 0])))
    top, variance = float(jnp.abs(white[:, 0]).mean()), width**2 + 0.25
    x = np.linspace(-2, 2, 9)
    tilt = np.tanh(top * x / variance)
    exact = (width**2 * x + 0.25 * top * tilt) / variance
    assert np.asarray(denoised(score, places, jnp.full(9, 0.5))[:, 0]) == pytest.approx(exact, abs=0.12)
    again = score_of_arrays(arrays_of_score(score))
    both = [np.asarray(denoised(one, places, sigma[:9])) for one in (again, score)]
    assert both[0] == pytest.approx(both[1])


def test_gaussian_galaxies_have_the_closed_forms_posterior(galaxies, basis):
    """A score prior that is linear and untrained against `pca_gaussian`, on masked data, residuals all but off."""
    camera = Camera(17, 0.168, (0.6, 0.6), 3.5, 0.05, 0.05, 0.0)
    fine_psf = moffat_psf(25, 0.1, 0.2, 5.0, 0.0, 0.0)
    seen = simulated(
        galaxies[None, :1], np.array([22.0]), np.zeros((1, 1, 1, 1)), fine_psf, 0.1, camera, Problem(n_hidden_px=4), 2,
        np.random.default_rng(1),
    )  # fmt: skip
    scenes = scenes_of(seen, seen.mask > 0, fine_psf, 16, 0.1, 0.05)
    scene = jax.tree.map(lambda part: part[0], scenes)
    spread, far = np.sqrt(np.diag(basis.covariance)), 1e3  # of the spread: there an arcsinh is linear
    score = untrained_score(coefficients_of(basis, galaxies), basis.components, **NETWORK | {"n_coefficients": 4})
    flat = GalaxyScore(
        score.weights, jnp.asarray(far * spread), jnp.zeros(4),
        jnp.linalg.cholesky(jnp.asarray(basis.covariance / np.outer(spread, spread) / far**2)), None,
        jnp.ones((16, 9)), jnp.full(2, 1e-6),
    )  # fmt: skip
    prior = GalaxyPrior(jnp.asarray(basis.stack, jnp.float32), jnp.asarray(basis.covariance), *[None] * 4, flat, None)
    drawn = score_draws(prior, scene, jax.random.key(1), Effort(n_diffusions=32, n_levels=8), 512)
    wanted = gaussian_draws(prior, scene, jax.random.key(2), 512)
    error = np.asarray(wanted.c.std(0))
    assert np.abs(np.asarray(drawn.c.mean(0) - wanted.c.mean(0)) / error).max() < 0.25
    assert np.asarray(drawn.c.std(0)) / error == pytest.approx(np.ones(error.shape), abs=0.2)
    assert np.asarray(drawn.shift.std(0)) / np.asarray(wanted.shift.std(0)) == pytest.approx(np.ones((1, 2)), abs=0.2)


def test_sources_do_not_share_covariance(rng):
    score = untrained_score(rng.normal(size=(50, 2)), np.zeros((2, 4, 4)), **NETWORK)
    mean, root = moments_of_sources(score, 2, jnp.arange(6.0), jnp.float32(1.0))
    assert np.asarray(mean) == pytest.approx(np.arange(6.0) / 2)
    assert np.asarray(root @ root.T) == pytest.approx(0.5 * np.eye(6), abs=1e-6)


def test_a_step_of_convolutional_networks_lowers_the_loss(galaxies, basis):
    """Shapes, finite gradients of every weight, and what a step against them does, at a tiny size."""
    known = jnp.asarray(coefficients_of(basis, galaxies), jnp.float32)
    shape = {"architecture": "convolutional", "n_hidden": 4, "seed": 0}
    model = untrained_autoencoder(np.asarray(known), basis.stack, n_latents=3, channels=[3], **shape)
    score = untrained_score(np.asarray(known), basis.components, n_coefficients=4, channels=[3, 4], **shape)
    assert model.n_latents == 3
    assert [part.shape for part in jax.eval_shape(lambda rows: encode(model, rows), known)] == [(60, 3)] * 2
    assert jax.eval_shape(lambda rows: decode(model, rows), jnp.zeros((5, 2, 3))).shape == (5, 2, 4)
    white = white_of_coefficients(score, known)

    def misses(weights):
        trained = model._replace(weights=weights)
        return jnp.mean(((decode(trained, encode(trained, known)[0]) - known) / model.scale) ** 2)

    def noise_left(weights):
        trained = score._replace(weights=weights)
        return denoising_losses(trained, white, jnp.full(len(white), 0.5), jax.random.key(0)).mean()

    for loss, weights in ((misses, model.weights), (noise_left, score.weights)):
        value_and_slope = jax.jit(jax.value_and_grad(loss))
        before, slope = value_and_slope(weights)
        length = sum(float(jnp.sum(part**2)) for part in jax.tree.leaves(slope))
        assert np.isfinite(length) and length > 0
        rate = 1e-3 * float(before) / length  # what a straight slope would take off: a thousandth
        after, _ = value_and_slope(jax.tree.map(lambda weight, part, rate=rate: weight - rate * part, weights, slope))
        assert 0.998 * before < after < 0.9995 * before
