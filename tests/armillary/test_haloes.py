"""Haloes against the reference's mass-function table, McClintock+19 and the natural richness distribution."""

import numpy as np
import pytest

from armillary import haloes

IMAGE_DEG2 = (1280 * 0.263 / 3600) ** 2


@pytest.fixture(scope="module")
def rates():
    return haloes.halo_rates(image_deg2=IMAGE_DEG2, n_clusters_per_field=0.8)


def richness_centres(rates):
    return np.exp(0.5 * (rates.ln_richness_edges[1:] + rates.ln_richness_edges[:-1]))


def test_mass_function_matches_reference_counts():
    """N(> M) per deg^2 at 0.2 < z < 0.65: 21.0, 9.93, 5.34, 2.70, 0.96, 0.21, 0.03."""
    log10_mass = np.linspace(13.8, 16.0, 221)
    ln_mass = np.log(10.0) * log10_mass
    density = sum(haloes.mass_function_per_deg2(ln_mass, z) * 0.03 for z in np.arange(0.215, 0.65, 0.03))
    step = 0.5 * (density[1:] + density[:-1]) * np.diff(ln_mass)
    above = np.append(np.cumsum(step[::-1])[::-1], 0.0)
    expected = {13.8: 21.0, 14.0: 9.93, 14.15: 5.34, 14.3: 2.70, 14.5: 0.96, 14.75: 0.21, 15.0: 0.03}
    for threshold, number in expected.items():
        assert np.interp(threshold, log10_mass, above) == pytest.approx(number, rel=0.02)


def test_mean_mass_at_published_values():
    assert haloes.mean_mass_msun(40.0, 0.35) == pytest.approx(3.081e14, rel=1e-12)
    at_40_percent = 1.4 / 1.35
    assert haloes.mean_mass_msun(20.0, 0.4) == pytest.approx(1.204e14 * at_40_percent**-0.3, rel=1e-3)


def test_mass_richness_round_trip():
    richness = np.array([5.0, 20.0, 40.0, 150.0])
    mass_msun = haloes.mean_mass_msun(richness, 0.6)
    assert haloes.richness_at_mean_mass(mass_msun, 0.6) == pytest.approx(richness, rel=1e-12)


def test_scatter_formula():
    assert haloes.richness_scatter(20.0, 0.2) ** 2 == pytest.approx(0.04 + 19 / 400)


def test_mean_mass_at_fixed_richness_is_mcclintock_in_spite_of_scatter():
    redshift = 0.4
    _, mean, sigma = haloes.richness_function(redshift, 0.2)
    for richness in (20.0, 40.0, 80.0):
        row = np.argmin(np.abs(haloes._LN_RICHNESS - np.log(richness)))
        drawn = np.exp(mean[row] + 0.5 * sigma[row] ** 2)
        expected = haloes.mean_mass_msun(np.exp(haloes._LN_RICHNESS[row]), redshift)
        assert drawn == pytest.approx(expected, rel=0.08)


def test_unscaled_abundance_is_close_to_des_year_1():
    """DES Y1 counts 4.5 per deg^2; mass function and mass-richness relation give a quarter more."""
    assert 4.0 < haloes.unscaled_clusters_per_deg2(0.2) < 6.5


def test_natural_rate_is_scaled_to_the_observed_one(rates):
    redshift = 0.5 * (rates.redshift_edges[1:] + rates.redshift_edges[:-1])
    counted = (redshift > 0.2) & (redshift < 0.65)
    total = rates.natural[richness_centres(rates) >= 20.0][:, counted].sum()
    assert total == pytest.approx(4.5, rel=0.02)


