"""redMaPPer readers on every layout (real files where the mirror has them), footprints and truth maps."""

import numpy as np
import pandas as pd
import pytest

from armillary.files import write_catalog, write_hdf5_table, write_table
from armillary.footprint import (
    cell_area_deg2,
    corner_boxes,
    in_boxes,
    map_of,
    member_presence,
    owners,
    restrict,
    truth_from_discs,
)
from armillary.redmapper import radial_weight_richness, read_clusters, read_members, usable_clusters, usable_members
from armillary.sky import sky_of_pixel, tan_wcs

CLUSTER_FORM = [
    "cluster_id",
    "name",
    "ra",
    "dec",
    "redshift",
    "redshift_error",
    "richness",
    "richness_error",
    "spec_z",
]


def table(path, columns, vectors=None):
    """A FITS table, vector columns included."""
    import fitsio

    arrays = {name: np.asarray(values) for name, values in columns.items()} | (vectors or {})
    rows = np.zeros(2, dtype=[(n, a.dtype, a.shape[1:]) for n, a in arrays.items()])
    for name, values in arrays.items():
        rows[name] = values
    fitsio.write(str(path), rows, clobber=True)
    return str(path)


PUBLIC = {
    "NAME": ["RMJ1", "RMJ2"],
    "RA": [10.0, 359.9],
    "DEC": [-50.0, 2.0],
    "Z_LAMBDA": [0.3, 0.6],
    "Z_LAMBDA_ERR": [0.01, 0.02],
    "LAMBDA": [25.0, 80.0],
    "LAMBDA_ERR": [2.0, 4.0],
    "Z_SPEC": [-1.0, 0.61],
}


def cluster_layouts(folder):
    """One file a layout; all hold the same two clusters."""
    ids = np.array([7, 9], dtype=np.int32)
    sva1 = table(folder / "sva1.fits", {"ID": ids, **PUBLIC, "S": [1.0, 1.1]}, {"P_CEN": np.ones((2, 5))})
    y1 = table(folder / "y1.fits", {"MEM_MATCH_ID": ids, **PUBLIC})
    dr8 = table(folder / "dr8.fits", {"ID": ids, **PUBLIC, "OBJID": ids, "MODEL_MAG_R": [18.0, 19.0]})
    raw = {name.replace("_ERR", "_E"): values for name, values in PUBLIC.items() if name not in ("NAME", "Z_SPEC")}
    raw = table(folder / "raw.fit", {"MEM_MATCH_ID": ids, **raw, "CG_SPEC_Z": [-1.0, 0.61]}, {"MAG": np.ones((2, 4))})
    frame = pd.DataFrame(
        {
            "mem_match_id": ids,
            "ra": PUBLIC["RA"],
            "dec": PUBLIC["DEC"],
            "z_lambda": PUBLIC["Z_LAMBDA"],
            "z_lambda_e": PUBLIC["Z_LAMBDA_ERR"],
            "lambda_chisq": PUBLIC["LAMBDA"],
            "lambda_chisq_e": PUBLIC["LAMBDA_ERR"],
        }
    )
    write_hdf5_table(str(folder / "y3.h5"), frame, "catalog/cluster")
    csv = pd.DataFrame(
        {
            "MEM_MATCH_ID": ids,
            "name": PUBLIC["NAME"],
            "RA": PUBLIC["RA"],
            "dec": PUBLIC["DEC"],
            "redshift": PUBLIC["Z_LAMBDA"],
            "lambda": PUBLIC["LAMBDA"],
            "r500": [0.1, 0.1],
        }
    )
    csv.to_csv(folder / "y3.csv.gz", index=False)
    own = pd.DataFrame(
        {
            "field": [0, 0],
            "cluster_id": ids,
            "ra": PUBLIC["RA"],
            "dec": PUBLIC["DEC"],
            "redshift": PUBLIC["Z_LAMBDA"],
            "richness": PUBLIC["LAMBDA"],
        }
    )
    write_catalog(str(folder / "truth.dat"), own)
    return {
        "sva1": sva1,
        "y1": y1,
        "dr8": dr8,
        "raw": raw,
        "y3": str(folder / "y3.h5"),
        "csv": str(folder / "y3.csv.gz"),
        "own": str(folder / "truth.dat"),
    }


