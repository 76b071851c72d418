"""The scoring steps on made-up predictions: every output is written, in form, and says what was put in."""

import numpy as np
import pandas as pd
import pytest

from armillary.cosmology import richness_radius_mpc
from armillary.files import (
    read_arrays,
    read_catalog,
    read_json,
    write_arrays,
    write_catalog,
    write_image,
    write_json,
    write_table,
)
from armillary.footprint import map_of, read_encoder_tiles, read_map
from armillary.matching import match_radius_arcsec
from armillary.metrics import merge_metrics, validate_metrics
from armillary.redmapper import read_clusters, read_members
from armillary.sky import pixel_of_sky, sky_of_pixel, tan_wcs, wcs_keywords
from armillary.skyscores import sky_tiles, sky_truth
from armillary.tile_pictures import cluster_label, placed_objects, tile_title
from scripts.benchmarks.compare_imports import compare_imports
from scripts.clusters.score_fields import score_fields
from scripts.clusters.score_redmapper import score_redmapper
from scripts.clusters.summarise_inputs import summarise_inputs
from scripts.clusters.summarise_metrics import summarise_metrics

SIZE, TILE, PIXEL = 1280, 128, 0.263
SCORING = {
    "match_radius_mpc": 1.0,
    "match_dz": 0.05,
    "outlier_dz": 0.05,
    "redshift_edges": [0.2, 0.35, 0.5, 0.65],
    "richness_edges": [20.0, 30.0, 50.0],
    "selection_richness_edges": [10.0, 20.0, 30.0, 60.0, 200.0],
    "curve_richness": [20.0, 30.0],
    "purity_targets": [0.8, 0.9],
    "densities_per_deg2": [10.0],
    "pure_richness": 20.0,
    "group_richness": 10.0,
}
TUNED = {
    "encoder_0_cluster_threshold": 0.99,
    "encoder_1_cluster_threshold": 0.5,
    "encoder_1_tile_threshold_natural": 0.4,
}
SHARED = {"seed": 1, "n_resamples": 60, "n_calibration_bins": 15, "scoring": SCORING}


def made_up_field(rng, field):
    """Truth rows and detections of a finder that finds 95 % above richness 30 and few groups."""
    wcs = tan_wcs(rng.uniform(0, 360), rng.uniform(-60, 0), SIZE, PIXEL)
    n = rng.poisson(5)
    richness = 8 * rng.random(n) ** (-1 / 1.5)
    x, y, z = rng.uniform(-100, SIZE + 100, n), rng.uniform(-100, SIZE + 100, n), rng.uniform(0.15, 0.7, n)
    ra, dec = sky_of_pixel(x, y, wcs) if n else (x, y)
    truth = pd.DataFrame(
        {
            "field": field,
            "cluster_id": field * 100 + np.arange(n) + 1,
            "ra": ra,
            "dec": dec,
            "x": x,
            "y": y,
            "redshift": z,
            "richness": richness,
            "weight": np.where(richness > 20, 0.3, 1.0),
        }
    )
    found = truth[
        (rng.random(n) < np.where(richness > 30, 0.95, np.where(richness > 20, 0.7, 0.1)))
        & (x > 0)
        & (x < SIZE)
        & (y > 0)
        & (y < SIZE)
    ]
    estimated = found.richness * np.exp(rng.normal(0, 0.15, len(found)))
    detections = pd.DataFrame(
        {
            "field": field,
            "ra": found.ra,
            "dec": found.dec,
            "x": found.x,
            "y": found.y,
            "probability": rng.uniform(0.4, 1, len(found)),
            "redshift": found.redshift + rng.normal(0, 0.01, len(found)),
            "redshift_error": 0.01,
            "richness": estimated,
            "richness_error": 0.15 * estimated,
        }
    )
    return truth, detections


METHODS = ["finder", "limit", "encoder_0", "combined_0"]
NOISE = {"finder": 0.5, "limit": 0.1, "encoder": 0.15, "combined": 0.14}


