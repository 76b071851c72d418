"""Scores of mass maps: definitions, calibration of exact posteriors, stacks, and the sign of the shear."""

import numpy as np
import pytest

from armillary.convergence import kaiser_squires, shear_of_convergence, smooth
from armillary.mass_evaluation import (
    coverage_metrics,
    interval_coverage_of,
    mismatch_metrics,
    sample_metrics,
    score_maps,
    squared_errors,
    training_metrics,
)
from armillary.mass_nulls import (
    SIGNS,
    check_sign,
    compare_signs,
    excess_variance,
    normal_scores,
    pattern_signal_to_noise,
    signal_to_noise,
    stacked_signal,
)
from armillary.mass_scores import (
    QUANTILES_68,
    correlation,
    coverage_in_bins,
    covered,
    peaks,
    rank_density,
    rank_of_truth,
    spectra,
    squared_error,
    whole_map_errors,
)
from armillary.metrics import resample_counts
from armillary.shear_catalogs import Grid, ShearMap


def test_errors_do_not_see_the_mass_sheet(rng):
    truth, mask = rng.normal(size=(20, 20)), rng.random((20, 20)) < 0.7
    assert squared_error(truth + 3, truth, mask) == pytest.approx(0, abs=1e-12)
    assert squared_error(0 * truth, truth, mask) == pytest.approx(truth[mask].var())
    assert correlation(2 * truth + 1, truth, mask) == pytest.approx(1)


def test_whole_map_errors_take_off_the_mean_of_the_whole_map(rng):
    truth, mask = rng.normal(size=(30, 30)), rng.random((30, 30)) < 0.7
    assert whole_map_errors(truth + 3, truth, mask) == pytest.approx((0, 1))
    shifted = truth + np.where(mask, 0.0, 1.0)  # right in the mask, but for the mean that the rest moves
    assert whole_map_errors(shifted, truth, mask)[0] == pytest.approx((~mask).mean())
    flat = mask * truth
    rmse = np.sqrt(np.square(flat - flat.mean())[mask].mean())
    assert whole_map_errors(1e-9 * truth, flat, mask)[0] == pytest.approx(rmse)


def test_samples_like_the_truths_have_ratios_of_one():
    rng = np.random.default_rng(13)
    mask = np.ones((60, 60), bool)
    like = ShearMap(*(np.zeros(mask.shape),) * 4, mask, 4.0)
    truths, samples = 0.06 * rng.normal(size=(8, 60, 60)), 0.06 * rng.normal(size=(8, 6, 60, 60))
    found = sample_metrics("fair", samples, truths, like) | sample_metrics("flat", 0.5 * samples, truths, like)
    for name, flat in (("power", 0.25), ("tail", 0.01), ("peak", 0.3)):
        fair = found[f"fair_sample_{name}_ratio"]
        assert fair["lo"] - 2 * (fair["hi"] - fair["lo"]) < 1 < fair["hi"] + 2 * (fair["hi"] - fair["lo"])
        assert found[f"flat_sample_{name}_ratio"]["value"] == pytest.approx(flat, abs=0.15)
        assert found[f"flat_sample_{name}_ratio"]["hi"] < fair["lo"]


def test_a_map_has_coherence_one_with_itself(rng):
    truth, mask = rng.normal(size=(40, 40)), np.ones((40, 40), bool)
    power = spectra(0.5 * truth, truth, mask, 0.5, np.geomspace(600, 15000, 5))
    assert power[0] / power[1] == pytest.approx(0.25)
    assert power[2] / np.sqrt(power[0] * power[1]) == pytest.approx(1)


def test_peaks_are_found_where_they_are():
    image, mask = np.zeros((40, 40)), np.ones((40, 40), bool)
    image[10, 10], image[30, 25], mask[28:33, 22:28] = 1.0, 2.0, False
    heights = peaks(image, mask, 1.0)
    assert (heights > 0.05).sum() == 1  # the other is masked