def test_every_cluster_layout_reads_the_same(tmp_path):
    for layout, path in cluster_layouts(tmp_path).items():
        clusters = read_clusters(path)
        assert list(clusters) == CLUSTER_FORM, layout
        assert clusters.cluster_id.tolist() == [7, 9], layout
        np.testing.assert_allclose(clusters.ra, [10.0, 359.9], err_msg=layout)
        np.testing.assert_allclose(clusters.redshift, [0.3, 0.6], err_msg=layout)
        np.testing.assert_allclose(clusters.richness, [25.0, 80.0], err_msg=layout)
        if layout in ("sva1", "y1", "dr8", "raw", "y3"):
            np.testing.assert_allclose(clusters.redshift_error, [0.01, 0.02], err_msg=layout)
            np.testing.assert_allclose(clusters.richness_error, [2.0, 4.0], err_msg=layout)
        if layout in ("sva1", "y1", "dr8", "raw"):
            assert np.isnan(clusters.spec_z[0]) and clusters.spec_z[1] == 0.61, layout
    assert read_clusters(tmp_path / "sva1.fits").name.tolist() == ["RMJ1", "RMJ2"]


def member_layouts(folder):
    ids, objects = np.array([7, 7], dtype=np.int32), np.array([101, 102], dtype=np.int64)
    place = {"RA": [10.0, 10.1], "DEC": [-50.0, -50.1], "R": [0.0, 0.7]}
    weights = {"P": [0.9, 0.5], "P_FREE": [1.0, 0.8], "THETA_I": [1.0, 0.5], "THETA_R": [1.0, 0.5]}
    auto = {f"{kind}_AUTO_{b}": [20.0 + k, 21.0] for k, b in enumerate("GRIZ") for kind in ("MAG", "MAGERR")}
    model = {f"MODEL_{kind}_{b}": [19.0 + k, 21.0] for k, b in enumerate("UGRIZ") for kind in ("MAG", "MAGERR")}
    free = {name.replace("P_FREE", "PFREE"): values for name, values in weights.items()}
    sva1 = {"ID": ids, **place, **weights, **auto, "Z_SPEC": [-1.0, 0.3], "COADD_OBJECTS_ID": objects}
    vectors = {"MAG": np.array([[19.0, 20, 21, 22, 23]] * 2), "MAG_ERR": np.full((2, 5), 0.1)}
    h5 = pd.DataFrame(
        {
            "mem_match_id": ids,
            "id": objects,
            "ra": place["RA"],
            "dec": place["DEC"],
            "pmem": [0.9, 0.1],
            **{f"model_mag_{k}": [20.0 + k, 21.0] for k in range(4)},
        }
    )
    write_hdf5_table(str(folder / "members.h5"), h5, "catalog/cluster_members")
    return {
        "sva1": table(folder / "sva1_members.fits", sva1),
        "dr8": table(
            folder / "dr8_members.fits",
            {"ID": ids, **place, **weights, **model, "Z_SPEC": [-1.0, 0.3], "OBJID": objects},
        ),
        "raw": table(
            folder / "raw_members.fit",
            {"MEM_MATCH_ID": ids, "ID": objects, **place, **free, "ZSPEC": [-1.0, 0.3]},
            vectors,
        ),
        "h5": str(folder / "members.h5"),
    }


def test_every_member_layout_reads_the_same(tmp_path):
    for layout, path in member_layouts(tmp_path).items():
        members = read_members(path)
        assert members.cluster_id.tolist() == [7, 7], layout
        assert members.object_id.tolist() == [101, 102], layout
        np.testing.assert_allclose(members.p_mem, [0.9, 0.1], err_msg=layout)
        np.testing.assert_allclose(members.mag_g, [20.0, 21.0] if layout != "raw" else [20.0, 20.0], err_msg=layout)
        if layout != "h5":
            np.testing.assert_allclose(members.radius_mpc, [0.0, 1.0], rtol=1e-6, err_msg=layout)
            assert "mag_error_z" in members and np.isnan(members.spec_z[0]), layout
    assert "mag_u" not in read_members(tmp_path / "sva1_members.fits")
    assert read_members(tmp_path / "dr8_members.fits").mag_u[0] == 19.0


