"""The log-normal posterior: its prior, its Gaussian limit, its calibration, and a chain that does not move."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from armillary.convergence import binned_spectra, shear_of_convergence
from armillary.convergence_skies import SkyModel, draw_convergence, reduced
from armillary.inverse import lognormal
from armillary.inverse.lognormal import ChainSettings, lognormal_prior, lognormal_samples
from armillary.inverse.wiener import wiener_map, wiener_problem, wiener_samples
from armillary.mass_scores import covered, rank_of_truth

PIXEL = 0.6
MULTIPOLE = np.geomspace(10, 1e5, 60)
POWER = 2e-9 * (MULTIPOLE / 100) ** -0.6 / (1 + (MULTIPOLE / 3000) ** 1.5)
MODEL = SkyModel(MULTIPOLE, POWER, "lognormal", 0.033, PIXEL)


def problem_of(shape, sigma, mask):
    noise = np.full(shape, sigma)
    return wiener_problem(MULTIPOLE, POWER, noise, noise, mask, PIXEL)


def data_of(kappa, sigma, mask, rng, with_reduced_shear=True):
    """Noisy shapes (g1, g2) of a convergence map, float32, 0 outside the mask."""
    shear = shear_of_convergence(kappa)
    shear = reduced(*shear, kappa) if with_reduced_shear else shear
    noisy = (np.where(mask, g + sigma * rng.normal(size=kappa.shape), 0.0) for g in shear)
    return tuple(jnp.asarray(g, jnp.float32) for g in noisy)


def test_without_data_the_chain_draws_the_prior():
    shape, mask = (32, 33), np.ones((32, 33), bool)
    problem, blank = problem_of(shape, 1e4, mask), (jnp.zeros(shape), jnp.zeros(shape))
    prior = lognormal_prior(problem, MODEL, shape)
    settings = ChainSettings(60, 4, 12)
    samples, _ = lognormal_samples(problem, prior, blank, jax.random.key(0), settings, 150, True)
    rng = np.random.default_rng(1)
    wanted = np.array([draw_convergence(MODEL, 33, rng)[:32] for _ in range(150)])
    assert samples.min() > -MODEL.shift
    assert samples.std() == pytest.approx(wanted.std(), rel=0.1)
    skewness = [((one - one.mean()) ** 3).mean() / one.std() ** 3 for one in (samples, wanted)]
    assert skewness[0] == pytest.approx(skewness[1], rel=0.35)
    edges = np.geomspace(1500, 18000, 4)
    power = [np.mean([binned_spectra(m, m, PIXEL, edges)[0] for m in maps], axis=0) for maps in (samples, wanted)]
    assert power[0] / power[1] == pytest.approx(1.0, abs=0.2)


def test_a_free_shift_is_a_normal_mode_and_agrees_with_known_ones_at_its_nodes():
    shape, mask = (24, 24), np.ones((24, 24), bool)
    problem = problem_of(shape, 0.08, mask)
    free = lognormal_prior(problem, MODEL, shape, 0.4)
    modes = jnp.asarray(np.fft.rfft2(np.random.default_rng(9).normal(size=shape)), jnp.complex64)
    for spreads in (-2.5, 0.0, 1.25):
        known = lognormal_prior(problem, MODEL._replace(shift=MODEL.shift * np.exp(0.4 * spreads)), shape)
        kappa = [
            np.asarray(lognormal.lognormal_convergence(prior, modes.at[0, 0].set(spreads * 24), shape))
            for prior in (free, known)
        ]
        assert kappa[0] == pytest.approx(kappa[1], abs=2e-6)


def test_the_data_move_the_shift_towards_that_of_the_truth():
    """Deep shapes of skies of low and of high shift: the floor of the samples, -shift, follows."""
    shape, mask = (40, 40), np.ones((40, 40), bool)
    problem = problem_of(shape, 0.01, mask)
    prior = lognormal_prior(problem, MODEL, shape, 0.5)
    floors = []
    for factor in (0.5, 2.0):
        truth = draw_convergence(MODEL._replace(shift=factor * MODEL.shift), 40, np.random.default_rng(11))
        data = data_of(truth, 0.01, mask, np.random.default_rng(12), False)
        samples, _ = lognormal_samples(problem, prior, data, jax.random.key(1), ChainSettings(150, 5, 12), 20, False)
        floors.append(-samples[-10:].min())
    assert floors[1] > 1.4 * floors[0]


def test_far_from_its_floor_it_is_the_gaussian_posterior():
    """With a large shift the field is Gaussian, so mean and spread are those of the Wiener filter."""
    shape, sigma = (24, 25), 0.06
    mask = np.ones(shape, bool)
    mask[16:20, 4:10] = False
    rng = np.random.default_rng(2)
    truth = draw_convergence(MODEL._replace(kind="gaussian"), 25, rng)[:24]
    problem, data = problem_of(shape, sigma, mask), data_of(truth, sigma, mask, rng, False)
    prior = lognormal_prior(problem, MODEL._replace(shift=5.0), shape)
    settings = ChainSettings(80, 5, 10)
    samples, mean = lognormal_samples(problem, prior, data, jax.random.key(3), settings, 120, False)
    exact = np.asarray(wiener_samples(problem, *data, jax.random.split(jax.random.key(4), 120)))
    wiener = np.asarray(wiener_map(problem, *data)[0])
    spread = exact[:, mask].std(0).mean()
    offset = mean - mean[mask].mean() - (wiener - wiener[mask].mean())
    assert offset[mask].std() < 0.2 * spread
    samples, exact = (s - s[:, mask].mean(1)[:, None, None] for s in (samples, exact))
    assert samples[:, mask].std(0).mean() == pytest.approx(exact[:, mask].std(0).mean(), rel=0.05)


def test_its_intervals_hold_the_truth_as_often_as_they_say():
    shape, sigma = (40, 40), 0.08
    mask = np.ones(shape, bool)
    problem = problem_of(shape, sigma, mask)
    prior = lognormal_prior(problem, MODEL, shape)
    share = []
    for k in range(6):
        rng = np.random.default_rng([5, k])
        truth = draw_convergence(MODEL, 40, rng)
        data = data_of(truth, sigma, mask, rng)
        samples, mean = lognormal_samples(problem, prior, data, jax.random.key(k), ChainSettings(80, 6, 12), 24, True)
        share.append(covered(rank_of_truth(samples.astype(float), truth, mask), 24).mean())
        error = (mean - mean.mean() - truth + truth.mean()).std()
        wiener = np.asarray(wiener_map(problem, *data)[0])
        assert error < 1.03 * (wiener - wiener.mean() - truth + truth.mean()).std()
    assert np.mean(share) == pytest.approx(0.683, abs=0.05)


def test_a_chain_that_does_not_move_is_an_error(monkeypatch):
    shape, mask = (16, 16), np.ones((16, 16), bool)
    problem = problem_of(shape, 0.05, mask)
    prior = lognormal_prior(problem, MODEL, shape)
    data = data_of(draw_convergence(MODEL, 16, np.random.default_rng(6)), 0.05, mask, np.random.default_rng(7))
    monkeypatch.setattr(lognormal, "FIRST_STEP", 1e3)
    with pytest.raises(ValueError, match="longer warm-up"):
        lognormal_samples(problem, prior, data, jax.random.key(8), ChainSettings(1, 3, 7), 2, True)
