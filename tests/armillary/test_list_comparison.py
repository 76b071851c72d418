"""Two cluster lists compared: reading, known matches and shares, and DES Y3 against a scattered copy of itself."""

import os
import warnings

import numpy as np
import pandas as pd
import pytest
from astropy.table import Table

from armillary.cluster_lists import (
    FULL_SKY_DEG2,
    box_area_deg2,
    common_footprint,
    in_box,
    read_list,
    rolled,
    shifted,
    sky_cells,
)
from armillary.cosmology import angular_diameter_distance_mpc
from armillary.list_comparison import compare_lists, match_lists
from armillary.list_pairs import above_cut, relation
from armillary.metrics import validate_metrics
from armillary.sky import separation_arcsec
from scripts.clusters.compare_catalogs import compare_catalogs
from scripts.clusters.plot_comparison import plot_comparison

KEY = "clusters: compare_catalogs: first"
CRITERIA = {"match_radius_mpc": 1.0, "match_dz": 0.05, "match_radius_arcsec": 60.0}
SETTINGS = CRITERIA | {
    "redshift_range": [0.2, 0.65],
    "richness_edges": [20, 30, 50],
    "footprint": None,
    "cell_deg2": 0.84,
    "n_shifts": 6,
    "n_resamples": 100,
}


def clusters_on_sky(rng, n=400, side_deg=8.0):
    """Clusters that are uniform on a patch across 0 h, richness from 20 as a power law."""
    return pd.DataFrame(
        {
            "id": [f"RM {k}" for k in range(n)],
            "ra": rng.uniform(-side_deg / 2, side_deg / 2, n),
            "dec": rng.uniform(-side_deg / 2, side_deg / 2, n),
            "redshift": rng.uniform(0.2, 0.65, n),
            "richness": 20.0 * rng.uniform(size=n) ** -0.4,
        }
    )


def scattered(clusters, rng, *, kept=0.8, offset_mpc=0.1, dz=0.01, ln_richness=0.15):
    """A copy with some clusters left out at random and the others moved in position, redshift and richness."""
    copy = clusters[rng.random(len(clusters)) < kept].reset_index(drop=True)
    n, sigma_deg = len(copy), np.degrees(offset_mpc / angular_diameter_distance_mpc(copy["redshift"].to_numpy()))
    return copy.assign(
        ra=(copy["ra"] + rng.normal(size=n) * sigma_deg / np.cos(np.radians(copy["dec"]))) % 360.0,
        dec=copy["dec"] + rng.normal(size=n) * sigma_deg,
        redshift=copy["redshift"] + dz * (1 + copy["redshift"]) * rng.normal(size=n),
        richness=copy["richness"] * np.exp(ln_richness * rng.normal(size=n)),
    )


def written(path, frame) -> str:
    frame.to_csv(path, index=False)
    return str(path)


def read(path, frame, **settings):
    """The list of a table, by way of a file."""
    return read_list(written(path, frame), settings, KEY, 0.84)


def compared(one, other, rng, **changed):
    metrics, bins, matches = compare_lists(one, other, rng=rng, **SETTINGS | changed)
    validate_metrics(metrics, "test")
    return metrics, bins, matches


def sigmas(entry, truth) -> float:
    """Distance from the truth in units of half the 68 % interval."""
    return abs(entry["value"] - truth) / (0.5 * (entry["hi"] - entry["lo"]))


# ---------------------------------------------------------------- reading


def test_columns_have_roles_and_any_name(tmp_path):
    table = {"Z": [0.3], "z": [9.0], "N_gals": [31], "RAJ2000": [12.0], "DEJ2000": [-3.0], "Name": ["WaZP 1"]}
    columns = {"ra": "RAJ2000", "dec": "DEJ2000", "redshift": "Z", "richness": "n_gals", "id": None}
    found = read(tmp_path / "wazp.csv.gz", pd.DataFrame(table), columns=columns)
    assert found.clusters.iloc[0].to_dict() == {
        "id": "WaZP 1", "ra": 12.0, "dec": -3.0, "redshift": 0.3, "richness": 31.0, "cell": found.clusters["cell"][0]
    }  # fmt: skip
    assert (
        found.name == "wazp"
        and read(tmp_path / "x.csv", pd.DataFrame({"ra": [1], "dec": [2]})).clusters["id"][0] == "1"
    )


