"""CAMB's spectra against known values; what a user's own table must hold."""

import numpy as np
import pytest

from armillary.cmb_spectra import (
    Instrument,
    Spectra,
    check_reach,
    noise_power,
    polarisation_noise,
    relensed,
    spectra_from_columns,
)

# l, unlensed EE, lensed EE, lensed BB in uK^2, C_kk: an independent run of CAMB
GOLDEN = [
    (100, 4.8190e-4, 4.8350e-4, 2.0032e-6, 1.5971e-7),
    (500, 2.0338e-4, 2.0857e-4, 1.5568e-6, 3.0306e-8),
    (1000, 2.7598e-4, 2.6423e-4, 6.1226e-7, 1.0553e-8),
    (3000, 5.8053e-7, 6.8164e-7, 1.4859e-8, 1.7460e-9),
]


@pytest.mark.parametrize("row", GOLDEN)
def test_camb_gives_the_known_values(spectra, row):
    l, *values = row  # noqa: E741
    found = [spectra.ee_unlensed[l], spectra.ee_lensed[l], spectra.bb_lensed[l], spectra.kk[l]]
    np.testing.assert_allclose(found, values, rtol=2e-3)


def test_lensing_again_gives_the_lensed_spectra(spectra):
    again = relensed(spectra, spectra.kk, 6000)
    np.testing.assert_allclose(again.bb_lensed[100:3000], spectra.bb_lensed[100:3000], rtol=2e-3)
    none = relensed(spectra, 0 * spectra.kk, 6000)
    assert np.abs(none.bb_lensed[100:3000]).max() < 1e-4 * spectra.bb_lensed[100:3000].max()


def test_noise_is_white_and_grows_with_the_beam():
    noise = noise_power(Instrument(4.29, 0.0), 3000)
    assert noise[500] == pytest.approx(1.557e-6, rel=0.01)  # lensing B at l = 500 is white noise of 4.29 uK arcmin
    assert noise[3000] == noise[2]
    assert noise_power(Instrument(4.29, 1.0), 3000)[3000] == pytest.approx(noise[3000] / 0.934**2, rel=1e-2)
    assert polarisation_noise(1.0, "T") == pytest.approx(2**0.5)
    assert polarisation_noise(1.0, "P") == 1.0


def table(**changes):
    columns = {"l": np.arange(2, 50)} | {name: np.full(48, 1e-6) for name in Spectra._fields}
    return columns | changes


def test_a_users_table_is_taken_from_its_first_l():
    found = spectra_from_columns(table(), "mine.npz")
    assert found.l_max == 49
    assert found.kk[0] == found.kk[1] == 0
    assert found.kk[2] == 1e-6


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"l": np.arange(2, 98, 2)}, "rise by one"),
        ({"kk": np.full(48, np.nan)}, "kk has values that are negative or not finite"),
        ({"l": np.arange(5, 53)}, "start at 0, 1 or 2"),
    ],
)
def test_a_bad_table_is_refused_in_words(changes, said):
    with pytest.raises(ValueError, match=said):
        spectra_from_columns(table(**changes), "mine.npz")


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match="lacks the columns kk"):
        spectra_from_columns({k: v for k, v in table().items() if k != "kk"}, "mine.npz")


def test_short_spectra_are_refused(spectra):
    with pytest.raises(ValueError, match="end at l = 9000, below the maps' Nyquist multipole 9500"):
        check_reach(spectra, 9500.0)