def test_unknown_layouts_say_so_in_one_line(tmp_path):
    path = str(tmp_path / "odd.fits")
    write_table(path, pd.DataFrame({"ID_CG": [1], "RA": [0.0], "DEC": [0.0], "ZPHOT": [0.5]}))
    with pytest.raises(
        ValueError,
        match=r"odd.fits is not a redMaPPer cluster catalogue: .* cluster_id .*redshift.*it has id_cg",
    ):
        read_clusters(path)
    write_table(path, pd.DataFrame({"ID": [1], "RA": [0.0], "DEC": [0.0], "P": [0.5], "THETA_I": [1.0]}))
    with pytest.raises(ValueError, match="it lacks P_FREE, THETA_R"):
        read_members(path)
    (tmp_path / "broken.csv.gz").write_bytes(b"\x1f\x8bnot gzip")
    with pytest.raises(ValueError, match="broken.csv.gz is not a CSV file"):
        read_clusters(tmp_path / "broken.csv.gz")
    with pytest.raises(FileNotFoundError, match="absent.csv"):
        read_clusters(tmp_path / "absent.csv")


def test_real_des_y3_catalogue(mirror):
    clusters = read_clusters(mirror / "clusters/redmapper/DESy3_redmapper.csv.gz")
    assert len(clusters) == 21_092 and clusters.cluster_id.is_unique
    assert clusters.richness.min() >= 20 and clusters.richness.max() == pytest.approx(221.67, abs=0.01)
    assert ((clusters.redshift > 0.2) & (clusters.redshift < 0.65)).sum() == 17_882
    assert clusters.name[0] == "DESy3 1"


def test_real_raw_cluster_list(mirror):
    clusters = read_clusters(mirror / "clusters/redmapper/test_zlamcal_cat.fit")
    assert len(clusters) == 412
    assert clusters.richness_error[0] == pytest.approx(4.7015, abs=1e-3)
    assert clusters.spec_z[0] == pytest.approx(0.0908, abs=1e-4)


def test_real_member_table_sums_to_its_richness(mirror):
    from armillary.files import read_table

    path = mirror / "clusters/redmapper/test_cluster_members.fit"
    members, raw = read_members(path), read_table(path)
    assert len(members) == 513 and set(members.cluster_id) == {17551}
    np.testing.assert_allclose(members.p_mem, raw["PMEM"], atol=3e-4)
    assert members.p_mem.sum() == pytest.approx(24.26, abs=0.01)
    assert radial_weight_richness(members, raw["THETA_R"]) == pytest.approx(members.p_mem.sum(), rel=0.03)
    assert members.mag_i.between(10, 25).all() and members.mag_u.mean() > members.mag_i.mean()


# ---------------------------------------------------------------- footprint


def simple_map(ra=10.0, dec=-30.0, n=10, cell_arcsec=60.0, probability=0.1, name="m"):
    return map_of(name, np.full((n, n), probability), tan_wcs(ra, dec, n, cell_arcsec))


def encoder_tiles(wcs, x, y, size_px):
    """A table of encoder tiles with their lower-left corners at x, y."""
    ra, dec = sky_of_pixel(np.asarray(x) + size_px / 2, np.asarray(y) + size_px / 2, wcs)
    return pd.DataFrame({"x": x, "y": y, "size_px": size_px, "ra": ra, "dec": dec, "probability": 0.5})


def grid_of_tiles(wcs, n, size_px=1):
    rows, columns = np.mgrid[:n, :n]
    return encoder_tiles(wcs, columns.ravel() * size_px, rows.ravel() * size_px, size_px)


def members_at(x, y, p_mem, wcs):
    ra, dec = sky_of_pixel(x, y, wcs)
    return pd.DataFrame({"ra": ra, "dec": dec, "p_mem": p_mem})


