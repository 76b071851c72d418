"""Checks of posteriors pass right ones and fail wrong ones; scores of images against closed forms."""

import numpy as np
import pytest

from armillary.posterior_checks import (
    closer_share,
    covered_share,
    deviation_bound,
    effective_samples,
    expected_coverage_deviation,
    rank_chi2,
    split_r_hat,
)
from armillary.stamp_evaluation import ProblemData, flux_metrics, score_problem
from armillary.stamp_scores import concentration, psnr_db, shapes
from armillary.stamp_sets import Observations


def test_coverage_of_few_samples_has_no_bias(rng):
    everywhere = np.ones(20000, bool)
    for n in (8, 64):
        share = covered_share(rng.normal(size=(n, 20000)), rng.normal(size=20000), everywhere)
        assert share == pytest.approx(0.683, abs=0.012)
    assert covered_share(0.5 * rng.normal(size=(64, 20000)), rng.normal(size=20000), everywhere) < 0.45


def test_distances_tell_narrow_posteriors_from_right_ones(rng):
    def deviation(width):
        truth, data = rng.normal(size=(400, 5)), None
        shares = []
        for one in truth:
            data = one + rng.normal(size=5)
            samples = data / 2 + width * np.sqrt(0.5) * rng.normal(size=(64, 5))
            shares.append(closer_share(samples, one, data + rng.normal(size=5)))
        return expected_coverage_deviation(shares)

    assert deviation(1.0) < deviation_bound(400) + 1 / 64
    assert deviation(0.5) > 2 * deviation_bound(400)


def test_ranks(rng):
    assert rank_chi2(rng.integers(0, 64, 800), 63) < 20
    assert rank_chi2(np.full(100, 3), 63) > 100
    assert rank_chi2(np.arange(65), 64) == pytest.approx(0, abs=1e-12)  # bins of nine and of eight ranks


def test_chains_that_differ_and_chains_that_crawl_are_seen(rng):
    chains = rng.normal(size=(4, 400, 2))
    assert split_r_hat(chains).max() < 1.03
    assert effective_samples(chains) == pytest.approx(1600, rel=0.35)
    assert split_r_hat(chains + np.arange(4)[:, None, None]).min() > 1.3
    slow = np.zeros((4, 4000, 1))
    for k in range(1, 4000):
        slow[:, k] = 0.9 * slow[:, k - 1] + rng.normal(size=(4, 1))
    assert effective_samples(slow)[0] == pytest.approx(16000 / 19, rel=0.35)  # (1 - 0.9) / (1 + 0.9)


def test_psnr_takes_the_truths_noise_off(rng):
    truth = np.zeros((256, 256))
    truth[128, 128] = 1.0
    assert psnr_db(truth + 0.1, truth) == pytest.approx(20)
    noisy = truth + 0.1 * rng.normal(size=truth.shape)
    image = truth + 0.05 * rng.normal(size=truth.shape)
    peak = 20 * np.log10(noisy.max())
    assert psnr_db(image, noisy, 0.01) == pytest.approx(26.0 + peak, abs=0.3)


def test_the_noise_of_a_truth_is_part_of_what_intervals_hold(rng):
    """A Gaussian posterior that is right of clean galaxies, and truths with noise of their own."""
    places = np.arange(16) - 7.5
    clean = 40 * np.exp(-0.5 * (places[:, None] ** 2 + places**2) / 9) * np.ones((24, 1, 1, 1))
    clean = np.array([np.roll(one, number % 5 - 2, -1) for number, one in enumerate(clean)])
    stack = np.eye(256).reshape(256, 16, 16)
    truth = clean + 3.0 * rng.normal(size=clean.shape)
    mean = clean + rng.normal(size=clean.shape)
    c = mean.reshape(24, 1, 1, 256) + rng.normal(size=(24, 32, 1, 256))
    none = np.zeros((24, 1, 1))
    posterior = {
        "image": mean, "sd": np.ones_like(mean), "c": c, "shift": np.zeros((24, 32, 1, 2)), "chi2": np.ones(24),
        "n_pixels": np.ones(24), "chi2_bright": np.ones(24), "n_bright": np.ones(24), "seconds": np.ones(24),
        "n_independent": np.full(24, 32),
    }  # fmt: skip
    flux = clean.sum((2, 3))
    seen = Observations(
        none, none, none, none, 0.1, np.zeros((24, 1, 2)), truth, np.full((24, 1, 1, 1), 9.0), flux, 0.01 * flux, none
    )
    data = ProblemData("real", seen, {"pca_gaussian": posterior}, stack, 0.1)
    found, _ = score_problem([data], 20, rng)
    assert found["real_pca_gaussian_coverage_68"]["value"] == pytest.approx(0.683, abs=0.03)
    assert found["real_pca_gaussian_coverage_68_of_noisy_truth"]["value"] < 0.45
    assert found["real_pca_gaussian_coverage_68_shuffled"]["value"] < 0.5
    assert found["real_pca_gaussian_sbc_size_chi2"]["value"] < 25
    assert found["real_least_flux_error_median"]["value"] == pytest.approx(0.00674, rel=0.02)  # of a Gaussian of 1 %


def test_errors_of_clear_fluxes_are_those_of_clear_fluxes(rng):
    """Of two sources a scene one has a signal to noise of 100 and is 2 % off, the other 10 and 30 % off."""
    flux, off = np.ones((6, 2)), np.array([1.02, 0.7])
    seen = Observations(*[np.zeros((6, 1, 1))] * 8, flux, flux * [0.01, 0.1], np.zeros(0))
    images = (flux * off)[..., None, None]
    found = flux_metrics(ProblemData("two", seen, {"ml": {"image": images}}, None, 0.1), np.ones((5, 6)))
    assert found["two_ml_flux_error_p90_clear"]["value"] == pytest.approx(0.02)
    assert found["two_ml_flux_error_median_clear"]["n"] == 6
    assert found["two_ml_flux_error_p90"]["value"] == pytest.approx(0.3)
    assert found["two_least_flux_error_p90_clear"]["value"] == pytest.approx(0.01645, rel=0.02)
    faint = ProblemData("two", seen._replace(flux_sigma=0.1 * flux), {"ml": {"image": images}}, None, 0.1)
    assert flux_metrics(faint, np.ones((5, 6)))["two_ml_flux_error_p90_clear"]["value"] is None


def test_shapes_of_a_gaussian():
    places = (np.arange(64) - 31.5) * 0.06
    widths = np.array([0.2, 0.3])
    image = np.exp(-0.5 * (places[:, None] / widths[0]) ** 2 - 0.5 * (places / widths[1]) ** 2)
    flux, size, e1, e2 = shapes(image / image.sum(), 0.06)
    seen = 1 / (1 / widths**2 + 1 / 0.5**2)  # under the window
    assert flux == pytest.approx(1)
    assert size == pytest.approx(np.sqrt(seen.mean()), rel=1e-3)
    assert e1 == pytest.approx((seen[1] - seen[0]) / seen.sum(), rel=1e-3)
    assert abs(e2) < 1e-6
    assert concentration(image[None], 0.06)[0] == pytest.approx(2.2, abs=0.25)  # 2.15 for a round Gaussian
