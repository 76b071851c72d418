"""Cherenkov light by closed forms, drawn rings, the real layouts, and what the methods find."""

import json

import h5py
import numpy as np
import pytest

from armillary.challenges import cherenkov, rings, rings_models
from armillary.figures import challenge_rings
from armillary.figures.style import page
from armillary.files_challenges import write_png

SETTINGS = {
    "n_counting": 120, "n_counting_train": 80, "n_regression": 80, "n_detector": 100, "energy_mev": [200, 500],
    "train_share": 0.6, "validation_share": 0.1, "n_epochs": 1, "batch_size": 32, "learning_rate": 1e-3,
    "n_generator_epochs": 1, "n_detector_epochs": 1, "curve_sizes": [40], "n_resamples": 20,
}  # fmt: skip


def test_light_leaves_on_its_cone():
    rng = np.random.default_rng(0)
    assert np.degrees(cherenkov.cherenkov_angle(1.0)) == pytest.approx(41.25, abs=0.01)
    assert cherenkov.cherenkov_angle(0.75) == 0  # below the threshold
    axis = np.array([0.0, 0.6, 0.8])
    start, towards, _ = cherenkov.muon_photons(np.zeros(3), axis, 400.0, rng)
    assert np.linalg.norm(towards, axis=1) == pytest.approx(1)
    angle = np.degrees(np.arccos(towards @ axis))
    assert len(start) == pytest.approx(4 * 400, rel=0.1) and angle.max() < 60
    assert np.linalg.norm(start, axis=1).max() <= 400 / 200 + 1e-9  # 2 MeV/cm
    shower = cherenkov.shower_photons(np.zeros(3), axis, 400.0, rng)[1] @ axis
    assert np.std(np.arccos(np.clip(shower, -1, 1))) > 2 * np.std(np.radians(angle))  # fuzzier than a muon


def test_the_photons_of_a_pion_keep_its_energy_and_mass():
    gammas = cherenkov.pion_gammas(400.0, np.array([0.0, 0.0, 1.0]), np.random.default_rng(3))
    energy = np.array([e for e, _ in gammas])
    momentum = sum(e * towards for e, towards in gammas)
    assert energy.sum() == pytest.approx(400)
    assert np.sqrt(energy.sum() ** 2 - momentum @ momentum) == pytest.approx(134.98, abs=0.01)
    assert momentum[:2] == pytest.approx(0, abs=1e-9)


def test_light_reaches_the_module_it_points_at():
    """From the middle along +x: azimuth 0, the border of columns 19 and 20; with nothing else but dark noise."""
    towards = np.tile([1.0, 1e-3, 1e-3], (500, 1))
    image = cherenkov.event_image(np.zeros((500, 3)), towards, np.zeros(500), np.random.default_rng(0))
    charge = np.expm1(image[0])
    assert np.unravel_index(charge.argmax(), charge.shape) == (8, 20)
    assert charge[8, 20] > 0.9 * 500 * np.exp(-3.7 / 90) and charge.sum() - charge[8, 20] < 60


def test_rings_are_where_their_labels_say():
    labels = np.array([[9.0, 17.0, 5.0, 0.5, 0.0]])
    image = rings.draw_rings(np.repeat(labels, 3, 0), np.random.default_rng(0))[0].astype(float)
    y, x = np.mgrid[:28, :28] + 0.5
    assert [np.average(axis, weights=image) for axis in (x, y)] == pytest.approx([9, 17], abs=0.1)
    assert np.average(np.hypot(x - 9, y - 17), weights=image) == pytest.approx(5, abs=0.2)
    drawn = rings.draw_labels(500, 4, (0.2, 1.5), (0.5, 3.0), np.random.default_rng(1))
    assert (drawn[:, 2] >= 4).all() and (drawn[:, :2] - drawn[:, 2:3] >= 2).all()


def test_components_that_are_not_whitened_and_see_turns_count_better():
    """Noise components blown up to the spread of the others spoil the distances that support vectors go by."""
    data = rings.sample_counts(900, 2, np.random.default_rng(0))
    data["count_split"] = np.repeat([0, 1, 2], [300, 100, 500]).astype(np.int8)
    settings = SETTINGS | {"n_counting_train": 300}
    share = {}
    for name in ("pca_svm_whitened_two", "pca_svm_unturned_two", "pca_svm_two"):
        found = rings_models.train(name, data, settings, 0)
        share[name] = np.mean(found["guess"] == found["truth"])
    assert share["pca_svm_two"] >= share["pca_svm_unturned_two"] - 0.01 > share["pca_svm_whitened_two"]
    assert len({one.tobytes() for one in rings_models.eight_turns(data["count_images"][:1])}) == 8


@pytest.fixture
def counting_folder(tmp_path):
    """The school's layout: ring_image_0.png ... and one number a line."""
    images = rings.sample_counts(20, 3, np.random.default_rng(0))
    for number, image in enumerate(images["count_images"]):
        write_png(tmp_path / f"ring_image_{number}.png", image)
    (tmp_path / "labels.txt").write_text("\n".join(map(str, images["count"])) + "\n")
    return tmp_path, images


