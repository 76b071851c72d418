"""The mass maps end to end at test size: products, the WCS, a user's own field, nothing left to do."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from astropy.io import fits
from astropy.wcs import WCS
from running import ROOT, snakemake

from armillary.convergence_skies import MISMATCHES
from armillary.files_maps import read_stack
from armillary.metrics import validate_metrics

RESULTS = ROOT / "results/test/massmap"
METHODS = ("kaiser_squires", "inpainted", "wiener", "cubic", "polynomial", "sparse", "lognormal", "learned", "score")


@pytest.fixture(scope="module")
def results() -> Path:
    """The finished run; only what is missing or outdated is made."""
    done = snakemake("massmap", "--configfile", "config/test.yaml")
    assert done.returncode == 0, done.stderr[-4000:]
    return RESULTS


def test_every_product_is_there(results):
    metrics = json.loads((results / "metrics.json").read_text())
    validate_metrics(metrics, "metrics.json")
    for method in METHODS:
        assert 0 < metrics[f"simulated_{method}_rmse"]["value"] < 0.2
        assert np.isfinite(metrics[f"simulated_{method}_stack_e"]["value"])
    assert metrics["simulated_learned_gain_over_wiener"]["baseline"] == "simulated_wiener_rmse"
    assert 0 < metrics["simulated_score_coverage"]["value"] < 1
    for method in ("wiener", "lognormal", "learned", "score"):
        assert 0 < metrics[f"simulated_{method}_interval"]["value"] < 1
    for kind in MISMATCHES:
        assert np.isfinite(metrics[f"simulated_mismatch_{kind}_learned_gain"]["value"])
        assert 0 < metrics[f"simulated_mismatch_{kind}_lognormal_interval"]["value"] < 1


def test_every_number_of_the_headlines_is_measured(results):
    metrics = json.loads((results / "metrics.json").read_text())
    headlines = yaml.safe_load((ROOT / "config/headlines/massmap.yaml").read_text())["headlines"]
    for one in headlines:
        assert set(one["metrics"]) == {one["method"], *one["baselines"]}
        assert {*one["metrics"].values(), *one["differences"].values()} <= set(metrics)
    for noun in "maps spectra peaks calibration nulls training".split():
        assert (results / f"simulated/figures/{noun}.png").stat().st_size > 10_000


def test_maps_lie_on_the_sky_and_keep_the_contract(results):
    with fits.open(results / "simulated/maps/wiener.fits") as hdus:
        names = [hdu.name for hdu in hdus[1:]]
        wcs, maps = WCS(hdus["KAPPA_E"].header), {hdu.name: hdu.data for hdu in hdus[1:]}
    assert names == ["KAPPA_E", "KAPPA_B", "SD", "MASK", "KAPPA_LOW", "KAPPA_HIGH"]
    assert maps["KAPPA_E"].shape == (48, 49)
    ra, dec = wcs.all_pix2world(49 / 2 - 0.5, 48 / 2 - 0.5, 0)
    assert (ra, dec) == pytest.approx((150.11, 2.24), abs=1e-6)
    assert wcs.all_pix2world(0, 20, 0)[0] > wcs.all_pix2world(40, 20, 0)[0]  # east is left
    mask = maps["MASK"] > 0
    assert abs(maps["KAPPA_E"][mask].mean()) < 1e-6
    assert not maps["KAPPA_E"][~mask].any()
    assert (maps["SD"][mask] > 0).all()
    assert (maps["KAPPA_LOW"][mask] < maps["KAPPA_HIGH"][mask]).all()
    assert read_stack(str(results / "simulated/samples/wiener.h5")).shape == (4, 48, 49)
    assert read_stack(str(results / "simulated/samples/learned.h5")).shape == (0, 48, 49)


def test_a_page_switches_between_the_maps(results):
    page = results.parent / "report/maps_simulated.html"
    done = snakemake("results/test/report/maps_simulated.html", "--configfile", "config/test.yaml")
    assert done.returncode == 0, done.stderr[-4000:]
    html = page.read_text()
    assert html.count('<img class="layer"') == len(METHODS) + 1  # and the truth
    assert html.count("<circle") > 0


def test_no_sky_is_in_two_splits(results):
    skies = np.concatenate(
        [read_stack(str(results / f"simulated/skies_{s}.h5"))[:, 0, 0] for s in ("train", "validation", "test")]
    )
    assert len(np.unique(skies[:, 0])) == len(skies)


def test_second_run_does_nothing(results):
    done = snakemake("massmap", "-n", "--configfile", "config/test.yaml")
    assert "Nothing to be done" in done.stdout + done.stderr


def test_a_field_of_ones_own_by_its_maps(results, tmp_path):
    """Binned maps of the user, as FITS with a WCS, through the first step; and what is said when they are spoiled."""
    rng = np.random.default_rng(0)
    header = fits.getheader(results / "simulated/maps/wiener.fits", 1)
    header.update(CRPIX1=40 / 2 + 0.5, CRPIX2=32 / 2 + 0.5)
    images = {"g1": rng.normal(0, 0.1, (32, 40)), "g2": rng.normal(0, 0.1, (32, 40)), "cov": np.full((32, 40), 0.02)}
    images["g1"][3, 3] = np.nan
    for name, image in images.items():
        fits.writeto(tmp_path / f"{name}.fits", image.astype(np.float32), header)
    config = tmp_path / "own.yaml"
    maps = ", ".join(f"{name}: {tmp_path / name}.fits" for name in images)
    config.write_text(f"massmap: {{run_fields: [own], fields: {{own: {{source: maps, maps: {{{maps}}}}}}}}}\n")
    shear = "results/test/massmap/own/shear.fits"
    done = snakemake(shear, "--configfile", "config/test.yaml", str(config))
    assert done.returncode == 0, done.stderr[-3000:]
    with fits.open(ROOT / shear) as hdus:
        assert hdus["MASK"].data[3, 3] == 0 and hdus["MASK"].data.sum() == 32 * 40 - 1
        assert hdus["SIGMA1"].data[0, 0] == pytest.approx(0.1)
    fits.writeto(tmp_path / "g2.fits", np.zeros((5, 5), np.float32), overwrite=True)
    done = snakemake(shear, "--configfile", "config/test.yaml", str(config))
    assert done.returncode != 0
    assert "its maps differ in shape" in done.stderr
    assert not (ROOT / shear).exists()  # Snakemake takes an old product away before it makes it anew; no half one stays