@pytest.mark.parametrize(
    ("table", "columns", "said"),
    [
        (
            {"ra": [1.0], "dec": [1.0]},
            {"redshift": "zz"},
            r"no column 'zz' \(.*first: columns: redshift\); it has ra, dec",
        ),
        ({"ra": [1.0], "dec": [1.0], "Z": [1], "z": [1]}, {"redshift": "zZ"}, "no column 'zZ'"),
        (
            {"ra": [1.0], "decl": [1.0]},
            None,
            r"no column for dec \(DEC\); name it in .*first: columns: dec; it has ra, decl",
        ),
        ({"ra": [], "dec": []}, None, r"list.csv holds no cluster \(.*first: file\)"),
        ({"ra": [400.0, np.nan], "dec": [1.0, 1.0]}, None, "none of the 2 rows of .*list.csv has a usable ra and dec"),
        ({"ra": [1.0], "dec": [1.0], "redshift": ["?"]}, None, "none of the 1 rows .* usable redshift .*columns"),
        ({"ra": [1.0], "dec": [1.0], "richness": [-1.0]}, None, r"usable richness \(above 0\); see .*first: columns"),
    ],
)
def test_a_list_that_cannot_be_used_is_said_in_one_line(tmp_path, table, columns, said):
    with pytest.raises(ValueError, match=said) as error:
        read(tmp_path / "list.csv", pd.DataFrame(table), columns=columns)
    assert "\n" not in str(error.value)


def test_rows_without_a_value_are_left_out_and_counted(tmp_path):
    frame = pd.DataFrame(
        {
            "ra": [1, 2, 3, 4, 5, 6, -999, 8, 9, -0.5],
            "dec": [0, 0, 0, 0, 0, 95, 0, np.nan, 0, 0],
            "redshift": [0.3, 0.0, -1.0, np.nan, 0.3, 0.3, 0.3, 0.3, np.inf, 0.3],
            "richness": [30, 30, 30, 30, 0, 30, 30, 30, 30, -1],
        }
    )
    found = read(tmp_path / "gaps.csv", frame)
    assert found.n_missing == {"position": 3, "redshift": 4, "richness": 2}
    assert found.clusters["ra"].tolist() == [1.0, 5.0, 359.5]
    np.testing.assert_array_equal(found.clusters["richness"], [30.0, np.nan, np.nan])
    assert found.report() == (
        "gaps: 3 of 10 clusters, 3 rows without a position on the sky left out, 4 without a redshift left out, "
        "2 without a richness left out of what needs one"
    )


# ---------------------------------------------------------------- sky


@pytest.mark.parametrize("cell_deg2", [0.84, 50.0])
def test_cells_have_one_area_and_cover_the_sky(rng, cell_deg2):
    n = 400_000
    ra, dec = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    cells = sky_cells(ra, dec, cell_deg2)
    assert np.unique(cells).size == pytest.approx(FULL_SKY_DEG2 / cell_deg2, rel=0.02)
    near = separation_arcsec(ra[:-1], dec[:-1], ra[1:], dec[1:])[np.diff(cells) == 0]
    assert near.max(initial=0.0) < 2.2 * np.sqrt(cell_deg2) * 3600
    assert np.ptp(sky_cells([-0.01, 359.99], [10, 10], 0.84)) == 0


def test_cells_do_not_depend_on_the_convention_of_ra():
    ra, dec = np.linspace(-180, 179.9, 700), np.linspace(-90, 90, 700)
    np.testing.assert_array_equal(sky_cells(ra, dec, 0.84), sky_cells(ra % 360.0, dec, 0.84))


def test_a_shift_moves_every_cluster_by_its_distance():
    clusters = pd.DataFrame({"ra": [10.0, 359.9, 200.0], "dec": [0.0, -60.0, 89.8]})
    for angle in np.linspace(0, 2 * np.pi, 7):
        moved = shifted(clusters, 0.7, angle, 0.84)
        apart = separation_arcsec(clusters["ra"], clusters["dec"], moved["ra"], moved["dec"])
        np.testing.assert_allclose(apart, 0.7 * 3600, rtol=1e-9)
    north, east = shifted(clusters, 0.7, 0.0, 0.84), shifted(clusters, 0.7, np.pi / 2, 0.84)
    assert north["dec"][0] == pytest.approx(0.7) and east["ra"][0] == pytest.approx(10.7)


