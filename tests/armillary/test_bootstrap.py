"""The prior from real catalogues: distances, probabilities, sizes and disjoint splits."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from armillary import bootstrap, catalogs
from armillary.cosmology import pixels_per_mpc, richness_radius_mpc
from armillary.files import read_catalog, read_table, write_table

TABLE = Path(__file__).parents[2] / "resources/red_sequence.ecsv"
PIXEL_ARCSEC = 0.263


def write_public_members(path, n_clusters=40, n_members=60):
    """A table with the columns of the SVA1 members file."""
    rng = np.random.default_rng(0)
    n_rows = n_clusters * n_members
    table = pd.DataFrame({"ID": np.repeat(np.arange(1, n_clusters + 1), n_members).astype(np.int32)})
    table["RA"], table["DEC"] = 70.0, -50.0
    table["R"] = rng.uniform(0.0, 0.9, n_rows).astype(np.float32)
    table.loc[::n_members, "R"] = 0.0
    table["P"], table["P_FREE"], table["THETA_I"], table["THETA_R"] = 0.9, 0.9, 1.0, 1.0
    for band, magnitude in zip("GRIZ", (22.5, 21.0, 20.2, 19.8), strict=True):
        table[f"MAG_AUTO_{band}"], table[f"MAGERR_AUTO_{band}"] = magnitude, 0.05
    table["Z_SPEC"], table["COADD_OBJECTS_ID"] = -1.0, np.arange(n_rows)
    write_table(str(path), table)


def write_clusters(path, n_clusters=40):
    frame = pd.DataFrame({"ID": np.arange(1, n_clusters + 1), "Z_LAMBDA": 0.4, "LAMBDA": 48.6})
    write_table(str(path), frame)


def write_sources(path, n_rows=2000):
    rng = np.random.default_rng(1)
    table = pd.DataFrame({f"MAG_AUTO_{band}": rng.uniform(19.0, 24.0, n_rows) for band in "GRIZ"})
    table["FLUX_RADIUS_R"], table["CLASS_STAR_R"] = 3.0, np.where(np.arange(n_rows) % 5 == 0, 0.95, 0.05)
    table.loc[3, "MAG_AUTO_I"] = 99.0
    table.loc[7, "MAG_AUTO_G"] = 99.0
    write_table(str(path), table)


def real_prior(tmp_path, split="train", clusters=True, **settings):
    write_public_members(tmp_path / "members.fits")
    write_clusters(tmp_path / "clusters.fits")
    write_sources(tmp_path / "sources.fits")
    return bootstrap.prepare_real_prior(
        read_catalog(str(TABLE)), survey="des", split=split, image_size=1280, pixel_arcsec=PIXEL_ARCSEC,
        members_file=str(tmp_path / "members.fits"), sources_file=str(tmp_path / "sources.fits"),
        clusters_file=str(tmp_path / "clusters.fits") if clusters else "", source_psf_fwhm_arcsec=0.95,
        settings={"margin_mpc": 0.4, "n_clusters_per_field": 3.0} | settings,
    )  # fmt: skip


def test_real_field_has_the_same_tables(tmp_path):
    prior = real_prior(tmp_path)
    catalog, truth = bootstrap.sample_real_field(prior, field=1, seed=1)
    assert list(catalog) == catalogs.CATALOG_COLUMNS and list(truth) == catalogs.TRUTH_COLUMNS
    assert np.isfinite(catalog.to_numpy()).all()
    members = catalog[catalog["MEM"] == 1].merge(truth, left_on="CLUSTER_ID", right_on="cluster_id")
    assert (
        len(members)
        and (np.hypot(members["X"] - members["x"], members["Y"] - members["y"]) <= members["radius_px"]).all()
    )
    again, _ = bootstrap.sample_real_field(prior, field=1, seed=1)
    pd.testing.assert_frame_equal(again, catalog)


def test_real_clusters_reach_their_own_margin(tmp_path):
    """Clusters at z = 0.2 are drawn up to 1.5 Mpc outside, as many per area as those at z = 0.7."""
    prior = real_prior(tmp_path, margin_mpc=1.5)
    redshift = np.where(np.arange(len(prior.clusters)) % 2, 0.2, 0.7)
    prior = prior._replace(clusters=prior.clusters.assign(redshift=redshift))
    parts = [bootstrap._draw_clusters(np.random.default_rng(seed), prior, 0) for seed in range(300)]
    drawn = {name: np.concatenate([part[name] for part in parts]) for name in ("x", "y", "redshift")}
    beyond_px = np.maximum(np.abs(drawn["x"] - 640), np.abs(drawn["y"] - 640)) - 640
    beyond_mpc = beyond_px / pixels_per_mpc(drawn["redshift"], PIXEL_ARCSEC)
    assert 1.45 < beyond_mpc.max() <= 1.5
    n_inside = [np.sum((beyond_px < 0) & (drawn["redshift"] == z)) for z in (0.2, 0.7)]
    shares = [np.mean(redshift == z) for z in (0.2, 0.7)]
    for n, share in zip(n_inside, shares, strict=True):
        assert abs(n - 900 * share) < 4.0 * np.sqrt(900 * share)


def test_real_members_keep_their_distance_and_probability(tmp_path):
    """Mean projected distance is the table's (no extra factor); P x P_FREE of the members are drawn."""
    prior = real_prior(tmp_path)
    drawn = bootstrap._draw_clusters(np.random.default_rng(0), prior, 0)
    drawn = {name: np.resize(column, 400) for name, column in drawn.items()}
    found = bootstrap._member_sources(np.random.default_rng(1), prior, drawn)
    assert len(found["x"]) / (400 * 60) == pytest.approx(0.81, abs=0.01)
    distance = np.hypot(found["x"] - drawn["x"][found["halo"]], found["y"] - drawn["y"][found["halo"]])
    expected = prior.members["radius_mpc"].mean() * pixels_per_mpc(0.4, PIXEL_ARCSEC)
    assert distance.mean() == pytest.approx(expected, rel=0.03)
    inside = distance < richness_radius_mpc(48.6) * pixels_per_mpc(0.4, PIXEL_ARCSEC)
    assert (found["is_member"] == inside).mean() > 0.999


