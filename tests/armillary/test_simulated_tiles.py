"""Skies of simulated tiles: the embedded table of DES Y3 clusters, the prior at its natural rate, what is written."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from armillary.catalogs import prepare_prior, sample_field
from armillary.cosmology import pixels_per_mpc
from armillary.des import PIXEL_ARCSEC, tile_name, tile_position
from armillary.files import read_catalog, read_catalog_meta, write_catalog
from armillary.redmapper import read_clusters
from armillary.sky import pixel_of_sky, tan_wcs
from scripts.clusters.simulate_tile import clusters_of_tile, simulate_tile, simulated_sky

RESOURCES = Path(__file__).parents[2] / "resources"
EMBEDDED = str(RESOURCES / "des_y3_clusters.ecsv")
RED_SEQUENCE = read_catalog(str(RESOURCES / "red_sequence.ecsv"))
BY_MIRROR = "clusters/redmapper/DESy3_redmapper.csv.gz"
# few sources, so that many skies take little time: haloes have their own seed stream and stay the same
BARE = {"galaxy_density_per_arcmin2": 1.0, "i_magnitude_limit": 20.0}
NATURAL_TILE = "DES0457-5748"
SETTINGS = {
    "bands": ["g", "i"],
    "quantize_level": 16,
    "prior": {},
    "rendering": {
        "edge_sigma": 0.05,
        "psf_profile": "kolmogorov",
        "seeing_scatter": 0.0,
        "psf_variation": 0.0,
        "psf_cell_px": 640,
    },
    "seed": 3,
}


@pytest.fixture(scope="module")
def embedded():
    return read_catalog(EMBEDDED)


def beyond_mpc(clusters, tile, image_size):
    """How far outside an image each cluster lies, in Mpc at its redshift; negative inside."""
    x, y = pixel_of_sky(clusters["ra"], clusters["dec"], tan_wcs(*tile_position(tile), image_size, PIXEL_ARCSEC))
    beyond_px = np.maximum(np.abs(x - image_size / 2), np.abs(y - image_size / 2)) - image_size / 2
    return beyond_px / pixels_per_mpc(clusters["redshift"].to_numpy(), PIXEL_ARCSEC)


def test_the_embedded_table_names_its_source_and_has_its_columns(embedded):
    meta = read_catalog_meta(EMBEDDED)
    assert "clusterdb" in meta["source"] and "MIT" in meta["licence"] and "Rykoff" in meta["citation"]
    assert list(embedded) == ["tile", "cluster_id", "ra", "dec", "redshift", "richness"]
    assert embedded["cluster_id"].is_unique and embedded["richness"].min() >= 20.0
    for tile in embedded["tile"].unique():
        assert tile_name(*tile_position(tile)) == tile


def test_the_embedded_tiles_hold_enough_clusters(embedded):
    image_size = read_catalog_meta(EMBEDDED)["image_size"]
    n_inside = {}
    for tile, clusters in embedded.groupby("tile"):
        assert beyond_mpc(clusters, tile, image_size).max() <= 1.5
        counted = clusters["redshift"].between(0.2, 0.65).to_numpy()
        n_inside[tile] = np.sum((beyond_mpc(clusters, tile, image_size) < 0.0) & counted)
    assert len(n_inside) >= 4 and min(n_inside.values()) >= 5 and sum(n_inside.values()) >= 25


def test_the_embedded_table_is_complete(embedded, mirror):
    """Each cluster of the whole DES Y3 list within a tile or 1.5 Mpc beyond it stands in the table."""
    whole = read_clusters(str(mirror / BY_MIRROR))
    image_size = read_catalog_meta(EMBEDDED)["image_size"]
    for tile, clusters in embedded.groupby("tile"):
        ra_deg, dec_deg = tile_position(tile)
        offset = np.hypot(
            ((whole["ra"] - ra_deg + 180.0) % 360.0 - 180.0) * np.cos(np.radians(dec_deg)), whole["dec"] - dec_deg
        )
        near = whole[offset < 3.0]
        expected = near[beyond_mpc(near, tile, image_size) <= 1.5].set_index("cluster_id")
        assert set(expected.index) == set(clusters["cluster_id"])
        expected = expected.loc[clusters["cluster_id"]]
        for name, tolerance in {"ra": 1e-6, "dec": 1e-6, "redshift": 1e-4, "richness": 1e-3}.items():
            assert clusters[name].to_numpy() == pytest.approx(expected[name].to_numpy(), abs=tolerance)


def test_few_of_the_tiles_hold_members(embedded):
    """Squares of 128 px with a member over all six tiles of the demo: a base rate of at most 0.15."""
    image_size = read_catalog_meta(EMBEDDED)["image_size"]
    positive = []
    for tile in [*embedded["tile"].unique(), NATURAL_TILE]:
        haloes, _ = clusters_of_tile(tile, image_size, EMBEDDED, [])
        catalog, _ = simulated_sky(RED_SEQUENCE, haloes, tile, image_size, BARE | {"i_magnitude_limit": 24.5}, 20272)
        members = catalog[catalog["MEM"] == 1.0]
        counts = np.histogram2d(members["Y"], members["X"], bins=34, range=[[0, image_size]] * 2)[0]
        positive.append((counts > 0).mean())
    assert 0.02 < np.mean(positive) <= 0.15


def clusters_apart(haloes):
    """Whether no two cluster centres are within 1 Mpc at the lower redshift of the two."""
    x, y, redshift = (haloes.loc[haloes["richness"] >= 20.0, name].to_numpy() for name in ("x", "y", "redshift"))
    one, other = np.triu_indices(len(x), 1)
    least_px = pixels_per_mpc(np.minimum(redshift[one], redshift[other]), PIXEL_ARCSEC)
    return bool((np.hypot(x[one] - x[other], y[one] - y[other]) >= least_px).all())


@pytest.mark.parametrize("image_size, n_skies", [(3000, 100), (6000, 30)])
def test_the_prior_has_the_natural_density_and_clusters_apart(image_size, n_skies):
    """4.5 clusters per deg^2 of richness >= 20 at 0.2 < z < 0.65; no two centres within 1 Mpc."""
    settings = BARE | {"cluster_rate": "natural"}
    prior = prepare_prior(
        RED_SEQUENCE, survey="des", image_size=image_size, pixel_arcsec=PIXEL_ARCSEC, settings=settings
    )
    n_counted = 0
    for seed in range(n_skies):
        _, haloes = sample_field(prior, field=1, seed=seed, min_separation_mpc=1.0)
        assert clusters_apart(haloes)
        clusters = haloes[(haloes["richness"] >= 20.0) & haloes["redshift"].between(0.2, 0.65)]
        n_counted += np.sum(clusters["x"].between(0, image_size) & clusters["y"].between(0, image_size))
    n_expected = n_skies * 4.5 * (image_size * PIXEL_ARCSEC / 3600.0) ** 2
    assert abs(n_counted - n_expected) < 3.0 * np.sqrt(n_expected)


def test_a_simulated_sky_keeps_clusters_apart():
    """20 seeds of a tile, at a rate thirty times nature's so that some would be close."""
    settings = BARE | {"n_clusters_per_deg2": 135.0, "cluster_rate": "boosted"}
    for seed in range(20):
        _, haloes = simulated_sky(RED_SEQUENCE, None, NATURAL_TILE, 1280, settings, seed)
        assert clusters_apart(haloes) and haloes["weight"].to_numpy() == pytest.approx(1.0)


