"""The scoring steps on made-up predictions: every output is written, in form, and says what was put in."""

import numpy as np
import pandas as pd
import pytest

from armillary.files import (
    read_arrays,
    read_catalog,
    read_json,
    write_arrays,
    write_catalog,
    write_image,
    write_json,
)
from armillary.metrics import merge_metrics, validate_metrics
from armillary.sky import sky_of_pixel, tan_wcs, wcs_keywords
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
    assert value["encoder_cluster_completeness_richness_gt30"] == pytest.approx(0.93, abs=0.08)
    assert value["finder_cluster_completeness_richness_gt30"] < 0.7
    assert report["encoder_minus_finder_cluster_area_gt20"]["lo"] > 0
    assert value["encoder_redshift_scatter"] == pytest.approx(0.01 / 1.4, rel=0.4)
    assert value["encoder_richness_scatter"] == pytest.approx(0.15, rel=0.4)
    assert value["encoder_richness_slope"] == pytest.approx(1, abs=0.15)
    assert value["area_deg2"] == pytest.approx(60 * (1280 * 0.263 / 3600) ** 2)
    whole = report["encoder_cluster_completeness_richness_gt30_whole"]  # no cluster lies whole in so small a field
    assert whole["n"] == 0 and whole["baseline"] == "finder_cluster_completeness_richness_gt30_whole"
    assert report["encoder_cluster_purity"]["baseline"] == "finder_cluster_purity"
    assert "one training" in report["encoder_cluster_purity"]["note"]
    assert set(arrays["bins_method"]) == {"encoder", "finder", "combined", "limit"}
    assert {"encoder_natural_recall", "trade_per_deg2", "matches_redshift_true"} <= set(arrays)
    rich = selection[(selection.method == "encoder") & (selection.richness_low == 30)]
    assert rich.p_found.mean() == pytest.approx(0.93, abs=0.1) and (rich.p_low <= rich.p_found).all()
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
    assert both[key]["hi"] - both[key]["lo"] > 3 * (one[key]["hi"] - one[key]["lo"])
    gain = "encoder_minus_finder_cluster_completeness_gt30_at_purity_80"
    assert both[gain]["hi"] - both[gain]["lo"] > one[gain]["hi"] - one[gain]["lo"]
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


@pytest.fixture(scope="module")
def emulated_tile(tmp_path_factory):
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
    tuned = {"cluster_threshold": 0.5, "tile_threshold": 0.4}
    write_json(str(folder / "fields.json"), {key: {"value": value} for key, value in tuned.items()})
    inputs = {
        "detections": [str(folder / "a_clusters.dat")],
        "probability_maps": [str(folder / "a_probability.fits")],
        "catalog": [catalog],
        "members": [],
        "fields_metrics": str(folder / "fields.json"),
    }
    return folder, inputs


def sky_scored(folder, inputs):
    outputs = {
        name: str(folder / f"sky.{end}") for name, end in (("metrics", "json"), ("curves", "npz"), ("matches", "dat"))
    }
    score_redmapper(**inputs, **outputs, n_shuffles=5, min_membership_probability=0.5, **SHARED)
    return read_json(outputs["metrics"]), read_arrays(outputs["curves"]), read_catalog(outputs["matches"])


def test_score_redmapper(emulated_tile):
    report, arrays, matches = sky_scored(*emulated_tile)
    assert report["redmapper_cluster_completeness_richness_gt20"]["value"] == pytest.approx(24 / 30)
    assert report["redmapper_cluster_purity"]["value"] == 1.0
    assert report["redmapper_n_clusters"]["value"] == 30
    assert report["redmapper_chance_cluster_completeness_richness_gt20"]["value"] < 0.4
    assert report["redmapper_area_deg2"]["value"] == pytest.approx(39 * 40 * (64 / 3600) ** 2, rel=1e-3)
    assert report["redmapper_tile_pr_auc"]["value"] > report["redmapper_tile_base_rate"]["value"]
    assert matches.status.value_counts().to_dict() == {"matched": 24, "missed": 6}
    assert arrays["tiles_n_found"].tolist() == [24] and arrays["tiles_n_clusters"].tolist() == [30]


def test_score_redmapper_with_no_cluster_on_the_tiles(emulated_tile):
    folder, inputs = emulated_tile
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
