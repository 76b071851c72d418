"""Masked networks: what is hidden stays hidden, the loss counts hidden pixels only, files, resume."""

import numpy as np
import pytest
import torch

from armillary.files_cutouts import open_cutouts, write_cutouts
from armillary.interruption import Interrupted
from armillary.mim_batches import Scale, make_batch, rows_of_step
from armillary.mim_losses import masked_loss
from armillary.mim_networks import Model, build_network, embed, read_model, write_model
from armillary.mim_training import Run, Settings, fit
from armillary.networks.masked_vit import Architecture, draw_hidden, patches, pool_tokens, spread, unpatched
from tests.armillary.test_cutouts import example

OBJECTIVES = ["mae", "simmim"]


def architecture(objective: str = "mae", **changes) -> Architecture:
    return Architecture(objective, "test", 2, 16, 4, 16, 1, False, False)._replace(**changes)


def batch_of(n: int = 5):
    return make_batch(example(n, 16), Scale(["g", "r"], [1.0, 1.0], 27.0, 16))


def test_patches_and_back():
    images = torch.randn(3, 2, 16, 16)
    assert torch.equal(unpatched(patches(images, 4), 2, 4), images)
    hidden = torch.rand(3, 2, 16) < 0.5
    assert torch.equal(patches(spread(hidden, 4).float(), 4)[:, :, 0] > 0, hidden[:, 0])


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("attention_pool", [False, True])
def test_hidden_and_missing_pixels_never_reach_the_network(objective, attention_pool):
    what, batch = architecture(objective, attention_pool=attention_pool), batch_of()
    network = build_network(what, 0).eval()
    rng = np.random.default_rng(0)
    hidden = draw_hidden(what, 5, mask_ratio=0.5, band_drop=0.3, rng=rng)
    unusable = torch.rand(batch.images.shape) < 0.1
    secret = spread(hidden, 4) | unusable
    assert hidden.any() and not hidden.all()
    first = network(batch.images, unusable, hidden)
    other = torch.where(secret, torch.full_like(batch.images, torch.nan), batch.images)
    assert torch.equal(first, network(other, unusable, hidden))
    shown = torch.where(secret, batch.images, batch.images + 1)
    assert not torch.equal(first, network(shown, unusable, hidden))


def test_mae_hides_the_same_share_of_every_image_and_leaves_a_band():
    what = architecture()
    hidden = draw_hidden(what, 200, mask_ratio=0.75, band_drop=0.9, rng=np.random.default_rng(0))
    assert (hidden.all(1).sum(1) == 12).all()
    assert (~hidden.all(2)).any(1).all()  # one band at least has patches to show


@pytest.mark.parametrize("kind", ["mse", "l1"])
@pytest.mark.parametrize("normalize_patches", [False, True])
def test_the_loss_counts_hidden_usable_pixels_only(kind, normalize_patches):
    batch, hidden = batch_of(), torch.zeros(5, 2, 16, dtype=torch.bool)
    hidden[:, 0, :4] = True
    unusable = torch.zeros_like(batch.unusable)
    unusable[:, 0, 0, 0] = True
    settings = {"patch_px": 4, "kind": kind, "softening": 0.2, "normalize_patches": normalize_patches}
    predicted = torch.randn(5, 16, 32)
    value = masked_loss(predicted, batch.images, batch.variance, unusable, hidden, **settings).value
    elsewhere = batch.images.clone()
    elsewhere[:, :, 8:] += 5.0  # visible patches
    elsewhere[:, 0, 0, 0] += 9.0  # hidden but unusable
    assert torch.allclose(value, masked_loss(predicted, elsewhere, batch.variance, unusable, hidden, **settings).value)
    elsewhere[:, 0, 1, 1] += 1.0
    assert not torch.allclose(
        value, masked_loss(predicted, elsewhere, batch.variance, unusable, hidden, **settings).value
    )