@pytest.fixture(scope="module")
def made_up(tmp_path_factory):
    """Files of a calibration (0-59) and a test split (60-119); the finder misses every second cluster."""
    folder, rng = tmp_path_factory.mktemp("score"), np.random.default_rng(0)
    paths = {f"{kind}_{split}": [] for kind in ("predictions", "detections") for split in ("calibration", "test")}
    truths = []
    for split, fields in (("calibration", range(60)), ("test", range(60, 120))):
        tables = [made_up_field(rng, field) for field in fields]
        truths += [truth for truth, _ in tables]
        membership = rng.random((60, 10, 10)) < 0.15
        detections = pd.concat([found for _, found in tables], ignore_index=True)
        for method in [*METHODS, "encoder_1", "combined_1"]:
            noise = NOISE[method.partition("_")[0]]
            probability = np.clip(0.1 + 0.6 * membership + rng.normal(0, noise, membership.shape), 0, 1)
            predictions, listed = str(folder / f"{method}_{split}.npz"), str(folder / f"{method}_{split}.dat")
            maps = {"probability": probability, "probability_natural": 0.3 * probability, "membership": membership}
            write_arrays(predictions, field=np.array(fields), **maps)
            write_catalog(listed, detections.iloc[::2] if method == "finder" else detections)
            paths[f"predictions_{split}"].append(predictions)
            paths[f"detections_{split}"].append(listed)
    paths["truth"] = [str(folder / "truth.dat")]
    write_catalog(paths["truth"][0], pd.concat(truths, ignore_index=True))
    return folder, paths


def fields_scored(folder, paths, name="fields", n_trainings=1):
    outputs = {
        key: str(folder / f"{name}.{end}")
        for key, end in (("metrics", "json"), ("curves", "npz"), ("selection", "dat"))
    }
    methods = METHODS + ["encoder_1", "combined_1"] * (n_trainings == 2)
    files = {key: value[: len(methods)] if key != "truth" else value for key, value in paths.items()}
    score_fields(
        **files,
        **outputs,
        methods=methods,
        image_size=SIZE,
        tile_size=TILE,
        pixel_arcsec=PIXEL,
        natural_bin_edges=[0, 0.1, 0.3, 1],
        richness_target=20.0,
        **SHARED,
    )
    return read_json(outputs["metrics"]), read_arrays(outputs["curves"]), read_catalog(outputs["selection"])


def test_score_fields(made_up):
    report, arrays, selection = fields_scored(*made_up)
    validate_metrics(report, "the report")
    value = {key: entry["value"] for key, entry in report.items()}
    assert (
        value["encoder_tile_pr_auc_boosted"]
        > value["finder_tile_pr_auc_boosted"]
        > value["finder_tile_base_rate_boosted"]
    )
    assert report["encoder_minus_finder_tile_pr_auc_boosted"]["lo"] > 0
    assert 0 < value["encoder_share_of_way_to_limit_tile_pr_auc_boosted"] < 1
    assert value["encoder_minus_finder_cluster_area_gt20"] > 0
    assert value["encoder_redshift_scatter"] == pytest.approx(0.01 / 1.4, rel=0.4)
    assert value["encoder_richness_scatter"] == pytest.approx(0.15, rel=0.4)
    assert value["encoder_richness_slope"] == pytest.approx(1, abs=0.15)
    assert value["area_deg2"] == pytest.approx(60 * (1280 * 0.263 / 3600) ** 2)
    whole = report[
        "encoder_cluster_completeness_richness_gt30_whole"
    ]  # hardly a cluster lies whole in so small a field
    assert whole["n"] <= 1 and whole["baseline"] == "finder_cluster_completeness_richness_gt30_whole"
    assert report["encoder_cluster_purity"]["baseline"] == "finder_cluster_purity"
    assert "one training" in report["encoder_cluster_purity"]["note"]
    assert set(arrays["bins_method"]) == {"encoder", "finder", "combined", "limit"}
    assert {"encoder_natural_recall", "trade_per_deg2", "matches_redshift_true"} <= set(arrays)
    cells = selection[selection.method == "encoder"]
    assert cells[cells.richness_low >= 20].p_found.mean() > cells[cells.richness_low < 20].p_found.mean() + 0.2
    assert (cells.p_low <= cells.p_found).all() and (cells.p_found <= cells.p_high).all()
    assert fields_scored(*made_up, "again")[0] == report


