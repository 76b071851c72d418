"""Members of haloes: the sampled profile against its closed form, richness against the member count."""

from pathlib import Path

import numpy as np
import pytest
from scipy.special import erf

from armillary import galaxies, members
from armillary.cosmology import HUBBLE_H, pixels_per_mpc, richness_radius_mpc
from armillary.files import read_catalog


@pytest.fixture(scope="module")
def red_sequence():
    table = Path(__file__).parents[2] / "resources/red_sequence.ecsv"
    return galaxies.prepare_red_sequence(read_catalog(str(table)), "des")


def halo(richness=30.0, redshift=0.4, n_haloes=300):
    columns = {"x": 0.0, "y": 0.0, "redshift": redshift, "richness": richness, "mass_msun": 2e14}
    return {name: np.full(n_haloes, value) for name, value in columns.items()}


def test_radius_of_richness_100_is_1_per_h():
    assert richness_radius_mpc(100.0) * HUBBLE_H == pytest.approx(1.0)
    assert richness_radius_mpc(20.0) * HUBBLE_H == pytest.approx(0.2**0.2)


def test_nfw_closed_form():
    """Sigma at x = 1 is 1/3; at x = 2 it is (1 - 2 / sqrt(3) arctan(1 / sqrt(3))) / 3; flat in the core."""
    scale = members.SCALE_RADIUS_MPC
    assert members.nfw_surface_density(np.array([scale]))[0] == pytest.approx(1 / 3, rel=1e-3)
    expected = (1 - 2 / np.sqrt(3) * np.arctan(1 / np.sqrt(3))) / 3
    assert members.nfw_surface_density(np.array([2 * scale]))[0] == pytest.approx(expected)
    core = members.nfw_surface_density(np.array([0.0, members.CORE_RADIUS_MPC]))
    assert core[0] == core[1]


def test_sampled_radii_follow_profile_and_soft_edge():
    edge = richness_radius_mpc(30.0)
    radii = members.sample_radii_mpc(np.random.default_rng(0), np.full(400_000, edge))
    bins = np.linspace(0.0, edge + 0.2, 29)
    centre = 0.5 * (bins[1:] + bins[:-1])
    soft = 0.5 * (1 - erf((centre - edge) / (np.sqrt(2) * members.SOFT_EDGE_MPC)))
    expected = members.nfw_surface_density(centre) * centre * soft
    counts = np.histogram(radii, bins)[0]
    assert counts / counts.sum() == pytest.approx(expected / expected.sum(), abs=0.0015)


def test_members_are_red_bright_inside_and_as_many_as_the_richness(red_sequence):
    drawn = halo(richness=30.4)
    found = members.sample_members(np.random.default_rng(1), drawn, red_sequence, 24.5, 0.263)
    member = found["is_member"]
    assert found["is_red"][member].all()
    assert found["offset"][member].max() < galaxies.MEMBER_OFFSET
    radius_px = richness_radius_mpc(30.4) * pixels_per_mpc(0.4, 0.263)
    assert np.hypot(found["x"], found["y"])[member].max() <= radius_px
    bright_red = found["is_red"] & (found["offset"] < galaxies.MEMBER_OFFSET)
    counts = np.bincount(found["halo"][bright_red])
    assert set(counts) <= {29, 30, 31} and counts.mean() == pytest.approx(30.4, abs=0.15)
    assert member.sum() / 300 == pytest.approx(30.4, rel=0.04)


def test_velocity_dispersion_at_published_values():
    """1082.9 km/s where h(z) M200c is 1e15 Msun; eight times less mass has 0.497 of it. h(0.5) = 0.7 sqrt(1.7125)."""
    at_half = 1e15 / (0.7 * np.sqrt(0.3 * 1.5**3 + 0.7))
    assert members.velocity_dispersion_km_s(1e15 / 0.7, 0.0) == pytest.approx(1082.9)
    assert members.velocity_dispersion_km_s(at_half, 0.5) == pytest.approx(1082.9)
    assert members.velocity_dispersion_km_s(at_half / 8, 0.5) == pytest.approx(1082.9 * 8**-0.3361)


def test_critical_mass_is_that_of_colossus():
    """Diemer & Joyce (2019) concentrations, masses in Msun / h there; the dispersion is then right to 0.4 %."""
    from colossus.halo import mass_adv

    from armillary import haloes

    haloes._set_cosmology()
    mass_msun = 10 ** np.array([12.8, 13.4, 14.0, 14.4, 14.8, 15.2])
    for redshift in (0.1, 0.3, 0.5, 0.75, 1.0):
        expected, _, _ = mass_adv.changeMassDefinitionCModel(
            mass_msun * HUBBLE_H, redshift, "200m", "200c", c_model="diemer19"
        )
        assert members.critical_mass_msun(mass_msun, redshift) == pytest.approx(expected / HUBBLE_H, rel=0.012)


def test_members_move_with_the_dispersion_of_their_halo(red_sequence):
    drawn = halo(redshift=0.5, n_haloes=2000)
    found = members.sample_members(np.random.default_rng(6), drawn, red_sequence, 22.0, 0.263)
    satellite = ~found["is_central"]
    velocity_km_s = 299_792.458 * (found["redshift"][satellite] - 0.5) / 1.5
    expected = members.velocity_dispersion_km_s(members.critical_mass_msun(2e14, 0.5), 0.5)
    assert velocity_km_s.std() == pytest.approx(expected, rel=0.01)
    assert expected == pytest.approx(1082.9 * (0.7 * np.sqrt(1.7125) * 0.2 * 0.835) ** 0.3361, rel=0.01)


def test_central_sits_in_the_centre(red_sequence):
    found = members.sample_members(np.random.default_rng(2), halo(), red_sequence, 24.5, 0.263)
    central = found["is_central"]
    assert central.sum() == 300
    assert (np.hypot(found["x"], found["y"])[central] == 0).all()


def test_red_fraction_and_blue_extent(red_sequence):
    found = members.sample_members(np.random.default_rng(3), halo(), red_sequence, 24.5, 0.263)
    inside = found["radius_mpc"] < richness_radius_mpc(30.0)
    near_limit = (np.abs(found["offset"] - galaxies.MEMBER_OFFSET) < 0.3) & inside
    assert found["is_red"][near_limit].mean() == pytest.approx(0.65, abs=0.03)
    faint = (found["offset"] > 4.0) & inside
    assert found["is_red"][faint].mean() < 0.5
    assert found["radius_mpc"][~found["is_red"]].max() > 1.4 * richness_radius_mpc(30.0)


def test_nothing_fainter_than_the_limit(red_sequence):
    found = members.sample_members(np.random.default_rng(4), halo(redshift=0.7), red_sequence, 21.5, 0.263)
    magnitude = found["offset"] + galaxies.mstar_i(red_sequence, np.full(len(found["halo"]), 0.7))
    assert magnitude.max() < 21.5


def test_mean_density_used_for_the_field_is_what_is_drawn(red_sequence):
    drawn = halo(richness=10.0, n_haloes=3000)
    found = members.sample_members(np.random.default_rng(5), drawn, red_sequence, 24.5, 0.263)
    for is_red in (True, False):
        kept = (found["is_red"] == is_red) & ~found["is_central"]
        kept &= (found["offset"] > 0.5) & (found["offset"] < 4.0)
        offsets = np.linspace(0.5, 4.0, 351)
        expected = 10.0 * np.trapezoid(members.halo_galaxy_density(offsets, is_red), offsets)
        assert kept.sum() / 3000 == pytest.approx(expected, rel=0.1)