@pytest.mark.parametrize("kind", ["mse", "l1"])
def test_a_perfect_prediction_has_the_loss_of_the_noise_floor(kind):
    generator = torch.Generator().manual_seed(0)
    truth, variance = torch.zeros(40, 2, 16, 16), torch.full((40, 2, 16, 16), 0.3)
    images = truth + variance.sqrt() * torch.randn(truth.shape, generator=generator)
    hidden = torch.ones(40, 2, 16, dtype=torch.bool)
    loss = masked_loss(
        patches(truth, 4), images, variance, torch.zeros_like(images, dtype=torch.bool), hidden, patch_px=4, kind=kind,
        softening=0.1, normalize_patches=False,
    )  # fmt: skip
    assert float(loss.value) == pytest.approx(float(loss.floor), rel=0.02)


def test_a_turned_sky_has_turned_tokens_pooled_alike():
    tokens = torch.randn(2, 16, 8)
    turned = torch.rot90(tokens.unflatten(1, (4, 4)), 1, (1, 2)).flatten(1, 2)
    for pooling in ("mean", "max", "mean_centre"):
        assert torch.allclose(pool_tokens(tokens, pooling), pool_tokens(turned, pooling), atol=1e-6)
    assert pool_tokens(tokens, "centre").shape == (2, 32)


def test_another_zero_point_gives_the_same_embedding(tmp_path):
    cutouts, scale = example(6, 16), Scale(["g", "r"], [1.0, 1.0], 27.0, 16)
    model = Model(build_network(architecture(), 0), architecture(), scale, {})
    brighter = cutouts._replace(
        images=cutouts.images * np.float32(10**1.2), variance=cutouts.variance * np.float32(10**2.4),
        facts=cutouts.facts | {"zero_point": 30.0},
    )  # fmt: skip
    values = []
    for name, of in (("a", cutouts), ("b", brighter)):
        write_cutouts(str(tmp_path / f"{name}.h5"), of)
        with open_cutouts(str(tmp_path / f"{name}.h5")) as file:
            values.append(embed(model, file, pooling="mean", device="cpu"))
    np.testing.assert_allclose(*values, atol=1e-4)


def test_a_checkpoint_never_loads_into_another_model(tmp_path):
    path, what = str(tmp_path / "a.ckpt"), architecture()
    scale = Scale(["g", "r"], [1.0, 2.0], 27.0, 16)
    write_model(path, Model(build_network(what, 3), what, scale, {"n_steps": 1}))
    assert read_model(path, {"size": "test"}).scale == scale
    with pytest.raises(ValueError, match="built with size 'test'; the config says 'base'"):
        read_model(path, {"size": "base"})
    (tmp_path / "half.ckpt").write_bytes((tmp_path / "a.ckpt").read_bytes()[:1000])
    with pytest.raises(ValueError, match="not a whole checkpoint"):
        read_model(str(tmp_path / "half.ckpt"))
    torch.save({"weights": {}}, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match="not a masked network"):
        read_model(str(tmp_path / "other.ckpt"))


def test_an_epoch_reads_every_block_once():
    seen = [rows_of_step(step, 103, 10, 1) for step in range(10)]
    starts = sorted(first for first, _ in seen)
    assert np.diff(starts).tolist() == [10] * 9
    assert rows_of_step(0, 5, 10, 1) == (0, 5)


def test_a_killed_training_goes_on_to_the_same_end(tmp_path):
    what, scale = architecture(), Scale(["g", "r"], [1.0, 1.0], 27.0, 16)
    write_cutouts(str(tmp_path / "a.h5"), example(40, 16))
    settings = Settings(
        6, 8, 2, 1e-3, 100.0, 0.2, 0.05, 1.0, 0.5, 0.2, "mse", 0.2, False, True, 0.5, 0.9, 2, 16, "float32", 1
    )

    def trained(folder, why_stop=lambda: ""):
        network = build_network(what, 1)
        with open_cutouts(str(tmp_path / "a.h5")) as train, open_cutouts(str(tmp_path / "a.h5")) as validation:
            run = Run(network, scale, train, validation, str(tmp_path / folder), "same", None)
            history = fit(run, settings, device="cpu", why_stop=why_stop)
        return network.state_dict(), history

    whole, history = trained("whole")
    calls = iter(["", "", "stop"])
    with pytest.raises(Interrupted, match="after step 3"):
        trained("killed", lambda: next(calls))
    resumed, rows = trained("killed")
    assert [row["train_loss"] for row in rows] == [row["train_loss"] for row in history]
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
