"""The real HST/COSMOS catalogue: stacks at X-ray groups, B modes, noise, and the wrong sign of the shear."""

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from armillary.convergence import kaiser_squires, mean_free, smooth
from armillary.files_maps import read_column, read_positions
from armillary.inverse.wiener import wiener_map, wiener_problem
from armillary.mass_nulls import (
    check_sign,
    compare_signs,
    excess_variance,
    normal_scores,
    pattern_signal_to_noise,
    signal_to_noise,
)
from armillary.shear_catalogs import binned_shear, calibrated, galaxies_by_role, grid_of, turned_at_random

ROLES = {"ra": "ra", "dec": "dec", "e1": "e1", "e2": "e2", "weight": "nhweight_int"}


@pytest.fixture(scope="module")
def cosmos(mirror):
    """Calibrated galaxies, the grid of the public maps, and the groups."""
    folder = mirror / "massmap/cosmos_shear"
    table = pd.DataFrame({name: read_column(str(folder / f"{name}.fits")) for name in ROLES.values()})
    galaxies = calibrated(galaxies_by_role(table, ROLES, "cosmos"), "shear")
    return galaxies, grid_of(galaxies, 0.29, (360, 360), (150.11, 2.24)), read_positions(str(folder / "xray.txt"), 2, 3)


def test_known_groups_stand_out_and_b_modes_do_not(cosmos, mirror):
    galaxies, grid, groups = cosmos
    shear, _ = binned_shear(galaxies, grid, 1, "cosmos")
    assert shear.mask.mean() == pytest.approx(0.533, abs=0.002)
    maps = [mean_free(smooth(one, 1 / 0.29), shear.mask) for one in kaiser_squires(shear.g1, shear.g2)]
    assert signal_to_noise(maps[0], shear.mask, groups, grid) >= 8
    assert abs(signal_to_noise(maps[1], shear.mask, groups, grid)) <= 2.5
    multipole, power = np.load(mirror / "massmap/kappatng/ktng_PS_theory.npy")
    problem = wiener_problem(multipole, power, shear.sigma1, shear.sigma2, shear.mask, 0.29)
    wiener, residual = wiener_map(problem, jnp.asarray(shear.g1, jnp.float32), jnp.asarray(shear.g2, jnp.float32))
    assert float(residual) <= 1e-5
    wiener = np.asarray(wiener, float)
    assert signal_to_noise(wiener, shear.mask, groups, grid) >= 10
    # groups share structure and pixels are not independent: against the pattern of groups moved as a whole it is less
    for kappa in (maps[0], wiener):
        assert 5 < pattern_signal_to_noise(kappa, shear.mask, groups, grid)[0] < 7.5
    # a curve without information raises the stack in units of the map's rms, and leaves the one by ranks
    curved = np.exp(40 * wiener)
    assert signal_to_noise(curved, shear.mask, groups, grid) > signal_to_noise(wiener, shear.mask, groups, grid) + 2
    ranked = [pattern_signal_to_noise(normal_scores(k, shear.mask), shear.mask, groups, grid) for k in (wiener, curved)]
    assert ranked[0] == ranked[1]


def test_the_wrong_sign_fails(cosmos):
    galaxies, grid, groups = cosmos
    rng = np.random.default_rng(1)
    turned = [binned_shear(turned_at_random(galaxies, rng), grid, 1, "cosmos")[0] for _ in range(4)]
    turned = np.array([(one.g1, one.g2) for one in turned])
    right, _ = binned_shear(galaxies, grid, 1, "cosmos")
    for first, second in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        shear = right._replace(g1=first * right.g1, g2=second * right.g2)
        e_excess, b_excess, spread = excess_variance(shear, turned, 1 / 0.29)
        found = compare_signs(shear, 1 / 0.29, groups, grid)
        if (first, second) == (1, 1):
            check_sign(found, True, e_excess / spread, b_excess / spread, "cosmos")
        else:
            with pytest.raises(ValueError, match="the sign of the shear is wrong"):
                check_sign(found, True, e_excess / spread, b_excess / spread, "cosmos")
