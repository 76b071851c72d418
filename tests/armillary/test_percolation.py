"""Pieces of clusters go, clusters that are apart in the sky or in redshift stay."""

import pandas as pd
import pytest

from armillary.cosmology import pixels_per_mpc
from armillary.percolation import FRAGMENT_MPC, without_fragments

PIXEL_ARCSEC = 0.263


def clusters(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["x", "y", "probability", "redshift"])


@pytest.mark.parametrize("redshift", [0.2, 0.6])
def test_a_piece_goes_at_the_same_distance_in_mpc_at_every_redshift(redshift):
    reach = FRAGMENT_MPC * pixels_per_mpc(redshift, PIXEL_ARCSEC)
    found = clusters((0, 0, 0.9, redshift), (0.95 * reach, 0, 0.5, redshift), (0, 1.05 * reach, 0.4, redshift))
    assert without_fragments(found, PIXEL_ARCSEC).probability.tolist() == [0.9, 0.4]


def test_the_more_probable_stays_whatever_the_order():
    found = clusters((10, 0, 0.3, 0.4), (0, 0, 0.8, 0.41))
    assert without_fragments(found, PIXEL_ARCSEC).probability.tolist() == [0.8]


def test_a_cluster_behind_another_stays():
    assert len(without_fragments(clusters((0, 0, 0.9, 0.3), (5, 5, 0.8, 0.6)), PIXEL_ARCSEC)) == 2


def test_a_piece_of_a_piece_is_not_lost_with_it():
    """Only what is kept explains others: a chain does not eat its way through the sky."""
    step = 0.8 * FRAGMENT_MPC * pixels_per_mpc(0.4, PIXEL_ARCSEC)
    found = clusters((0, 0, 0.9, 0.4), (step, 0, 0.8, 0.4), (2 * step, 0, 0.7, 0.4))
    assert without_fragments(found, PIXEL_ARCSEC).x.tolist() == [0, 2 * step]


def test_no_clusters():
    assert len(without_fragments(clusters(), PIXEL_ARCSEC)) == 0
