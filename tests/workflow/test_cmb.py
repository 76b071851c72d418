"""The CMB chain end to end at test size: products, observed maps. The first test pays for the run."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from running import ROOT, snakemake

from armillary.metrics import validate_metrics

RESULTS = ROOT / "results/test/cmb"


@pytest.fixture(scope="module")
def results() -> Path:
    """The finished run; only what is missing or outdated is made."""
    done = snakemake("cmb", "--configfile", "config/test.yaml")
    assert done.returncode == 0, done.stderr[-4000:]
    return RESULTS


def test_every_product_is_there(results):
    metrics = json.loads((results / "metrics.json").read_text())
    validate_metrics(metrics, "metrics.json")
    assert 0 < metrics["patches_k_qe_eb_rho_l400"]["value"] < 1
    assert metrics["patches_k_map_eb_ee_rho_l400"]["baseline"] == "patches_k_iqe_eb_ee_rho_l400"
    assert metrics["patches_k_map_delensed_rho_l400"]["baseline"] == "patches_k_map_eb_ee_rho_l400"
    assert metrics["hybrid_k_vs_k_map_delensed_least"]["n"] == 12
    assert "mean of 2 trainings" in metrics["hybrid_k_rho_l400"]["note"]
    assert "one training" in metrics["test2_b_rho_l400"]["note"]
    assert metrics["hybrid_trainings_off_start"]["n"] == 2
    assert {"patches_k_qe_ee_scaled_recovered_l400", "hybrid_k_other_recovered_l400"} <= set(metrics)
    assert {"patches_k_map_eb_additive_bias_l400", "hybrid_k_multiplicative_bias_l400"} <= set(metrics)
    assert "hybrid_k_unlensed_power_l400" in metrics
    assert {"test2_b_unlensed_power_l400", "decomposition_b_scaled_response_l400"} <= set(metrics)
    assert metrics["test2_b_vs_remap_of_truth_l400"]["value"] < 0
    assert metrics["simulations_remap_error"]["value"] < 1e-3
    for experiment in ("hybrid", "test2", "decomposition"):
        for noun in ("maps", "scores", "spectra", "training"):
            assert (results / f"experiments/{experiment}/figures/{noun}.png").stat().st_size > 10_000


def test_an_untrained_network_raises_the_alarm(results):
    """Two epochs of 12 maps teach nothing: the log of the training and the note of the score both say so."""
    metrics = json.loads((results / "metrics.json").read_text())
    assert metrics["hybrid_trainings_off_start"]["value"] == 0
    assert "ALARM" in metrics["hybrid_trainings_off_start"]["note"]
    assert "ALARM: hybrid has not left its start" in (results / "logs/train_network_hybrid_1.log").read_text()


def test_band_powers_are_a_product(results):
    with h5py.File(results / "scores/band_powers_patches.h5") as stream:
        group = stream["scaled/k_map_eb_ee"]
        assert group["covariance"].shape == (3, 3)
        assert set(group) == {"power", "covariance", "rdn0", "n1", "response", "truth"}
        taken_off = group["power"][()] * group["response"][()] ** 2 + group["rdn0"][()] + group["n1"][()]
        assert np.all(taken_off > 0)


def test_a_run_folder_says_how_to_repeat_it(results):
    command = (results / "experiments/test2/training_1/command").read_text()
    assert "snakemake results/test/cmb/experiments/test2/training_1/network.ckpt" in command
    assert command.strip().endswith("--configfile results/test/cmb/experiments/test2/training_1/config.json")
    settings = json.loads((results / "experiments/test2/training_1/config.json").read_text())["cmb"]
    assert settings["experiments"]["test2"]["lambda"] == 10.0
    done = snakemake(
        "results/test/cmb/experiments/test2/training_1/network.ckpt", "-n", "--configfile", "config/test.yaml",
        "results/test/cmb/experiments/test2/training_1/config.json",
    )  # fmt: skip
    assert "Nothing to be done" in done.stdout + done.stderr


def test_maps_say_their_units_and_conventions(results):
    with h5py.File(results / "maps/patches/test_00000.h5") as stream:
        assert stream["q"].attrs["unit"] == "uK"
        assert stream["k"].attrs["unit"] == ""
        assert "COSMO" in stream.attrs["convention"]
        assert stream.attrs["noise_of"] == "P"
        assert stream["q"].shape == (12, 64, 64)


def test_no_sky_is_in_two_splits(results):
    seen = []
    for path in sorted((results / "maps/patches").glob("*.h5")):
        with h5py.File(path) as stream:
            seen.append(set(stream["box"][()]))
    assert sum(len(one) for one in seen) == len(set().union(*seen))


def test_second_run_does_nothing(results):
    done = snakemake("cmb", "-n", "--configfile", "config/test.yaml")
    assert "Nothing to be done" in done.stdout + done.stderr


def test_all_experiments_of_the_source_are_planned(results):
    done = snakemake("cmb_experiments", "cmb_experiment_test10", "-n", "--configfile", "config/test.yaml")
    assert done.returncode == 0, done.stderr[-2000:]
    for name in [f"test{number}" for number in range(11)] + ["delensing", "decomposition"]:
        assert f"results/test/cmb/experiments/{name}/scores.json" in done.stdout + done.stderr


@pytest.fixture
def observation(results, tmp_path):
    """A file of q, u and the true kappa, cut out of a simulated test sky, and the settings that name it."""
    path = tmp_path / "mine.npz"
    with h5py.File(results / "maps/patches/test_00000.h5") as stream:
        maps = {name: stream[name][0] for name in ("q", "u", "k")}
        pixel = float(stream.attrs["pixel_arcmin"])

    def write(**changes):
        np.savez(path, **(maps | {name: change(maps[name]) for name, change in changes.items()}))
        observed = {
            "file": str(path), "maps": {"q": "q", "u": "u", "k": "k"}, "pixel_arcmin": pixel, "apodization_deg": 0.5,
        }  # fmt: skip
        (tmp_path / "mine.json").write_text(json.dumps({"cmb": {"observed": observed}}))
        return snakemake("cmb_observed", "--configfile", "config/test.yaml", str(tmp_path / "mine.json"))

    return write


def test_observed_maps_are_recovered_and_a_wrong_sign_is_said(observation):
    wrong = observation(u=lambda u: -u)
    assert wrong.returncode != 0
    assert "the maps are in the other convention" in wrong.stdout + wrong.stderr
    broken = observation(q=lambda q: np.where(np.arange(q.size).reshape(q.shape) == 5, np.nan, q))
    assert "q has 1 pixels that are not finite" in broken.stdout + broken.stderr
    done = observation()
    assert done.returncode == 0, done.stderr[-3000:]
    metrics = json.loads((RESULTS / "observed/metrics.json").read_text())
    assert metrics["observed_k_map_eb_ee_rho_l400"]["value"] > 0.4
    with h5py.File(RESULTS / "observed/maps.h5") as stream:
        assert {"k_qe_eb", "k_map_eb_ee", "k_map_delensed", "k_network", "E", "B_pure", "window"} <= set(stream)
    with h5py.File(RESULTS / "observed/band_powers.h5") as stream:
        assert np.all(np.diag(stream["observed/k_map_eb_ee/covariance"][()]) > 0)
        assert np.all(stream["observed/k_map_eb_ee/truth"][()] > 0)
