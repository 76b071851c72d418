"""The WCS of a user's own maps: what is read, and what is refused in one line."""

import numpy as np
import pytest
from astropy.io import fits

from armillary.files_maps import map_header, read_grid
from armillary.shear_catalogs import Grid

GRID = Grid(0.02, -3.0, 0.5, (20, 24))


def written(path, header) -> str:
    fits.writeto(path, np.zeros(GRID.shape, np.float32), fits.Header(header))
    return str(path)


def test_our_own_header_and_one_in_cdelt_give_the_same_grid(tmp_path):
    ours = {key: value for key, value in map_header(GRID).items()}
    other = {key: value for key, value in ours.items() if not key.startswith("CD")}
    other |= {"CDELT1": -0.5 / 60, "CDELT2": 0.5 / 60}
    assert read_grid(written(tmp_path / "ours.fits", ours), GRID.shape) == GRID
    assert read_grid(written(tmp_path / "cdelt.fits", other), GRID.shape) == GRID
    assert read_grid(written(tmp_path / "none.fits", {}), GRID.shape) is None


BAD = {
    "east right": ({"CD1_1": 0.5 / 60}, "east left"),
    "turned": ({"CD1_2": 0.1 / 60}, "north up"),
    "flat pixels": ({"CD1_1": -1.0 / 60}, "square pixels"),
    "another projection": ({"CTYPE1": "RA---CAR"}, "tangent plane"),
    "a corner": ({"CRPIX1": 1.0}, "off the middle"),
}


@pytest.mark.parametrize("case", BAD)
def test_another_wcs_is_refused(case, tmp_path):
    changes, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        read_grid(written(tmp_path / "bad.fits", map_header(GRID) | changes), GRID.shape)
