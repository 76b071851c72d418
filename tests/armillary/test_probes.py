"""Probes and search: scores in closed form, equal footing, what is said of bad labels."""

import numpy as np
import pytest

from armillary.field_splits import fields_that_judge, rows_that_judge
from armillary.files_cutouts import write_embeddings
from armillary.metrics import validate_metrics
from armillary.probe_choices import predict_by_choice
from armillary.probe_scores import (
    TASKS,
    Contestant,
    Judges,
    as_measurement,
    gain,
    labelled_and_judges,
    measurements_of,
    told_by,
    with_error,
)
from armillary.probes import area_under_roc, impute, predict, redshift_scores
from armillary.redshift_pdf import coverage, crps, cumulative_at, estimate_pdf
from armillary.similarity import draw_queries, jackknife, neighbours, precisions, read_search_vectors, rows_at, whiten

RNG = np.random.default_rng(0)


def test_redshift_scores_in_closed_form():
    truth = RNG.uniform(0.2, 1.0, 20_000)
    told = truth + 0.03 * (1 + truth) * RNG.standard_normal(len(truth)) + 0.01 * (1 + truth)
    scores = redshift_scores(told, truth)
    assert scores["nmad"] == pytest.approx(0.03, rel=0.03)
    assert scores["bias"] == pytest.approx(0.01, abs=1e-3)
    assert scores["outliers"] < 1e-3
    assert redshift_scores(np.full(len(truth), truth.mean()), truth)["r2"] == pytest.approx(0, abs=1e-9)


def test_area_under_roc_is_the_chance_of_the_right_order():
    score, truth = np.array([0.1, 0.4, 0.4, 0.8]), np.array([0, 0, 1, 1])
    assert area_under_roc(score, truth) == pytest.approx((1 + 1 + 0.5 + 1) / 4)


def test_missing_features_become_the_linear_guess():
    x = RNG.standard_normal((400, 2))
    features = np.column_stack([x, x @ [1.0, -2.0]])
    spoiled = features[:50].copy()
    spoiled[::2, 2] = np.nan
    spoiled[1, :] = np.nan
    filled = impute(spoiled, features)
    np.testing.assert_allclose(filled[::2, 2], features[:50:2, 2], atol=0.03)
    np.testing.assert_allclose(filled[1], features.mean(0))
    with pytest.raises(ValueError, match="nothing to fill"):
        impute(np.full((3, 2), np.nan), np.full((3, 2), np.nan))


@pytest.mark.parametrize("kind", ["linear", "neighbours", "trees"])
def test_every_probe_learns_what_is_linear_and_nothing_from_noise(kind):
    features, noise = RNG.standard_normal((600, 3)), RNG.standard_normal((600, 3))
    value, label = features @ [1.0, 0.5, 0.0], (features[:, 0] > 0).astype(int)
    rows, rest = slice(0, 300), slice(300, None)
    told = predict(features[rows], value[rows], [features[rest]], task="value", kind=kind, seed=0)[0]
    assert redshift_scores(told, value[rest])["r2"] > 0.75
    told = predict(features[rows], label[rows], [features[rest]], task="classes", kind=kind, seed=0)[0]
    assert (told == label[rest]).mean() > 0.85
    told = predict(noise[rows], label[rows], [noise[rest]], task="score", kind=kind, seed=0)[0]
    assert area_under_roc(told, label[rest]) == pytest.approx(0.5, abs=0.12)
    with pytest.raises(ValueError, match="1 labels of a probe are not finite"):
        predict(features[rows], np.append(value[:299], np.nan), [features[rest]], task="value", kind=kind, seed=0)


def sky(n_fields: int, n: int = 1200) -> dict[str, np.ndarray]:
    """Columns of objects that lie in fields a degree apart."""
    field = RNG.integers(0, n_fields, n)
    zeros = np.zeros(n, int)
    return {"ra": field + 0.5, "dec": np.full(n, 0.5), "class": RNG.integers(0, 2, n), "lens": zeros, "blend": zeros}