def test_the_spread_of_trainings_is_in_every_score_of_the_encoder(made_up):
    folder, paths = made_up
    worse = str(folder / "worse.dat")
    write_catalog(worse, read_catalog(paths["detections_test"][4]).iloc[::2])
    lists = [*paths["detections_test"][:4], worse, paths["detections_test"][5]]
    one, both = fields_scored(*made_up)[0], fields_scored(folder, paths | {"detections_test": lists}, "two", 2)[0]
    key = "encoder_cluster_completeness_richness_gt30"
    assert both["n_trainings"]["value"] == 2 and "2 trainings" in both[key]["note"]
    assert both[key]["value"] < one[key]["value"] - 0.1
    assert both[key]["hi"] - both[key]["lo"] > 1.5 * (one[key]["hi"] - one[key]["lo"])
    assert "2 trainings" in both["encoder_minus_finder_cluster_area_gt20"]["note"]
    assert both["finder_cluster_purity"] == one["finder_cluster_purity"]


def test_score_fields_without_any_detection(made_up):
    folder, paths = made_up
    empty = str(folder / "none.dat")
    write_catalog(empty, read_catalog(paths["detections_test"][2]).iloc[:0])
    none = {name: [*paths[name][:2], empty, *paths[name][3:]] for name in ("detections_test", "detections_calibration")}
    report = fields_scored(folder, paths | none, "none")[0]
    assert report["encoder_cluster_completeness_richness_gt30"]["value"] == 0.0
    assert report["encoder_cluster_area_gt20"]["value"] == 0.0
    assert report["encoder_cluster_purity"]["value"] is None and report["encoder_redshift_scatter"]["value"] is None


def best_training(folder) -> str:
    """The second training is at work: its cuts count."""
    write_json(str(folder / "best.json"), {"training": 1})
    return str(folder / "best.json")


@pytest.fixture(scope="module")
def simulated_tile(tmp_path_factory):
    """One tile of 40 x 40 cells with 30 clusters, 24 of them detected; the list holds others too."""
    folder, rng = tmp_path_factory.mktemp("tile"), np.random.default_rng(3)
    header = wcs_keywords(0.05, -40.0, 40, 64.0)  # across 0 h
    wcs = tan_wcs(0.05, -40.0, 40, 64.0)
    x, y = rng.uniform(1, 39, 30), rng.uniform(1, 39, 30)
    ra, dec = sky_of_pixel(x, y, wcs)
    near = pd.DataFrame(
        {
            "MEM_MATCH_ID": np.arange(30) + 1,
            "name": "c",
            "RA": ra,
            "dec": dec,
            "redshift": rng.uniform(0.3, 0.6, 30),
            "lambda": rng.uniform(20, 80, 30),
        }
    )
    far = near.assign(MEM_MATCH_ID=near.MEM_MATCH_ID + 100, dec=near.dec + 30)
    catalog = str(folder / "y3.csv.gz")
    pd.concat([near, far]).to_csv(catalog, index=False)
    detections = pd.DataFrame(
        {
            "ra": ra,
            "dec": dec,
            "x": x,
            "y": y,
            "probability": 0.9,
            "redshift": near.redshift,
            "redshift_error": 0.01,
            "richness": near["lambda"],
            "richness_error": 3.0,
        }
    ).iloc[:24]
    write_catalog(str(folder / "a_clusters.dat"), detections)
    probability = rng.uniform(0, 0.2, (40, 40)).astype(np.float32)
    probability[np.floor(y).astype(int), np.floor(x).astype(int)] = 0.9
    probability[0, :] = np.nan
    write_image(str(folder / "a_probability.fits"), probability, header)
    of_cells = probability.reshape(20, 2, 20, 2).max((1, 3))  # NaN in the first row
    write_encoder_tiles(str(folder / "a_cells.fits"), of_cells, (0.05, -40.0), size_px=8, pixel_arcsec=16.0)
    tuned = TUNED
    write_json(str(folder / "fields.json"), {key: {"value": value} for key, value in tuned.items()})
    inputs = {
        "detections": [str(folder / "a_clusters.dat")],
        "probability_maps": [str(folder / "a_probability.fits")],
        "cells": [str(folder / "a_cells.fits")],
        "catalog": [catalog],
        "members": [],
        "fields_metrics": str(folder / "fields.json"),
        "best_training": best_training(folder),
    }
    return folder, inputs


