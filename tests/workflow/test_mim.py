"""Masked image modelling end to end at test size: products, one's own files, nothing left to do."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from running import ROOT, snakemake

from armillary.files_cutouts import read_cutouts, write_cutouts
from armillary.metrics import validate_metrics

RESULTS = ROOT / "results/test/mim"


@pytest.fixture(scope="module")
def results() -> Path:
    """The finished run; only what is missing or outdated is made."""
    done = snakemake("mim", "mim_label_efficiency", "--configfile", "config/test.yaml")
    assert done.returncode == 0, done.stderr[-4000:]
    return RESULTS


def test_every_product_is_there(results):
    metrics = json.loads((results / "metrics.json").read_text())
    validate_metrics(metrics, "metrics.json")
    assert 0 < metrics["class_mim_60"]["value"] <= 1
    assert metrics["class_mim_over_pca_60"]["baseline"] == "class_pca_60"
    assert metrics["redshift_trees_60_nmad"]["value"] > 0
    assert metrics["similarity_mim_precision"]["baseline"] == "similarity_prevalence"
    assert 0.01 < metrics["data_duplicates"]["value"] < 0.5
    for name in ("missing_band", "class_seeing", "blend_seeing", "faint_arcs"):
        n = 60 if name != "faint_arcs" else 24
        for who in ("mim", "random", "shapes", "photometry_shapes"):
            assert 0 <= metrics[f"{name}_{who}_{n}"]["value"] <= 1
    assert metrics["blend_mim_over_cnn_24"]["baseline"] == "blend_cnn_24"
    assert "best on the pre-training sky" in metrics["similarity_shapes_precision"]["note"]
    for noun in "training reconstructions probes similarity label_efficiency".split():
        assert (results / f"figures/{noun}.png").stat().st_size > 10_000
    for noun in "progress reconstructions".split():
        assert (results / "networks/mae_1" / "work" / f"{noun}.png").stat().st_size > 10_000


def test_every_kind_of_probe_is_scored_on_the_same_objects(results):
    scores = json.loads((results / "label_efficiency.json").read_text())
    validate_metrics(scores, "label_efficiency.json")
    names = "mim mim_neighbours random pca colours photometry trees shapes attentive finetuned cnn".split()
    assert len({scores[f"labels_class_{name}_24"]["n"] for name in names}) == 1
    assert scores["labels_class_all_trees_over_shape_trees_60"]["baseline"] == "labels_class_shape_trees_60"
    assert scores["labels_class_finetuned_over_cnn_24"]["baseline"] == "labels_class_cnn_24"
    assert scores["labels_class_cnn_seconds_24"]["value"] > 0


def test_the_gallery_holds_its_pictures_and_a_browser_shows_it(results, tmp_path):
    done = snakemake("results/test/report/similar.html", "--configfile", "config/test.yaml")
    assert done.returncode == 0, done.stderr[-3000:]
    page = results.parent / "report/similar.html"
    text = page.read_text()
    assert text.count("data:image/jpeg;base64,") == 1 and "src=" not in text and len(text) < 3e6
    alike = json.loads(re.search(r"alike = ({.*?});", text)[1])
    assert set(alike) == {"embedding", "principal components", "photometry"}
    assert all(row not in found for of in alike.values() for row, found in enumerate(of))
    if shutil.which("chromium"):
        command = "chromium --headless --no-sandbox --disable-gpu --enable-logging=stderr --window-size=390,900".split()
        command += [f"--user-data-dir={tmp_path}/profile", f"--screenshot={tmp_path}/page.png", page.as_uri()]
        shown = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert (tmp_path / "page.png").exists() and "CONSOLE" not in shown.stderr, shown.stderr


def test_no_object_of_the_probes_was_seen_in_training(results):
    cells = {}
    for name in ("train", "validation", "probe"):
        with h5py.File(results / f"cutouts/{name}.h5") as stream:
            cells[name] = set(np.floor(stream["ra"][()]).astype(int))
            assert stream["cutouts"].chunks[1:] == stream["cutouts"].shape[1:]
    assert not cells["train"] & cells["probe"] and not cells["train"] & cells["validation"]


def test_files_of_ones_own_are_embedded_and_searched(results, tmp_path):
    cutouts = read_cutouts(str(results / "cutouts/validation.h5")).rows(slice(0, 30))
    write_cutouts(str(tmp_path / "own.h5"), cutouts)
    write_cutouts(str(tmp_path / "query.h5"), cutouts.rows(slice(4, 5)))
    config = tmp_path / "own.yaml"
    config.write_text(
        f"mim: {{embed: {{cutouts: {tmp_path}/own.h5}}, similarity: {{embeddings: results/test/mim/own_embeddings.h5, "
        f"cutouts: {tmp_path}/query.h5, n_wanted: 5}}}}\n"
    )
    done = snakemake("mim_embed", "mim_similarity", "--configfile", "config/test.yaml", str(config))
    assert done.returncode == 0, done.stderr[-3000:]
    found = pd.read_csv(results / "similar.csv")
    assert found["row"][0] == 4 and found["cosine"][0] == pytest.approx(1, abs=1e-3)
    assert (results / "figures/similar.png").stat().st_size > 10_000


def test_shapes_of_ones_own_objects_are_measured_and_searched(results, tmp_path):
    cutouts = read_cutouts(str(results / "cutouts/validation.h5")).rows(slice(0, 60))
    write_cutouts(str(tmp_path / "own.h5"), cutouts)
    write_cutouts(str(tmp_path / "query.h5"), cutouts.rows(slice(4, 5)))
    config = tmp_path / "own.yaml"
    config.write_text(
        f"mim: {{embed: {{cutouts: {tmp_path}/own.h5}}, similarity: {{by: shapes, n_wanted: 5, "
        f"embeddings: results/test/mim/own_shapes.h5, cutouts: {tmp_path}/query.h5}}}}\n"
    )
    done = snakemake("mim_shapes", "mim_similarity", "--configfile", "config/test.yaml", str(config))
    assert done.returncode == 0, done.stderr[-3000:]
    with h5py.File(results / "own_shapes.h5") as stream:
        names = json.loads(stream.attrs["names"])
        assert stream["embedding"].shape == (60, len(names)) and "ellipticity_3.5" in names
    assert pd.read_csv(results / "similar.csv")["row"][0] == 4


def test_second_run_does_nothing(results):
    done = snakemake("mim", "-n", "--configfile", "config/test.yaml")
    assert "Nothing to be done" in done.stdout + done.stderr