def test_members_count_in_the_tile_of_their_column_x_and_row_y():
    """A member one tile from the left and seven from the bottom lights [row 7, column 1] and nothing else."""
    wcs = tan_wcs(10.0, -30.0, 10, 60.0)
    members = members_at([1.2, 8.9], [7.4, 0.1], [0.9, 0.3], wcs)
    assert members.ra[0] > 10.0 and members.dec[0] > -30.0  # left is east, up is north
    presence = member_presence(members, grid_of_tiles(wcs, 10), wcs).reshape(10, 10)
    assert np.argwhere(presence > 0.5).tolist() == [[7, 1]]
    assert np.argwhere(presence > 0.2).tolist() == [[0, 8], [7, 1]]


def test_a_member_in_a_corner_counts_in_that_tile_and_not_in_its_neighbours():
    """Just inside each corner of tile [row 2, column 1]; just outside, it belongs to the diagonal neighbour."""
    wcs, size, eps = tan_wcs(10.0, -30.0, 640, 0.263), 128, 0.02
    tiles = grid_of_tiles(wcs, 5, size)
    for dx, dy in ((0, 0), (0, 1), (1, 0), (1, 1)):
        for inward, expected in ((eps, [2, 1]), (-eps, [2 + (2 * dy - 1), 1 + (2 * dx - 1)])):
            x, y = size * (1 + dx) + (1 - 2 * dx) * inward, size * (2 + dy) + (1 - 2 * dy) * inward
            presence = member_presence(members_at([x], [y], [1.0], wcs), tiles, wcs).reshape(5, 5)
            assert np.argwhere(presence == 1.0).tolist() == [expected]


def test_a_member_in_the_overlap_of_two_grids_counts_in_both_tiles():
    wcs = tan_wcs(10.0, -30.0, 640, 0.263)
    tiles = encoder_tiles(wcs, [0, 100], [0, 0], 128)
    members = members_at([50.0, 110.0, 200.0], [9.0, 9.0, 9.0], [0.5, 0.4, 0.2], wcs)
    assert member_presence(members, tiles, wcs) == pytest.approx([1 - 0.5 * 0.6, 1 - 0.6 * 0.8])


def test_members_elsewhere_on_the_sky_do_not_count():
    wcs = tan_wcs(10.0, -30.0, 10, 60.0)
    members = pd.DataFrame({"ra": [190.0, 10.0, 10.0], "dec": [30.0, -29.0, -30.0], "p_mem": [1.0, 1.0, 1.0]})
    tiles = grid_of_tiles(wcs, 10)
    assert member_presence(members, tiles, wcs).sum() == 1
    assert member_presence(members[:0], tiles, wcs).sum() == 0


def test_weak_members_add_up():
    wcs = tan_wcs(10.0, -30.0, 10, 60.0)
    members, tiles = members_at([4.5] * 3, [2.5] * 3, 0.25, wcs), grid_of_tiles(wcs, 10)
    assert member_presence(members[:2], tiles, wcs).max() == pytest.approx(1 - 0.75**2)
    assert member_presence(members, tiles, wcs).max() == pytest.approx(1 - 0.75**3)


def test_disc_has_the_area_of_r_lambda():
    wcs = tan_wcs(10.0, -30.0, 120, 6.0)
    ra, dec = sky_of_pixel([30.0], [80.0], wcs)
    clusters = pd.DataFrame({"ra": ra, "dec": dec, "redshift": [0.5], "richness": [30.0]})
    truth = truth_from_discs(clusters, grid_of_tiles(wcs, 120)).reshape(120, 120)
    radius_cells = 1 / 0.7 * 0.3**0.2 * 163.8 / 6.0  # R_lambda in Mpc, 163.8 arcsec a Mpc at z = 0.5
    rows, columns = np.nonzero(truth)
    assert truth.sum() == pytest.approx(np.pi * radius_cells**2, rel=0.01)
    assert rows.mean() == pytest.approx(79.5, abs=0.1) and columns.mean() == pytest.approx(29.6, abs=0.5)
    far = clusters.assign(dec=clusters.dec + 5)
    assert not truth_from_discs(far, grid_of_tiles(wcs, 120)).any()