def write_encoder_tiles(path, probability, centre, *, size_px=128, pixel_arcsec=PIXEL):
    """The table of one window's tiles (T, T), the whole of a square image; tiles without a number were not seen."""
    image_size = len(probability) * size_px
    wcs = tan_wcs(*centre, image_size, pixel_arcsec)
    row, column = np.nonzero(np.isfinite(probability))
    ra, dec = sky_of_pixel((column + 0.5) * size_px, (row + 0.5) * size_px, wcs)
    place = {"x": column * size_px, "y": row * size_px, "size_px": size_px, "ra": ra, "dec": dec}
    frame = pd.DataFrame(place | {"probability": probability[row, column]})
    write_table(path, frame, header=wcs_keywords(*centre, image_size, pixel_arcsec))


def sky_scored(folder, inputs):
    outputs = {
        name: str(folder / f"sky.{end}") for name, end in (("metrics", "json"), ("curves", "npz"), ("matches", "dat"))
    }
    score_redmapper(**inputs, **outputs, n_shuffles=5, min_membership_probability=0.5, **SHARED)
    return read_json(outputs["metrics"]), read_arrays(outputs["curves"]), read_catalog(outputs["matches"])


def test_score_redmapper(simulated_tile):
    report, arrays, matches = sky_scored(*simulated_tile)
    assert report["redmapper_cluster_completeness_richness_gt20"]["value"] == pytest.approx(24 / 30)
    assert report["redmapper_cluster_purity"]["value"] == 1.0
    assert report["redmapper_n_clusters"]["value"] == 30
    assert report["redmapper_chance_cluster_completeness_richness_gt20"]["value"] < 0.4
    assert report["redmapper_area_deg2"]["value"] == pytest.approx(39 * 40 * (64 / 3600) ** 2, rel=1e-3)
    assert report["redmapper_disc_tile_pr_auc"]["value"] > report["redmapper_disc_tile_base_rate"]["value"]
    assert report["redmapper_disc_tile_base_rate"]["n"] == 19 * 20
    assert "no member list" in report["redmapper_disc_tile_f1"]["note"]
    assert not [key for key in report if key.startswith("redmapper_tile_")]
    assert matches.status.value_counts().to_dict() == {"matched": 24, "missed": 6}
    assert arrays["tiles_n_found"].tolist() == [24] and arrays["tiles_n_clusters"].tolist() == [30]


def tiles_with_members(x, y, p_mem, n=20, size_px=128):
    """Whether each tile of one window holds a member, from pixels alone: sums of ln(1 - p) in a histogram."""
    with np.errstate(divide="ignore"):
        ln_absent = np.log1p(-np.asarray(p_mem, float))
    edges = np.arange(n + 1) * size_px
    rows, columns = (np.digitize(value, edges) - 1 for value in (y, x))
    inside = (rows >= 0) & (rows < n) & (columns >= 0) & (columns < n)
    total = np.zeros((n, n))
    np.add.at(total, (rows[inside], columns[inside]), ln_absent[inside])
    return 1 - np.exp(total) >= 0.5


def perfect_inputs(folder, name, centre, clusters, members, truth, tuned):
    """Files of a survey tile of 20 x 20 encoder tiles whose probability is the truth; every cluster detected."""
    path = {part: str(folder / f"{name}_{part}") for part in ("probability.fits", "cells.fits", "clusters.dat")}
    write_image(path["probability.fits"], np.full((40, 40), 0.1), wcs_keywords(*centre, 40, 64 * PIXEL))
    write_encoder_tiles(path["cells.fits"], truth.astype(float), centre)
    found = clusters.assign(probability=0.9, redshift_error=0.01, richness_error=3.0, x=0.0, y=0.0)
    write_catalog(path["clusters.dat"], found.drop(columns="cluster_id"))
    write_json(str(folder / "fields.json"), {key: {"value": value} for key, value in tuned.items()})
    return {
        "detections": [path["clusters.dat"]], "probability_maps": [path["probability.fits"]],
        "cells": [path["cells.fits"]], "members": members, "fields_metrics": str(folder / "fields.json"),
        "best_training": best_training(folder),
    }  # fmt: skip


