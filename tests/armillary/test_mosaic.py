"""Tiles as one survey: what two tiles see counts once."""

import numpy as np
import pandas as pd
import pytest

from armillary.footprint import map_of
from armillary.mosaic import chord, maps_nearby, most_probable, owned_areas_deg2, owned_clusters
from armillary.sky import tan_wcs

CELL_ARCSEC = 16.0
N_CELLS = 160  # 0.711 deg a side


def tile(name: str, ra: float, dec: float) -> dict:
    wcs = tan_wcs(ra, dec, N_CELLS, CELL_ARCSEC)
    return map_of(name, np.full((N_CELLS, N_CELLS), 0.1, np.float32), wcs)


def two_tiles(dec=-40.0, apart_deg=0.5):
    return [tile("A", 359.9, dec), tile("B", 359.9 + apart_deg / np.cos(np.radians(dec)), dec)]


def test_overlapping_tiles_cover_the_area_of_their_union():
    side = N_CELLS * CELL_ARCSEC / 3600
    areas = owned_areas_deg2(two_tiles())
    assert areas.sum() == pytest.approx((side + 0.5) * side, rel=0.01)
    assert areas[0] == pytest.approx(areas[1], rel=0.01)
    far = owned_areas_deg2([tile("A", 10, 0), tile("B", 20, 0)])
    np.testing.assert_allclose(far, side**2, rtol=0.01)


def test_a_cluster_that_two_tiles_see_belongs_to_the_nearest():
    maps = two_tiles()
    ra = (359.9 + 0.27 / np.cos(np.radians(40.0))) % 360  # 0.27 deg off A, 0.23 deg off B
    clusters = pd.DataFrame({"tile": ["A", "B"], "ra": ra, "dec": -40.0, "probability": 0.5})
    owned = owned_clusters(clusters, maps)
    assert owned.tolist() == [False, True]
    maps[1]["probability"][:] = np.nan  # where the nearest saw nothing, the other one owns
    assert owned_clusters(clusters, maps).tolist() == [True, False]


def test_two_halves_of_a_cluster_on_a_border_are_one():
    clusters = pd.DataFrame(
        {"tile": ["A", "B", "B"], "ra": [0.0, 10 / 3600, 12 / 3600], "dec": 0.0, "probability": [0.9, 0.8, 0.7]}
        | {"redshift": [0.4, 0.42, 0.46]}
    )
    assert most_probable(clusters, 11, 0.05).tolist() == [True, False, True]  # those of one tile are told apart already
    assert most_probable(clusters, 13, 0.05).tolist() == [True, False, False]
    assert most_probable(clusters[:0], 13, 0.05).tolist() == []


def test_clusters_of_two_tiles_at_two_redshifts_are_two():
    """On one line of sight across a border: 0.05 (1 + 0.4) = 0.07 is the least difference of two clusters."""
    clusters = pd.DataFrame({"tile": ["A", "B"], "ra": 10.0, "dec": 0.0, "probability": [0.9, 0.8]})
    for redshift, kept in ((0.469, [True, False]), (0.471, [True, True])):
        pair = clusters.assign(redshift=[0.4, redshift])
        assert most_probable(pair, 35, 0.05).tolist() == kept
        assert most_probable(pair[::-1], 35, 0.05).tolist() == kept[::-1]


def test_no_tile_is_no_area():
    assert maps_nearby([]) == []
    assert owned_areas_deg2([]).tolist() == []
    assert chord(60) == pytest.approx(1.0)
