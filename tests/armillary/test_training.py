"""Networks, augmentation, loss and the resumable loop."""

import math
import os
import signal
import time
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch

from armillary import training
from armillary.encoder_data import LABELS, Fields, augmented, dropped_bands, turn_labels
from armillary.encoder_training import TrainingRun, train_together
from armillary.files import read_json
from armillary.interruption import Interrupted
from armillary.networks.sources import N_REDSHIFTS, OUTPUTS
from armillary.tiles import encode_pixels
from armillary.training_log import write_history
from scripts.clusters.summarise_trainings import summarise_trainings


def toy_file(rng: np.random.Generator, n_fields: int) -> dict:
    """Fields of 2 x 2 tiles of 16 px; a tile with a member has a bright source in its middle."""
    member = rng.random((n_fields, 2, 2)) < 0.4
    spot = np.zeros((16, 16))
    spot[6:10, 6:10] = 20
    pixels = rng.normal(size=(n_fields, 2, 32, 32)) + np.kron(member, spot)[:, None]
    single = torch.from_numpy(member)[..., None, None]
    label = {"membership": single, "centre": single, "weight": single.float(), "cluster_redshift": 0.4 * single.float(),
             "ln_richness": 3.4 * single.float(), "centre_offset": 0.5 * torch.ones(n_fields, 2, 2, 1, 2)}  # fmt: skip
    return {"images": torch.from_numpy(encode_pixels(pixels.astype(np.float32), 1.0)), "tile_catalog": label,
            "field": torch.arange(n_fields), "sky_sigma": torch.ones(n_fields, 2)}  # fmt: skip


SETTINGS = training.Settings(
    n_epochs=4, batch_size=4, n_tiles=2, learning_rate=3e-3, weight_decay=0.01, band_drop=0.1, patience=9,
    precision="float32", seed=5,
)  # fmt: skip
NETWORK = {"architecture": "sources", "n_bands": 2, "tile_pixels": 16, "width": 16, "pixel_arcsec": 0.5, "seed": 1}
SPOTS = torch.full((N_REDSHIFTS, 2), 6.0)  # the bright sources are galaxies of about L* at every redshift


def toy_run(folder, rng, fingerprint="a", why_stop=lambda: "", **changes):
    network = training.build_network(**NETWORK)
    network.start_from(SPOTS)
    train, validation = (Fields([toy_file(rng, n)], network) for n in (24, 12))
    return network, training.fit(
        network, train, validation, SETTINGS._replace(**changes), folder=str(folder), device="cpu",
        fingerprint=fingerprint, why_stop=why_stop,
    )  # fmt: skip


@pytest.mark.parametrize("architecture", ["sources", "bliss"])
@pytest.mark.parametrize("tile_pixels", [16, 64])
def test_one_exam_for_all_networks(architecture, tile_pixels, rng):
    """Right shape, finite output with missing pixels and bands, a gradient for every parameter."""
    network = training.build_network(
        architecture, n_bands=4, tile_pixels=tile_pixels, width=16, pixel_arcsec=0.5, seed=0
    )
    images = torch.from_numpy(rng.normal(0, 2, (2, 4, 2 * tile_pixels, 3 * tile_pixels)).astype(np.float32))
    images[0, 1] = torch.nan
    images[1, :, :5] = torch.nan
    out = network([network.prepare(image, torch.ones(4)) for image in images])
    assert out.shape == (2, len(OUTPUTS), 2, 3)
    assert torch.isfinite(out).all()
    out.square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


@pytest.mark.parametrize("architecture", ["sources", "bliss"])
def test_a_turned_field_is_what_a_turned_image_gives(architecture, rng):
    network = training.build_network(architecture, n_bands=2, tile_pixels=16, width=16, pixel_arcsec=0.5, seed=0).eval()
    image, sigma = torch.from_numpy(rng.normal(0, 3, (2, 48, 48)).astype(np.float32)), torch.ones(2)
    for n_quarter_turns, flipped in [(1, False), (2, True), (3, True)]:
        turned = torch.rot90(image, n_quarter_turns, (1, 2))
        turned = turned.flip(2) if flipped else turned
        with torch.no_grad():
            one = network([network.turned(network.prepare(image, sigma), n_quarter_turns, flipped)])
            other = network([network.prepare(turned, sigma)])
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_hidden_bands_reach_no_network(rng):
    for architecture in ("sources", "bliss"):
        network = training.build_network(architecture, n_bands=2, tile_pixels=16, width=16, pixel_arcsec=0.5, seed=0)
        image = torch.from_numpy(rng.normal(0, 3, (2, 32, 32)).astype(np.float32))
        hidden = network.without_bands(network.prepare(image, torch.ones(2)), [1])
        values = hidden if architecture == "bliss" else hidden[0][:, 3:].view(len(hidden[0]), -1, 2).movedim(2, 0)
        assert (torch.isnan(values[1]) | (values[1] == 0)).all()
        assert not (torch.isnan(values[0]) | (values[0] == 0)).all()