@pytest.fixture(scope="module")
def perfect_tile(tmp_path_factory):
    """Eight clusters whose members lie within R_lambda, a tile of 2560 px, and a map that is their truth."""
    folder, rng = tmp_path_factory.mktemp("perfect"), np.random.default_rng(11)
    centre = (0.02, -52.0)  # across 0 h
    wcs = tan_wcs(*centre, 2560, PIXEL)
    x, y, redshift, richness = (rng.uniform(*span, 4) for span in ((0, 2560), (0, 2560), (0.3, 0.6), (20, 60)))
    radius_px = richness_radius_mpc(richness) * match_radius_arcsec(redshift, 1.0) / PIXEL
    of = np.repeat(np.arange(4), richness.astype(int))
    distance, angle = radius_px[of] * rng.random(len(of)), rng.uniform(0, 2 * np.pi, len(of))
    member_x, member_y = x[of] + distance * np.cos(angle), y[of] + distance * np.sin(angle)
    inside = (member_x > 0) & (member_x < 2560) & (member_y > 0) & (member_y < 2560)
    ra, dec = sky_of_pixel(x, y, wcs)
    clusters = pd.DataFrame({"cluster_id": np.arange(4) + 1, "ra": ra, "dec": dec})
    clusters = clusters.assign(redshift=redshift, richness=richness)
    ra, dec = sky_of_pixel(member_x[inside], member_y[inside], wcs)
    members = pd.DataFrame({"cluster_id": of[inside] + 1, "ra": ra, "dec": dec, "p_mem": 1.0})
    write_catalog(str(folder / "truth.dat"), clusters)
    write_catalog(str(folder / "members.dat"), members)
    truth = tiles_with_members(member_x, member_y, np.ones(len(of)))
    tuned = TUNED
    inputs = perfect_inputs(folder, "a", centre, clusters, [str(folder / "members.dat")], truth, tuned)
    return folder, inputs | {"catalog": [str(folder / "truth.dat")]}, truth


def test_a_perfect_map_of_members_scores_one_and_without_members_does_not(perfect_tile):
    folder, inputs, truth = perfect_tile
    report, arrays, _ = sky_scored(folder, inputs)
    value = {key: entry["value"] for key, entry in report.items()}
    for score in ("f1", "precision", "recall", "accuracy", "pr_auc", "f1_tuned"):
        assert value[f"redmapper_tile_{score}"] == pytest.approx(1.0, abs=1e-5), score
    assert value["redmapper_tile_ece"] == 0.0 and report["redmapper_tile_ece"]["hi"] == 0.0
    assert value["redmapper_tile_base_rate"] == pytest.approx(truth.mean())
    assert report["redmapper_tile_f1"]["n"] == 400 and "holds a member" in report["redmapper_tile_f1"]["note"]
    assert not [key for key in report if "disc" in key]
    report, _, _ = sky_scored(folder, inputs | {"members": []})
    value = {key: entry["value"] for key, entry in report.items()}
    assert value["redmapper_disc_tile_f1"] < 0.7 and value["redmapper_disc_tile_ece"] > 0.2
    assert not [key for key in report if key.startswith("redmapper_tile_")]


def test_a_map_shifted_by_one_tile_or_with_rows_for_columns_is_not_perfect(perfect_tile):
    folder, inputs, truth = perfect_tile
    for name, wrong in (("shifted", np.roll(truth, 1, axis=1)), ("turned", truth.T), ("flipped", truth[::-1])):
        path = str(folder / f"{name}.fits")
        write_encoder_tiles(path, wrong.astype(float), (0.02, -52.0))
        report, _, _ = sky_scored(folder, inputs | {"cells": [path]})
        assert report["redmapper_tile_f1"]["value"] < 0.8, name


