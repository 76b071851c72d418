"""The HSC priors end to end at test size: products, numbers, nothing left to do."""

import json
import os
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import running

from armillary.files_hsc import read_posteriors, read_set
from armillary.metrics import validate_metrics
from armillary.stamp_sets import Observations

RESULTS = running.ROOT / "results/test/hsc"
METHODS = [
    "ml", "ml_positive", "monotonic", "bulge_disc", "pca_gaussian", "pca_mixture", "map", "vi", "score", "hmc",
]  # fmt: skip
QUICK = os.environ | {"XLA_FLAGS": "--xla_backend_optimization_level=0"}  # most of the time is compilation
snakemake = partial(running.snakemake, env=QUICK)


@pytest.fixture(scope="module")
def results() -> Path:
    """The finished run; only what is missing or outdated is made."""
    done = snakemake("hsc", "--configfile", "config/test.yaml")
    assert done.returncode == 0, done.stderr[-4000:]
    return RESULTS


def test_every_product_is_there(results):
    metrics = json.loads((results / "metrics.json").read_text())
    validate_metrics(metrics, "metrics.json")
    assert metrics["operator_peak_error_float32"]["value"] < 3e-4
    for method in METHODS:
        assert np.isfinite(metrics[f"inpainting_{method}_psnr_db"]["value"])
    assert metrics["inpainting_hmc_psnr_db_minus_pca_mixture"]["n"] == 4
    assert metrics["inpainting_hmc_gain_over_pca_gaussian"]["baseline"] == "inpainting_pca_gaussian_psnr_db"
    assert metrics["prior_score_loss"]["baseline"] == "prior_gaussian_score_loss"
    for noun in ("prior", "calibration", "galaxies_inpainting"):
        assert (results / f"figures/{noun}.png").stat().st_size > 10_000


def test_three_trainings_of_the_priors_are_scored_together(results):
    """Target hsc_priors: the mean of three trainings, their spread in the errors."""
    done = snakemake("hsc_priors", "--configfile", "config/test.yaml")
    assert done.returncode == 0, done.stderr[-4000:]
    scores = json.loads((results / "scores/score_priors_inpainting.json").read_text())
    validate_metrics(scores, "score_priors_inpainting.json")
    assert "mean of 3 trainings" in scores["inpainting_hmc_psnr_db"]["note"]


def test_posteriors_keep_the_contract(results):
    seen = read_set(str(results / "observations/inpainting.h5"), Observations)
    found = read_posteriors(str(results / "posteriors/inpainting.h5"))
    assert list(found) == METHODS
    hidden = seen.mask > 0
    assert hidden.any() and np.isnan(seen.image[hidden]).all() and (seen.hidden[hidden] != 0).all()
    for method in METHODS:
        assert found[method]["image"].shape == seen.truth.shape
        assert np.isfinite(found[method]["image"]).all()
    assert found["hmc"]["c"].shape[:3] == (len(seen.image), 16, 1)
    assert found["score"]["c"].shape == found["hmc"]["c"].shape and np.isfinite(found["score"]["r_hat"]).all()
    assert (found["hmc"]["n_pixels"] == (~hidden).sum((1, 2))).all()


def test_second_run_does_nothing(results):
    done = snakemake("hsc", "-n", "--configfile", "config/test.yaml")
    assert "Nothing to be done" in done.stdout + done.stderr


@pytest.fixture(scope="module")
def own(results, tmp_path_factory) -> Path:
    """The simulated scenes again, as a user's: cutouts and PSFs laid out as unagi does, and the settings for them."""
    folder = tmp_path_factory.mktemp("own")
    seen = read_set(str(results / "observations/inpainting.h5"), Observations)
    with h5py.File(folder / "cutouts.h5", "w") as cutouts, h5py.File(folder / "psfs.h5", "w") as psfs:
        for number in range(len(seen.image)):
            for plane, values in enumerate((seen.image, seen.mask.astype(np.int32), seen.variance)):
                cutouts[f"{number}/HSC-I/HDU{plane}/DATA"] = values[number]
            psfs[f"{number}/HSC-I/PRIMARY/DATA"] = seen.psf[number]
    planes = {"image": 0, "mask": 1, "variance": 2}
    names = {key: f"{folder}/cutouts.h5:{{object}}/{{band}}/HDU{n}/DATA" for key, n in planes.items()}
    names |= {"psf": f"{folder}/psfs.h5:{{object}}/{{band}}/PRIMARY/DATA", "methods": ["pca_gaussian"]}
    (folder / "own.yaml").write_text(json.dumps({"hsc": {"observed": names}}))
    return folder


def test_own_stamps_have_the_posterior_of_the_same_simulated_ones(results, own):
    done = snakemake("hsc_observed", "--configfile", "config/test.yaml", str(own / "own.yaml"))
    assert done.returncode == 0, done.stderr[-4000:]
    wanted = read_posteriors(str(results / "posteriors/inpainting.h5"))["pca_gaussian"]
    found = read_posteriors(str(results / "posteriors/observed.h5"))["pca_gaussian"]
    assert found["image"] == pytest.approx(wanted["image"], abs=2e-3 * float(wanted["image"].max()))
    table = pd.read_csv(results / "observed/galaxies.csv")
    assert table["object"].tolist() == [0, 1, 2, 3] and (table["flux_error"] > 0).all()
    images = read_posteriors(str(results / "observed/galaxies.h5"))["pca_gaussian"]
    assert images["object"].tolist() == [b"0", b"1", b"2", b"3"]
    samples = images["samples"]
    assert samples.shape == (4, 16, 1, 32, 32)
    assert samples[0].sum((1, 2, 3)).mean() == pytest.approx(table["flux"][0], rel=1e-3)


def test_correlated_noise_makes_errors_larger(results, own):
    """Light of a galaxy is spread over pixels whose noise is alike: less is known of its flux."""
    before = pd.read_csv(results / "observed/galaxies.csv")["flux_error"]
    (own / "alike.yaml").write_text(json.dumps({"hsc": {"observed": {"noise_correlation": 0.2}}}))
    done = snakemake(
        "hsc_observed", "--configfile", "config/test.yaml", *(str(own / f"{n}.yaml") for n in ("own", "alike"))
    )
    assert done.returncode == 0, done.stderr[-4000:]
    after = pd.read_csv(results / "observed/galaxies.csv")["flux_error"]
    assert (after > 1.05 * before).all()


def test_a_bad_psf_is_one_line_and_harms_nothing(results, own):
    before = (results / "observed/galaxies.csv").read_text()
    with h5py.File(own / "psfs.h5", "a") as psfs:
        psfs["2/HSC-I/PRIMARY/DATA"][...] *= 3
    done = snakemake("hsc_observed", "--configfile", "config/test.yaml", str(own / "own.yaml"))
    assert done.returncode != 0
    lines = {line for line in done.stderr.splitlines() if line.startswith("Error in hsc_tile_observed")}
    assert len(lines) == 1 and "2 HSC-I: the PSF sums to 3, not to 1" in lines.pop()
    assert (results / "observed/galaxies.csv").read_text() == before