def test_a_list_replaces_the_table_for_any_tile(tmp_path):
    ra_deg, dec_deg = tile_position(NATURAL_TILE)
    listed = {"cluster_id": [1, 2, 3], "ra": ra_deg, "dec": dec_deg, "redshift": 0.4, "richness": [30.0, 12.0, -1.0]}
    path = str(tmp_path / "list.dat")
    write_catalog(path, pd.DataFrame(listed))
    haloes, source = clusters_of_tile(NATURAL_TILE, 10_000, EMBEDDED, [path])
    assert haloes["cluster_id"].tolist() == [1] and path in source
    assert clusters_of_tile(NATURAL_TILE, 10_000, EMBEDDED, []) == (None, "clusters of the prior at their natural rate")


def test_more_sky_than_the_table_covers_is_refused():
    with pytest.raises(ValueError, match="image_size is 5000 px; .* to 4352 px.*simulate_tile: clusters_file"):
        clusters_of_tile("DES2333-5215", 5000, EMBEDDED, [])


@pytest.mark.parametrize("tile", ["DES0252-5348", NATURAL_TILE])
def test_a_tile_is_written_with_its_clusters_and_members(tmp_path, tile):
    paths = {name: str(tmp_path / f"{name}.dat") for name in ("truth", "members")}
    images = [str(tmp_path / f"{band}.fits.fz") for band in SETTINGS["bands"]]
    files = {"red_sequence": str(RESOURCES / "red_sequence.ecsv"), "embedded": EMBEDDED, "clusters": []}
    simulate_tile(**files, psfex_models=[], images=images, **paths, tile=tile, image_size=640, **SETTINGS)
    assert all(Path(path).exists() for path in images)
    truth, members = read_clusters(paths["truth"]), read_catalog(paths["members"])
    assert list(members) == ["cluster_id", "ra", "dec", "x", "y", "redshift", "p_mem", "mag_i"]
    assert set(members["cluster_id"]) <= set(truth["cluster_id"])
    meta = read_catalog_meta(paths["truth"])
    assert meta["simulated"] and meta == read_catalog_meta(paths["members"])
    assert ("DES Y3" in meta["source"]) == (tile == "DES0252-5348")
    if tile == "DES0252-5348":
        assert len(members) > 5 and set(truth["cluster_id"]) <= set(read_catalog(EMBEDDED)["cluster_id"])