def test_members_of_another_sky_are_refused(perfect_tile):
    folder, inputs, _ = perfect_tile
    members = read_catalog(inputs["members"][0])
    write_catalog(str(folder / "north.dat"), members.assign(dec=-members.dec))
    with pytest.raises(ValueError, match=r"none of the \d+ members lies on the observed part .*members_file"):
        sky_scored(folder, inputs | {"members": [str(folder / "north.dat")]})


def test_encoder_tiles_where_survey_tiles_overlap_count_once_and_know_the_members_of_their_own(tmp_path):
    """Two tiles of 2560 px a third of which is common; each was drawn with members of its own."""
    centres, maps, tiles, members = [(10.0, 0.0), (10.0 + 1700 * PIXEL / 3600, 0.0)], [], [], []
    for number, centre in enumerate(centres):
        write_image(str(tmp_path / "p.fits"), np.full((40, 40), 0.1), wcs_keywords(*centre, 40, 64 * PIXEL))
        write_encoder_tiles(str(tmp_path / "c.fits"), np.full((20, 20), float(number)), centre)
        maps.append(read_map(str(tmp_path / "p.fits")))
        tiles.append(read_encoder_tiles(str(tmp_path / "c.fits")))
        ra, dec = sky_of_pixel([1280.0 + 64], [1280.0 + 64], tan_wcs(*centre, 2560, PIXEL))
        members.append(pd.DataFrame({"ra": ra, "dec": dec, "p_mem": 1.0}))
    flat = sky_tiles(maps, tiles, None, members, 0.5)
    area_px = len(flat["truth"]) * 128**2
    assert area_px == pytest.approx(2560 * (2560 + 1700), rel=0.03)
    assert flat["truth"].sum() == 2
    assert flat["truth"][flat["probability"] == 0].sum() == 1
    second = sky_tiles(maps, tiles, None, [members[0][:0], members[1]], 0.5)
    assert second["truth"].sum() == 1
    assert sky_tiles(maps, tiles, None, [members[1], members[1]], 0.5)["truth"].sum() == 1
    together = sky_tiles(maps, tiles, None, [pd.concat(members)], 0.5)
    assert together["truth"].sum() == 2  # one list for all tiles
    assert set(flat["unit"]) == set(range(flat["unit"].max() + 1)) and flat["unit"].max() >= 23


def test_members_of_a_real_table_run_through(mirror, tmp_path):
    """The test members of redMaPPer, SDSS DR8: p_mem of four factors, one cluster."""
    path = str(mirror / "clusters/redmapper/test_cluster_members.fit")
    members = read_members(path)
    centre = (float(members.ra.median()), float(members.dec.median()))
    x, y = pixel_of_sky(members.ra, members.dec, tan_wcs(*centre, 2560, PIXEL))
    truth = tiles_with_members(x, y, members.p_mem)
    assert 3 < truth.sum() < 60
    cluster = pd.DataFrame({"cluster_id": [17551], "ra": centre[:1], "dec": centre[1:], "redshift": 0.4})
    write_catalog(str(tmp_path / "truth.dat"), cluster.assign(richness=members.p_mem.sum()))
    clusters = read_clusters(str(tmp_path / "truth.dat"))[["cluster_id", "ra", "dec", "redshift", "richness"]]
    tuned = TUNED
    inputs = perfect_inputs(tmp_path, "a", centre, clusters, [path], truth, tuned)
    report, _, _ = sky_scored(tmp_path, inputs | {"catalog": [str(tmp_path / "truth.dat")]})
    assert report["redmapper_tile_f1"]["value"] == pytest.approx(1.0, abs=1e-4)
    assert report["redmapper_tile_ece"]["value"] == 0.0


def test_clusters_out_of_the_scored_range_are_not_counted(simulated_tile):
    folder, inputs = simulated_tile
    frame = pd.read_csv(inputs["catalog"][0])
    frame.loc[:4, "redshift"], frame.loc[5:6, "lambda"] = 0.1, 12.0
    frame.to_csv(folder / "wide.csv", index=False)
    report, arrays, _ = sky_scored(folder, inputs | {"catalog": [str(folder / "wide.csv")]})
    assert report["redmapper_n_clusters"]["value"] == 30 - 7 == arrays["tiles_n_clusters"].sum()
    assert report["redmapper_cluster_completeness_richness_gt20"]["n"] == 23


