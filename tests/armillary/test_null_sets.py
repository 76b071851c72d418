"""Band powers on powers of known make, and what the scores say of them."""

import numpy as np
import pytest

from armillary.band_powers import Sums, band_powers, band_powers_of_one
from armillary.map_scores import Curves, mean_of_trainings, spread_note
from armillary.null_sets import NULLS, recovery_entries
from armillary.training_log import LEAST_GAIN, gain_over_start, read_history, write_history

EDGES = [150, 400, 1300, 1600, 2500]
RESPONSE, N0, N1 = np.array([0.9, 0.7, 0.5, 0.2]), np.array([1.0, 2.0, 3.0, 4.0]), np.array([-0.2, -0.5, 0.3, 0.1])
WORDS = dict.fromkeys(("scaled", "other", "noisier"), "words")


def powers(lensing: float, *, noise: float = 1.0, n: int = 50, error: float = 0.0) -> Sums:
    """Powers of maps with C_kk = `lensing` up to a scatter that is common to all that share it."""
    truth = lensing * np.random.default_rng(5).uniform(0.9, 1.1, (n, 4))
    auto = RESPONSE**2 * truth * (1 + error) + noise * N0 + lensing * N1
    return Sums(auto, RESPONSE * truth, truth, np.tile(noise * N0, (n, 1)), np.full(n, lensing))


def test_biases_are_taken_off():
    found = band_powers(powers(1.3, noise=1.2), powers(1.0))
    np.testing.assert_allclose(found.power, found.truth)
    np.testing.assert_allclose(found.n1, 1.3 * N1)
    np.testing.assert_allclose(found.response, RESPONSE)
    spread = powers(1.3).truth.var(0, ddof=1) / 50
    np.testing.assert_allclose(np.diag(found.covariance), spread)


def test_a_response_that_differs_on_the_data_is_divided_out():
    data = powers(1.3)._replace(auto=powers(1.3).auto + RESPONSE**2 * powers(1.3).truth * (0.98**2 - 1))
    found = band_powers(data, powers(1.0), np.full(4, 0.98))
    np.testing.assert_allclose(found.power, found.truth)


def test_one_map_has_the_covariance_of_one_map():
    reference = powers(1.0)
    found = band_powers_of_one(Sums(*(part[:1] for part in powers(1.3))), N0, reference)
    np.testing.assert_allclose(found.power, powers(1.3).truth[0])
    np.testing.assert_allclose(np.diag(found.covariance), reference.truth.var(0, ddof=1))


def test_scores_name_the_worst_bin_and_both_biases():
    sums = {name: powers(1.0) for name in NULLS} | {
        "unlensed": powers(0.0), "scaled": powers(1.3, error=0.02), "other": powers(0.8),
        "noisier": powers(1.0, noise=2),
    }  # fmt: skip
    found = recovery_entries(sums, EDGES, "x", factors={}, words=WORDS, n_resamples=50, seed=1)
    assert found["x_scaled_recovered_l1450"]["value"] == pytest.approx(1.02)
    assert found["x_other_recovered_l275"]["value"] == pytest.approx(1.0)
    assert found["x_noisier_recovered_l850"]["value"] == pytest.approx(1.0)
    assert found["x_additive_bias_l275"]["value"] == pytest.approx(0.0, abs=1e-12)
    assert found["x_multiplicative_bias_l275"]["value"] == pytest.approx(1.3 * 0.02 / 0.3)
    assert found["x_recovered_worst"]["value"] == pytest.approx(0.02)
    assert "scaled" in found["x_recovered_worst"]["note"]


def test_the_spread_of_trainings_is_in_the_error():
    samples = np.random.default_rng(0).normal(0.5, 0.01, (4000, 2))
    each = [
        Curves(*[np.full(2, 0.5 + shift)] * 6, samples + shift, samples + shift, samples + shift)
        for shift in (-0.03, 0.0, 0.03)
    ]
    mean = mean_of_trainings(each, np.random.default_rng(1))
    np.testing.assert_allclose(mean.rho, 0.5)
    np.testing.assert_allclose(mean.rho_samples.std(0), np.hypot(0.01, 0.03), rtol=0.05)
    np.testing.assert_allclose(mean_of_trainings(each[:1], np.random.default_rng(1)).rho_samples, samples - 0.03)
    assert "3 trainings" in spread_note(each)


def test_a_training_that_stays_at_its_start_is_known_by_its_history(tmp_path):
    path, columns = str(tmp_path / "history.csv"), ["epoch", "validation_loss", "start_loss"]
    for losses, learned in (((1.001, 0.9996), False), ((0.999, 0.97), True)):
        rows = [dict(zip(columns, (n, loss, 1.0), strict=True)) for n, loss in enumerate(losses)]
        write_history(path, columns, rows)
        assert (gain_over_start(read_history(path)) >= LEAST_GAIN) == learned
