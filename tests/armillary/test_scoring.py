"""Tile scores, two-way matching, completeness and purity, residuals: closed forms and synthetic skies."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from armillary.completeness import (
    area_under,
    choose_operating_point,
    completeness_at_purity,
    completeness_purity_curve,
    judge,
    richness_bins,
    scores_in_bins,
)
from armillary.cosmology import HUBBLE_H, pixels_per_mpc
from armillary.footprint import disc_inside
from armillary.matching import candidate_pairs, match_nearest, match_radius_arcsec, match_two_way
from armillary.metrics import resample_counts
from armillary.residuals import matched_clusters, normalised_mad, residual_metrics, weighted_median
from armillary.scoring import (
    average_precision,
    best_f1_threshold,
    bootstrap_average_precision,
    bootstrap_calibration_error,
    bootstrap_confusion,
    equal_mass_bins,
    reliability,
    score_tiles,
    tile_metrics,
)
from armillary.splits import field_detections, field_truth, flat_tiles, require_same_tiles, with_whole

RADIUS = {"match_radius_mpc": 1.0}
CRITERIA = {"match_radius_mpc": 1.0, "match_dz": 0.05}
CUTS = {"richness_above": 30.0, "pure_richness": 20.0, "redshift_range": (0.2, 0.65)}


def average_precision_by_brute_force(probability, truth):
    """Sum over distinct thresholds of (recall gained) x precision, one threshold at a time."""
    area, recall_before = 0.0, 0.0
    for threshold in sorted(set(probability.tolist()), reverse=True):
        called = [(p >= threshold, t) for p, t in zip(probability, truth, strict=True)]
        found = sum(c and t for c, t in called)
        recall = found / truth.sum()
        area += (recall - recall_before) * found / sum(c for c, _ in called)
        recall_before = recall
    return area


# ---------------------------------------------------------------- tiles


def test_average_precision_of_perfect_worst_and_constant_classifiers():
    truth = np.arange(100) < 20
    assert average_precision(truth.astype(float), truth) == pytest.approx(1.0)
    assert average_precision(np.full(100, 0.3), truth) == pytest.approx(0.2)
    worst = sum(k / (80 + k) for k in range(1, 21)) / 20
    assert average_precision(np.arange(100) / 100, truth) == pytest.approx(worst, abs=1e-12)
    assert np.isnan(average_precision(np.full(3, 0.3), np.zeros(3, bool)))


def test_average_precision_of_a_random_classifier_is_the_base_rate():
    rng = np.random.default_rng(0)
    assert average_precision(rng.random(200_000), rng.random(200_000) < 0.1) == pytest.approx(0.1, abs=0.004)


@pytest.mark.parametrize("n_levels", [3, 10, 1000])
def test_average_precision_against_brute_force_with_ties(n_levels):
    rng = np.random.default_rng(n_levels)
    probability = rng.integers(0, n_levels, 120) / n_levels
    truth = rng.random(120) < probability
    assert average_precision(probability, truth) == pytest.approx(average_precision_by_brute_force(probability, truth))
    order = rng.permutation(120)
    assert average_precision(probability[order], truth[order]) == pytest.approx(average_precision(probability, truth))


def test_weights_act_as_repeated_tiles():
    rng = np.random.default_rng(1)
    probability, truth = rng.random(50).round(1), rng.random(50) < 0.4
    unit = np.repeat(np.arange(10), 5)
    counts = resample_counts(10, 5, rng)
    _, samples = bootstrap_average_precision(probability, truth, unit, counts)
    for row, sample in zip(counts.astype(int), samples, strict=True):
        kept = np.repeat(np.arange(50), row[unit])
        assert sample == pytest.approx(average_precision(probability[kept], truth[kept]))


def test_confusion_scores_are_the_sources():
    probability = np.array([0.9, 0.8, 0.5, 0.4, 0.1])
    truth = np.array([True, False, True, True, False])
    scores = bootstrap_confusion(probability, truth, 0.5, np.zeros(5, int), np.ones((1, 1)))
    precision, recall = 2 / (3 + 1e-6), 2 / (3 + 1e-6)
    assert scores["accuracy"][0] == pytest.approx(3 / 5)
    assert scores["precision"][0] == pytest.approx(precision, abs=1e-12)
    assert scores["f1"][0] == pytest.approx(2 * precision * recall / (precision + recall + 1e-6), abs=1e-12)
    assert scores["f1"][1][0] == pytest.approx(scores["f1"][0])


def test_nothing_called_scores_zero_not_nan():
    scores = bootstrap_confusion(
        np.zeros(4), np.array([True, False, False, False]), 0.5, np.zeros(4, int), np.ones((1, 1))
    )
    assert (scores["precision"][0], scores["recall"][0], scores["f1"][0]) == (0, 0, 0)
    assert scores["accuracy"][0] == 0.75


def test_best_f1_threshold_is_the_best_of_all():
    rng = np.random.default_rng(2)
    probability = rng.random(300).round(2)
    truth = rng.random(300) < probability**2
    unit, counts = np.zeros(300, int), np.ones((1, 1))
    f1 = {t: bootstrap_confusion(probability, truth, t, unit, counts)["f1"][0] for t in np.unique(probability)}
    assert f1[best_f1_threshold(probability, truth)] == pytest.approx(max(f1.values()))
    assert best_f1_threshold(probability, np.zeros(300, bool)) == 0.5


def test_equal_mass_bins_keep_ties_together():
    bins = equal_mass_bins(np.array([0.0] * 50 + [0.5] * 30 + list(np.linspace(0.6, 1, 20))), 10)
    assert len(set(bins[:50])) == 1 and len(set(bins[50:80])) == 1
    assert np.all(np.diff(bins) >= 0) and bins.max() == 9
    assert np.all(np.bincount(equal_mass_bins(np.random.default_rng(0).random(1500), 15)) == 100)


def test_calibration_error_of_calibrated_and_shifted_probabilities():
    rng = np.random.default_rng(3)
    probability = rng.beta(0.3, 2.0, 100_000)
    truth = rng.random(100_000) < probability
    unit = np.repeat(np.arange(100), 1000)
    counts = resample_counts(100, 50, rng)
    assert bootstrap_calibration_error(probability, truth, unit, counts, 15)[0] < 0.005
    shifted = np.clip(0.8 * probability + 0.1, 0, 1)
    value, samples = bootstrap_calibration_error(shifted, truth, unit, counts, 15)
    bins = equal_mass_bins(shifted, 15)
    by_hand = sum(abs(shifted[bins == b].sum() - truth[bins == b].sum()) for b in range(15)) / 100_000
    assert value == pytest.approx(by_hand) and np.median(samples) == pytest.approx(value, rel=0.05)
    curve = reliability(probability, truth, unit, counts, 15)
    assert curve["n"].sum() == 100_000
    assert np.all(np.abs(curve["fraction"] - curve["probability"]) < 5 * (curve["hi"] - curve["lo"]) / 2 + 1e-3)


def test_encoder_beats_noise_by_many_paired_sigma():
    rng = np.random.default_rng(4)
    truth = rng.random(4000) < 0.15
    unit = np.repeat(np.arange(40), 100)
    counts = resample_counts(40, 200, rng)
    good = np.clip(0.15 + 0.5 * truth + rng.normal(0, 0.1, 4000), 0, 1)
    results = [score_tiles(p, truth, 0.4, unit, counts, 15) for p in (good, rng.random(4000))]
    metrics = tile_metrics(*results, truth, unit, counts)
    assert metrics["tile_pr_auc_advantage_sigma"]["value"] > 10
    assert metrics["tile_pr_auc"]["baseline"] == "finder_tile_pr_auc"
    assert metrics["finder_tile_pr_auc"]["value"] == pytest.approx(metrics["tile_base_rate"]["value"], abs=0.03)
    assert metrics["tile_pr_auc_over_base_rate"]["value"] > 5


def test_flat_tiles_sorts_fields_and_rejects_bad_files():
    arrays = {
        "field": np.array([7, 3]),
        "probability": np.arange(8).reshape(2, 2, 2) / 10,
        "membership": np.ones((2, 2, 2), bool),
    }
    tiles = flat_tiles(arrays, "p.npz")
    assert tiles["field"].tolist() == [3, 7] and tiles["probability"][:4].tolist() == [0.4, 0.5, 0.6, 0.7]
    with pytest.raises(ValueError, match="p.npz has no array membership"):
        flat_tiles({k: arrays[k] for k in ("field", "probability")}, "p.npz")
    with pytest.raises(ValueError, match="outside"):
        flat_tiles(arrays | {"probability": np.full((2, 2, 2), np.nan)}, "p.npz")
    other = flat_tiles(arrays | {"field": np.array([7, 4])}, "q.npz")
    with pytest.raises(ValueError, match="different fields"):
        require_same_tiles(tiles, other, ("p.npz", "q.npz"))


# ---------------------------------------------------------------- matching


def sky(rows, columns):
    return pd.DataFrame(rows, columns=columns.split(), dtype=float)


def detections_of(rows):
    return sky(rows, "ra dec redshift richness probability")


def haloes_of(rows):
    return sky(rows, "ra dec redshift richness")


ARCMIN = 1 / 60


def test_match_radius_of_one_mpc():
    assert match_radius_arcsec(0.5, 1.0) == pytest.approx(163.8, abs=0.3)  # 6.104 kpc / arcsec at z = 0.5


def test_each_halo_and_each_detection_is_used_once():
    haloes = haloes_of([(10, 0, 0.4, 50), (10, 1 * ARCMIN, 0.4, 25)])
    detections = detections_of(
        [(10, 0, 0.4, 40, 0.7), (10, 0.2 * ARCMIN, 0.4, 40, 0.9), (10, 1 * ARCMIN, 0.4, 20, 0.8)]
    )
    assert match_two_way(detections, haloes, **CRITERIA).tolist() == [-1, 0, 1]


def test_greedy_from_either_side_is_the_same_stable_match():
    rng = np.random.default_rng(5)
    for _ in range(30):
        haloes = haloes_of(
            np.column_stack(
                [
                    10 + rng.random(8) * 0.1,
                    rng.random(8) * 0.1,
                    rng.uniform(0.35, 0.45, 8),
                    rng.permutation(8) + 5,
                ]
            )
        )
        detections = detections_of(
            np.column_stack(
                [
                    10 + rng.random(8) * 0.1,
                    rng.random(8) * 0.1,
                    rng.uniform(0.35, 0.45, 8),
                    np.ones(8) * 20,
                    rng.permutation(8) / 8,
                ]
            )
        )
        forward = match_two_way(detections, haloes, **CRITERIA)
        i, j, _ = candidate_pairs(detections, haloes, 1.0)
        close = np.abs(detections.redshift.to_numpy()[i] - haloes.redshift.to_numpy()[j]) <= 0.05 * (
            1 + haloes.redshift.to_numpy()[j]
        )
        pairs = set(zip(i[close].tolist(), j[close].tolist(), strict=True))
        backward, taken = np.full(8, -1), set()
        for halo in np.argsort(-haloes.richness.to_numpy()):
            free = [d for d in range(8) if (d, halo) in pairs and d not in taken]
            if free:
                best = max(free, key=lambda d: detections.probability[d])
                backward[best] = halo
                taken.add(best)
        assert forward.tolist() == backward.tolist()


def test_match_does_not_depend_on_the_order_of_rows():
    haloes = haloes_of([(10, 0, 0.4, 50), (10, 1 * ARCMIN, 0.4, 25), (10, 2 * ARCMIN, 0.4, 8)])
    detections = detections_of([(10, k * ARCMIN, 0.4, 30, p) for k, p in ((0, 0.5), (1, 0.6), (2, 0.9))])
    pairs = set()
    for order in permutations(range(3)):
        matched = match_two_way(detections.iloc[list(order)].reset_index(drop=True), haloes, **CRITERIA)
        pairs.add(tuple(sorted((order[row], halo) for row, halo in enumerate(matched.tolist()))))
    assert len(pairs) == 1


def test_redshift_criterion_can_be_dropped():
    haloes, detections = haloes_of([(10, 0, 0.4, 50)]), detections_of([(10, 0, 0.6, 40, 0.7)])
    assert match_two_way(detections, haloes, **CRITERIA).tolist() == [-1]
    assert match_two_way(detections, haloes, match_radius_mpc=1.0, match_dz=None).tolist() == [0]


def test_matching_across_the_zero_of_right_ascension_and_near_the_pole():
    haloes = haloes_of([(359.999, -60, 0.4, 50), (80.0, -89.99, 0.4, 30)])
    detections = detections_of([(0.001, -60, 0.4, 40, 0.7), (260.0, -89.99, 0.4, 20, 0.6)])
    assert match_two_way(detections, haloes, **CRITERIA).tolist() == [0, 1]


def test_groups_never_match_each_other():
    haloes = haloes_of([(10, 0, 0.4, 50)]).assign(group=0)
    detections = detections_of([(10, 0, 0.4, 40, 0.7)])
    assert match_two_way(detections.assign(group=1), haloes, **CRITERIA).tolist() == [-1]
    assert match_two_way(detections.assign(group=0), haloes, **CRITERIA).tolist() == [0]


def test_pairs_against_all_pairs():
    rng = np.random.default_rng(6)
    haloes = haloes_of(np.column_stack([rng.random(60), rng.random(60), rng.uniform(0.1, 0.9, 60), np.ones(60)]))
    detections = detections_of(np.column_stack([rng.random(80), rng.random(80), np.ones(80), np.ones(80), np.ones(80)]))
    i, j, _ = candidate_pairs(detections, haloes, 1.0)
    from armillary.sky import separation_arcsec

    grid = separation_arcsec(
        detections.ra.to_numpy()[:, None],
        detections.dec.to_numpy()[:, None],
        haloes.ra.to_numpy(),
        haloes.dec.to_numpy(),
    )
    expected = np.argwhere(grid <= match_radius_arcsec(haloes.redshift.to_numpy(), 1.0))
    assert sorted(zip(i, j, strict=True)) == sorted(map(tuple, expected))


def test_nothing_to_match():
    none_found, no_sky = detections_of([]), haloes_of([])
    haloes, detections = haloes_of([(10, 0, 0.4, 50)]), detections_of([(10, 0, 0.4, 40, 0.7)])
    for match in (match_nearest, lambda d, t, **r: match_two_way(d, t, match_dz=0.05, **r)):
        assert match(none_found, haloes, **RADIUS).tolist() == []
        assert match(detections, no_sky, **RADIUS).tolist() == [-1]


def test_nearest_is_mutual():
    haloes = haloes_of([(10, 0, 0.4, 50)])
    detections = detections_of([(10, 0.5 * ARCMIN, 0.9, 40, 0.99), (10, 0.1 * ARCMIN, 0.1, 40, 0.1)])
    assert match_nearest(detections, haloes, **RADIUS).tolist() == [-1, 0]


# ---------------------------------------------------------------- completeness and purity


def field_sky(rows):
    frame = sky(rows, "unit ra dec redshift richness weight inside")
    return frame.assign(unit=frame.unit.astype(int), group=frame.unit.astype(int), inside=frame.inside > 0)


def field_finds(rows):
    frame = sky(rows, "unit ra dec redshift richness probability")
    return frame.assign(
        unit=frame.unit.astype(int),
        group=frame.unit.astype(int),
        redshift_error=np.nan,
        richness_error=np.nan,
    )


def poisson_sky(rng, n_fields, boost, efficiency):
    """Fields with `boost` times too many clusters and a finder of known efficiency and error rate."""
    truth, finds = [], []
    for field in range(n_fields):
        kinds = [(40.0, 0.2 * boost, 1 / boost), (10.0, 1.0, 1.0)]  # richness, mean number, weight
        for richness, mean, weight in kinds:
            for _ in range(rng.poisson(mean)):
                ra, dec, z = 10 + 0.5 * rng.random(), 0.5 * rng.random(), rng.uniform(0.3, 0.6)
                truth.append((field, ra, dec, z, richness, weight, 1))
                if rng.random() < efficiency[richness]:
                    finds.append((field, ra, dec, z, max(richness, 35.0), rng.uniform(0.5, 1)))
        for _ in range(rng.poisson(0.05)):
            finds.append((field, 20 + rng.random(), 5.0, rng.uniform(0.3, 0.6), 35.0, rng.uniform(0.5, 1)))
    return field_finds(finds), field_sky(truth)


def test_weights_recover_the_purity_and_completeness_of_the_natural_sky():
    rng = np.random.default_rng(7)
    efficiency = {40.0: 0.9, 10.0: 0.02}
    detections, truth = poisson_sky(rng, 3000, boost=6.0, efficiency=efficiency)
    judged, found = judge(detections, truth, **CRITERIA)
    curve = completeness_purity_curve(judged, found, **CUTS)
    found_rate, group_rate, false_rate = 0.2 * 0.9, 1.0 * 0.02, 0.05
    assert curve["completeness"][-1] == pytest.approx(0.9, abs=0.02)
    assert curve["purity"][-1] == pytest.approx(found_rate / (found_rate + group_rate + false_rate), abs=0.02)
    unweighted = (judged.true_richness >= 20).mean()
    assert unweighted > curve["purity"][-1] + 0.1  # the boosted sky looks purer than it is


def test_what_lies_beside_a_cluster_is_as_rare_as_the_cluster():
    """The first detection takes the cluster; the second is matched to a group beside it, the third to nothing."""
    truth = field_sky([(0, 10, 0, 0.4, 60, 0.05, 1), (0, 10.005, 0, 0.4, 6, 1, 1), (0, 20, 0, 0.4, 12, 1, 1)])
    detections = field_finds(
        [(0, 10, 0, 0.4, 60, 0.9), (0, 10.005, 0, 0.4, 30, 0.8), (0, 10.01, 0, 0.4, 30, 0.7), (0, 20, 0, 0.4, 30, 0.6)]
    )
    judged, _ = judge(detections, truth, **CRITERIA)
    assert judged.true_richness.tolist() == [60, 6, 0, 12]
    assert (judged.weight / judged.weight[3]).tolist() == pytest.approx([0.05, 0.05, 0.05, 1.0])


def crowded_sky(rng, n_fields, boost):
    """Clusters thrown over fields with a margin; one of them is lost where another lies within 1 Mpc on the sky."""
    side, margin = 0.3, 0.1
    truth, finds = [], []
    for field in range(n_fields):
        n = rng.poisson(1.5 * boost * (side + 2 * margin) ** 2 / side**2 * 0.2)
        place, redshift = rng.uniform(-margin, side + margin, (n, 2)), rng.uniform(0.3, 0.6, n)
        inside = ((place > 0) & (place < side)).all(1)
        rows = [(field, 10 + x, y, z, 40, 1 / boost, i) for (x, y), z, i in zip(place, redshift, inside, strict=True)]
        apart_deg = np.hypot(*(place[:, None] - place[None]).T) + 9 * np.eye(n)
        hidden = (apart_deg < match_radius_arcsec(redshift, 1.0)[:, None] / 3600).any(0)
        truth += rows
        finds += [(*row[:5], 0.9) for row, lost in zip(rows, hidden, strict=True) if not lost]
        lonely = [(field, 10 + x, y, 0.45, 40, 0.9) for x, y in rng.uniform(0, side, (rng.poisson(0.2), 2))]
        finds += [row for row in lonely if n == 0 or np.hypot(*(place - [row[1] - 10, row[2]]).T).min() > 0.03]
    return field_finds(finds), field_sky(truth)


def test_neighbours_are_as_rare_as_on_the_natural_sky():
    """Completeness and purity of a sky with eight times too many clusters, weighted, are those of a natural one."""
    scores = {}
    for boost, n_fields in ((1, 9000), (8, 3000)):
        judged, found = judge(*crowded_sky(np.random.default_rng(9), n_fields, boost), **CRITERIA)
        true, kept = found[found.inside], judged[judged.counted]
        completeness = np.average(true.found_probability > 0, weights=true.weight)
        scores[boost] = completeness, np.average(kept.true_richness > 0, weights=kept.weight)
        plain = (true.found_probability > 0).mean()
    assert scores[8] == pytest.approx(scores[1], abs=0.03)
    assert plain < scores[8][0] - 0.1


def test_a_halo_below_the_purity_richness_is_impure_and_one_outside_is_ignored():
    truth = field_sky([(0, 10, 0, 0.4, 15, 1, 1), (0, 11, 0, 0.4, 60, 0.5, 0), (0, 12, 0, 0.4, 40, 0.5, 1)])
    detections = field_finds([(0, 10, 0, 0.4, 35, 0.9), (0, 11, 0, 0.4, 35, 0.8), (0, 12, 0, 0.4, 35, 0.7)])
    judged, found = judge(detections, truth, **CRITERIA)
    assert judged.counted.tolist() == [True, False, True]
    assert judged.weight.tolist() == [1.0, 0.5, 0.5]
    curve = completeness_purity_curve(judged, found, **CUTS)
    assert curve["threshold"].tolist() == [0.9, 0.7]
    assert curve["purity"] == pytest.approx([0.0, 0.5 / 1.5])
    assert curve["completeness"] == pytest.approx([0.0, 1.0])
    assert area_under(curve) == pytest.approx(1 / 3)
    loose = completeness_purity_curve(judged, found, **(CUTS | {"pure_richness": 10.0}))
    assert loose["purity"][-1] == 1.0


def test_curve_agrees_with_rematching_at_every_threshold():
    detections, truth = poisson_sky(np.random.default_rng(8), 40, boost=6.0, efficiency={40.0: 0.8, 10.0: 0.3})
    judged, found = judge(detections, truth, **CRITERIA)
    curve = completeness_purity_curve(judged, found, **CUTS)
    for k in range(0, len(curve["threshold"]), 7):
        cut = detections[detections.probability >= curve["threshold"][k]].reset_index(drop=True)
        again = completeness_purity_curve(*judge(cut, truth, **CRITERIA), **CUTS)
        assert again["purity"][-1] == pytest.approx(curve["purity"][k])
        assert again["completeness"][-1] == pytest.approx(curve["completeness"][k])


def operating(detections, truth):
    return choose_operating_point(detections, truth, **CUTS, **CRITERIA)


def test_operating_point_balances_completeness_and_purity():
    """Ten found and nothing false down to 0.86; then false ones that look poor, which do not count, and rich ones."""
    truth = field_sky([(k, 10, 0, 0.4, 40, 1, 1) for k in range(11)])
    rows = [(k, 10, 0, 0.4, 40, 0.95 - 0.01 * k) for k in range(10)] + [(k, 50, 0, 0.4, 12, 0.97) for k in range(9)]
    rows += [(9, 60, 0, 0.4, 40, 0.30), (9, 70, 0, 0.4, 40, 0.29), (10, 10, 0, 0.4, 40, 0.2)]
    point = operating(field_finds(rows), truth)
    assert point["purity"] == 1.0 and point["completeness"] == pytest.approx(10 / 11)
    assert point["threshold"] == pytest.approx(0.86)
    point = operating(field_finds(rows[:-2] + rows[-1:]), truth)  # one false one fewer: now the last is worth it
    assert point["completeness"] == 1.0 and point["purity"] == pytest.approx(11 / 12)


def test_operating_point_keeps_a_margin_to_both_sides():
    """All found from 0.86 down, nothing false down to 0.2: work in the middle."""
    truth = field_sky([(k, 10, 0, 0.4, 40, 1, 1) for k in range(10)] + [(k, 12, 0, 0.4, 25, 1, 1) for k in range(4)])
    rows = [(k, 10, 0, 0.4, 40, 0.95 - 0.01 * k) for k in range(10)]
    rows += [(k, 12, 0, 0.4, 31, 0.3 + 0.15 * k) for k in range(4)] + [(k, 50, 0, 0.4, 31, 0.2) for k in range(9)]
    point = operating(field_finds(rows), truth)
    assert point["completeness"] == 1.0 and point["threshold"] == pytest.approx(0.6)


def test_operating_point_of_nothing_is_one_half():
    truth = field_sky([(0, 10, 0, 0.4, 40, 1, 1)])
    assert operating(field_finds([]), truth)["threshold"] == 0.5


def test_completeness_at_a_purity_is_the_largest_there():
    curve = {"completeness": np.array([0.2, 0.5, 0.7, 0.9]), "purity": np.array([1.0, 0.8, 0.92, 0.6])}
    assert [completeness_at_purity(curve, purity) for purity in (0.9, 0.5, 1.0, 1.1)] == [0.7, 0.9, 0.2, 0.0]


def test_bins_cover_richness_and_redshift_and_stand_empty_skies():
    assert list(richness_bins([20, 30, 50])) == [
        "richness_20_30",
        "richness_30_50",
        "richness_gt20",
        "richness_gt30",
        "richness_gt50",
    ]
    counts = resample_counts(2, 20, np.random.default_rng(0))
    options = {
        "richness_edges": [20, 30, 50],
        "redshift_edges": [0.2, 0.35, 0.5, 0.65],
        "richness_above": 30.0,
        "pure_richness": 20.0,
    }
    truth = field_sky([(0, 10, 0, 0.4, 40, 1, 1), (1, 10, 0, 0.6, 40, 3, 1)])
    judged, found = judge(field_finds([(1, 10, 0, 0.6, 35, 0.9)]), truth, **CRITERIA)
    rows = {row["key"]: row["measurement"] for row in scores_in_bins(judged, found, 0.5, counts, **options)}
    assert rows["completeness_richness_gt30"]["value"] == pytest.approx(0.75)
    assert rows["completeness_richness_gt30_redshift_035_050"]["value"] == 0.0
    assert rows["completeness_richness_gt30_redshift_050_065"]["value"] == 1.0
    assert rows["completeness_richness_20_30"]["value"] is None
    assert rows["purity_richness_30_50"]["value"] == 1.0
    for detections, haloes in (
        (field_finds([]), truth),
        (field_finds([(1, 10, 0, 0.6, 35, 0.9)]), field_sky([])),
    ):
        rows = scores_in_bins(*judge(detections, haloes, **CRITERIA), 0.5, counts, **options)
        assert all(row["measurement"]["value"] in (None, 0.0) for row in rows)


def test_frames_of_a_split_name_the_missing_column():
    frame = pd.DataFrame({"field": [1], "ra": [0.0]})
    with pytest.raises(ValueError, match="d.dat has no column dec, probability"):
        field_detections(frame, np.array([1]), "d.dat")
    with pytest.raises(ValueError, match="truth has no column cluster_id"):
        field_truth(frame, np.array([1]), 1280, "truth")


def test_a_cluster_is_whole_where_the_image_holds_four_fifths_of_it():
    """R_lambda of richness 100 is 1 / h Mpc; the strip of a disc beyond 0.49 R holds a fifth of it."""
    radius = pixels_per_mpc(0.4, 0.263) / HUBBLE_H
    x = radius * np.array([1.5, 0.55, 0.43, 0.0])
    frame = pd.DataFrame({"x": x, "y": 1500.0, "redshift": 0.4, "richness": 100.0})
    assert with_whole(frame, 3000, 0.263)["whole"].tolist() == [True, True, False, False]
    assert disc_inside(x, frame["y"], np.full(4, radius), 3000)[3] == pytest.approx(0.5, abs=0.01)


# ---------------------------------------------------------------- residuals


def test_weighted_median_and_mad():
    values, ones = np.array([3.0, 1.0, 2.0]), np.ones(3)
    assert weighted_median(values, ones) == 2.0
    assert weighted_median(values, np.array([0.0, 1.0, 0.0])) == 1.0
    normal = np.random.default_rng(9).normal(0, 2, 20_000)
    assert normalised_mad(normal, np.ones(20_000)) == pytest.approx(2.0, rel=0.03)


def test_residuals_recover_bias_scatter_and_honest_errors():
    rng = np.random.default_rng(10)
    n = 2000
    z, richness = rng.uniform(0.25, 0.6, n), rng.uniform(22, 80, n)
    truth = field_sky(
        np.column_stack([np.arange(n), np.full(n, 10.0), np.zeros(n), z, richness, np.ones(n), np.ones(n)])
    )
    error = 0.02 * (1 + z)
    estimated = richness * np.exp(rng.normal(0.1, 0.2, n))
    detections = field_finds(
        np.column_stack(
            [
                np.arange(n),
                np.full(n, 10.0),
                np.zeros(n),
                z + 0.005 * (1 + z) + error * rng.normal(size=n),
                estimated,
                np.ones(n),
            ]
        )
    )
    detections = detections.assign(redshift_error=error, richness_error=0.2 * estimated)
    matches = matched_clusters(
        detections, truth, threshold=0.5, richness_above=20, redshift_range=(0.2, 0.65), **RADIUS
    )
    assert len(matches) == n
    metrics = residual_metrics(matches, resample_counts(n, 50, rng), outlier_dz=0.05)
    assert metrics["redshift_bias"]["value"] == pytest.approx(0.005, abs=0.002)
    assert metrics["redshift_scatter"]["value"] == pytest.approx(0.02, rel=0.06)  # not cut off at dz = 0.05
    assert metrics["redshift_outlier_fraction"]["value"] == pytest.approx(0.0151, abs=0.008)
    assert metrics["redshift_pull_scatter"]["value"] == pytest.approx(1.0, abs=0.06)
    assert metrics["cluster_offset_mpc"]["value"] == 0.0 and metrics["cluster_offset_mpc"]["unit"] == "Mpc"
    assert metrics["richness_bias"]["value"] == pytest.approx(0.1, abs=0.015)
    assert metrics["richness_scatter"]["value"] == pytest.approx(0.2, rel=0.05)
    assert metrics["richness_bias"]["lo"] < metrics["richness_bias"]["value"] < metrics["richness_bias"]["hi"]


def test_residuals_without_errors_or_matches_are_none():
    counts = resample_counts(1, 10, np.random.default_rng(0))
    truth = field_sky([(0, 10, 0, 0.4, 40, 1, 1)])
    matches = matched_clusters(
        field_finds([(0, 10, 0, 0.4, 40, 0.9)]),
        truth,
        threshold=0.5,
        richness_above=20,
        redshift_range=(0.2, 0.65),
        **RADIUS,
    )
    metrics = residual_metrics(matches, counts, outlier_dz=0.05)
    assert metrics["redshift_scatter"]["value"] == 0.0 and metrics["redshift_pull_scatter"]["value"] is None
    none = matched_clusters(
        field_finds([]), truth, threshold=0.5, richness_above=20, redshift_range=(0.2, 0.65), **RADIUS
    )
    assert all(entry["value"] is None for entry in residual_metrics(none, counts, outlier_dz=0.05).values())