def test_the_figure_counts_what_the_table_counts(simulated_tile):
    """Clusters and detections outside the scored range are drawn and not counted, by the score and by the figure."""
    folder, inputs = simulated_tile
    frame = pd.read_csv(inputs["catalog"][0])
    frame.loc[22:25, "redshift"], frame.loc[26, "lambda"] = 0.7, 12.0  # two of them detected, at another redshift
    frame.to_csv(folder / "wide.csv", index=False)
    detections = read_catalog(inputs["detections"][0])
    ra, dec = sky_of_pixel([3.5, 30.5], [37.5, 2.5], tan_wcs(0.05, -40.0, 40, 64.0))
    false = detections[:2].assign(ra=ra, dec=dec, redshift=[0.4, 0.9])
    write_catalog(str(folder / "more.dat"), pd.concat([detections, false]))
    changed = {"catalog": [str(folder / "wide.csv")], "detections": [str(folder / "more.dat")]}
    report, arrays, matches = sky_scored(folder, inputs | changed)
    write_image(str(folder / "image.fits"), np.zeros((160, 160)), wcs_keywords(0.05, -40.0, 160, 16.0))
    edges = {name: SCORING[name] for name in ("redshift_edges", "richness_edges")}
    places = (str(folder / "image.fits"), "a", changed["catalog"], matches, inputs["probability_maps"])
    truth, detections, frame = placed_objects(*places, **edges)
    assert len(truth) == 30 and truth.counted.sum() == 25
    assert truth.counted.sum() == arrays["tiles_n_clusters"].sum() == report["redmapper_n_clusters"]["value"]
    assert (truth.counted & truth.matched).sum() == arrays["tiles_n_found"].sum() == 22
    n_false = (arrays["tiles_n_detections"] - arrays["tiles_n_matched"]).sum()
    assert (detections.counted & ~detections.matched).sum() == n_false == 3
    assert len(detections) == 26 and frame == {"image_size": 160, "pixel_arcsec": pytest.approx(16.0)}


def test_titles_tell_simulated_from_observed_tiles(tmp_path):
    path, table = str(tmp_path / "truth.dat"), pd.DataFrame({"ra": [1.0]})
    sources = {
        "prior": "simulated sky",
        "clusters of the prior at their natural rate": "simulated sky",
        "downloads/clusters/redmapper/DESy3_redmapper.csv.gz": "simulated: clusters of DES Y3 redMaPPer",
        "DES Y3 clusters of resources/des_y3_clusters.ecsv": "simulated: clusters of DES Y3 redMaPPer",
        "clusters of the list own/spt_sz.fits": "simulated: clusters of spt_sz",
    }
    for source, words in sources.items():
        write_catalog(path, table, {}, {"source": source})
        assert tile_title("DES2333-5215", [path], "simulated") == f"DES2333-5215, {words}"
    assert cluster_label([path]) == "simulated cluster" and cluster_label([]) == "redMaPPer cluster"
    assert tile_title("DES2333-5215", [], "release") == "DES DR2 tile DES2333-5215"
    assert tile_title("DES2333-5215", [], "own/folder") == "DES tile DES2333-5215"


def test_false_detections_of_a_sky_at_the_natural_rate_that_holds_no_cluster(simulated_tile):
    folder, inputs = simulated_tile
    columns = ["cluster_id", "ra", "dec", "redshift", "richness"]
    nothing, nobody = (
        pd.DataFrame(columns=columns, dtype=float),
        pd.DataFrame(columns=columns[:3] + ["p_mem"], dtype=float),
    )
    write_catalog(str(folder / "prior.dat"), nothing.astype({"cluster_id": int}), meta={"from_prior": True})
    write_catalog(str(folder / "nobody.dat"), nobody.astype({"cluster_id": int}), meta={"from_prior": True})
    write_catalog(
        str(folder / "false.dat"), read_catalog(inputs["detections"][0])[:3].assign(probability=[0.9, 0.8, 0.1])
    )
    changed = {"catalog": [str(folder / "prior.dat")], "members": [str(folder / "nobody.dat")]}
    report, arrays, matches = sky_scored(folder, inputs | changed | {"detections": [str(folder / "false.dat")]})
    area = report["natural_sky_area_deg2"]["value"]
    entry = report["natural_sky_cluster_false_per_deg2"]
    assert entry["value"] == pytest.approx(2 / area) and entry["lo"] == pytest.approx(0.71 / area, rel=0.01)
    assert entry["hi"] == pytest.approx(4.64 / area, rel=0.01)  # Gehrels (1986), tables 1 and 2
    assert report["natural_sky_n_clusters"]["value"] == 0 and matches.status.tolist() == ["unmatched"] * 2
    assert report["natural_sky_cluster_completeness_richness_gt20"]["value"] is None
    assert not [key for key in report if key.startswith("redmapper_")]


