"""The mean of two methods: joined lists, and no loss by a method that knows nothing."""

import numpy as np
import pandas as pd
import pytest

from armillary.combination import (
    combined_detections,
    combined_maps,
    fit_combination,
    joined_detections,
    logit,
    same_fields,
)
from armillary.detection_training import judged_candidates
from armillary.finder import DETECTION_COLUMNS
from armillary.scoring import average_precision
from armillary.sky import sky_of_pixel, tan_wcs

SIZE, TILE, PIXEL, THRESHOLD = 2560, 128, 0.263, 0.02
N_FIELDS = 120


def listed(rows) -> pd.DataFrame:
    """Detections of one field from (field, x, y, probability, redshift, richness)."""
    frame = pd.DataFrame(rows, columns=["field", "x", "y", "probability", "redshift", "richness"])
    ra, dec = sky_of_pixel(frame["x"], frame["y"], tan_wcs(40.0, -30.0, SIZE, PIXEL))
    frame = frame.assign(ra=ra, dec=dec, redshift_error=0.02, richness_error=0.2 * frame["richness"])
    return frame[list(DETECTION_COLUMNS)]


def test_two_detections_of_a_cluster_are_one():
    encoder = listed([(1, 1000.0, 1000.0, 0.9, 0.42, 40.0), (2, 1000.0, 1000.0, 0.5, 0.42, 40.0)])
    finder = listed([(1, 1020.0, 1000.0, 0.5, 0.40, 90.0), (1, 200.0, 200.0, 0.3, 0.40, 20.0)])
    finder["redshift_error"] = 0.01
    joined = joined_detections(encoder, finder, THRESHOLD)
    assert joined["field"].tolist() == [1, 2, 1]
    one = joined.iloc[0]
    assert (one.x, one.y) == (1020.0, 1000.0)  # the finder's: it sits on a galaxy
    assert one.redshift == pytest.approx(0.42 / 5 + 0.40 * 4 / 5)
    assert one.redshift_error == pytest.approx(0.02 / 5 + 0.01 * 4 / 5)
    assert one.richness == pytest.approx(60.0) and one.richness_error == pytest.approx(12.0)
    assert one.mean_logit == pytest.approx(0.5 * logit(0.9))
    assert joined.mean_logit[1] == pytest.approx(0.5 * logit(THRESHOLD))
    assert joined.mean_logit[2] == pytest.approx(0.5 * (logit(0.3) + logit(THRESHOLD)))


def test_a_list_may_be_empty():
    encoder = listed([(1, 1000.0, 1000.0, 0.9, 0.42, 40.0)])
    for one, other in ((encoder, encoder.iloc[:0]), (encoder.iloc[:0], encoder)):
        joined = joined_detections(one, other, THRESHOLD)
        assert joined["x"].tolist() == [1000.0]
    model = {"detections": np.array([1.0, 0.0])}
    assert len(combined_detections(joined_detections(encoder.iloc[:0], encoder.iloc[:0], THRESHOLD), model, 0.1)) == 0


def simulated(rng):
    """Haloes, and the maps and detections of a method that sees them and of one that guesses."""
    haloes, good, bad = [], [], []
    membership = rng.uniform(size=(N_FIELDS, 20, 20)) < 0.1
    seen = np.where(membership, 1.5, -1.5) + rng.normal(0, 1.2, membership.shape) - np.log(9)
    chance = rng.normal(-np.log(9), 0.05, membership.shape)
    maps = [{"field": np.arange(N_FIELDS), "membership": membership, "probability": p, "probability_natural": p}
            for p in (1 / (1 + np.exp(-seen)), 1 / (1 + np.exp(-chance)))]  # fmt: skip
    for field in range(N_FIELDS):
        for x, y in rng.uniform(100, SIZE - 100, (2, 2)):
            richness = rng.choice([8.0, 40.0])
            haloes.append((field, x, y, 0.5, 0.45, richness))
            good.append((field, x, y, 1 / (1 + np.exp(-rng.normal(2 * np.sign(richness - 20), 1.5))), 0.45, richness))
        for x, y in rng.uniform(100, SIZE - 100, (2, 2)):
            bad.append((field, x, y, rng.uniform(0.06, 0.08), rng.uniform(0.2, 0.6), 25.0))
    truth = listed(haloes).assign(weight=1.0, cluster_id=np.arange(len(haloes)))
    return truth, maps, listed(good), listed(bad)


def test_a_useless_method_does_no_harm_beyond_the_noise():
    truth, (good_map, bad_map), good, bad = simulated(np.random.default_rng(3))
    maps = same_fields(good_map, bad_map, ("a.npz", "b.npz"))
    joined = joined_detections(good, bad, THRESHOLD)
    model = fit_combination(*maps, joined, truth, PIXEL, SIZE)
    new_truth, (good_map, bad_map), good, bad = simulated(np.random.default_rng(4))
    combined = combined_maps(good_map, bad_map, model)
    true = combined["membership"].ravel()
    for name in ("probability", "probability_natural"):
        alone = average_precision(good_map[name].ravel(), true)
        assert average_precision(combined[name].ravel(), true) > alone - 0.01
        assert combined[name].mean() == pytest.approx(true.mean(), rel=0.1)
    found = combined_detections(joined_detections(good, bad, THRESHOLD), model, THRESHOLD)
    assert list(found.columns) == list(DETECTION_COLUMNS) and found.probability.min() > THRESHOLD
    scores = []
    for table in (good, found):
        judged = judged_candidates(table, new_truth, np.arange(N_FIELDS), SIZE)
        scores.append(average_precision(judged.probability.to_numpy(), (judged.true_richness >= 20).to_numpy()))
    assert scores[1] > scores[0] - 0.03


def test_files_of_other_fields_are_refused():
    maps = {"field": np.arange(2), "membership": np.zeros((2, 3, 3), bool), "probability": np.zeros((2, 3, 3))}
    maps["probability_natural"] = maps["probability"]
    with pytest.raises(ValueError, match=r"a\.npz and b\.npz differ in field"):
        same_fields(maps, maps | {"field": np.arange(1, 3)}, ("a.npz", "b.npz"))