@pytest.mark.parametrize("architecture", ["sources", "bliss"])
def test_a_crop_is_what_the_cropped_image_gives(architecture, rng):
    network = training.build_network(architecture, n_bands=2, tile_pixels=16, width=16, pixel_arcsec=0.5, seed=0).eval()
    image = np.zeros((2, 64, 64), np.float32)
    image[:, rng.integers(20, 44, 12), rng.integers(36, 60, 12)] = 30.0  # no source near the edges of the crop
    image, sigma = torch.from_numpy(image), torch.ones(2)
    with torch.no_grad():
        one = network([network.cropped(network.prepare(image, sigma), 1, 2, 2)])
        other = network([network.prepare(image[:, 16:48, 32:64], sigma)])
    torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_augmented_labels_are_those_of_the_crop(rng):
    """A source marks the tile of its centre; whatever crop and turn, the label stays on it."""
    network = training.build_network("sources", n_bands=2, tile_pixels=16, width=16, pixel_arcsec=0.5, seed=0)
    sources = torch.zeros(1, 13)
    sources[0, :2] = torch.tensor([58.0, 20.0])  # tile (1, 3)
    labels = {name: torch.zeros(1, 4, 4, 2 if name == "centre_offset" else 1) for name in LABELS}
    labels["centre"][0, 1, 3] = 1
    seen = 0
    for _ in range(50):
        (kept, shape), cut = augmented(network, (sources, (64, 64)), labels, n_tiles=3, band_drop=0.0, rng=rng)
        assert shape == (48, 48)
        assert cut["centre"].sum() == len(kept)
        for x, y in kept[:, :2].tolist():
            seen += cut["centre"][0, int(y // 16), int(x // 16), 0].item() == 1
    assert 10 < seen < 50


def test_unknown_architecture_is_named():
    with pytest.raises(ValueError, match="architecture is 'resnet'; known: sources, bliss"):
        training.build_network("resnet", n_bands=4, tile_pixels=16, width=16, pixel_arcsec=0.5, seed=0)


@pytest.mark.parametrize("n_quarter_turns", range(4))
@pytest.mark.parametrize("flipped", [False, True])
def test_labels_turn_with_their_pixels(n_quarter_turns, flipped):
    """A bright pixel marks the centre; after any turn it is where tile and offset say."""
    image = torch.zeros(64, 64)
    image[20, 58] = 1.0  # row 20, column 58: tile (1, 3) of 16 px, offset x 10.5/16, y 4.5/16
    centre, offset = torch.zeros(1, 4, 4, 1), torch.zeros(1, 4, 4, 2)
    centre[0, 1, 3] = 1
    offset[0, 1, 3] = torch.tensor([10.5 / 16, 4.5 / 16])
    turned = turn_labels({"centre": centre, "centre_offset": offset}, n_quarter_turns, flipped)
    image = torch.rot90(image, n_quarter_turns, (0, 1))
    image = image.flip(1) if flipped else image
    row, column = np.argwhere(image.numpy() == 1)[0]
    assert turned["centre"][0, row // 16, column // 16, 0] == 1
    x, y = turned["centre_offset"][0, row // 16, column // 16].tolist()
    assert (column // 16 + x) * 16 == pytest.approx(column + 0.5)
    assert (row // 16 + y) * 16 == pytest.approx(row + 0.5)


def test_laplace_likelihood_is_normalised_and_least_at_the_true_spread():
    value = torch.linspace(-60, 60, 240_001, dtype=torch.float64)
    ln_sigma = torch.tensor(0.3, dtype=torch.float64)
    density = torch.exp(-training.laplace_nll(torch.zeros(()), ln_sigma, value)) / 2
    assert torch.trapezoid(density, value).item() == pytest.approx(1, abs=1e-4)
    assert torch.trapezoid(density * value**2, value).item() == pytest.approx(math.exp(0.6), rel=1e-3)


def test_band_drop_never_takes_every_band(rng):
    dropped = [dropped_bands(4, 0.9, rng) for _ in range(200)]
    assert max(len(bands) for bands in dropped) <= 3
    assert np.mean([len(bands) for bands in dropped]) > 2


def test_training_learns_and_the_interrupted_run_ends_the_same(tmp_path):
    """Stopped within the third epoch, stopped again, and killed without warning within the fourth."""
    whole, history = toy_run(tmp_path / "whole", np.random.default_rng(0))
    assert history[-1]["validation_pr_auc"] > 0.9
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    with pytest.raises(Interrupted, match="out of time; stopped in epoch 3 after step 2;"):
        toy_run(tmp_path / "cut", np.random.default_rng(0), why_stop=after_steps(2 * 6 + 2, "out of time"))
    with pytest.raises(Interrupted, match="stopped in epoch 3 after step 3;"):
        toy_run(tmp_path / "cut", np.random.default_rng(0), why_stop=after_steps(1, "out of time"))
    with pytest.raises(KeyboardInterrupt):
        toy_run(tmp_path / "cut", np.random.default_rng(0), why_stop=after_steps(3 + 4, KeyboardInterrupt()))
    resumed, again = toy_run(tmp_path / "cut", np.random.default_rng(0))
    for row, same in zip(history, again, strict=True):
        assert row | {"seconds": 0} == same | {"seconds": 0}
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_trainings_from_three_seeds_differ_and_the_best_is_taken(tmp_path, monkeypatch):
    paths, losses = [], []
    for seed in (5, 1005, 2005):
        monkeypatch.setitem(NETWORK, "seed", seed)
        network, history = toy_run(tmp_path / str(seed), np.random.default_rng(0), seed=seed, n_epochs=2)
        paths.append(str(tmp_path / f"{seed}.ckpt"))
        torch.save(network.state_dict(), paths[-1])
        write_history(paths[-1] + ".csv", training.HISTORY, history)
        losses.append(min(row["validation_loss"] for row in history))
    assert len({path.read_bytes() for path in map(Path, paths)}) == 3
    best, record = str(tmp_path / "best.ckpt"), str(tmp_path / "best.json")
    summarise_trainings(paths, [path + ".csv" for path in paths], best, record)
    assert read_json(record)["training"] == int(np.argmin(losses))
    assert (tmp_path / "best.ckpt").read_bytes() == Path(paths[int(np.argmin(losses))]).read_bytes()


def after_steps(n_steps: int, what):
    """A `why_stop` that gives a reason, or raises it, at the n-th step of a run."""
    asked = []

    def why_stop() -> str:
        asked.append(1)
        if len(asked) < n_steps:
            return ""
        if isinstance(what, BaseException):
            raise what
        return what

    return why_stop


def test_a_long_epoch_is_saved_in_between(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "SAVE_EVERY_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        toy_run(tmp_path, np.random.default_rng(0), why_stop=after_steps(4, KeyboardInterrupt()))
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert (saved["epoch"], len(saved["losses"])) == (0, 3)


def test_other_settings_start_afresh(tmp_path):
    toy_run(tmp_path, np.random.default_rng(0), n_epochs=1)
    _, history = toy_run(tmp_path, np.random.default_rng(0), n_epochs=2, fingerprint="b")
    assert [row["epoch"] for row in history] == [1, 2]


def test_early_stop(tmp_path):
    _, history = toy_run(tmp_path, np.random.default_rng(0), n_epochs=30, learning_rate=0.0, patience=2, band_drop=0.0)
    assert len(history) == 3


def test_two_processes_train_as_one_does(tmp_path, rng):
    """The world is two, each step's gradient is the mean of both shares, and the result is that of one process."""
    paths = []
    for name, n_fields in (("train", 16), ("selection", 8)):
        paths.append(str(tmp_path / f"{name}.pt"))
        torch.save(toy_file(rng, n_fields), paths[-1])
    settings = SETTINGS._replace(n_epochs=2, band_drop=0.0)
    found = {}
    for n_processes in (1, 2):
        run = TrainingRun(
            paths[:1], paths[1:], NETWORK, SPOTS.numpy(), settings, str(tmp_path / f"of_{n_processes}"), "a", None, 60
        )
        network, fields, history = train_together(run, n_processes)
        found[n_processes] = training.evaluate(network, fields["selection"], "cpu", torch.float32)[0]
        assert [row["epoch"] for row in history] == [1, 2]
        assert found[n_processes] == pytest.approx(min(row["validation_loss"] for row in history), rel=1e-4)
    endless = run._replace(folder=str(tmp_path / "cut"), settings=settings._replace(n_epochs=999, patience=999))
    Thread(target=end_this_process_once, args=[tmp_path / "cut/last.ckpt"]).start()
    with pytest.raises(Interrupted, match="asked to end by SIGTERM; stopped in epoch"):
        train_together(endless, 2)
    assert found[2] == pytest.approx(found[1], rel=0.05)  # the parts of the loss are means over each share's members


def end_this_process_once(path) -> None:
    """SIGTERM to this process as soon as there is a file, if that is within a minute."""
    limit = time.monotonic() + 60
    while not path.exists() and time.monotonic() < limit:
        time.sleep(0.05)
    if path.exists():
        os.kill(os.getpid(), signal.SIGTERM)
