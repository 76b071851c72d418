"""Networks as probes: they learn what is there, from labelled objects alone, and leave the trained network alone."""

import numpy as np
import pytest
import torch

from armillary.files_cutouts import open_cutouts, write_cutouts
from armillary.label_probes import METHODS, Training, frozen_tokens, predict_by_training, read_objects
from armillary.mim_batches import Scale
from armillary.mim_networks import Model, build_network
from armillary.networks.masked_vit import Architecture
from armillary.probes import Budget, folds, tried
from tests.armillary.test_cutouts import example

WHAT = Architecture("mae", "test", 2, 16, 4, 16, 1, False, False)
MODEL = Model(build_network(WHAT, 3).eval(), WHAT, Scale(["g", "r"], [1.0, 1.0], 27.0, 16), {})
TRAINING, BUDGET = Training(40, 16), Budget(1, 1)


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    """Objects whose class is whether the middle is bright, and their class."""
    cutouts, label = example(240, 16), np.random.default_rng(5).integers(0, 2, 240)
    cutouts.images[label == 1, :, 6:10, 6:10] += 40
    path = str(tmp_path_factory.mktemp("cutouts") / "some.h5")
    write_cutouts(path, cutouts)
    with open_cutouts(path) as file:
        return read_objects(file, MODEL, np.arange(240)), label


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_a_class_that_is_plain_to_see(objects, method):
    batch, label = objects
    shown = frozen_tokens(MODEL, batch, "cpu") if method == "attentive" else batch
    before = {name: value.clone() for name, value in MODEL.network.state_dict().items()}
    rows, rest = np.arange(120), np.arange(120, 240)
    settings = {"kind": "classes", "training": TRAINING, "budget": BUDGET, "seed": 0, "device": "cpu"}
    tuned = settings | {"budget": Budget(2, 1)}
    told = predict_by_training(method, MODEL, shown, label, rows, rest, **tuned)
    assert (told == label[rest]).mean() > 0.9
    unknown = np.where(np.arange(240) < 120, label, 1 - label)  # what is asked must not be learned from
    again = [predict_by_training(method, MODEL, shown, of, rows, rest, **settings) for of in (label, unknown)]
    np.testing.assert_array_equal(*again)
    assert all(torch.equal(value, before[name]) for name, value in MODEL.network.state_dict().items())


def test_a_value_comes_back_in_its_own_units(objects):
    batch, label = objects
    value = 0.5 + 0.2 * label
    settings = {"kind": "value", "training": TRAINING, "budget": Budget(2, 1), "seed": 0, "device": "cpu"}
    told = predict_by_training("finetuned", MODEL, batch, value, np.arange(120), np.arange(120, 240), **settings)
    assert np.abs(told - value[120:]).mean() < 0.05


def test_a_score_is_the_probability_of_class_one(objects):
    batch, label = objects
    settings = {"kind": "score", "training": TRAINING, "budget": Budget(2, 1), "seed": 0, "device": "cpu"}
    told = predict_by_training("cnn", MODEL, batch, label, np.arange(120), np.arange(120, 240), **settings)
    assert told.min() >= 0 and told.max() <= 1 and ((told > 0.5) == label[120:]).mean() > 0.9


def test_rows_are_read_in_their_order(objects, tmp_path):
    write_cutouts(str(tmp_path / "some.h5"), example(30, 16))
    with open_cutouts(str(tmp_path / "some.h5")) as file:
        everything, some = (read_objects(file, MODEL, np.array(rows)) for rows in (range(30), [2, 3, 17]))
    assert torch.equal(some.images, everything.images[[2, 3, 17]])


def test_a_budget_picks_settings_and_judges():
    assert tried([1, 2, 3, 4, 5], Budget(3, 1)) == [1, 3, 5]
    judges = folds(100, Budget(5, 3), 0)
    assert (np.sum(judges, 0) == 1).all() and len(folds(100, Budget(5, 1), 0)) == 1


def test_an_unknown_method_is_refused(objects):
    settings = {"kind": "classes", "training": TRAINING, "budget": BUDGET, "seed": 0, "device": "cpu"}
    with pytest.raises(ValueError, match="known: attentive, finetuned, cnn"):
        predict_by_training("linear", MODEL, objects[0], objects[1], np.arange(9), np.arange(9), **settings)
