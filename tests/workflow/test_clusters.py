"""The cluster chain end to end at test size: products, re-runs. The first test pays for the run."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import recompute
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from PIL import Image
from running import ROOT, snakemake

from armillary.files import read_arrays, read_catalog
from armillary.metrics import validate_metrics
from armillary.surveys import survey_constants

pytest.importorskip("torch")
from armillary.encoder_data import Fields
from armillary.tiles import read_file_data
from armillary.training import build_network

RESULTS = ROOT / "results/test/clusters"


@pytest.fixture(scope="module")
def results() -> Path:
    """The finished run; only what is missing or outdated is made."""
    done = snakemake("clusters", "--configfile", "config/test.yaml")
    assert done.returncode == 0, done.stderr[-4000:]
    return RESULTS


@pytest.fixture(scope="module")
def copy(results, tmp_path_factory) -> Path:
    """The checkout with its finished run, free to be edited."""
    folder = tmp_path_factory.mktemp("a copy") / "armillary"
    shutil.copytree(ROOT, folder, ignore=left_out, copy_function=copy_if_still_there)
    return folder


def left_out(folder: str, names: list[str]) -> set[str]:
    """What another test may be writing meanwhile, and what is of no use."""
    wanted = {ROOT / ".snakemake": {"metadata"}, ROOT / "results": {"test"}, ROOT / "results/test": {"clusters"}}
    useless = {".venv", ".git", "__pycache__", ".ruff_cache", ".pytest_cache"}
    return set(names) - wanted[Path(folder)] if Path(folder) in wanted else useless & set(names)


def copy_if_still_there(source: str, target: str) -> None:
    """Snakemake renames its records while other tests run it."""
    with contextlib.suppress(FileNotFoundError):
        shutil.copy2(source, target)


def test_every_product_is_there(results):
    metrics = json.loads((results / "metrics.json").read_text())
    validate_metrics(metrics, "metrics.json")
    assert 0 < metrics["finder_tile_base_rate_boosted"]["value"] < 1
    assert metrics["encoder_tile_pr_auc_boosted"]["baseline"] == "finder_tile_pr_auc_boosted"
    for noun in "catalogs render_residuals training field pr_curves completeness selection estimates".split():
        assert (results / f"figures/{noun}.png").stat().st_size > 10_000
    for step in ("render_images_00000", "train_encoder_0", "score_fields"):
        record = json.loads((results / f"provenance/{step}.json").read_text())
        assert record["rule"].startswith("clusters_")
        assert record["settings"]
        assert (results / f"benchmarks/{step}.tsv").exists()


def test_catalogues_have_the_columns_of_the_source_and_units(results):
    table = Table.read(results / "catalogs/galsim_des_00000_000.dat", format="ascii.ecsv")
    columns = "RA DEC X Y MEM FLUX_G FLUX_R FLUX_I FLUX_Z HLR FRACDEV G1 G2 Z SOURCE_TYPE GI_COLOR IZ_COLOR".split()
    assert table.colnames[:17] == columns
    assert str(table["RA"].unit) == "deg"
    assert str(table["HLR"].unit) == "arcsec"


def test_no_cluster_is_in_two_splits(results):
    ids = [set(read_catalog(str(path)).cluster_id) for path in sorted((results / "catalogs").glob("truth_*.dat"))]
    assert sum(len(one) for one in ids) == len(set().union(*ids))


def test_tile_maps_lie_on_the_sky_of_their_tile(results):
    image = next((ROOT / "results/test/clusters/tile_images").glob("DES*/*_g_nobkg.fits.fz"))
    header = fits.getheader(image, 1)
    shown = fits.getheader(results / f"tiles/{image.parent.name}_probability.fits")
    for x, y in [(0.5, 0.5), (0.5, header["NAXIS2"] + 0.5)]:  # corners of the image
        sky = WCS(header).all_pix2world(x, y, 1)
        column, row = WCS(shown).all_world2pix(*sky, 1)
        assert column == pytest.approx(0.5, abs=0.01)
        assert row == pytest.approx(0.5 if y == 0.5 else header["NAXIS2"] / 64 + 0.5, abs=0.01)


def test_residuals_of_the_renderer_are_within_its_promise(results):
    for path in (results / "residuals").glob("*.json"):
        residuals = json.loads(path.read_text())
        assert np.max(residuals["residual_sigma"]) < 0.06
        assert np.max(np.abs(residuals["flux_error"])) < 1e-6


def fields_of(results: Path, step: str, kind: str) -> set[str]:
    """Batches whose files a step read."""
    record = json.loads((results / f"provenance/{step}.json").read_text())
    return set(re.findall(kind + r"_(\d{5})\.", json.dumps(record["inputs"])))


def test_fields_that_choose_calibrate_and_score_are_different_ones(results):
    """Encoder and finder learn, choose and calibrate on the same batches; no other step has them."""
    learned = fields_of(results, "train_encoder_0", "file_data")
    assert learned == fields_of(results, "train_finder", "photometry") == {"00000", "00001", "00002", "00003"}
    maps = {
        split: read_arrays(str(results / f"predictions/encoder_0_{split}.npz")) for split in ("calibration", "test")
    }
    assert set(maps["calibration"]["field"]) == set(
        range(12, 16)
    )  # four fields a batch: two to train on, one to select
    assert set(maps["test"]["field"]) == set(range(16, 24))


@pytest.mark.parametrize("method", ["encoder", "finder", "combined", "limit"])
def test_areas_and_cuts_are_those_of_the_detection_tables(results, method):
    """An independent recomputation from the tables that the run wrote."""
    metrics = json.loads((results / "metrics.json").read_text())
    haloes = pd.concat([read_catalog(str(path)) for path in sorted((results / "catalogs").glob("truth_*.dat"))])
    haloes = haloes.assign(inside=haloes.x.between(0, 768, "left") & haloes.y.between(0, 768, "left"))
    name = f"{method}_0" if method in ("encoder", "combined") else method
    curves = {}
    for split, fields in (("calibration", range(12, 16)), ("test", range(16, 24))):
        detections = read_catalog(str(results / f"detections/{name}_{split}.dat"))
        curves[split] = {
            edge: recompute.curve(detections, haloes[haloes.field.isin(fields)], edge) for edge in (20.0, 30.0)
        }
    for edge, points in curves["test"].items():
        assert metrics[f"{method}_cluster_area_gt{edge:g}"]["value"] == pytest.approx(recompute.area(points), abs=0.002)
    assert metrics[f"{name}_cluster_threshold"]["value"] in recompute.cuts(curves["calibration"][20.0])


def test_every_method_has_maps_at_both_rates_and_a_list(results):
    wanted = [f"{method}_{split}" for method in ("limit", "combined_0") for split in ("calibration", "test")]
    paths = [f"results/test/clusters/predictions/{name}.npz" for name in wanted]
    done = snakemake(*paths, "--configfile", "config/test.yaml")
    assert done.returncode == 0, done.stderr[-3000:]
    for split in ("calibration", "test"):
        for method in ("finder", "limit", "encoder_0", "combined_0"):
            maps = read_arrays(str(results / f"predictions/{method}_{split}.npz"))
            for name in ("probability", "probability_natural"):
                assert maps[name].shape == maps["membership"].shape == (len(maps["field"]), 12, 12)
                assert ((maps[name] >= 0) & (maps[name] <= 1)).all()
            found = read_catalog(str(results / f"detections/{method}_{split}.dat"))
            assert found.columns.tolist() == (
                "field ra dec x y probability redshift redshift_error richness richness_error".split()
            )
            assert set(found.field) <= set(maps["field"]) and (found.probability > 0.02).all()


def test_three_trainings_are_a_target_of_their_own(tmp_path):
    (tmp_path / "new.yaml").write_text(f"pathvars: {{results: {tmp_path}}}\n")
    done = snakemake("clusters_seeds", "-n", "--configfile", "config/test.yaml", str(tmp_path / "new.yaml"))
    assert re.search(r"^clusters_train_encoder +3$", done.stdout + done.stderr, flags=re.M), done.stderr


def planned(folder: Path) -> set[str]:
    """Rules that a dry run would execute."""
    done = snakemake("clusters", "-n", "--configfile", "config/test.yaml", folder=folder)
    assert done.returncode == 0, done.stderr
    rows = (done.stdout + done.stderr).partition("Job stats:")[2].splitlines()
    return {row.split()[0] for row in rows if row.startswith("clusters") and len(row.split()) == 2}


def test_second_run_does_nothing(results):
    assert planned(ROOT) == set()


def test_an_edit_reruns_exactly_what_imports_it(copy):
    assert planned(copy) == set()
    for module in ("armillary/datasets.py", "armillary/kspace.py"):
        (copy / module).touch()
    unrelated = copy / "armillary/datasets.py"
    unrelated.write_text(unrelated.read_text() + "\n# a comment\n")
    assert planned(copy) == set()
    edited = copy / "armillary/skyscores.py"
    edited.write_text(edited.read_text() + "\n# a comment\n")
    downstream = {"clusters_score_redmapper", "clusters_summarise_metrics", "clusters_plot_tile", "clusters"}
    assert planned(copy) == downstream


def test_touch_says_that_an_edit_means_nothing(copy):
    """After the edit above there is much to do; `--touch` does it by saying that it is done, and changes no byte."""
    metrics = copy / "results/test/clusters/metrics.json"
    before = metrics.read_bytes()
    assert planned(copy)
    done = snakemake("clusters", "--touch", "--configfile", "config/test.yaml", folder=copy)
    assert done.returncode == 0, done.stderr
    assert planned(copy) == set()
    assert metrics.read_bytes() == before


def test_a_training_that_was_killed_when_it_ran_again_is_planned(copy):
    """Snakemake removes the encoder of the run before; scores of that one are there still, and must not do."""
    encoder = copy / "results/test/clusters/checkpoints/training_0/encoder.ckpt"
    aside = encoder.rename(encoder.with_suffix(".aside"))
    assert "clusters_train_encoder" in planned(copy)
    aside.rename(encoder)
    assert planned(copy) == set()


def test_a_locked_folder_is_unlocked(copy):
    """A killed Snakemake leaves its lock; the command of profiles/README.md takes it away."""
    (copy / ".snakemake/locks").mkdir(exist_ok=True)
    (copy / ".snakemake/locks/0.output.lock").write_text("results/test/clusters/metrics.json\n")
    ask = [sys.executable, "-m", "snakemake", "clusters", "--cores", "2", "--configfile", "config/test.yaml"]
    refused = subprocess.run(ask, cwd=copy, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert "--unlock" in refused.stderr
    unlock = [*ask[:3], "--unlock", "--profile", "profiles/slurm"]
    done = subprocess.run(unlock, cwd=copy, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    assert not list((copy / ".snakemake/locks").glob("*.lock"))


def test_a_number_in_the_config_reruns_what_reads_it(copy):
    shutil.copy(ROOT / "armillary/skyscores.py", copy / "armillary/skyscores.py")
    config = copy / "config/clusters.yaml"
    config.write_text(config.read_text().replace("outlier_dz: 0.05", "outlier_dz: 0.06", 1))
    rerun = planned(copy)
    assert "clusters_score_fields" in rerun
    assert not rerun & {"clusters_render_images", "clusters_train_encoder", "clusters_infer_fields"}


def test_same_seed_same_bytes(copy):
    shutil.copy(ROOT / "config/clusters.yaml", copy / "config/clusters.yaml")
    names = ["catalogs/galsim_des_00001_002.dat", "catalogs/truth_00001.dat", "file_data/file_data_00001.pt"]
    paths = [copy / "results/test/clusters" / name for name in names]
    before = [path.read_bytes() for path in paths]
    target = "results/test/clusters/file_data/file_data_00001.pt"
    forced = ["--forcerun", "clusters_sample_catalog"]
    done = snakemake(target, *forced, "--configfile", "config/test.yaml", folder=copy)
    assert done.returncode == 0, done.stderr[-3000:]
    assert [path.read_bytes() for path in paths] == before


def test_the_report_is_one_file_that_needs_no_network(results, tmp_path):
    report = tmp_path / "report.html"
    done = snakemake("clusters", "--configfile", "config/test.yaml", "--report", str(report))
    assert done.returncode == 0, done.stderr
    page = report.read_text()
    assert not re.search(r'(src|href)="https?://[^"]+\.(js|css)', page)
    assert "completeness.png" in page


def test_the_notebook_needs_no_workflow(results):
    """Its cells, one after the other, with the encoder that the test run trained."""
    cells = json.loads((ROOT / "resources/first_steps.ipynb").read_text())["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    assert "snakemake" not in code
    told = {
        **os.environ,
        "ARMILLARY_CHECKPOINT": str(results / "checkpoints/best_encoder.ckpt"),
        "PYTHONPATH": str(ROOT),
    }
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=told, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "cluster members" in ran.stdout and "probability" in ran.stdout


@pytest.fixture(scope="module")
def light_report(copy) -> Path:
    """The light report of the cluster chain alone."""
    for folder in (copy / "results/test").iterdir():
        if folder.name != "clusters":
            shutil.rmtree(folder)
    done = snakemake("report", "--configfile", "config/test.yaml", folder=copy)
    assert done.returncode == 0, done.stderr
    return copy / "results/test/report.html"


def test_the_light_report_holds_together(light_report):
    """Every figure and link of every page is a file beside it, nothing comes from the network, numbers are there."""
    pages = [light_report, *sorted((light_report.parent / "report").glob("*.html"))]
    assert [page.stem for page in pages] == ["report", "clusters", "settings", "tile_DES2333-5215"]
    for page in pages:
        html = page.read_text()
        links = [link.partition("#")[0] for link in re.findall(r'(?:src|href)="([^"#][^"]*)"', html)]
        links = [link for link in links if not link.startswith("data:")]
        assert len(links) >= 3 and not [link for link in links if not (page.parent / link).exists()]
        assert "http" not in html
        assert set(re.findall(r'href="#([^"]+)"', html)) <= set(re.findall(r'id="([^"]+)"', html))
    assert "tile PR-AUC" in pages[1].read_text() and "<code>train_encoder: n_epochs</code>" in pages[2].read_text()
    used = sum(path.stat().st_size for path in [*pages, *(light_report.parent / "clusters/figures").glob("*.png")])
    assert used < 15e6


@pytest.mark.skipif(not shutil.which("chromium"), reason="no Chromium here (Debian package chromium)")
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_shows_the_light_report_without_complaint(light_report, tmp_path, width):
    for page in (
        light_report,
        light_report.parent / "report/clusters.html",
        light_report.parent / "report/settings.html",
    ):
        picture = tmp_path / f"{page.stem}.png"
        command = [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--enable-logging=stderr",
        ]
        command += [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},1600", f"--screenshot={picture}"]
        shown = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=120)
        assert picture.exists(), shown.stderr
        assert "CONSOLE" not in shown.stderr
        pixels = np.asarray(Image.open(picture).convert("L"), dtype=float)
        assert pixels.shape[1] == width and (pixels < 128).mean() > 0.005
        assert (pixels[:, -6:] > 200).mean() > 0.98, "the page is wider than the screen"


def test_a_survey_goes_on_shard_by_shard(results, tmp_path):
    """A shard whose tile does not come fails alone; the others count at once; the next run makes what is missing."""
    source, settings, found = tmp_path / "tiles", tmp_path / "survey.yaml", tmp_path / "results/clusters/survey"
    here, there = "DES2333-5215", "DES2339-5215"
    source.mkdir()
    (source / here).symlink_to(results / "tile_images" / here)
    (tmp_path / "tiles.txt").write_text(f"{here}\n{there}\n")
    shard = {
        "checkpoint": str(results / "checkpoints/best_encoder.ckpt"), "tile_list": str(tmp_path / "tiles.txt"),
        "source": str(source), "n_tiles_per_shard": 1, "max_failed_tiles": 0,
    }  # fmt: skip
    settings.write_text(
        json.dumps({"pathvars": {"results": str(tmp_path / "results")}, "clusters": {"infer_shard": shard}})
    )
    files = ["--configfile", "config/test.yaml", "config/survey.yaml", str(settings)]
    done = snakemake("clusters_survey", "--keep-going", *files)
    assert done.returncode != 0
    assert f"1 tiles failed (clusters: infer_shard: max_failed_tiles), first {{'{there}': " in done.stdout + done.stderr
    done = snakemake(f"{found}/so_far/clusters.dat", *files)
    assert done.returncode == 0, done.stderr[-3000:]
    assert read_catalog(str(found / "so_far/footprint.dat")).tile.tolist() == [here]
    (source / there).mkdir()
    for image in (source / here).glob("*.fz"):
        (source / there / image.name.replace(here, there)).symlink_to(image)
    done = snakemake("clusters_survey", *files)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("rule clusters_infer_shard:") == 1
    footprint = read_catalog(str(found / "all/footprint.dat"))
    assert footprint.tile.tolist() == [here, there]
    assert (footprint.seconds > 0).all()
    assert snakemake("clusters_survey", "-n", *files).stdout.count("rule clusters_infer_shard:") == 0


@pytest.mark.parametrize("survey", ["hsc", "lsst"])
def test_another_survey_is_one_word_of_the_config(survey, tmp_path):
    """A field of it is sampled, rendered and tiled, and the encoder finds the sources of its catalogue at its depth."""
    settings = {"survey": survey, "nfiles": 8, "n_catalogs_per_file": 1, "render_images": {"n_compared": 2}}
    (tmp_path / "survey.yaml").write_text(json.dumps({"pathvars": {"results": str(tmp_path)}, "clusters": settings}))
    path = tmp_path / "clusters/file_data/file_data_00000.pt"
    done = snakemake(str(path), "--configfile", "config/test.yaml", str(tmp_path / "survey.yaml"))
    assert done.returncode == 0, done.stderr[-3000:]
    data, constants = read_file_data(str(path)), survey_constants(survey)
    assert data["pixel_arcsec"] == constants.pixel_arcsec
    depth = [constants.sky_sigma[band] / data["bin_factor"] for band in data["bands"]]
    assert data["sky_sigma"][0].tolist() == pytest.approx(depth, rel=0.4)  # faint sources add to it
    network = build_network("sources", n_bands=4, tile_pixels=32, width=16, pixel_arcsec=0.4, seed=0)
    (sources, shape), labels = Fields([data], network).field(0)
    assert shape == (384, 384) and labels["membership"].shape == (1, 12, 12, 1)
    table = read_catalog(str(tmp_path / f"clusters/catalogs/galsim_{survey}_00000_000.dat"))
    bright = table[table.FLUX_I > 10 ** (0.4 * (30 - 21))]
    apart = np.hypot(*(sources[None, :, k].numpy() - bright[[name]].to_numpy() / 2 for k, name in enumerate("XY")))
    assert len(bright) > 10
    assert (apart.min(1) < 2).mean() > 0.95
