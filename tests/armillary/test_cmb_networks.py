"""The networks of the CMB rule set and their training: sizes, shapes, symmetries, resume, losses."""

import math

import numpy as np
import pytest
import torch

from armillary.channels import CHANNELS
from armillary.cmb_losses import spectrum_loss
from armillary.cmb_networks import Architecture, build_discriminator, build_generator, n_parameters
from armillary.cmb_training import Settings, fit
from armillary.flatsky import eb_from_qu, fourier, pixels, square_patch
from armillary.interruption import Interrupted
from armillary.map_sets import MapSet, turned
from armillary.networks.pix2pix import Pix2Pix

WHAT = Architecture(
    architecture="hybrid", n_inputs=2, n_outputs=1, side=64, periodic=True, width=8, kernel_size=4,
    skip_connections=True, residuals=True, generator_dropout=0.0, discriminator_dropout=0.0, generator_bias=True,
    discriminator_bias=True, high_res_len=2,
)  # fmt: skip
SETTINGS = Settings(
    epochs=3, pretraining_epochs=0, batch_size=4, learning_rate=3e-3, discriminator_learning_rate=2e-4, loss="mse",
    lambda_=10.0, discriminator_interval=1, spectra_weight=0.0, augment=True, periodic=True, patience=9,
    precision="float32", seed=3,
)  # fmt: skip


@pytest.mark.parametrize(("n_out", "published"), [(1, 4_873_283), (2, 5_080_198), (3, 5_287_113)])
def test_astroencoder_has_its_published_size(n_out, published):
    what = WHAT._replace(architecture="astroencoder", n_outputs=n_out, side=128)
    network = build_generator(what, seed=0)
    assert n_parameters(network) == published
    if n_out == 3:  # 5,292,367 with the statistics of batch normalisation, Guzman & Meyers (2021)
        statistics = sum(v.numel() for k, v in network.named_buffers() if "running" in k)
        assert published + statistics == 5_292_367


def test_pix2pix_has_its_published_size():
    what = WHAT._replace(
        architecture="pix2pix", side=128, generator_bias=False, discriminator_bias=False, high_res_len=0
    )
    assert n_parameters(build_generator(what, seed=0)) == pytest.approx(41.825e6, rel=1e-4)
    assert n_parameters(build_discriminator(what, seed=0)) == pytest.approx(2.766e6, rel=1e-3)
    colour = Pix2Pix(3, 3, side=256, skip_connections=True, dropout=0.5, use_bias=False, high_res_len=0)
    assert n_parameters(colour) == pytest.approx(54.415e6, rel=1e-4)


@pytest.mark.parametrize("architecture", ["hybrid", "astroencoder", "pix2pix"])
@pytest.mark.parametrize("skip_connections", [True, False])
@pytest.mark.parametrize("high_res_len", [1, 3])
def test_one_exam_for_all_networks(architecture, skip_connections, high_res_len):
    """Right shape, finite, and a gradient for every parameter."""
    what = WHAT._replace(
        architecture=architecture, skip_connections=skip_connections, high_res_len=high_res_len, n_outputs=2,
        residuals=skip_connections, generator_bias=not skip_connections,
    )  # fmt: skip
    network = build_generator(what, seed=0)
    if architecture == "hybrid":  # its last layer starts as zero, which would stop every gradient
        torch.nn.init.ones_(network.head.weight)
    generator = torch.Generator().manual_seed(1)
    out = network(torch.randn(2, 2, 64, 64, generator=generator))
    assert out.shape == (2, 2, 64, 64)
    (out * torch.randn(out.shape, generator=generator)).sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


def test_the_discriminator_judges_squares():
    what = WHAT._replace(side=128)
    logits = build_discriminator(what, seed=0)(torch.zeros(1, 2, 128, 128), torch.zeros(1, 1, 128, 128))
    assert logits.shape == (1, 1, 14, 14)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"architecture": "resnet"}, "known: hybrid, astroencoder, pix2pix"),
        ({"architecture": "pix2pix", "side": 96}, "needs a power of two"),
        ({"side": 48}, "at least 64 px"),
        ({"architecture": "astroencoder", "side": 70}, "a multiple of 4"),
    ],
)
def test_impossible_networks_are_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        build_generator(WHAT._replace(**changes), seed=0)