def test_no_field_is_labelled_and_judges_and_seeds_take_other_fields():
    columns = sky(12)
    field, judging = fields_that_judge(columns, 1.0, 0.25, 3, 0)
    assert len(set(np.concatenate(judging).tolist())) == 9
    labelled, judges = labelled_and_judges("class", columns, field, judging, [50, 10**6], 0)
    assert sorted(labelled)[0] == 50 and max(labelled) < len(field)
    for rows in labelled.values():
        for seed, own in enumerate(rows):
            assert len(np.unique(own)) == len(own) and not set(field[own]) & set(field[judges[seed].rows])
    every = np.concatenate([of.rows for of in judges])
    np.testing.assert_array_equal(np.sort(every), rows_that_judge(field, judging))
    with pytest.raises(ValueError, match="labels and judges need two"):
        fields_that_judge(sky(1), 1.0, 0.25, 1, 0)


def judges_of(truth: np.ndarray, field: np.ndarray) -> Judges:
    return Judges(np.arange(len(truth)), truth, field)


def test_the_error_of_an_accuracy_is_binomial_in_one_field_and_that_of_fields_in_several():
    truth, field = RNG.integers(0, 2, 4000), np.repeat(np.arange(8), 500)
    told = np.where(RNG.uniform(size=4000) < 0.8, truth, 1 - truth)
    value, error = with_error("accuracy", [told], [judges_of(truth, 0 * field)], 300, np.random.default_rng(1))
    assert value == pytest.approx(0.8, abs=0.02)
    assert error == pytest.approx(np.sqrt(0.8 * 0.2 / 4000), rel=0.2)
    told = np.where(RNG.uniform(size=4000) < 0.8 + 0.1 * (-1) ** field, truth, 1 - truth)
    several = [judges_of(truth, field)]
    error = with_error("accuracy", [told], several, 2000, np.random.default_rng(1))[1]
    assert error == pytest.approx(np.std(0.1 * (-1.0) ** np.arange(8), ddof=1) / np.sqrt(8), rel=0.15)
    assert gain("accuracy", [told], [told], several, 20, np.random.default_rng(0)) == (0.0, 0.0)
    validate_metrics({"a": as_measurement(value, error, 4000, "accuracy")}, "test")


def test_a_probe_chooses_the_features_that_tell_by_its_labels_alone():
    label, noise = RNG.integers(0, 2, 400), RNG.standard_normal((400, 3))
    good = noise + 1.5 * label[:, None]
    rows, rest = slice(0, 200), slice(200, None)
    wanted = [[noise[rest], good[rest]]]
    told = predict_by_choice([noise[rows], good[rows]], label[rows], wanted, "score", "linear", 0)[0]
    assert area_under_roc(told, label[rest]) > 0.9


def test_answers_are_those_of_the_judges_of_each_seed_and_views_are_asked_of_the_same_probe():
    columns = sky(8)
    field, judging = fields_that_judge(columns, 1.0, 0.25, 2, 0)
    labelled, judges = labelled_and_judges("class", columns, field, judging, [100], 0)
    features = (columns["class"][:, None] + 0.1 * RNG.standard_normal((1200, 2)),)
    turned = (1 - features[0],)
    contestant = Contestant([[features]], {"missing": [[features]], "seeing": [[turned]]}, "linear")
    told = told_by(contestant, TASKS["class"], columns["class"], labelled[100], judges)
    assert [len(one) for one in told[""]] == [len(of.rows) for of in judges]
    for name, value in (("", 1.0), ("missing_band", 1.0), ("class_seeing", 0.0)):
        assert with_error("accuracy", told[name], judges, 20, np.random.default_rng(0))[0] == pytest.approx(value)
    both = {("mim", 100): told[""], ("pca", 100): told["class_seeing"]}
    numbers = measurements_of("class", "accuracy", both, judges, [("mim", "pca")], 20, 0)
    assert numbers["class_mim_over_pca_100"]["value"] == 1.0 and numbers["class_mim_over_pca_100"]["baseline"]


def test_whitened_embeddings_have_unit_covariance():
    values = RNG.standard_normal((3000, 4)) @ RNG.standard_normal((4, 4))
    np.testing.assert_allclose(np.cov(whiten(values).T), np.eye(4), atol=1e-6)


