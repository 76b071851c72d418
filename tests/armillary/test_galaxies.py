"""Galaxy properties against closed forms and the red-sequence table."""

from pathlib import Path

import numpy as np
import pytest
from scipy.special import exp1

from armillary import galaxies
from armillary.files import read_catalog, read_table

TABLE = Path(__file__).parents[2] / "resources/red_sequence.ecsv"


@pytest.fixture(scope="module")
def red_sequence():
    return galaxies.prepare_red_sequence(read_catalog(str(TABLE)), "des")


def rng():
    return np.random.default_rng(7)


def test_red_sequence_at_tabulated_redshifts(red_sequence):
    mstar_i = galaxies.mstar_i(red_sequence, np.array([0.2, 0.5, 0.8]))
    assert mstar_i == pytest.approx([17.77, 20.06, 21.42], abs=0.006)
    colours = galaxies.red_colours(red_sequence, np.array([0.5]))[0]
    assert colours == pytest.approx([1.772, 0.788, 0.409], abs=0.001)


@pytest.mark.parametrize("survey", ["des", "hsc", "lsst"])
def test_interpolation_follows_the_full_tables(mirror, survey):
    sequence = galaxies.prepare_red_sequence(read_catalog(str(TABLE)), survey)
    colours = read_table(str(mirror / f"clusters/redsequence/bc03_colors_{survey}.fit"))
    mstar = read_table(str(mirror / f"clusters/redsequence/mstar_{survey}_i03.fit"))
    used = colours[(colours["Z"] > 0.1) & (colours["Z"] < 1.2)]
    expected = used[["COLOR_0", "COLOR_1", "COLOR_2"]].to_numpy()
    assert np.abs(galaxies.red_colours(sequence, used["Z"].to_numpy()) - expected).max() < 0.08
    used = mstar[(mstar["Z"] > 0.1) & (mstar["Z"] < 1.2)]
    assert np.abs(galaxies.mstar_i(sequence, used["Z"].to_numpy()) - used["MSTAR"].to_numpy()).max() < 0.03


def test_unknown_survey_names_the_known_ones():
    with pytest.raises(ValueError, match="'euclid' has no rows.*des, hsc, lsst"):
        galaxies.prepare_red_sequence(read_catalog(str(TABLE)), "euclid")


def test_schechter_number_is_the_incomplete_gamma_function():
    assert galaxies.schechter_number(-4.0, galaxies.MEMBER_OFFSET) == pytest.approx(exp1(0.2), rel=1e-4)


def test_schechter_mean_luminosity():
    """alpha = -1: <L / L*> above 0.2 = Gamma(1, 0.2) / Gamma(0, 0.2) = exp(-0.2) / E1(0.2)."""
    offset = galaxies.sample_schechter(rng(), -4.0, galaxies.MEMBER_OFFSET, 200_000)
    luminosity = 10 ** (-0.4 * offset)
    assert luminosity.min() >= 0.2 - 1e-9
    assert luminosity.mean() == pytest.approx(np.exp(-0.2) / exp1(0.2), rel=0.01)


def test_red_colour_scatter_and_correlation(red_sequence):
    redshift = np.full(100_000, 0.4)
    colours = galaxies.sample_colours(rng(), red_sequence, redshift, np.ones(len(redshift), bool))
    assert colours.mean(axis=0) == pytest.approx(galaxies.red_colours(red_sequence, 0.4), abs=0.001)
    assert colours.std(axis=0) == pytest.approx([0.05, 0.03, 0.03], rel=0.02)
    assert np.corrcoef(colours.T)[0, 2] == pytest.approx(0.9, abs=0.01)


def test_blue_galaxies_are_bluer(red_sequence):
    redshift = np.full(10_000, 0.4)
    colours = galaxies.sample_colours(rng(), red_sequence, redshift, np.zeros(len(redshift), bool))
    assert (colours.mean(axis=0) < 0.7 * galaxies.red_colours(red_sequence, 0.4)).all()


def test_fluxes_and_colours_agree():
    flux = galaxies.fluxes_of(np.array([20.0]), np.array([[1.5, 0.6, 0.3]]))[0]
    assert -2.5 * np.log10(flux) + 30 == pytest.approx([22.1, 20.6, 20.0, 19.7])


def test_shears_are_a_truncated_normal():
    shear = galaxies.sample_shears(rng(), np.full(200_000, 0.2))
    assert np.hypot(*shear.T).max() < 0.8
    assert shear.std(axis=0) == pytest.approx(0.2, rel=0.01)
    assert np.abs(shear.mean(axis=0)).max() < 0.002


def test_sizes_and_bulge_fractions():
    n_galaxies = 20_000
    redshift, offset = np.full(n_galaxies, 0.4), np.zeros(n_galaxies)
    red, no = np.ones(n_galaxies, bool), np.zeros(n_galaxies, bool)
    size = galaxies.sample_sizes_arcsec(rng(), redshift, offset, red, no)
    kpc_per_arcsec = 5.373  # flat LCDM, H0 = 70, Omega_m = 0.3, z = 0.4
    assert np.median(size) == pytest.approx(4.5 * 1.4**-0.75 / kpc_per_arcsec, rel=0.02)
    assert np.std(np.log(size)) == pytest.approx(0.35, rel=0.03)
    assert np.median(galaxies.sample_sizes_arcsec(rng(), redshift, offset, red, red)) > 1.3 * np.median(size)
    fractions = galaxies.sample_bulge_fractions(rng(), red, no)
    assert set(np.round(10 * fractions).astype(int)) == {6, 7, 8, 9, 10}


def test_central_magnitude_relation():
    offset = galaxies.central_offset(rng(), np.full(100_000, 60.0))
    assert offset.mean() == pytest.approx(-1.395 - 0.293 * np.log(2.0), abs=0.005)
    assert offset.std() == pytest.approx(0.382, rel=0.01)


def test_stars_lie_on_the_locus():
    colours = galaxies.sample_star_colours(rng(), 5000)
    assert colours[:, 0].min() > -0.1 and colours[:, 0].max() < 1.8
    assert np.median(colours[colours[:, 1] > 1.0, 0]) == pytest.approx(1.45, abs=0.05)