def test_the_counterpart_alone_is_no_proof_that_a_cell_was_looked_at():
    """Cell 1: a pair alone; 2: a pair and a lost cluster; 3: nothing of the second; 4 and 5: a pair across them."""
    first = pd.DataFrame({"cell": [1, 2, 2, 3, 4]})
    second = pd.DataFrame({"cell": [1, 2, 5, 4]})
    ours, theirs = common_footprint(first, second, np.array([0, 1, -1, -1, 2]))
    assert ours.tolist() == [False, False, True, False, True]
    assert theirs.tolist() == [False, True, False, True]


@pytest.mark.parametrize("ra", [[350.0, 20.0], [-10.0, 20.0]])
def test_a_box_across_zero_hours(rng, ra):
    clusters = pd.DataFrame({"ra": [351.0, 19.0, 21.0, 349.0, 0.0], "dec": [0.0, 5.0, 0.0, 0.0, 11.0]})
    box = {"ra": ra, "dec": [-10.0, 10.0]}
    assert in_box(clusters, box).tolist() == [True, True, False, False, False]
    assert box_area_deg2(box) == pytest.approx(30 * 20, rel=0.01)
    moved = rolled(clusters, box, 0.5, 0.25)
    assert in_box(moved, box).all()
    np.testing.assert_allclose(moved["ra"], [6.0, 4.0])
    np.testing.assert_allclose(rolled(clusters, box, 0.0, 0.0)[["ra", "dec"]], clusters[["ra", "dec"]][:2], atol=1e-9)
    assert box_area_deg2({"ra": [0, 360], "dec": [-90, 90]}) == pytest.approx(FULL_SKY_DEG2)


# ---------------------------------------------------------------- matches of known answers


def pair_lists(tmp_path, drop_first=(), drop_second=()):
    """Five clusters and four others in one cell: pairs at 4 and 90 arcsec, one at another redshift, the rest alone."""
    first = pd.DataFrame(
        {"ra": [0.1, 0.2, 0.3, 0.4, 0.5], "dec": 0.4, "redshift": 0.4, "richness": [20.0, 25.0, 30.0, 40.0, 60.0]}
    )
    second = pd.DataFrame(
        {
            "ra": [0.101, 0.2, 0.325, 0.7],
            "dec": 0.4,
            "redshift": [0.407, 0.55, 0.4, 0.4],
            "richness": [22.0, 26.0, 33.0, 50.0],
        }
    )
    return (
        read(tmp_path / "first.csv", first.drop(columns=list(drop_first))),
        read(tmp_path / "second.csv", second.drop(columns=list(drop_second))),
    )


@pytest.mark.parametrize(
    ("drop_first", "drop_second", "partner"),
    [
        ((), (), [0, -1, 2, -1, -1]),
        ((), ("redshift",), [0, 1, 2, -1, -1]),
        (("redshift",), (), [0, 1, 2, -1, -1]),
        (("redshift",), ("redshift", "richness"), [0, 1, -1, -1, -1]),
    ],
)
def test_matches_with_and_without_redshifts(tmp_path, drop_first, drop_second, partner):
    one, other = pair_lists(tmp_path, drop_first, drop_second)
    assert match_lists(one.clusters, other.clusters, **CRITERIA).tolist() == partner