def test_shares_of_rich_clusters_are_those_of_des_year_3():
    """Of 17,882 DES Y3 clusters (lambda > 20, 0.2 < z < 0.65) this many are richer: counting errors, two sigma.

    Half of them are richer than 27.2, 16 % than 41.6.
    """
    rates = haloes.halo_rates(image_deg2=IMAGE_DEG2, redshift_min=0.2, redshift_max=0.65)
    clusters = rates.natural.sum(axis=1)
    clusters[richness_centres(rates) < 20.0] = 0.0
    above = np.append(np.cumsum(clusters[::-1])[::-1], 0.0) / clusters.sum()
    quantiles = np.interp([-0.5, -0.16], -above, np.exp(rates.ln_richness_edges))
    assert quantiles == pytest.approx([27.17, 41.56], rel=0.01)
    for richness, n_richer in {30: 6995, 40: 3170, 60: 881, 100: 133}.items():
        share = np.interp(np.log(richness), rates.ln_richness_edges, above)
        assert abs(share - n_richer / 17_882) < 2.0 * np.sqrt(n_richer) / 17_882


def test_groups_join_clusters_continuously(rates):
    """Density extrapolated to richness 20 from the groups and from the clusters."""
    ln_density = np.log(rates.natural.sum(axis=1) / np.diff(rates.ln_richness_edges))
    first = np.searchsorted(richness_centres(rates), 20.0)
    from_groups = 1.5 * ln_density[first - 1] - 0.5 * ln_density[first - 2]
    from_clusters = 1.5 * ln_density[first] - 0.5 * ln_density[first + 1]
    assert from_groups == pytest.approx(from_clusters, abs=0.01)


def test_boost_gives_the_expected_clusters_per_image(rates):
    clusters = rates.proposal[richness_centres(rates) >= 20.0].sum() * IMAGE_DEG2
    assert clusters == pytest.approx(0.8, rel=1e-6)


def test_the_richest_groups_are_drawn_oftener():
    rates = haloes.halo_rates(image_deg2=IMAGE_DEG2, n_clusters_per_field=0.8, group_boost=10.0)
    boost = rates.proposal[:, 0] / rates.natural[:, 0]
    expected = np.interp(np.log([7.0, 10.0, 14.142, 19.5]), np.log(richness_centres(rates)), boost)
    assert expected == pytest.approx([1.0, 1.0, np.sqrt(10.0), 9.2], rel=0.06)


@pytest.mark.parametrize("group_boost", [1.0, 10.0])
def test_weights_recover_natural_counts(group_boost):
    rates = haloes.halo_rates(image_deg2=IMAGE_DEG2, n_clusters_per_field=0.8, group_boost=group_boost)
    area_deg2 = 200.0
    drawn = haloes.sample_haloes(np.random.default_rng(1), rates, area_deg2)
    assert drawn["weight"][drawn["richness"] >= 20].max() <= 1.0
    for low, high in ((5, 10), (10, 20), (20, 30), (30, 60), (60, 200)):
        inside = (drawn["richness"] >= low) & (drawn["richness"] < high)
        centres = richness_centres(rates)
        expected = rates.natural[(centres >= low) & (centres < high)].sum() * area_deg2
        weight = drawn["weight"][inside]
        assert abs(weight.sum() - expected) < 4.0 * np.sqrt((weight**2).sum()) + 0.04 * expected


def test_drawn_mass_follows_the_mean_relation(rates):
    drawn = haloes.sample_haloes(np.random.default_rng(2), rates, 100.0)
    rich = (drawn["richness"] > 30) & (drawn["redshift"] > 0.2) & (drawn["redshift"] < 0.65)
    ratio = drawn["mass_msun"] / haloes.mean_mass_msun(drawn["richness"], drawn["redshift"])
    assert ratio[rich].mean() == pytest.approx(1.0, abs=0.06)


def test_groups_only_draws_no_cluster(rates):
    drawn = haloes.sample_haloes(np.random.default_rng(3), haloes.groups_only(rates), 50.0)
    assert drawn["richness"].max() < 20.0
    assert drawn["weight"] == pytest.approx(1.0)


def test_boost_below_nature_is_refused():
    with pytest.raises(ValueError, match="n_clusters_per_field is 0.01"):
        haloes.halo_rates(image_deg2=0.035, n_clusters_per_field=0.01)


def test_unknown_rate_is_refused():
    with pytest.raises(ValueError, match="cluster_rate is 'much'"):
        haloes.halo_rates(image_deg2=0.035, cluster_rate="much")