def searched(values: np.ndarray, rare: np.ndarray, n_fields: int = 10, cut: float = 1e-9) -> np.ndarray:
    field = np.arange(len(rare)) % n_fields
    settings = {"n_wanted": 20, "n_examples": 5, "n_queries": 30}
    return precisions(whiten(values, None, cut), draw_queries(rare, field, rng=np.random.default_rng(0), **settings))


def test_a_search_finds_a_rare_class_that_lies_apart_and_is_blind_in_noise():
    rare = RNG.uniform(size=4000) < 0.03
    values = RNG.standard_normal((4000, 6))
    assert jackknife(searched(values, rare))[0] < 0.12
    values[rare, 0] += 8
    assert jackknife(searched(values, rare))[0] > 0.8
    with pytest.raises(ValueError, match="objects of the rare class"):
        searched(values, np.arange(4000) < 10)


def test_a_search_looks_in_other_fields_than_those_of_its_examples():
    """Features that only tell the field find nothing."""
    field, rare = np.arange(4000) % 10, RNG.uniform(size=4000) < 0.03
    values = np.eye(10)[field] + 0.01 * RNG.standard_normal((4000, 10))
    assert jackknife(searched(values, rare))[0] < 0.12


def test_the_jackknife_of_a_mean_over_fields_is_its_standard_error():
    by_field = RNG.standard_normal(12)
    left_out = np.array([np.delete(by_field, k).mean() for k in range(12)])
    value, error = jackknife(np.append(by_field.mean(), left_out)[:, None])
    assert value == pytest.approx(by_field.mean())
    assert error == pytest.approx(by_field.std(ddof=1) / np.sqrt(12))


def test_with_two_fields_the_error_of_a_search_is_that_of_its_queries():
    rare = RNG.uniform(size=2000) < 0.05
    value, error = jackknife(searched(RNG.standard_normal((2000, 6)), rare, n_fields=2))
    assert 0 <= value < 0.2 and 0 < error < 0.05


def test_whitening_keeps_a_rare_mark_in_a_direction_of_little_variance():
    rare = RNG.uniform(size=3000) < 0.03
    values = RNG.standard_normal((3000, 6)) * [1e3, 1e2, 1, 1, 1, 1]
    values[rare, 5] += 8
    assert jackknife(searched(values, rare))[0] > 0.8
    assert jackknife(searched(values, rare, cut=1e-3))[0] < 0.3


def test_few_objects_are_not_whitened_in_directions_that_they_cannot_tell():
    assert whiten(RNG.standard_normal((30, 40))).shape == (30, 3)


def test_neighbours_are_nearest_first_and_never_oneself():
    found = neighbours(np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.5, 0.4]]), 2)
    assert found.tolist() == [[1, 3], [0, 3], [3, 1], [1, 0]]


def test_embeddings_without_vectors_for_searches_are_refused(tmp_path):
    write_embeddings(str(tmp_path / "old.h5"), np.zeros((2, 3)), {"ra": np.zeros(2)}, {})
    with pytest.raises(ValueError, match="embed its objects anew"):
        read_search_vectors(str(tmp_path / "old.h5"))


def test_a_query_by_position():
    assert rows_at(np.array([10.0, 20.0]), np.array([0.0, 1.0]), [[20.0001, 1.0]], 2.0).tolist() == [1]
    with pytest.raises(ValueError, match="no object lies within 2 arcsec"):
        rows_at(np.array([10.0]), np.array([0.0]), [[20.0, 1.0]], 2.0)


def test_densities_of_a_known_law_are_calibrated():
    x = RNG.standard_normal(6000)
    redshift = 0.6 + 0.1 * x + 0.15 * RNG.standard_normal(6000)
    edges, probability = estimate_pdf(x[:3000, None], redshift[:3000], x[3000:, None], 20)
    pit = cumulative_at(edges, probability, redshift[3000:])
    assert coverage(pit, 0.68) == pytest.approx(0.68, abs=0.04)
    assert crps(edges, probability, redshift[3000:]) == pytest.approx(0.15 / np.sqrt(np.pi), rel=0.15)
    with pytest.raises(ValueError, match="four a bin"):
        estimate_pdf(x[:10, None], redshift[:10], x[:2, None], 5)