def test_shares_and_differences_of_a_known_pair_of_lists(tmp_path, rng):
    metrics, bins, matches = compared(*pair_lists(tmp_path), rng)
    assert metrics["completeness"]["value"] == pytest.approx(0.4) and metrics["completeness"]["n"] == 5
    assert metrics["purity"]["value"] == pytest.approx(0.5) and metrics["purity"]["n"] == 4
    assert metrics["completeness_richness_20_30"]["value"] == pytest.approx(0.5)
    assert metrics["completeness_richness_gt30"]["value"] == pytest.approx(1 / 3)
    assert metrics["completeness_richness_gt50"]["value"] == 0.0
    assert metrics["purity_richness_30_50"]["value"] == pytest.approx(1.0)
    assert metrics["purity_richness_gt50"]["value"] == 0.0
    assert metrics["redshift_bias"]["value"] == pytest.approx(0.5 * 0.007 / 1.4)
    assert metrics["redshift_outliers"]["value"] == pytest.approx(1 / 3)  # found by position, at another redshift
    offsets = np.radians([0.001, 0.025]) * np.cos(np.radians(0.4)) * angular_diameter_distance_mpc(0.4)
    assert metrics["offset_median_mpc"]["value"] == pytest.approx(offsets.mean(), rel=1e-6)
    assert metrics["chance_completeness"]["value"] == 0.0
    assert matches["status"].tolist() == ["matched"] * 2 + ["only_first"] * 3 + ["only_second"] * 2
    assert matches["second_id"].tolist() == ["1", "3", "-", "-", "-", "2", "4"]
    assert matches["ln_richness_ratio"][0] == pytest.approx(np.log(1.1))
    assert set(bins["score"]) == {"completeness", "purity"} and len(bins) == 2 * (1 + 2 + 3)


def test_without_richness_there_are_no_bins_and_no_relation(tmp_path, rng):
    one, other = pair_lists(tmp_path, drop_second=("richness",))
    metrics, bins, _ = compared(one, other, rng)
    assert "completeness_richness_gt20" in metrics and not any(key.startswith("richness") for key in metrics)
    assert not any(key.startswith("purity_") for key in metrics) and len(bins) == 1 + 5 + 1
    assert "second has redshift 0.4 to 0.55, no counterparts beyond" in metrics["completeness"]["note"]


def test_without_redshifts_separations_are_angles(tmp_path, rng):
    metrics, _, matches = compared(*pair_lists(tmp_path, ("redshift",), ("redshift",)), rng)
    assert metrics["offset_90_arcsec"]["unit"] == "arcsec" and not any(
        "redshift_" in key for key in metrics if "_n_" not in key
    )
    assert metrics["offset_median_arcsec"]["value"] == pytest.approx(1.8, rel=1e-3)
    assert matches["separation_mpc"].isna().all()


def test_no_pair_at_all_is_a_result(tmp_path, rng):
    one, other = pair_lists(tmp_path)
    metrics, _, _ = compared(one, other._replace(clusters=other.clusters.assign(redshift=0.6)), rng)
    assert metrics["completeness"]["value"] == 0.0 and metrics["redshift_outliers"]["value"] == 1.0
    assert metrics["offset_median_mpc"]["value"] is None and metrics["redshift_scatter"]["value"] is None


def test_a_missing_richness_is_left_out_of_the_bins_only(tmp_path, rng):
    one, other = pair_lists(tmp_path)
    richness = one.clusters["richness"].where(one.clusters["richness"] != 25.0)
    metrics, _, _ = compared(one._replace(clusters=one.clusters.assign(richness=richness)), other, rng)
    assert metrics["completeness"]["n"] == 5 and metrics["completeness_richness_20_30"]["n"] == 1


def test_lists_that_share_no_sky_or_no_redshift_say_so(tmp_path, rng):
    one, other = pair_lists(tmp_path)
    apart = read(tmp_path / "south.csv", other.clusters.assign(dec=-50.0)[["ra", "dec", "redshift"]])
    said = r"first \(ra 0.1 to 0.5, dec 0.4 to 0.4\) and south \(ra 0.1 to 0.7, dec -50.0 to -50.0\) share no sky"
    with pytest.raises(ValueError, match=said):
        compared(one, apart, rng)
    with pytest.raises(ValueError, match="no cluster of first has a redshift from 0.5 to 0.6 .*they are 0.4 to 0.4"):
        compared(one, other, rng, redshift_range=[0.5, 0.6])


def test_ra_around_zero_reads_the_same_in_either_convention(tmp_path, rng):
    clusters = clusters_on_sky(rng, 300)
    copy = scattered(clusters, rng)
    signed = read(tmp_path / "signed.csv", clusters)
    turned = read(tmp_path / "turned.csv", clusters.assign(ra=clusters["ra"] % 360.0))
    other = read(tmp_path / "copy.csv", copy)
    values = [compared(one, other, np.random.default_rng(1))[0]["completeness"]["value"] for one in (signed, turned)]
    assert values[0] == values[1]


# ---------------------------------------------------------------- richness relation