def test_score_redmapper_with_no_cluster_on_the_tiles(simulated_tile):
    folder, inputs = simulated_tile
    elsewhere = str(folder / "elsewhere.csv")
    frame = pd.read_csv(inputs["catalog"][0])
    frame[frame.MEM_MATCH_ID > 100].to_csv(elsewhere, index=False)
    with pytest.raises(ValueError, match="none of the 30 clusters of .*elsewhere.csv lies in the footprint"):
        sky_scored(folder, inputs | {"catalog": [elsewhere]})


def test_summarise_metrics_merges(made_up, tmp_path):
    folder, paths = made_up
    fields_scored(folder, paths)
    metrics = str(folder / "fields.json")
    write_json(str(tmp_path / "other.json"), {"other": read_json(metrics)["area_deg2"]})
    summarise_metrics([metrics, str(tmp_path / "other.json")], str(tmp_path / "metrics.json"))
    assert set(read_json(str(tmp_path / "metrics.json"))) == {*read_json(metrics), "other"}
    with pytest.raises(ValueError, match="given twice"):
        merge_metrics({"a": read_json(metrics), "b": read_json(metrics)})


def test_summarise_inputs_of_real_files(mirror, tmp_path):
    folder = mirror / "clusters/redmapper"
    members, catalog = str(folder / "test_cluster_members.fit"), str(folder / "DESy3_redmapper.csv.gz")
    summarise_inputs(
        [],
        [members],
        [catalog],
        str(tmp_path / "s.json"),
        str(tmp_path / "m.json"),
        sources={"members.fit": "erykoff/redmapper"},
    )
    record = read_json(str(tmp_path / "s.json"))
    assert record["catalogs"][0]["n_clusters"] == 21_092
    assert record["members"][0]["sum_p_mem"] == pytest.approx(24.26, abs=0.01)
    assert {f["source"] for f in record["files"]} == {"erykoff/redmapper", "unknown"} and len(
        record["files"][0]["sha256"]
    ) == 64
    assert read_json(str(tmp_path / "m.json"))["redmapper_member_sum"]["baseline"] == "redmapper_member_richness"


def test_compare_imports(root, tmp_path):
    out = str(tmp_path / "i.json")
    compare_imports([str(root / "scripts/clusters/summarise_metrics.py")], out, n_repeats=1)
    report = read_json(out)
    assert report["import_seconds_summarise_metrics"]["value"] > 0
    validate_metrics(report, out)


def test_each_simulated_tile_lists_the_clusters_of_its_own_sky():
    """Two tiles that overlap: what the list of one says of the other's sky was not drawn there, and does not count."""
    maps = [map_of(name, np.ones((20, 20)), tan_wcs(ra, 0.0, 20, 36.0)) for name, ra in (("a", 10.0), ("b", 10.18))]
    rows = [(1, 10.0, 0), (2, 10.08, 0), (3, 10.15, 0), (2, 10.08, 1), (3, 10.15, 1), (4, 10.2, 1), (5, 10.4, 1)]
    clusters = pd.DataFrame(rows, columns=["cluster_id", "ra", "listed_by"]).assign(
        dec=0.0, redshift=0.4, richness=30.0
    )
    truth = sky_truth(clusters, maps, "the lists", 1.0)
    inside = truth[truth.inside]
    assert inside.cluster_id.tolist() == [1, 2, 3, 4] and inside.tile.tolist() == [0, 0, 1, 1]
    assert inside.listed_by.tolist() == [0, 0, 1, 1]