def test_the_schools_folders_are_read(counting_folder, tmp_path):
    folder, images = counting_folder
    found = rings.read(str(folder), 10)
    assert np.array_equal(found["count_images"], images["count_images"]) and np.array_equal(
        found["count"], images["count"]
    )
    (folder / "labels.txt").unlink()
    ring = {"center": [9, 10], "radius": 5, "thickness": 0.4, "deformation": 1.0}
    (folder / "labels.json").write_text(json.dumps([ring] * 20))
    assert rings.read(str(folder), 10)["ring_labels"][3].tolist() == [9, 10, 5, 0.4, 1.0]


def test_broken_folders_give_one_line(counting_folder):
    folder, _ = counting_folder
    (folder / "ring_image_7.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"ring_image_7.png is not an image"):
        rings.read(str(folder), 10)
    (folder / "ring_image_7.png").unlink()
    with pytest.raises(ValueError, match="19 numbered images for 20 labels"):
        rings.read(str(folder), 10)
    (folder / "labels.txt").write_text("1\ntwo\n")
    with pytest.raises(ValueError, match="one whole number a line"):
        rings.read(str(folder), 10)
    (folder / "labels.txt").unlink()
    (folder / "labels.json").write_text('[{"center": [1, 2], "radius": 3}]')
    with pytest.raises(ValueError, match="missing 'thickness'"):
        rings.read(str(folder), 10)


def write_barrel_file(path, n, shape=(16, 40, 38)):
    """The layout of NUPRISM.h5: charges of 19 tubes, then their times."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as stream:
        stream["event_data"] = rng.uniform(0, 2, (n, *shape)).astype(np.float32)
        stream["labels"] = np.arange(n) % 3
        stream["energies"] = rng.uniform(200, 900, (n, 1))[:, 0]


def test_the_barrel_file_is_read_from_all_its_parts(tmp_path):
    write_barrel_file(tmp_path / "a.h5", 30)
    found = rings.read(str(tmp_path / "a.h5"), 10)
    assert found["events"].shape == (10, 2, 16, 40) and np.isfinite(found["events"]).all()
    assert found["particle"].tolist() == [0] * 10  # every third of the file
    data = rings.sample([str(tmp_path / "a.h5")], SETTINGS | {"n_detector": 30}, 0)
    assert "a.h5" in str(data["source"]) and len(data["count"]) == 120


def test_broken_barrel_files_give_one_line(tmp_path):
    path = tmp_path / "a.h5"
    write_barrel_file(path, 6, (16, 40, 19))
    with pytest.raises(ValueError, match=r"event_data is \(6, 16, 40, 19\)"):
        rings.read(str(path), 6)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match="not an HDF5 file, or is truncated"):
        rings.read(str(path), 6)
    with pytest.raises(ValueError, match="no folder with labels.txt"):
        rings.read(str(tmp_path), 6)


def test_every_variant_runs_is_scored_and_drawn(tmp_path):
    data = rings.sample([], SETTINGS, 0)
    names = [
        "pca_svm_two",
        "pca_svm_whitened_four",
        "pca_svm_four",
        "cnn_four",
        "training_curve",
        "dbscan",
        "regressor",
    ]
    names += ["generator_plain", "generator_vae", "generation_curve", "detector_charge", "detector_boosting"]
    names += ["detector_cnn"]
    found = {name: [rings_models.train(name, data, SETTINGS, 0)] for name in names}
    scores = rings.score([data], found, SETTINGS, np.random.default_rng(0))
    assert scores["generator_plain_diversity"]["value"] == 0  # one image for a set of labels, however often
    assert scores["generator_vae_diversity"]["value"] > 0
    assert scores["generator_vae_of_40_misfit"]["value"] > 0 < scores["generator_vae_centre_px_of_real"]["value"]
    accuracies = [scores[f"{name}_four_accuracy"]["value"] for name in ("cnn", "pca_svm", "pca_svm_whitened")]
    assert scores["cnn_four_gain"]["value"] == pytest.approx(accuracies[0] - accuracies[1])
    assert scores["cnn_four_gain_whitened"]["value"] == pytest.approx(accuracies[0] - accuracies[2])
    assert 0 <= scores["detector_cnn_auc_mu"]["value"] <= 1
    again = rings_models.train("cnn_four", data, SETTINGS, 0)
    assert np.array_equal(again["guess"], found["cnn_four"][0]["guess"])  # same seed, same answer
    metrics = {f"rings_{key}": entry for key, entry in scores.items()}
    for entry in (entry for key, entry in metrics.items() if "_energy_" in key and entry["hi"] is not None):
        entry["hi"] = entry["value"] - 0.01  # resamples of few events may all lie on one side
    for figure in ("examples", "counting", "regression", "generation", "detector"):
        for runs in (found, {}):  # all variants, and none
            with page(str(tmp_path / "figure.png"), 1600, 800) as sheet:
                getattr(challenge_rings, f"draw_{figure}")(sheet, [data], runs, metrics)
            assert (tmp_path / "figure.png").stat().st_size > 3000
