"""Tile scores, two-way matching, completeness and purity, residuals: closed forms and synthetic skies."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
import recompute

from armillary.completeness import (
    Criteria,
    area_under,
    at_density,
    catalogue_curve,
    choose_operating_point,
    completeness_at_purity,
    judge,
    richness_bins,
)
from armillary.cosmology import HUBBLE_H, pixels_per_mpc
from armillary.evaluation import Scoring, bin_rows, cluster_scores, selection_frame
from armillary.footprint import disc_inside
from armillary.matching import (
    candidate_pairs,
    match_as_threshold_falls,
    match_nearest,
    match_radius_arcsec,
    match_two_way,
)
from armillary.metrics import resample_counts
from armillary.residuals import (
    correlation_with_truth,
    matched_clusters,
    normalised_mad,
    residual_scores,
    slope_on_truth,
    weighted_median,
    weighted_quantile,
)
from armillary.scoring import (
    Tiles,
    average_precision,
    best_f1_threshold,
    bin_scores,
    bins_between,
    bootstrap_average_precision,
    bootstrap_calibration_error,
    bootstrap_confusion,
    equal_mass_bins,
    reliability,
    tile_scores,
)
from armillary.splits import field_detections, field_truth, flat_tiles, require_same_tiles, with_whole

RADIUS = {"match_radius_mpc": 1.0}
MATCHING = {"match_radius_mpc": 1.0, "match_dz": 0.05}
CRITERIA = Criteria(**MATCHING, pure_richness=20.0, redshift_range=(0.2, 0.65))
SCORING = Scoring(
    **MATCHING,
    outlier_dz=0.05,
    redshift_edges=[0.2, 0.35, 0.5, 0.65],
    richness_edges=[20, 30, 50],
    selection_richness_edges=[10, 20, 30, 60, 200],
    curve_richness=[20, 30],
    purity_targets=[0.8, 0.9],
    densities_per_deg2=[2],
    pure_richness=20,
    group_richness=10,
)


def tiles_of(probability, truth, unit=None, weight=None):
    n = len(probability)
    unit = np.zeros(n, int) if unit is None else unit
    return Tiles(
        np.asarray(probability, float), np.asarray(truth, bool), unit, np.ones(n) if weight is None else weight
    )


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
    _, samples = bootstrap_average_precision(tiles_of(probability, truth, unit), counts)
    for row, sample in zip(counts.astype(int), samples, strict=True):
        kept = np.repeat(np.arange(50), row[unit])
        assert sample == pytest.approx(average_precision(probability[kept], truth[kept]))


def test_confusion_scores_are_the_sources():
    probability = np.array([0.9, 0.8, 0.5, 0.4, 0.1])
    truth = np.array([True, False, True, True, False])
    scores = bootstrap_confusion(tiles_of(probability, truth), 0.5, np.ones((1, 1)))
    precision, recall = 2 / (3 + 1e-6), 2 / (3 + 1e-6)
    assert scores["accuracy"][0] == pytest.approx(3 / 5)
    assert scores["precision"][0] == pytest.approx(precision, abs=1e-12)
    assert scores["f1"][0] == pytest.approx(2 * precision * recall / (precision + recall + 1e-6), abs=1e-12)
    assert scores["f1"][1][0] == pytest.approx(scores["f1"][0])


def test_nothing_called_scores_zero_not_nan():
    scores = bootstrap_confusion(tiles_of(np.zeros(4), [True, False, False, False]), 0.5, np.ones((1, 1)))
    assert (scores["precision"][0], scores["recall"][0], scores["f1"][0]) == (0, 0, 0)
    assert scores["accuracy"][0] == 0.75


def test_best_f1_threshold_is_the_best_of_all():
    rng = np.random.default_rng(2)
    probability = rng.random(300).round(2)
    truth = rng.random(300) < probability**2
    tiles, counts = tiles_of(probability, truth), np.ones((1, 1))
    f1 = {t: bootstrap_confusion(tiles, t, counts)["f1"][0] for t in np.unique(probability)}
    assert f1[best_f1_threshold(tiles)] == pytest.approx(max(f1.values()))
    assert best_f1_threshold(tiles._replace(truth=np.zeros(300, bool))) == 0.5


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
    tiles, bins = tiles_of(probability, truth, unit), equal_mass_bins(probability, 15)
    assert bootstrap_calibration_error(tiles, bins, counts)[0] < 0.005
    shifted = np.clip(0.8 * probability + 0.1, 0, 1)
    value, samples = bootstrap_calibration_error(tiles._replace(probability=shifted), bins, counts)
    by_hand = sum(abs(shifted[bins == b].sum() - truth[bins == b].sum()) for b in range(15)) / 100_000
    assert value == pytest.approx(by_hand) and np.median(samples) == pytest.approx(value, rel=0.05)
    curve = reliability(tiles, bins, counts)
    assert curve["n_expected"].sum() == pytest.approx(probability.sum())
    assert np.all(np.abs(curve["observed"] - curve["predicted"]) < 5 * (curve["hi"] - curve["lo"]) / 2 + 1e-3)


def test_a_perfect_map_scores_one_and_has_no_calibration_error():
    truth = np.random.default_rng(4).random(4000) < 0.15
    unit = np.repeat(np.arange(40), 100)
    tiles = tiles_of(truth, truth, unit)
    counts = resample_counts(40, 20, np.random.default_rng(0))
    scores = tile_scores(tiles, counts, bins=bins_between(tiles.probability, [0, 0.5, 1]), suffix="", threshold=0.5)
    assert scores["tile_f1"].value == pytest.approx(1, abs=1e-5) and scores["tile_ece"].value == 0
    assert scores["tile_pr_auc"].value == 1 and scores["tile_pr_auc_over_base_rate"].value == pytest.approx(
        1 / truth.mean()
    )


def test_natural_weights_turn_the_scores_of_a_boosted_sky_into_those_of_the_natural_one():
    """Tiles near clusters are drawn ten times too often and weigh a tenth: they score as on the sky."""
    rng = np.random.default_rng(5)
    n, share, counts, edges = 400_000, 0.02, np.ones((1, 1)), [0, 0.5, 1]

    def drawn(share_near):
        near = rng.random(n) < share_near
        probability = np.where(near, rng.beta(6, 4, n), rng.beta(1, 99, n))
        truth = rng.random(n) < probability
        weight = np.where(near, share / share_near, (1 - share) / (1 - share_near))
        return tiles_of(probability, truth, weight=weight)

    def scored(tiles):
        return tile_scores(tiles, counts, bins=bins_between(tiles.probability, edges), suffix="", threshold=None)

    boosted, natural = drawn(10 * share), scored(drawn(share))
    again, as_drawn = scored(boosted), scored(boosted._replace(weight=np.ones(n)))
    for key in ("tile_base_rate", "tile_pr_auc", "tile_precision", "tile_recall"):
        assert again[key].value == pytest.approx(natural[key].value, rel=0.05)
    assert as_drawn["tile_base_rate"].value > 4 * natural["tile_base_rate"].value
    ratios = bin_scores(boosted, counts, edges=edges, suffix="_natural")
    assert set(ratios) == {f"tile_observed_over_predicted_{edge}_natural" for edge in ("0000_0500", "0500_1000")}
    assert all(score.value == pytest.approx(1, abs=0.05) for score in ratios.values())


def test_flat_tiles_sorts_fields_and_rejects_bad_files():
    arrays = {
        "field": np.array([7, 3]),
        "probability": np.arange(8).reshape(2, 2, 2) / 10,
        "probability_natural": np.arange(8).reshape(2, 2, 2) / 100,
        "membership": np.ones((2, 2, 2), bool),
    }
    tiles = flat_tiles(arrays, "p.npz")
    assert tiles["field"].tolist() == [3, 7] and tiles["probability"][:4].tolist() == [0.4, 0.5, 0.6, 0.7]
    with pytest.raises(ValueError, match="p.npz has no array membership"):
        flat_tiles({k: arrays[k] for k in ("field", "probability", "probability_natural")}, "p.npz")
    for name in ("probability", "probability_natural"):
        with pytest.raises(ValueError, match=f"{name} has values outside"):
            flat_tiles(arrays | {name: np.full((2, 2, 2), np.nan)}, "p.npz")
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
    assert match_two_way(detections, haloes, **MATCHING).tolist() == [0, -1, 1]


def test_the_nearer_halo_in_separation_and_redshift_is_taken_not_the_richer():
    """5 arcsec and dz 0.025 from a halo of 129, 24 arcsec and dz 0.064 from one of 142 (a case of the demo)."""
    haloes = haloes_of([(10, 24 / 3600, 0.464, 142), (10, 5 / 3600, 0.425, 129)])
    assert match_two_way(detections_of([(10, 0, 0.4, 60, 0.9)]), haloes, **MATCHING).tolist() == [1]


def test_separation_and_redshift_count_in_units_of_the_criteria():
    """At z = 0.5 a radius of 1 Mpc is 164 arcsec and the largest dz 0.075: half of one equals half of the other."""
    haloes = haloes_of([(10, 0.5 * 163.8 / 3600, 0.5, 30), (10, 0, 0.54, 30)])
    near_in_sky = haloes.assign(dec=haloes["dec"] * 0.95)
    near_in_redshift = haloes.assign(redshift=[0.5, 0.536])
    detection = detections_of([(10, 0, 0.5, 30, 0.9)])
    assert match_two_way(detection, near_in_sky, **MATCHING).tolist() == [0]
    assert match_two_way(detection, near_in_redshift, **MATCHING).tolist() == [1]


def test_of_equally_near_detections_the_more_probable_is_matched():
    haloes = haloes_of([(10, 0, 0.4, 50)])
    detections = detections_of([(10, 1 * ARCMIN, 0.4, 30, 0.5), (10, -1 * ARCMIN, 0.4, 30, 0.6)])
    assert match_two_way(detections, haloes, **MATCHING).tolist() == [-1, 0]


def random_sky(rng, n_haloes=8, n_detections=10):
    place = lambda n: (10 + rng.random(n) * 0.1, rng.random(n) * 0.1, rng.uniform(0.35, 0.45, n))  # noqa: E731
    haloes = haloes_of(np.column_stack([*place(n_haloes), rng.uniform(5, 60, n_haloes)]))
    columns = [*place(n_detections), np.ones(n_detections) * 20, rng.integers(1, 9, n_detections) / 10]
    return haloes, detections_of(np.column_stack(columns))


def test_the_match_is_stable_and_the_same_from_either_side():
    """No detection and halo that are not matched to each other are nearer to each other than to their partners."""
    rng = np.random.default_rng(5)
    for _ in range(30):
        haloes, detections = random_sky(rng)
        matched = match_two_way(detections, haloes, **MATCHING)
        i, j, separation = candidate_pairs(detections, haloes, 1.0)
        dz = np.abs(detections.redshift.to_numpy()[i] - haloes.redshift.to_numpy()[j])
        offset = dz / (0.05 * (1 + haloes.redshift.to_numpy()[j]))
        distance = np.hypot(separation / match_radius_arcsec(haloes.redshift.to_numpy()[j], 1.0), offset)
        nearest = {(d, h): x for d, h, x, o in zip(i, j, distance, offset, strict=True) if o <= 1}
        of_detection = [nearest.get((d, h), np.inf) for d, h in enumerate(matched)]
        of_halo = [nearest[np.flatnonzero(matched == h)[0], h] if h in matched else np.inf for h in range(len(haloes))]
        assert not [pair for pair, x in nearest.items() if x < of_detection[pair[0]] and x < of_halo[pair[1]]]


def test_the_match_at_every_threshold_is_that_of_the_catalogue_above_it():
    rng = np.random.default_rng(6)
    for _ in range(20):
        haloes, detections = random_sky(rng)
        order, changes = match_as_threshold_falls(detections, haloes, **MATCHING)
        now = {}
        for step in range(1, len(detections) + 1):
            for row in np.flatnonzero(changes.step == step):
                assert now.get(changes.detection[row], -2) == changes.before[row]
                now[changes.detection[row]] = changes.after[row]
            above = detections.iloc[order[:step]].reset_index(drop=True)
            assert [now[row] for row in order[:step]] == match_two_way(above, haloes, **MATCHING).tolist()


def test_match_does_not_depend_on_the_order_of_rows():
    haloes = haloes_of([(10, 0, 0.4, 50), (10, 1 * ARCMIN, 0.4, 25), (10, 2 * ARCMIN, 0.4, 8)])
    detections = detections_of([(10, k * ARCMIN, 0.4, 30, p) for k, p in ((0, 0.5), (1.1, 0.6), (2.3, 0.9))])
    pairs = set()
    for order in permutations(range(3)):
        matched = match_two_way(detections.iloc[list(order)].reset_index(drop=True), haloes, **MATCHING)
        pairs.add(tuple(sorted((order[row], halo) for row, halo in enumerate(matched.tolist()))))
    assert pairs == {((0, 0), (1, 1), (2, 2))}


def test_redshift_criterion_can_be_dropped():
    haloes, detections = haloes_of([(10, 0, 0.4, 50)]), detections_of([(10, 0, 0.6, 40, 0.7)])
    assert match_two_way(detections, haloes, **MATCHING).tolist() == [-1]
    assert match_two_way(detections, haloes, match_radius_mpc=1.0, match_dz=None).tolist() == [0]


def test_matching_across_the_zero_of_right_ascension_and_near_the_pole():
    haloes = haloes_of([(359.999, -60, 0.4, 50), (80.0, -89.99, 0.4, 30)])
    detections = detections_of([(0.001, -60, 0.4, 40, 0.7), (260.0, -89.99, 0.4, 20, 0.6)])
    assert match_two_way(detections, haloes, **MATCHING).tolist() == [0, 1]


def test_groups_never_match_each_other():
    haloes = haloes_of([(10, 0, 0.4, 50)]).assign(group=0)
    detections = detections_of([(10, 0, 0.4, 40, 0.7)])
    assert match_two_way(detections.assign(group=1), haloes, **MATCHING).tolist() == [-1]
    assert match_two_way(detections.assign(group=0), haloes, **MATCHING).tolist() == [0]


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


def curve_of(detections, truth, richness_above=30.0, **options):
    """Threshold, completeness and purity, each (K,), of every field counted once."""
    curve = catalogue_curve(detections, truth, CRITERIA, **options)
    one = np.ones((1, 1 + int(max(truth.unit.max(), detections.unit.max()))))
    return curve.threshold, curve.completeness(richness_above, one)[0], curve.purity(one)[0]


def test_weights_recover_the_purity_and_completeness_of_the_natural_sky():
    rng = np.random.default_rng(7)
    efficiency = {40.0: 0.9, 10.0: 0.02}
    detections, truth = poisson_sky(rng, 3000, boost=6.0, efficiency=efficiency)
    _, completeness, purity = curve_of(detections, truth)
    found_rate, group_rate, false_rate = 0.2 * 0.9, 1.0 * 0.02, 0.05
    assert completeness[-1] == pytest.approx(0.9, abs=0.02)
    assert purity[-1] == pytest.approx(found_rate / (found_rate + group_rate + false_rate), abs=0.02)
    judged, _ = judge(detections, truth, **MATCHING)
    assert (judged.true_richness >= 20).mean() > purity[-1] + 0.1  # the boosted sky looks purer than it is


def test_what_lies_beside_a_cluster_is_as_rare_as_the_cluster():
    """One detection is on the cluster, one on a group beside it, one on nothing; the last on a group far away."""
    truth = field_sky([(0, 10, 0, 0.4, 60, 0.05, 1), (0, 10.005, 0, 0.4, 6, 1, 1), (0, 20, 0, 0.4, 12, 1, 1)])
    detections = field_finds(
        [(0, 10, 0, 0.4, 60, 0.9), (0, 10.005, 0, 0.4, 30, 0.8), (0, 10.01, 0, 0.4, 30, 0.7), (0, 20, 0, 0.4, 30, 0.6)]
    )
    judged, _ = judge(detections, truth, **MATCHING)
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
        judged, found = judge(*crowded_sky(np.random.default_rng(9), n_fields, boost), **MATCHING)
        true, kept = found[found.inside], judged[judged.counted]
        completeness = np.average(true.found, weights=true.weight)
        scores[boost] = completeness, np.average(kept.true_richness > 0, weights=kept.weight)
        plain = true.found.mean()
    assert scores[8] == pytest.approx(scores[1], abs=0.03)
    assert plain < scores[8][0] - 0.1


def test_a_halo_below_the_purity_richness_is_impure_and_one_outside_is_ignored():
    truth = field_sky([(0, 10, 0, 0.4, 15, 1, 1), (0, 11, 0, 0.4, 60, 0.5, 0), (0, 12, 0, 0.4, 40, 0.5, 1)])
    detections = field_finds([(0, 10, 0, 0.4, 35, 0.9), (0, 11, 0, 0.4, 35, 0.8), (0, 12, 0, 0.4, 35, 0.7)])
    judged, _ = judge(detections, truth, **MATCHING)
    assert judged.counted.tolist() == [True, False, True]
    assert judged.weight.tolist() == [1.0, 0.5, 0.5]
    threshold, completeness, purity = curve_of(detections, truth)
    assert threshold.tolist() == [0.9, 0.8, 0.7]
    assert purity == pytest.approx([0.0, 0.0, 0.5 / 1.5])
    assert completeness == pytest.approx([0.0, 0.0, 1.0])
    assert area_under(completeness[None], purity[None]) == pytest.approx([1 / 3])


def test_purity_is_of_the_whole_catalogue():
    """A false detection that is estimated poor costs purity; the other pair, which leaves it out, does not see it."""
    truth = field_sky([(0, 10, 0, 0.4, 40, 1, 1)])
    detections = field_finds([(0, 10, 0, 0.4, 35, 0.8), (0, 20, 0, 0.4, 12, 0.9)])
    assert curve_of(detections, truth)[2].tolist() == [0.0, 0.5]
    assert curve_of(detections, truth, estimated_above=30.0)[2].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("richness_above", [20.0, 30.0])
def test_the_curve_is_that_of_an_independent_recomputation(richness_above):
    detections, truth = poisson_sky(np.random.default_rng(8), 40, boost=6.0, efficiency={40.0: 0.8, 10.0: 0.3})
    detections["probability"] = detections.probability.round(2)  # with ties
    detections["ra"] += np.random.default_rng(9).normal(0, 0.02, len(detections))
    truth["inside"] = np.random.default_rng(10).random(len(truth)) < 0.8
    truth["richness"] += np.random.default_rng(11).uniform(-15, 15, len(truth))
    fields = [frame.assign(field=frame.unit) for frame in (detections, truth)]
    again = recompute.curve(*fields, richness_above)
    curve = np.array(curve_of(detections, truth, richness_above))
    assert curve == pytest.approx(again, abs=1e-4)
    point = choose_operating_point(detections, truth, CRITERIA, richness_above=richness_above)
    assert point["threshold"] in recompute.cuts(again)
    assert area_under(curve[1][None], curve[2][None])[0] == pytest.approx(recompute.area(again), abs=1e-4)


def test_resampled_curves_are_those_of_the_resampled_fields():
    detections, truth = poisson_sky(np.random.default_rng(12), 12, boost=6.0, efficiency={40.0: 0.8, 10.0: 0.3})
    counts = resample_counts(12, 4, np.random.default_rng(0))
    curve = catalogue_curve(detections, truth, CRITERIA)
    completeness, purity = curve.completeness(30.0, counts), curve.purity(counts)
    judged, found = judge(detections, truth, **MATCHING)
    for row, c, p in zip(counts, completeness, purity, strict=True):
        true = found[(found.richness > 30) & found.redshift.between(0.2, 0.65)]
        assert c[-1] == pytest.approx(np.average(true.found, weights=true.weight * row[true.unit]))
        listed = judged[judged.counted & judged.redshift.between(0.2, 0.65)]
        assert p[-1] == pytest.approx(np.average(listed.true_richness >= 20, weights=listed.weight * row[listed.unit]))


def operating(detections, truth):
    return choose_operating_point(detections, truth, CRITERIA, richness_above=30.0)


def test_operating_point_balances_completeness_and_purity():
    """Ten found and nothing false down to 0.86; then two false ones before the last cluster is found."""
    truth = field_sky([(k, 10, 0, 0.4, 40, 1, 1) for k in range(11)])
    rows = [(k, 10, 0, 0.4, 40, 0.95 - 0.01 * k) for k in range(10)]
    rows += [(9, 60, 0, 0.4, 12, 0.30), (9, 70, 0, 0.4, 40, 0.29), (10, 10, 0, 0.4, 40, 0.2)]
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


def test_completeness_at_a_purity_and_at_a_density():
    completeness, purity = np.array([[0.2, 0.5, 0.7, 0.9]]), np.array([[1.0, 0.8, 0.92, 0.6]])
    at_purities = [completeness_at_purity(completeness, purity, wanted)[0] for wanted in (0.9, 0.5, 1.0, 1.1)]
    assert at_purities == [0.7, 0.9, 0.2, 0.0]
    n_listed = np.array([[1.0, 2.0, 3.0, 4.0]])
    assert [at_density(completeness, n_listed, n)[0] for n in (0.5, 1, 2.5, 4)] == pytest.approx([0.1, 0.2, 0.6, 0.9])
    assert np.isnan(at_density(completeness, n_listed, 4.1)[0])  # the list ends before


def test_bins_cover_richness_and_redshift_and_stand_empty_skies():
    assert list(richness_bins([20, 30, 50])) == [
        "richness_20_30",
        "richness_30_50",
        "richness_gt20",
        "richness_gt30",
        "richness_gt50",
    ]
    counts = resample_counts(2, 20, np.random.default_rng(0))
    truth = field_sky([(0, 10, 0, 0.4, 40, 1, 1), (1, 10, 0, 0.6, 40, 3, 1)])
    one = field_finds([(1, 10, 0, 0.6, 35, 0.9)])
    rows = {row["key"]: row["score"].entry() for row in bin_rows(*judge(one, truth, **MATCHING), counts, SCORING)}
    assert rows["completeness_richness_gt30"]["value"] == pytest.approx(0.75)
    assert rows["completeness_richness_gt20_redshift_035_050"]["value"] == 0.0
    assert rows["completeness_richness_gt20_redshift_050_065"]["value"] == 1.0
    assert rows["completeness_richness_20_30"]["value"] is None
    assert rows["purity_richness_30_50"]["value"] == 1.0
    for detections, haloes in ((field_finds([]), truth), (one, field_sky([]))):
        rows = bin_rows(*judge(detections, haloes, **MATCHING), counts, SCORING)
        assert all(row["score"].entry()["value"] in (None, 0.0) for row in rows)


def test_scores_of_a_catalogue_known_by_construction():
    """Four clusters a field on 4 deg2; every second is found, one false detection in each field."""
    n = 50
    truth = field_sky([(k, 10 + i, 0, 0.3 + 0.1 * i, 25 + 10 * i, 1, 1) for k in range(n) for i in range(4)])
    rows = [(k, 10 + i, 0, 0.3 + 0.1 * i, 25 + 10 * i, 0.9) for k in range(n) for i in (0, 2)]
    rows += [(k, 50, 0, 0.4, 30, 0.7) for k in range(n)]
    counts = resample_counts(n, 30, np.random.default_rng(0))
    scores, details = cluster_scores(field_finds(rows), truth, 0.5, counts, SCORING, area_deg2=4.0 * n)
    value = {key: score.value for key, score in scores.items()}
    assert value["cluster_completeness_richness_gt20"] == pytest.approx(0.5)
    assert value["cluster_purity"] == pytest.approx(2 / 3)
    assert value["cluster_false_per_deg2"] == pytest.approx(1 / 4)
    assert value["cluster_detections_per_deg2"] == pytest.approx(3 / 4) and value["cluster_truth_per_deg2"] == 1.0
    assert value["cluster_area_gt20"] == pytest.approx(0.5)
    assert value["cluster_completeness_gt30_at_purity_90"] == pytest.approx(1 / 3)
    assert np.isnan(value["cluster_purity_at_2_per_deg2"])  # the list ends at 0.75 per deg2
    assert value["richness_slope"] == pytest.approx(1) and value["cluster_offset_90_mpc"] == 0
    table = selection_frame(details.selection).set_index(["richness_low", "redshift_low"])
    assert table.loc[(20, 0.2), "p_found"] == 1.0 and table.loc[(30, 0.35), "p_found"] == 0.0
    assert np.isnan(table.loc[(10, 0.2), "p_found"]) and table.loc[(20, 0.2), "n"] == n


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


def test_slope_correlation_and_quantile():
    x = np.log(np.array([20.0, 30.0, 50.0, 90.0]))
    pairs, ones = np.stack([0.4 * x + 2, x], axis=1), np.ones(4)
    assert slope_on_truth(pairs, ones) == pytest.approx(0.4) and correlation_with_truth(pairs, ones) == pytest.approx(1)
    assert np.isnan(slope_on_truth(pairs[:1], ones[:1])) and np.isnan(correlation_with_truth(pairs, np.zeros(4)))
    assert weighted_quantile(np.arange(101.0), np.ones(101), 0.9) == pytest.approx(90, abs=1)


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
    counts = resample_counts(n, 50, rng)
    scores = residual_scores(matches, counts, outlier_dz=0.05, richness_edges=[20, 40, 60])
    metrics = {name: score.entry() for name, score in scores.items()}
    assert metrics["redshift_bias"]["value"] == pytest.approx(0.005, abs=0.002)
    assert metrics["redshift_scatter"]["value"] == pytest.approx(0.02, rel=0.06)  # not cut off at dz = 0.05
    assert metrics["redshift_outlier_fraction"]["value"] == pytest.approx(0.0151, abs=0.008)
    assert metrics["redshift_pull_scatter"]["value"] == pytest.approx(1.0, abs=0.06)
    assert metrics["cluster_offset_mpc"]["value"] == 0.0 and metrics["cluster_offset_mpc"]["unit"] == "Mpc"
    assert metrics["richness_bias"]["value"] == pytest.approx(0.1, abs=0.015)
    assert metrics["richness_scatter"]["value"] == pytest.approx(0.2, rel=0.05)
    assert metrics["richness_slope"]["value"] == pytest.approx(1.0, abs=0.05)
    assert metrics["richness_correlation"]["value"] == pytest.approx(
        1 / np.hypot(1, 0.2 / np.log(richness).std()), abs=0.02
    )
    assert metrics["richness_bias_40_60"]["value"] == pytest.approx(0.1, abs=0.03)
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
    options = {"outlier_dz": 0.05, "richness_edges": [20, 40]}
    metrics = {name: score.entry() for name, score in residual_scores(matches, counts, **options).items()}
    assert metrics["redshift_scatter"]["value"] == 0.0 and metrics["redshift_pull_scatter"]["value"] is None
    none = matched_clusters(
        field_finds([]), truth, threshold=0.5, richness_above=20, redshift_range=(0.2, 0.65), **RADIUS
    )
    assert all(score.entry()["value"] is None for score in residual_scores(none, counts, **options).values())