@pytest.mark.parametrize("n", [4, 16, 100])
def test_coverage_of_an_exact_posterior_is_right_for_any_number_of_samples(n):
    rng = np.random.default_rng(12)
    mask = np.ones((150, 150), bool)
    centre = rng.normal(size=mask.shape)
    truth, samples = centre + rng.normal(size=mask.shape), centre + rng.normal(size=(n, *mask.shape))
    rank = rank_of_truth(samples, truth, mask)
    for quantiles in (QUANTILES_68, (0.29, 0.97)):
        assert covered(rank, n, quantiles).mean() == pytest.approx(quantiles[1] - quantiles[0], abs=0.012)
    assert rank_density(rank, n) == pytest.approx(1.0, abs=0.12)
    assert rank_density(rank, n).mean() == pytest.approx(1.0)
    narrow = rank_of_truth(centre + 0.5 * rng.normal(size=(n, *mask.shape)), truth, mask)
    assert covered(narrow, n).mean() < 0.6


def test_coverage_is_binned_by_convergence():
    found, count = coverage_in_bins(
        np.array([1.0, 0, 1, 1]), np.array([0.1, 0.1, 0.9, 5.0]), np.array([0, 0.5, 1.0, 2])
    )
    assert found[:2] == pytest.approx([0.5, 1.0])
    assert np.isnan(found[2])
    assert list(count) == [2, 1, 0]


GRID = Grid(150.0, 2.0, 0.5, (128, 128))


def lensed_field(rng):
    """A field of clusters with noise, their positions, and shapes turned at random."""
    kappa, places = np.zeros(GRID.shape), rng.integers(20, 108, (25, 2))
    kappa[places[:, 0], places[:, 1]] = 4.0
    g1, g2 = shear_of_convergence(smooth(kappa, 2.0))
    noise = [0.05 * rng.normal(size=(2, *GRID.shape)) for _ in range(9)]
    sigma = np.full(GRID.shape, 0.05)
    shear = ShearMap(g1 + noise[0][0], g2 + noise[0][1], sigma, sigma, np.ones(GRID.shape, bool), 0.5)
    x, y = (places[:, 1] + 0.5 - 64) * 0.5, (places[:, 0] + 0.5 - 64) * 0.5
    from armillary.convergence_skies import sky_of_plane

    return shear, np.stack(sky_of_plane(x, y, GRID), axis=-1), np.array(noise[1:])


def test_the_data_decide_the_sign(rng):
    shear, positions, turned = lensed_field(rng)
    e_excess, b_excess, spread = excess_variance(shear, turned, 2.0)
    assert e_excess / spread > 10 > 4 > abs(b_excess / spread)
    check_sign(compare_signs(shear, 2.0, positions, GRID), True, e_excess / spread, b_excess / spread, "test")
    check_sign(compare_signs(shear, 2.0, None, GRID), False, e_excess / spread, b_excess / spread, "test")
    for first, second in list(SIGNS.values())[1:]:
        wrong = shear._replace(g1=first * shear.g1, g2=second * shear.g2)
        with pytest.raises(ValueError, match="the sign of the shear is wrong"):
            check_sign(compare_signs(wrong, 2.0, positions, GRID), True, 0.0, 0.0, "test")


def test_a_turned_field_fails_without_clusters(rng):
    shear, _, turned = lensed_field(rng)
    wrong = shear._replace(g1=-shear.g2, g2=shear.g1)
    e_excess, b_excess, spread = excess_variance(wrong, turned, 2.0)
    with pytest.raises(ValueError, match="the sign of the shear is wrong"):
        check_sign(compare_signs(wrong, 2.0, None, GRID), False, e_excess / spread, b_excess / spread, "test")


def test_a_stack_of_noise_is_noise(rng):
    noise, mask = rng.normal(size=GRID.shape), np.ones(GRID.shape, bool)
    positions = np.stack([rng.uniform(149.8, 150.2, 400), rng.uniform(1.8, 2.2, 400)], axis=-1)
    mean, error, n = stacked_signal(noise, mask, positions, GRID)
    assert error == pytest.approx(1 / np.sqrt(n), rel=0.05)
    assert abs(mean / error) < 4
    with pytest.raises(ValueError, match="no cluster lies in the mask"):
        stacked_signal(noise, mask, positions + 50, GRID)