def test_members_of_our_own_tables(tmp_path):
    table = pd.DataFrame({"cluster_id": [7, 9], "ra": [10.0, 359.9], "dec": [-50.0, 2.0], "p_mem": [1.0, 0.25]})
    write_catalog(str(tmp_path / "m.dat"), table)
    members = read_members(str(tmp_path / "m.dat"))
    pd.testing.assert_frame_equal(members[list(table)], table, check_dtype=False)
    write_catalog(str(tmp_path / "none.dat"), table[:0])  # a simulated tile without a cluster
    assert len(usable_members(read_members(str(tmp_path / "none.dat")), "none.dat")) == 0
    members = members.assign(p_mem=[np.nan, 0.25])
    assert usable_members(members, "m.dat").cluster_id.tolist() == [9]
    with pytest.raises(ValueError, match=r"no row of m.dat, of 2, has ra, dec and a membership probability"):
        usable_members(members.assign(p_mem=[-1.0, 2.0]), "m.dat")


def test_overlapping_tiles_share_the_sky_without_double_counting():
    maps = [simple_map(ra=0.0), simple_map(ra=359.9)]  # 10' tiles, 6' x cos(dec) apart, across 0 h
    ra, dec = (np.concatenate(c) for c in zip(*[[a.ravel() for a in cells(m)] for m in maps], strict=True))
    owner = owners(ra, dec, maps)
    assert np.all(owner >= 0)
    own = [np.sum(owner[:100] == 0), np.sum(owner[100:] == 1)]
    assert own[0] + own[1] < 200 and abs(own[0] - own[1]) <= 10
    shift_arcmin = 6.0 * np.cos(np.radians(30.0))
    assert (own[0] + own[1]) == pytest.approx(100 + 10 * shift_arcmin, abs=11)


def cells(each):
    from armillary.footprint import cell_centres

    return cell_centres(each)


def test_masked_cells_belong_to_nobody_or_to_the_neighbour():
    first, second = simple_map(ra=10.0), simple_map(ra=10.1)
    first["probability"][5, 5] = np.nan
    ra, dec = sky_of_pixel([5.5, 1.5], [5.5, 5.5], first["wcs"])
    assert owners(ra, dec, [first]).tolist() == [-1, 0]
    ra, dec = sky_of_pixel([4.4], [5.5], first["wcs"])
    first["probability"][5, 4] = np.nan
    assert owners(ra, dec, [first, second]).tolist() == [1]
    assert owners([200.0], [-30.0], [first, second]).tolist() == [-1]


def test_boxes_across_zero_hours():
    boxes = corner_boxes([[359.5, 0.5, 0.5, 359.5]], [[-1, -1, 1, 1]])
    assert boxes[0] == pytest.approx([0.0, 0.5, -1, 1])
    assert in_boxes([359.6, 0.4, 180.0, 1.0], [0, 0.5, 0, 0], boxes).tolist() == [True, True, False, False]


def test_area_and_empty_footprint():
    assert cell_area_deg2(simple_map()) == pytest.approx((1 / 60) ** 2, rel=1e-5)
    with pytest.raises(ValueError, match="none of the 2 clusters of y3.csv lies in the footprint"):
        restrict(pd.DataFrame({"ra": [1, 2]}), [False, False], "y3.csv")


def test_rows_without_position_redshift_or_richness_are_left_out():
    rows = [(10, -50, 0.4, 30), (10, -50, 0, 30), (10, -50, -1, 30), (10, -50, np.nan, 30), (10, -50, 0.4, 0)]
    rows += [(10, -50, 0.4, np.nan), (np.nan, -50, 0.4, 30), (10, -95, 0.4, 30), (10, -50, 0.4, np.inf)]
    table = pd.DataFrame(rows, columns=["ra", "dec", "redshift", "richness"])
    assert len(usable_clusters(table, "a.csv")) == 1
    with pytest.raises(ValueError, match=r"no row of a.csv, of 8, has ra, dec, a redshift and a richness above 0"):
        usable_clusters(table[1:], "a.csv")


def test_a_cluster_without_an_id_is_named(tmp_path):
    path = str(tmp_path / "ids.csv")
    pd.DataFrame({"MEM_MATCH_ID": [1, np.nan], "RA": 1, "dec": 2, "redshift": 0.3, "lambda": 30}).to_csv(path)
    with pytest.raises(ValueError, match=r"ids.csv: row 1 has the cluster id nan; ids must be whole numbers"):
        read_clusters(path)