@pytest.mark.parametrize("n_quarter_turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_turned_sky_is_a_sky(n_quarter_turns, mirrored, rng):
    """E, B made of turned Q, U are the turned E, B: the signs of spin 2 and parity are right."""
    patch = square_patch(5.0, 32)
    q, u = rng.standard_normal((2, 32, 32)).astype(np.float32)
    e, b = (pixels(part, patch) for part in eb_from_qu(fourier(q), fourier(u), patch))
    stack = torch.from_numpy(np.stack([q, u, e, b]))[None]
    assert [CHANNELS[name].symmetry for name in "que"] == ["spin2", "spin2", "even"]
    found = turned(stack, ["q", "u", "e", "b"], n_quarter_turns=n_quarter_turns, mirrored=mirrored)[0].numpy()
    again = [pixels(part, patch) for part in eb_from_qu(fourier(found[0]), fourier(found[1]), patch)]
    # waves at the Nyquist have no sign on the grid: compare below it
    for one, other in zip(again, found[2:], strict=True):
        low = np.s_[1:15, 1:15]
        np.testing.assert_allclose(fourier(one)[low], fourier(other)[low], atol=1e-2)


def toy(rng, n):
    """The target is the product of two smooth fields, which a linear network cannot make."""
    patch = square_patch(5.0, 64)
    white = fourier(rng.standard_normal((2, n, 64, 64)))
    from armillary.flatsky import modes

    smooth = pixels(white * (modes(patch).l < 500), patch)
    smooth = torch.from_numpy((smooth / smooth.std()).astype(np.float32))
    return MapSet(smooth.transpose(0, 1).contiguous(), (smooth[0] * smooth[1])[:, None], ["e", "E_wiener"], ["k"])


def test_training_learns_and_resumes_to_the_same_end(tmp_path, rng):
    train, validation = toy(rng, 32), toy(rng, 8)

    def run(folder, settings, network=None):
        network = network or build_generator(WHAT, seed=1)
        history = fit(network, None, train, validation, settings, folder=str(folder), device="cpu", fingerprint="a")
        return network, history

    whole, history = run(tmp_path / "whole", SETTINGS)
    assert history[-1]["validation_loss"] < 0.9 * history[0]["validation_loss"]

    class KilledError(Exception):
        pass

    from armillary import cmb_training

    kept, calls = cmb_training._announce_epoch, []

    def killed_after_one(row, n_epochs):
        calls.append(row)
        raise KilledError

    cmb_training._announce_epoch = killed_after_one
    try:
        with pytest.raises(KilledError):
            run(tmp_path / "broken", SETTINGS)
    finally:
        cmb_training._announce_epoch = kept
    resumed, again = run(tmp_path / "broken", SETTINGS)
    assert len(calls) == 1
    assert [row["validation_loss"] for row in again] == [row["validation_loss"] for row in history]
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_another_fingerprint_starts_afresh(tmp_path, rng):
    train, validation = toy(rng, 8), toy(rng, 4)
    more = {"folder": str(tmp_path), "device": "cpu"}
    short = SETTINGS._replace(epochs=1)
    fit(build_generator(WHAT, seed=1), None, train, validation, short, fingerprint="a", **more)
    longer = short._replace(epochs=2)
    rows = fit(build_generator(WHAT, seed=1), None, train, validation, longer, fingerprint="b", **more)
    assert len(rows) == 2


def test_adversarial_training_trains_both_after_pretraining(tmp_path, rng):
    train, validation = toy(rng, 8), toy(rng, 4)
    what = WHAT._replace(architecture="pix2pix")
    generator, discriminator = build_generator(what, seed=1), build_discriminator(what, seed=2)
    before = [p.detach().clone() for p in discriminator.parameters()]
    settings = SETTINGS._replace(
        epochs=2, pretraining_epochs=1, spectra_weight=1.0, loss="l1", discriminator_interval=2
    )
    rows = fit(
        generator, discriminator, train, validation, settings, folder=str(tmp_path), device="cpu", fingerprint="a"
    )
    assert math.isnan(rows[0]["discriminator_loss"])
    assert rows[1]["discriminator_loss"] > 0
    assert rows[1]["adversarial_loss"] > 0
    assert any(not torch.equal(p, q) for p, q in zip(before, discriminator.parameters(), strict=True))


def test_spectrum_loss_sees_power_and_no_phases():
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(8, 1, 64, 64, generator=generator)
    assert float(spectrum_loss(maps, maps)) == 0
    assert float(spectrum_loss(maps.flip(2).roll(9, 3), maps)) < 1e-3
    assert float(spectrum_loss(2 * maps, maps)) == pytest.approx(math.log(4), rel=1e-3)


def test_two_processes_train_one_network(tmp_path, rng, monkeypatch):
    """Both leave the same state behind, from which this process takes the network; uses the preparation of raw maps."""
    from armillary.cmb_spectra import Instrument
    from armillary.cmb_training_run import TrainingRun, train_together
    from armillary.estimators import Setting
    from armillary.map_preparation import fit_preparation

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    patch = square_patch(2.5, 64)
    setting = Setting(patch, None, Instrument(1.0, 1.0), None, 20, 2000)
    maps = {name: rng.standard_normal((8, 64, 64)).astype(np.float32) for name in "quk"}
    how = {"normalize_maps": True, "apodize_maps": True, "apodize_targets": False, "noise_fraction": 0.1}
    names = {"inputs": ["q", "u"], "outputs": ["k"], "noise_channels": ["q", "u"]}
    preparation = fit_preparation(maps, setting, start_from_estimates=False, **names, **how)
    settings = SETTINGS._replace(epochs=1)
    run = TrainingRun(maps, maps, setting, preparation, WHAT, False, settings, str(tmp_path), "a", 60)
    network, history = train_together(run, 2, "cpu")
    assert len(history) == 1
    assert all(torch.isfinite(p).all() for p in network.parameters())
    with pytest.raises(ValueError, match="batch_size is 1"):
        train_together(run._replace(settings=settings._replace(batch_size=1)), 2, "cpu")


def test_a_stop_in_the_middle_is_orderly_and_goes_on(tmp_path, rng):
    train, validation = toy(rng, 16), toy(rng, 4)
    more = {"folder": str(tmp_path), "device": "cpu", "fingerprint": "a"}
    reasons = iter([""] * 5 + ["asked to end"])
    with pytest.raises(Interrupted, match="asked to end in epoch 2; the same command goes on"):
        fit(
            build_generator(WHAT, seed=1), None, train, validation, SETTINGS, why_stop=lambda: next(reasons, ""), **more
        )
    assert len(fit(build_generator(WHAT, seed=1), None, train, validation, SETTINGS, **more)) == 3
