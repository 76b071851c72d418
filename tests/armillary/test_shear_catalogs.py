"""Shear catalogues: calibration, binning, noise, bad input, fields across ra = 0, and files."""

import numpy as np
import pandas as pd
import pytest
from astropy.wcs import WCS

from armillary.convergence_skies import draw_galaxies, sky_of_plane
from armillary.files_maps import map_header, read_shear_map, write_shear_map
from armillary.shear_catalogs import (
    Grid,
    binned_shear,
    calibrated,
    drop_large_shapes,
    galaxies_by_role,
    grid_of,
    middle_of,
    pixels_of,
    turned_at_random,
)

GRID = Grid(0.02, -3.0, 0.5, (60, 64))
COLUMNS = {"ra": "RA", "dec": "DEC", "e1": "E1", "e2": "E2", "weight": "W"}


def table(rng, n=500) -> pd.DataFrame:
    ra, dec = sky_of_plane(rng.uniform(-14, 14, n), rng.uniform(-14, 14, n), GRID)
    e1, e2 = rng.normal(0, 0.3, (2, n)).clip(-0.9, 0.9)
    return pd.DataFrame({"RA": ra, "DEC": dec, "E1": e1, "E2": e2, "W": rng.uniform(0.5, 1.5, n)})


def test_pixels_are_those_of_the_wcs_we_write(rng):
    galaxies = table(rng)
    wcs = WCS(map_header(GRID))
    x, y = wcs.all_world2pix(galaxies["RA"], galaxies["DEC"], 0)
    row, column, inside = pixels_of(galaxies["RA"], galaxies["DEC"], GRID)
    assert inside.all()
    assert np.array_equal(column, np.floor(x + 0.5).astype(int))
    assert np.array_equal(row, np.floor(y + 0.5).astype(int))


def test_a_field_across_zero_has_its_middle_inside(rng):
    galaxies = galaxies_by_role(table(rng), COLUMNS, "test")
    assert galaxies["ra"].max() > 359 > 1 > galaxies["ra"].min()
    ra, dec = middle_of(galaxies["ra"], galaxies["dec"])
    assert min(abs(ra - 0.02), abs(ra - 360.02)) < 0.03
    assert dec == pytest.approx(-3.0, abs=0.03)
    grid = grid_of(galaxies, 0.5, None, None)
    assert max(grid.shape) < 66
    assert binned_shear(galaxies, grid, 1, "test")[1].sum() == len(galaxies)


def test_noise_map_agrees_with_shapes_turned_at_random(rng):
    galaxies = galaxies_by_role(table(rng, 30_000), COLUMNS, "test")
    shear, counts = binned_shear(galaxies, GRID, 1, "test")
    turned = np.array([binned_shear(turned_at_random(galaxies, rng), GRID, 1, "test")[0][:2] for _ in range(20)])
    ratio = (turned[:, 0] / np.where(shear.mask, shear.sigma1, 1))[:, shear.mask].std()
    assert ratio == pytest.approx(1.0, abs=0.05)
    assert counts.sum() == len(galaxies)
    assert not shear.g1[~shear.mask].any()


def test_calibration_takes_off_what_was_put_on(rng):
    field = np.stack([np.zeros(GRID.shape), np.full(GRID.shape, 0.05), np.full(GRID.shape, -0.03)])
    settings = {"density_per_arcmin2": 300.0, "sigma_e": 0.2, "edge_arcmin": 1.0, "n_stars_per_deg2": 50.0}
    galaxies = draw_galaxies(field, GRID, **settings, m=-0.1, c1=0.02, c2=0.01, rng=rng)
    found = calibrated(galaxies, "shear")
    mean = [np.average(found[name], weights=found["weight"]) for name in ("e1", "e2")]
    error = 0.2 / np.sqrt(len(galaxies))
    assert mean[0] == pytest.approx(0.05 + (1 / 0.9 - 1) * 0, abs=5 * error + 0.003)
    assert mean[1] == pytest.approx(-0.03, abs=5 * error + 0.003)
    assert calibrated(galaxies, "shear", 1, -1)["e2"].mean() == pytest.approx(-found["e2"].mean())


def test_distortions_are_divided_by_twice_the_responsivity():
    galaxies = pd.DataFrame(
        {"e1": [0.2, 0.2], "e2": [0.0, 0.1], "weight": [1.0, 3.0], "rms_e": [0.4, 0.3], "m": 0.1, "c1": 0.01, "c2": 0.0}
    )
    responsivity = 1 - (0.4**2 + 3 * 0.3**2) / 4
    assert calibrated(galaxies, "distortion")["e1"][0] == pytest.approx((0.2 / (2 * responsivity) - 0.01) / 1.1)


def test_binned_means_are_weighted():
    ra, dec = sky_of_plane(np.array([0.1, 0.2, 5.1]), np.array([0.1, 0.2, 5.1]), GRID)
    galaxies = pd.DataFrame({"ra": ra, "dec": dec, "e1": [0.1, 0.3, 0.0], "e2": 0.0, "weight": [1.0, 3.0, 1.0]})
    shear, counts = binned_shear(galaxies, GRID, 1, "test")
    row, column, _ = pixels_of(ra, dec, GRID)
    assert shear.g1[row[0], column[0]] == pytest.approx(0.25)
    assert counts[row[0], column[0]] == 2
    assert shear.mask.sum() == 2


def test_a_shear_map_comes_back_from_its_file(rng, tmp_path):
    shear, counts = binned_shear(galaxies_by_role(table(rng), COLUMNS, "test"), GRID, 1, "test")
    path = str(tmp_path / "shear.fits")
    write_shear_map(path, shear, counts, GRID)
    found, grid, n = read_shear_map(path)
    assert grid == GRID
    assert np.array_equal(found.mask, shear.mask)
    assert found.g1 == pytest.approx(shear.g1, abs=1e-7)
    assert n.sum() == counts.sum()


BAD = {
    "no column": (lambda t: t.drop(columns="E2"), "has no column 'E2'"),
    "all weights zero": (lambda t: t.assign(W=0.0), "no galaxy has finite values and a weight above 0"),
    "negative weight": (lambda t: t.assign(W=-1.0), "weights must be at least 0"),
    "all shapes NaN": (lambda t: t.assign(E1=np.nan), "no galaxy has finite values"),
    "shapes of 7": (lambda t: t.assign(E1=7.0), "at most 2.0 is possible"),
    "radians and more": (lambda t: t.assign(DEC=91.0), "off the sky"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_catalogues_say_what_is_wrong(case, rng):
    spoil, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        galaxies_by_role(spoil(table(rng)), COLUMNS, "test")


def test_some_nan_shapes_are_left_out(rng):
    spoiled = table(rng)
    spoiled.loc[:9, "E1"] = np.nan
    assert len(galaxies_by_role(spoiled, COLUMNS, "test")) == len(spoiled) - 10


def test_no_pixel_with_enough_galaxies_is_an_error(rng):
    galaxies = galaxies_by_role(table(rng), COLUMNS, "test")
    with pytest.raises(ValueError, match="all pixels are masked"):
        binned_shear(galaxies, GRID, 1000, "test")
    with pytest.raises(ValueError, match="max_shape"):
        drop_large_shapes(galaxies.assign(e1=0.9), 0.5, "test")
    with pytest.raises(ValueError, match="no column is named for e2"):
        galaxies_by_role(table(rng), {"ra": "RA", "dec": "DEC", "e1": "E1"}, "test")
