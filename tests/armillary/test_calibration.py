"""Calibrated logits, and the natural cluster rate held against brute-force sums over richness."""

import numpy as np
import pytest

from armillary.calibration import NaturalPrior, error_scale, expit, fit_natural_prior, logistic_calibration

PRIOR = NaturalPrior(constant=-2.2, slope=-0.8, curvature=-1.2, redshift_slope=0.5, negative=-0.1)


def ln_weight(ln_richness, redshift):
    x = ln_richness - 3.5
    return -2.2 - 0.8 * x - 1.2 * x**2 + 0.5 * (redshift - 0.45)


@pytest.mark.parametrize(("mean", "sigma", "redshift"), [(3.0, 0.3, 0.2), (3.5, 0.1, 0.45), (4.4, 0.5, 0.7)])
def test_bayes_rule_in_closed_form(mean, sigma, redshift):
    grid = np.linspace(mean - 8 * sigma, mean + 8 * sigma, 20_001)
    sampled = np.exp(-0.5 * ((grid - mean) / sigma) ** 2)
    sampled /= sampled.sum()
    natural = sampled * np.exp(ln_weight(grid, redshift))
    shift = PRIOR.ln_odds_shift(mean, sigma, redshift)
    assert shift == pytest.approx(np.log(natural.sum()) - 0.1, abs=1e-6)
    natural /= natural.sum()
    moved, error = PRIOR.ln_richness(mean, sigma)
    assert moved == pytest.approx((natural * grid).sum(), abs=1e-6)
    assert error == pytest.approx(np.sqrt((natural * (grid - moved) ** 2).sum()), rel=1e-5)


def test_no_prior_changes_nothing():
    assert NaturalPrior().ln_odds_shift(3.4, 0.3, 0.5) == 0
    assert NaturalPrior().ln_richness(3.4, 0.3) == (pytest.approx(3.4), pytest.approx(0.3))


def test_the_fit_finds_the_weights(rng):
    ln_richness, redshift = rng.uniform(3.0, 4.8, 500), rng.uniform(0.2, 0.7, 500)
    weight = np.exp(ln_weight(ln_richness, redshift))
    prior = fit_natural_prior(weight, ln_richness, redshift, n_tiles=5000)
    assert prior[:4] == pytest.approx(PRIOR[:4], abs=1e-4)
    assert prior.negative == pytest.approx(np.log(0.9) - np.log(1 - weight.sum() / 5000))


def test_weights_that_curve_upwards_are_fitted_straight(rng):
    x, redshift = rng.uniform(-0.5, 1.0, 300), rng.uniform(0.2, 0.7, 300)
    assert fit_natural_prior(np.exp(-2 + 0.5 * x**2), x + 3.5, redshift, n_tiles=1000).curvature == 0


def test_clusters_that_are_all_alike_still_give_a_prior():
    prior = fit_natural_prior(np.full(4, 0.1), np.full(4, 3.4), np.full(4, 0.4), n_tiles=100)
    assert prior.ln_odds_shift(3.4, 0.0, 0.4) - prior.negative == pytest.approx(np.log(0.1), abs=1e-3)


def test_no_cluster_is_refused():
    with pytest.raises(ValueError, match="0 of 100 training tiles hold a cluster"):
        fit_natural_prior([], [], [], n_tiles=100)


def test_logistic_calibration_recovers_a_known_distortion(rng):
    logit = rng.normal(0, 2, 100_000)
    truth = rng.random(logit.size) < expit(0.5 * logit - 1.0)
    slope, intercept = logistic_calibration(logit, truth)
    assert (slope, intercept) == pytest.approx((0.5, -1.0), abs=0.03)
    assert np.isfinite(logistic_calibration(logit[:10], np.zeros(10))).all()


def test_error_scale_makes_errors_hold_two_thirds_of_the_residuals(rng):
    residual = rng.normal(0, 0.02, 20_000)
    assert error_scale(residual, np.full(20_000, 0.05)) == pytest.approx(0.4, rel=0.02)
    assert error_scale(residual[:0], residual[:0]) == 1.0
