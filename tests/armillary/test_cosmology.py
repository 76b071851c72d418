"""Distances against astropy; R_lambda at its pivot."""

import numpy as np
import pytest
from astropy.cosmology import FlatLambdaCDM

from armillary.cosmology import angular_diameter_distance_mpc, pixels_per_mpc, richness_radius_mpc


def test_distance_agrees_with_astropy():
    redshift = np.array([0.05, 0.2, 0.5, 0.9, 2.0])
    expected = FlatLambdaCDM(70, 0.3).angular_diameter_distance(redshift).value
    np.testing.assert_allclose(angular_diameter_distance_mpc(redshift), expected, rtol=1e-6)


def test_one_mpc_in_des_pixels():
    # The reference table: 1 Mpc = 1152, 623 and 506 px of 0.263" at z = 0.2, 0.5 and 0.8.
    np.testing.assert_allclose(pixels_per_mpc(np.array([0.2, 0.5, 0.8]), 0.263), [1152, 623, 506], atol=1)


def test_richness_radius():
    assert richness_radius_mpc(100) == pytest.approx(1 / 0.7)
    assert richness_radius_mpc(30) * pixels_per_mpc(0.5, 0.263) == pytest.approx(699, abs=1)