def test_real_sources_lose_the_seeing_and_unmeasured_magnitudes(tmp_path):
    write_sources(tmp_path / "sources.fits")
    sources = bootstrap.read_sources(str(tmp_path / "sources.fits"), PIXEL_ARCSEC, 0.95)
    assert len(sources) == 1999
    assert sources["flux_g"].min() == 0.0
    intrinsic = np.sqrt((3 * PIXEL_ARCSEC) ** 2 - 0.475**2)
    assert sources.loc[sources["is_galaxy"], "hlr"].to_numpy() == pytest.approx(intrinsic)
    assert (sources.loc[~sources["is_galaxy"], "hlr"] == 0).all()


def test_real_splits_share_no_cluster(tmp_path):
    splits = [real_prior(tmp_path, split) for split in ("train", "validation", "test")]
    ids = [set(prior.clusters["cluster_id"]) for prior in splits]
    assert sum(len(i) for i in ids) == 40 == len(set.union(*ids))
    assert sum(len(prior.sources) for prior in splits) == 1999


def test_real_members_without_redshift_name_the_key(tmp_path):
    with pytest.raises(ValueError, match="clusters_file"):
        real_prior(tmp_path, clusters=False)


def test_missing_column_names_the_file(tmp_path):
    write_table(str(tmp_path / "bad.fits"), pd.DataFrame({"ID": [1], "R": [0.1]}))
    with pytest.raises(ValueError, match="bad.fits has no column P_FREE or PFREE"):
        bootstrap.read_members(str(tmp_path / "bad.fits"))


def test_members_of_a_real_cluster(mirror):
    """Cluster 17551 of the finder's own test data: z = 0.228, richness = sum of PMEM."""
    members = bootstrap.read_members(str(mirror / "clusters/redmapper/test_cluster_members.fit"))
    assert set(members["cluster_id"]) == {17551}
    assert members["redshift"].median() == pytest.approx(0.2279, abs=1e-3)
    assert 20 < members["probability"].sum() < 60
    likely = members[members["probability"] > 0.5]
    track = read_table(str(mirror / "clusters/redsequence/bc03_colors_sdss.fit"))
    for number, colour in enumerate((likely["mag_g"] - likely["mag_r"], likely["mag_r"] - likely["mag_i"])):
        expected = np.interp(0.2279, track["Z"], track[f"COLOR_{number}"])
        assert colour.median() == pytest.approx(expected, abs=0.15)  # model tracks are off by about 0.1 mag