@pytest.mark.parametrize("lowest", [0.0, 20.0])
def test_the_relation_of_richness_is_not_flattened_by_a_cut(rng, lowest):
    ln_first = np.log(20.0) + rng.exponential(0.4, 20_000)
    ln_second = np.log(1.2) + 0.9 * (ln_first - np.log(30.0)) + np.log(30.0) + 0.2 * rng.normal(size=20_000)
    seen = ln_second > np.log(max(lowest, 1.0))
    x, y = ln_first[seen], ln_second[seen]
    chosen = above_cut(x, y, y.min())
    slope, intercept, scatter, _ = relation(x[chosen] - np.log(30.0), y[chosen] - np.log(30.0), np.ones(chosen.sum()))
    assert slope == pytest.approx(0.9, abs=0.02)
    assert intercept == pytest.approx(np.log(1.2), abs=0.01)
    assert scatter == pytest.approx(0.2, abs=0.006)


def test_the_relation_of_few_or_equal_points_has_no_value():
    assert np.isnan(relation(np.zeros(2), np.zeros(2), np.ones(2))).all()
    assert np.isnan(relation(np.zeros(5), np.arange(5.0), np.ones(5))).all()
    assert relation(np.arange(5.0), 1 + 2 * np.arange(5.0), np.ones(5)) == pytest.approx([2, 1, 0, 1])
    assert above_cut(np.zeros(4), np.zeros(4), 0.0).all()


# ---------------------------------------------------------------- recovery


def test_a_scattered_copy_is_recovered_within_its_error(tmp_path, rng):
    clusters = clusters_on_sky(rng, 3000, side_deg=24.0)
    one, other = read(tmp_path / "one.csv", clusters), read(tmp_path / "other.csv", scattered(clusters, rng, kept=0.7))
    metrics, _, _ = compared(one, other, rng)
    truths = {"completeness": 0.7, "redshift_scatter": 0.01, "redshift_bias": 0.0}
    truths |= {"richness_slope": 1.0, "richness_intercept": 0.0, "richness_scatter": 0.15}
    assert {
        key: sigmas(metrics[key], truth) for key, truth in truths.items() if sigmas(metrics[key], truth) > 2.5
    } == {}
    assert metrics["purity"]["value"] > 0.995
    assert metrics["chance_completeness"]["value"] < 0.05


def test_chance_is_the_completeness_of_an_unrelated_list(tmp_path, rng):
    """Edges of the moved list make it a little low."""
    one, other = (read(tmp_path / f"{k}.csv", clusters_on_sky(rng, 8000, side_deg=16.0)) for k in (1, 2))
    metrics, _, _ = compared(one, other, rng, n_shifts=8)
    found, chance = metrics["completeness"], metrics["chance_completeness"]
    assert found["baseline"] == "chance_completeness" and chance["value"] > 0.05
    assert found["value"] == pytest.approx(chance["value"], rel=0.12)


def test_a_list_of_a_small_box_is_compared_with_a_larger_one_there(tmp_path, rng):
    """Chance within the box is that of unrelated lists, and clusters around the box count as counterparts only."""
    wide, box = clusters_on_sky(rng, 8000), {"ra": [359.0, 1.0], "dec": [-1.0, 1.0]}
    inside = wide[in_box(wide, box)]
    small = scattered(inside, rng, kept=0.6)
    one, other = read(tmp_path / "wide.csv", wide), read(tmp_path / "small.csv", small)
    metrics, _, matches = compared(one, other, rng, footprint=box, n_shifts=20)
    assert metrics["completeness"]["n"] == len(inside) and metrics["common_area_deg2"]["value"] == pytest.approx(
        4, rel=1e-3
    )
    assert sigmas(metrics["completeness"], len(small) / len(inside)) < 1
    unrelated = read(tmp_path / "unrelated.csv", scattered(clusters_on_sky(rng, 8000), rng, kept=0.6))
    found = compared(one, unrelated, rng, footprint=box)[0]["completeness"]
    assert sigmas(found, metrics["chance_completeness"]["value"]) < 2.5
    with pytest.raises(ValueError, match=r"ra 100 to 101 and dec -1 to 1, holds no cluster of wide \(ra 356.0 to 4.0"):
        compared(one, other, rng, footprint={"ra": [100, 101], "dec": [-1, 1]})


