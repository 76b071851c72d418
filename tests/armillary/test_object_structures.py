"""Faint structures: as bright as asked for, where they belong, and nothing else of the field changes."""

import numpy as np
import pytest

from armillary.files import read_catalog
from armillary.galaxies import prepare_red_sequence
from armillary.object_skies import sample_objects
from armillary.object_structures import N_POINTS, Structures, add_structures
from armillary.surveys import ZERO_POINT

PIXEL = 0.168


@pytest.fixture(scope="module")
def skies():
    sequence = prepare_red_sequence(read_catalog("resources/red_sequence.ecsv"), "hsc")
    plain = sample_objects(
        np.random.default_rng(1), sequence, image_size=800, pixel_arcsec=PIXEL, spacing_px=40,
        class_shares=[1, 0, 0], blend_share=0, lens_share=0, magnitude_range=[18.5, 21.5],
    )  # fmt: skip
    return plain, add_structures(np.random.default_rng(2), plain, Structures(0.25, 0.25, (0.03, 0.1)), PIXEL)


def test_structures_come_on_top_of_a_field_that_stays_as_it_is(skies):
    plain, found = skies
    n = len(plain.sources.x)
    for name in plain.sources._fields:
        np.testing.assert_array_equal(getattr(plain.sources, name), getattr(found.sources, name)[..., :n])
    truth = found.truth
    assert truth["arcs"].mean() == pytest.approx(0.25, abs=0.07) and not (truth["arcs"] & truth["tail"]).any()
    n_with = int(truth["arcs"].sum() + truth["tail"].sum())
    assert len(found.sources.x) - n == n_with * N_POINTS


def test_structures_have_their_share_of_the_light_and_lie_around_their_galaxy(skies):
    plain, found = skies
    n, truth = len(plain.sources.x), found.truth
    points = [values[..., n:] for values in (found.sources.x, found.sources.y, found.sources.flux)]
    owners = np.concatenate([np.flatnonzero(truth[name] == 1) for name in ("arcs", "tail")])
    x, y = (values.reshape(-1, N_POINTS) for values in points[:2])
    light = points[2][2].reshape(-1, N_POINTS).sum(1)
    share = light / 10 ** (0.4 * (ZERO_POINT - truth["magnitude_i"].to_numpy()[owners]))
    assert share.min() >= 0.03 and share.max() <= 0.1
    away = np.hypot(x - truth["x"].to_numpy()[owners, None], y - truth["y"].to_numpy()[owners, None]) * PIXEL
    assert away.min() >= 0.69 and away.max() <= 2.41
    n_arcs = int(truth["arcs"].sum())
    assert np.ptp(away[:n_arcs], axis=1).max() < 1e-6  # an arc is a part of a circle, a tail winds outwards
    assert np.ptp(away[n_arcs:], axis=1).min() > 1
    assert (points[2][0] / points[2][2])[: n_arcs * N_POINTS].mean() > 1.3 * (points[2][0] / points[2][2])[
        n_arcs * N_POINTS :
    ].mean()
