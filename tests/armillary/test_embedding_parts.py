"""Embeddings part by part: what a pooling joins, which rows are seen and how, and what a file gives back."""

import numpy as np
import pytest

from armillary.cutout_views import without_bands
from armillary.embedding_parts import parts_of, read_choices, read_placed, write_parts
from armillary.files_cutouts import open_cutouts, write_cutouts
from armillary.mim_batches import Scale
from armillary.mim_networks import Model, build_network, embed_pooled
from armillary.networks.masked_vit import Architecture
from armillary.token_parts import embed_parts
from tests.armillary.test_cutouts import example

WHAT = Architecture("mae", "test", 2, 16, 4, 16, 1, False, False)
MODEL = Model(build_network(WHAT, 3).eval(), WHAT, Scale(["g", "r"], [1.0, 1.0], 27.0, 16), {})
POOLINGS = [["mean"], ["mean", "core"], ["mean", "core", "spread"]]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("cutouts") / "some.h5")
    write_cutouts(path, example(150, 16))
    return path


def test_parts_are_the_poolings_of_the_network_in_the_rows_that_are_asked_for(path):
    rows = np.array([3, 4, 70, 149])
    with open_cutouts(path) as file:
        mean, core = embed_pooled(MODEL, file, poolings=["mean", "core"], device="cpu")
        found = embed_parts(MODEL, file, parts=parts_of(POOLINGS), device="cpu", rows=rows)
        bands = file.facts["bands"]
        hidden = embed_parts(
            MODEL, file, parts=["mean"], device="cpu", rows=rows, change=lambda one: without_bands(one, bands[:1])
        )
    np.testing.assert_allclose(found["mean"], mean[rows], atol=1e-5)
    np.testing.assert_allclose(found["core"], core[rows], atol=1e-5)
    assert (found["spread"] > 0).all() and np.abs(hidden["mean"] - found["mean"]).max() > 1e-3


def test_a_file_gives_back_the_choices_and_puts_rows_in_their_places(tmp_path):
    rng = np.random.default_rng(0)
    parts = {name: rng.standard_normal((3, 4)).astype(np.float32) for name in parts_of(POOLINGS)}
    write_parts(str(tmp_path / "some.h5"), parts, {"row": np.array([1, 4, 5])}, {}, "mean")
    choices, columns = read_choices(str(tmp_path / "some.h5"), POOLINGS)
    assert [len(choice) for choice in choices] == [1, 2, 3] and list(columns) == ["row"]
    np.testing.assert_array_equal(choices[2][1], parts["core"])
    placed = read_placed(str(tmp_path / "some.h5"), POOLINGS, 7)[1][0]
    np.testing.assert_array_equal(placed[[1, 4, 5]], parts["mean"])
    assert np.isnan(placed[[0, 2, 3, 6]]).all()
    with pytest.raises(ValueError, match="no part 'max'"):
        read_choices(str(tmp_path / "some.h5"), [["max"]])
