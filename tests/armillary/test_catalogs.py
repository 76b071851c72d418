"""Whole fields: columns, labels, seed streams, given haloes, speed."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from armillary import catalogs
from armillary.cosmology import HUBBLE_H, pixels_per_mpc
from armillary.files import read_catalog, read_catalog_meta, write_catalog
from armillary.sky import pixel_of_sky, sky_of_pixel, tan_wcs

TABLE = Path(__file__).parents[2] / "resources/red_sequence.ecsv"
PIXEL_ARCSEC = 0.263


def prepared(**settings):
    table = read_catalog(str(TABLE))
    image_size = settings.pop("image_size", 1280)
    return catalogs.prepare_prior(
        table,
        survey="des",
        image_size=image_size,
        pixel_arcsec=PIXEL_ARCSEC,
        settings=settings,
    )


@pytest.fixture(scope="module")
def prior():
    return prepared(n_clusters_per_field=2.0)


@pytest.fixture(scope="module")
def sampled(prior):
    return [catalogs.sample_field(prior, field=field, seed=11) for field in range(12)]


def test_columns_ranges_and_no_nan(sampled):
    for catalog, truth in sampled:
        assert list(catalog) == catalogs.CATALOG_COLUMNS
        assert list(truth) == catalogs.TRUTH_COLUMNS
        assert np.isfinite(catalog.to_numpy()).all() and np.isfinite(truth.to_numpy()).all()
        assert catalog[["X", "Y"]].to_numpy().min() >= 0 and catalog[["X", "Y"]].to_numpy().max() < 1280
        assert np.hypot(catalog["G1"], catalog["G2"]).max() < 0.9
        assert set(np.round(10 * catalog["FRACDEV"]).astype(int)) <= set(range(11))
        stars = catalog["SOURCE_TYPE"] == 0
        assert (catalog.loc[stars, "HLR"] == 0).all() and (catalog.loc[stars, "Z"] == -1).all()
        assert (catalog.loc[~stars, "HLR"] > 0).all()


def test_colours_match_fluxes(sampled):
    catalog = sampled[0][0]
    colour = -2.5 * np.log10(catalog["FLUX_G"] / catalog["FLUX_I"]).to_numpy()
    assert colour == pytest.approx(catalog["GI_COLOR"].to_numpy())
    assert catalog["FLUX_I"].min() >= 10 ** (0.4 * (30 - 24.5)) * 0.999


def test_members_belong_to_clusters_within_their_radius(sampled):
    for catalog, truth in sampled:
        members = catalog[catalog["MEM"] == 1.0].merge(truth, left_on="CLUSTER_ID", right_on="cluster_id")
        assert len(members) == (catalog["MEM"] == 1.0).sum()
        assert (members["RICHNESS"] >= 20).all()
        assert (np.hypot(members["X"] - members["x"], members["Y"] - members["y"]) <= members["radius_px"] + 1e-6).all()
        counted = members.groupby("cluster_id").size()
        clusters = truth[truth["richness"] >= 20].set_index("cluster_id")
        assert (clusters["n_members_inside"][counted.index] == counted).all()
        assert (catalog.loc[catalog["CLUSTER_ID"] == 0, ["MASS", "RICHNESS", "CLUSTER_Z"]] == 0).all(axis=None)


def test_member_table_counts_the_members_inside_the_image(sampled):
    for catalog, truth in sampled:
        members = catalogs.member_table(catalog)
        clusters = truth[truth["richness"] >= 20].set_index("cluster_id")
        counted = members.groupby("cluster_id").size().reindex(clusters.index, fill_value=0)
        assert (counted == clusters["n_members_inside"]).all() and len(members) == counted.sum()
        assert (members["p_mem"] == 1.0).all()
        assert members["redshift"].tolist() == clusters.loc[members["cluster_id"], "redshift"].tolist()
        rows = catalog[catalog["MEM"] == 1.0]
        assert members["mag_i"].to_numpy() == pytest.approx(30 - 2.5 * np.log10(rows["FLUX_I"].to_numpy()))


def test_groups_have_galaxies_but_no_members(sampled):
    catalog = pd.concat([catalog for catalog, _ in sampled])
    groups = catalog[(catalog["RICHNESS"] > 0) & (catalog["RICHNESS"] < 20)]
    assert len(groups) > 100 and (groups["MEM"] == 0).all()


def test_cluster_ids_are_unique_over_the_run(sampled):
    truth = pd.concat([truth for _, truth in sampled])
    assert truth["cluster_id"].is_unique and truth["cluster_id"].min() > 0


def test_radius_px_is_r_lambda(sampled):
    truth = sampled[0][1]
    expected = (truth["richness"] / 100) ** 0.2 / HUBBLE_H * pixels_per_mpc(truth["redshift"], PIXEL_ARCSEC)
    assert truth["radius_px"].to_numpy() == pytest.approx(expected.to_numpy())


def test_sky_positions_agree_with_the_wcs(sampled):
    catalog = sampled[3][0]
    x, y = pixel_of_sky(catalog["RA"], catalog["DEC"], tan_wcs(*catalogs.field_centre(3), 1280, PIXEL_ARCSEC))
    assert x == pytest.approx(catalog["X"].to_numpy(), abs=1e-5)
    assert y == pytest.approx(catalog["Y"].to_numpy(), abs=1e-5)


def test_field_centres_are_disjoint():
    centres = {catalogs.field_centre(field) for field in range(10_800)}
    assert len(centres) == 10_800
    assert all(-60 < dec < 0 and 0 <= ra < 360 for ra, dec in centres)


def test_same_seed_same_bytes_other_seed_other_field(prior, sampled):
    again, truth = catalogs.sample_field(prior, field=5, seed=11)
    pd.testing.assert_frame_equal(again, sampled[5][0], check_exact=True)
    pd.testing.assert_frame_equal(truth, sampled[5][1], check_exact=True)
    assert len(catalogs.sample_field(prior, field=5, seed=12)[0]) != len(again)


def test_star_density_leaves_clusters_and_galaxies_alone(sampled):
    starry = prepared(n_clusters_per_field=2.0, star_density_per_arcmin2=4.0)
    catalog, truth = catalogs.sample_field(starry, field=5, seed=11)
    pd.testing.assert_frame_equal(truth, sampled[5][1], check_exact=True)
    for before, after in ((sampled[5][0], catalog),):
        galaxies = [
            c[c["SOURCE_TYPE"] == 1].drop(columns=["RA", "DEC"]).reset_index(drop=True) for c in (before, after)
        ]
        pd.testing.assert_frame_equal(*galaxies, check_exact=True)
        assert (after["SOURCE_TYPE"] == 0).sum() > 3 * (before["SOURCE_TYPE"] == 0).sum()


def test_natural_rate_has_unit_weights():
    natural = prepared(cluster_rate="natural")
    truth = pd.concat([catalogs.sample_field(natural, field=k, seed=1)[1] for k in range(5)])
    assert truth["weight"].to_numpy() == pytest.approx(1.0)


def given_haloes(ra_deg, dec_deg):
    return pd.DataFrame(
        {
            "ra": [ra_deg, ra_deg + 0.02, ra_deg + 90.0, ra_deg + 180.0],
            "dec": [dec_deg, dec_deg, dec_deg, -dec_deg],
            "redshift": [0.3, 0.5, 0.3, 0.3],
            "richness": [60.0, 25.0, 50.0, 50.0],
            "cluster_id": [7001, 7002, 7003, 7004],
        }
    )


def test_given_haloes_replace_sampled_clusters(prior):
    given = given_haloes(359.995, -45.0)
    catalog, truth = catalogs.sample_field(prior, field=2, seed=1, ra_deg=359.995, dec_deg=-45.0, haloes=given)
    clusters = truth[truth["richness"] >= 20].set_index("cluster_id")
    assert list(clusters.index) == [7001, 7002]
    assert clusters.loc[7001, ["x", "y"]].to_numpy() == pytest.approx([640.0, 640.0], abs=1e-4)
    assert clusters.loc[7002, "x"] == pytest.approx(640 - 0.02 * 3600 * np.cos(np.radians(45)) / PIXEL_ARCSEC, rel=1e-3)
    assert clusters.loc[7001, "mass_msun"] == pytest.approx(3.081e14 * 1.5**1.356 * (1.3 / 1.35) ** -0.3)
    assert set(catalog.loc[catalog["MEM"] == 1, "CLUSTER_ID"]) == {7001, 7002}


def test_given_haloes_need_their_columns(prior):
    with pytest.raises(ValueError, match="lacks the columns redshift, richness"):
        catalogs.sample_field(prior, field=0, seed=1, haloes=pd.DataFrame({"ra": [0.0], "dec": [0.0]}))


def test_haloes_reach_their_own_margin_at_one_density(prior):
    """Drawn per deg^2 of image and margin of 1.5 Mpc as the rates have it, at low and at high redshift."""
    rng = np.random.default_rng(3)
    parts = [catalogs._drawn_haloes(rng, prior, prior.rates) for _ in range(60)]
    drawn = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    beyond_px = np.maximum(np.abs(drawn["x"] - 640), np.abs(drawn["y"] - 640)) - 640
    beyond_mpc = beyond_px / pixels_per_mpc(drawn["redshift"], PIXEL_ARCSEC)
    assert 1.49 < beyond_mpc.max() <= 1.5
    redshift = 0.5 * (prior.rates.redshift_edges[1:] + prior.rates.redshift_edges[:-1])
    sides_deg = (1280 + 3.0 * pixels_per_mpc(redshift, PIXEL_ARCSEC)) * PIXEL_ARCSEC / 3600
    expected = 60 * prior.rates.proposal.sum(axis=0) * sides_deg**2
    for low, high in ((0.1, 0.2), (0.2, 0.4), (0.4, 0.75)):
        n_drawn = np.sum((drawn["redshift"] > low) & (drawn["redshift"] < high))
        n_expected = expected[(redshift > low) & (redshift < high)].sum()
        assert abs(n_drawn - n_expected) < 4.0 * np.sqrt(n_expected)


def test_given_haloes_beyond_their_margin_are_left_out(prior):
    """1.4 Mpc beyond the side at z = 0.15 and 0.6 is in, 1.6 Mpc is out; rows without redshift or richness are out."""
    redshift = np.array([0.15, 0.15, 0.6, 0.6, 0.0, -1.0, np.nan, 0.3, 0.3])
    richness = np.array([40.0, 40.0, 40.0, 40.0, 40.0, 40.0, 40.0, -1.0, np.nan])
    beyond_mpc = np.array([1.4, 1.6, 1.4, 1.6, 0.0, 0.0, 0.0, 0.0, 0.0])
    x = 1280 + beyond_mpc * pixels_per_mpc(np.where(redshift > 0, redshift, 0.3), PIXEL_ARCSEC)
    ra, dec = sky_of_pixel(x, np.full(len(x), 640.0), tan_wcs(30.0, -40.0, 1280, PIXEL_ARCSEC))
    ids = np.arange(1, len(x) + 1)
    given = pd.DataFrame({"ra": ra, "dec": dec, "redshift": redshift, "richness": richness, "cluster_id": ids})
    _, truth = catalogs.sample_field(prior, field=2, seed=1, ra_deg=30.0, dec_deg=-40.0, haloes=given)
    assert truth.loc[truth["richness"] >= 20, "cluster_id"].tolist() == [1, 3]


def test_separated_clusters_are_never_close():
    """Centres at least 1 Mpc apart at the lower redshift, for 20 seeds of a sky that is twenty times too dense."""
    crowded = prepared(cluster_rate="natural", n_clusters_per_deg2=90.0, image_size=2560)
    n_clusters = 0
    for seed in range(20):
        drawn = catalogs._drawn_haloes(np.random.default_rng(seed), crowded, crowded.rates)
        catalogs._separate_clusters(np.random.default_rng(seed), crowded, drawn, 1.0)
        clusters = drawn["richness"] >= 20
        x, y, redshift = (drawn[name][clusters] for name in ("x", "y", "redshift"))
        n_clusters += len(x)
        one, other = np.triu_indices(len(x), 1)
        least_px = pixels_per_mpc(np.minimum(redshift[one], redshift[other]), PIXEL_ARCSEC)
        assert (np.hypot(x[one] - x[other], y[one] - y[other]) >= least_px).all()
    assert n_clusters > 200


def test_clusters_that_cannot_be_apart_are_refused():
    crowded = prepared(cluster_rate="natural", n_clusters_per_deg2=900.0)
    with pytest.raises(ValueError, match="cannot be 5.0 Mpc apart.*n_clusters_per_deg2"):
        catalogs.sample_field(crowded, field=0, seed=1, min_separation_mpc=5.0)


def test_field_without_a_source_is_refused():
    empty = {"flux": np.ones((1, 4)), "x": np.array([-5.0]), "y": np.array([3.0])}
    with pytest.raises(ValueError, match="field 4 holds no source.*galaxy_density_per_arcmin2"):
        catalogs.assemble(empty, {}, field=4, wcs=None, image_size=64, pixel_arcsec=0.263)


def test_catalogue_survives_the_file(tmp_path, sampled):
    path = str(tmp_path / "galsim_des_00000.dat")
    write_catalog(path, sampled[0][0], catalogs.CATALOG_UNITS, {"field": 0})
    assert read_catalog(path)["CLUSTER_ID"].equals(sampled[0][0]["CLUSTER_ID"])
    assert read_catalog(path).to_numpy() == pytest.approx(sampled[0][0].to_numpy(), rel=1e-8)
    assert read_catalog_meta(path) == {"field": 0}


def test_a_field_takes_well_under_a_second(prior):
    catalogs.sample_field(prior, field=0, seed=1)
    started = time.process_time()
    for field in range(10):
        catalogs.sample_field(prior, field=field, seed=1)
    assert (time.process_time() - started) / 10 < 0.15  # 0.03 s on an idle core