def test_shifted_patterns_know_that_clusters_and_pixels_are_not_independent():
    """Stacks of noise of many pixels' width at a tight pattern: the map's own rms says too small an error."""
    rng = np.random.default_rng(14)
    mask = np.ones(GRID.shape, bool)
    mask[:20, :30] = False
    positions = np.stack([150 + 0.02 * rng.normal(size=40), 2 + 0.02 * rng.normal(size=40)], axis=-1)
    naive, honest = [], []
    for _ in range(60):
        noise = smooth(rng.normal(size=GRID.shape), 4.0)
        naive.append(signal_to_noise(noise, mask, positions, GRID))
        honest.append(pattern_signal_to_noise(noise, mask, positions, GRID)[0])
    assert np.std(naive) > 3
    assert np.std(honest) == pytest.approx(1.0, abs=0.45)


def test_ranks_cannot_be_changed_by_a_curve_and_still_show_clusters(rng):
    shear, positions, _ = lensed_field(rng)
    kappa = smooth(kaiser_squires(shear.g1, shear.g2)[0], 2.0)
    ranks = normal_scores(kappa, shear.mask)
    assert np.array_equal(ranks, normal_scores(np.exp(40 * kappa), shear.mask))
    assert ranks.std() == pytest.approx(1, abs=0.01)
    value, n_shifts = pattern_signal_to_noise(ranks, shear.mask, positions, GRID)
    assert value > 5 and n_shifts > 1000


def test_a_field_without_room_for_shifts_has_no_pattern_error(rng):
    small = Grid(150.0, 2.0, 0.2, (20, 20))
    value, n_shifts = pattern_signal_to_noise(
        rng.normal(size=small.shape), np.ones(small.shape, bool), np.array([[150.0, 2.0]]), small
    )
    assert np.isnan(value) and n_shifts == 0


def test_coverage_of_given_intervals_names_its_lowest_full_bin():
    truths = np.zeros((2, 20, 20))
    truths[:, :, 10:] = 0.03
    truths[:, 0, 0] = 0.2  # one pixel in 400: too few for a bin of its own to count
    mask, edges = np.ones((20, 20), bool), [-1.0, 0.0, 0.1, 10.0]
    ends = np.stack([truths - 0.01, truths + 0.01], axis=1)
    ends[:, :, :5, 10:] += 1.0  # misses a quarter of the high half
    ends[:, :, 0, 0] += 1.0
    ends -= truths.mean((1, 2))[:, None, None, None]
    found = interval_coverage_of(ends, truths, truths, mask, edges, 0.1)
    entries = coverage_metrics("a", found, np.arange(2), edges, 0.1, "intervals")
    assert entries["a"]["value"] == pytest.approx(1 - 51 / 400)
    assert entries["a_least_true"]["value"] == pytest.approx(0.75)
    assert entries["a_true_2"]["value"] == 0 and entries["a_true_2"]["n"] == 2
    assert entries["a_width"]["value"] == pytest.approx(0.02)


def test_the_learned_gain_is_paired_and_holds_its_trainings():
    rng = np.random.default_rng(18)
    mask, like = np.ones((16, 16), bool), ShearMap(*(np.zeros((16, 16)),) * 4, np.ones((16, 16), bool), 4.0)
    truths = rng.normal(size=(10, 16, 16)) * np.geomspace(0.1, 10, 10)[:, None, None]
    noise = 0.5 * np.abs(truths).mean((1, 2))[:, None, None] * rng.normal(size=truths.shape)
    maps = {"wiener": truths + noise, "linear": truths + 0.96 * noise, "learned": truths + 0.9 * noise}
    scores = {name: score_maps(one, truths, like, np.geomspace(300, 3000, 3), 0.0) for name, one in maps.items()}
    trainings = np.array([squared_errors(truths + factor * noise, truths, mask) for factor in (0.9, 0.92)])
    units, counts = np.arange(10), resample_counts(10, 200, rng)
    found = training_metrics(scores, trainings, units, counts, rng)
    gain, above = found["learned_gain_over_wiener"], found["learned_gain_minus_linear"]
    assert gain["value"] == pytest.approx(0.09) and above["value"] == pytest.approx(0.05)
    assert 0.005 < gain["hi"] - gain["lo"] < 0.06  # the two trainings differ by 0.02, the skies' gains not at all
    assert above["lo"] > 0
    found = mismatch_metrics({"same": {"truth": truths, **maps}}, mask, {"edges": [-1, 1], "high": 0.1}, [1])
    assert found["mismatch_same_linear_gain"]["value"] == pytest.approx(0.04)