def test_errors_come_from_clusters_where_there_are_few_cells(tmp_path, rng):
    clusters = clusters_on_sky(rng, 40, side_deg=1.5)
    metrics, _, _ = compared(
        read(tmp_path / "1.csv", clusters), read(tmp_path / "2.csv", scattered(clusters, rng)), rng
    )
    assert "errors from resampled clusters" in metrics["completeness"]["note"]
    assert 0.02 < 0.5 * (metrics["completeness"]["hi"] - metrics["completeness"]["lo"]) < 0.15


@pytest.fixture(scope="module")
def des_y3(mirror):
    path = mirror / "clusters/redmapper/DESy3_redmapper.csv.gz"
    if not path.exists():
        pytest.skip("the mirror has no DES Y3 list")
    return str(path)


def test_des_y3_recovers_its_scattered_copy(des_y3, tmp_path, rng):
    y3 = read_list(des_y3, {"name": "DES Y3"}, KEY, 0.84)
    copy = read(tmp_path / "copy.csv", scattered(y3.clusters.drop(columns="cell"), rng))
    metrics, _, _ = compared(y3, copy, rng, n_resamples=200)
    truths = {"completeness": 0.8, "completeness_richness_gt30": 0.8, "redshift_scatter": 0.01, "redshift_bias": 0.0}
    truths |= {"richness_slope": 1.0, "richness_intercept": 0.0, "richness_scatter": 0.15}
    assert {key: sigmas(metrics[key], truth) for key, truth in truths.items() if sigmas(metrics[key], truth) > 2} == {}
    assert metrics["completeness"]["hi"] - metrics["completeness"]["lo"] < 0.01
    assert metrics["purity"]["value"] > 0.999
    assert metrics["offset_median_mpc"]["value"] == pytest.approx(0.1 * np.sqrt(2 * np.log(2)), rel=0.03)


def test_des_y1_against_y3_as_published(des_y3, mirror, rng):
    """Same finder, deeper data: completeness of Y1 clusters in Y3 within 1 Mpc and 0.05 (1 + z), by richness."""
    path = os.environ.get("ARMILLARY_DES_Y1", str(mirror / "clusters/redmapper/desY1a1.csv.gz"))
    if not os.path.exists(path):
        pytest.skip("no DES Y1 list here (set ARMILLARY_DES_Y1 to its file)")
    y1, y3 = (read_list(file, {}, KEY, 0.84) for file in (path, des_y3))
    edges = {20: 0.794, 25: 0.917, 30: 0.942, 40: 0.949}
    metrics, _, _ = compared(y1, y3, rng, redshift_range=[0.0, 3.0], richness_edges=list(edges))
    for edge, anchor in edges.items():
        assert metrics[f"completeness_richness_gt{edge}"]["value"] == pytest.approx(anchor, abs=0.02), edge


# ---------------------------------------------------------------- the step and its figure


@pytest.mark.parametrize("kind", ["full", "no richness", "positions only", "many"])
def test_the_step_writes_tables_and_a_figure(tmp_path, rng, kind):
    clusters = clusters_on_sky(rng, 2500 if kind == "many" else 120, side_deg=16.0 if kind == "many" else 4.0)
    dropped = {"no richness": ["richness"], "positions only": ["richness", "redshift"]}.get(kind, [])
    files = [
        written(tmp_path / "a.csv", clusters),
        written(tmp_path / "b.csv", scattered(clusters, rng).drop(columns=dropped)),
    ]
    made = [str(tmp_path / name) for name in ("metrics.json", "bins.dat", "matches.dat")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lists = {"first": {"name": "one list"}, "second": {"name": None, "columns": None}}
        compare_catalogs(*files, *made, **lists, **SETTINGS | {"n_resamples": 20}, seed=1)
        plot_comparison(*made, str(tmp_path / "figure.png"), match_radius_mpc=1.0)
    assert (tmp_path / "figure.png").stat().st_size > 20_000
    matches = Table.read(made[2], format="ascii.ecsv")
    assert matches.meta == {"first": "one list", "second": "b"} and str(matches["separation_mpc"].unit) == "Mpc"
    assert len(matches) == 2 * len(clusters) - np.sum(matches["status"] == "matched") - (
        len(clusters) - len(pd.read_csv(files[1]))
    )
