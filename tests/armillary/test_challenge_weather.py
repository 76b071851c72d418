"""Skies by closed forms, cells where they belong, given pictures in their layouts, nights apart, and every method."""

import bz2

import fitsio
import numpy as np
import pytest
import torch

from armillary.challenges import fisheye, weather, weather_models
from armillary.figures import challenge_weather
from armillary.figures.style import page
from armillary.files_challenges import write_png

SETTINGS = {
    "n_nights": 14, "n_frames": 2, "train_share": 0.6, "validation_share": 0.1, "n_epochs": 1, "n_adapt_steps": 1,
    "n_trees": 5, "batch_size": 8, "learning_rate": 1e-3, "n_resamples": 20,
}  # fmt: skip


def night(rng, **changes):
    return fisheye.sample_night(rng)._replace(**{"moon_phase": 0.0, "blur_px": 0.0, "city": 0.1} | changes)


def test_cells_divide_the_sky():
    assert sorted(np.unique(fisheye.CELLS)) == list(range(-1, 33))
    assert fisheye.CELLS[60, 60] == 0 and fisheye.CELLS[60, 118] in (28, 29)  # to the right is azimuth 0
    assert fisheye.CELLS[61, 1] == 32 and fisheye.CELLS[58, 1] == 25  # to the left it begins and ends
    assert weather.cell_shares().sum((1, 2)) == pytest.approx(1)


def test_turned_pictures_keep_their_cells():
    """The map of cells itself as the picture: after any turn each pixel must be in the cell that its label went to."""
    picture = torch.from_numpy(fisheye.CELLS.astype(np.float32))[None, None]
    for seed in range(12):
        turned, cells = weather_models.mirrored(picture, torch.arange(33)[None], np.random.default_rng(seed))
        moved = cells[0].numpy()[np.maximum(fisheye.CELLS, 0)]
        inside = fisheye.CELLS >= 0
        assert np.mean(turned[0, 0].numpy()[inside] == moved[inside]) > 0.97  # but for pixels on the borders


def test_clear_skies_have_stars_and_thick_clouds_do_not():
    rng = np.random.default_rng(0)
    clear = fisheye.render_frame(night(rng, cover=0.0), 0.0, rng)
    thick = fisheye.render_frame(night(rng, cover=1.0, depth=6.0), 0.0, rng)
    assert clear["cell"].sum() == 0 and thick["cell"].sum() == 33
    images = np.stack([clear["image"], thick["image"]])
    stars = weather.points(weather.relative(images))[:, fisheye.ZENITH < 1.2]
    assert np.mean(stars[0] > 0.1) > 3 * np.mean(stars[1] > 0.1)


def test_the_moon_culminates_and_sets():
    one = night(np.random.default_rng(0), moon_path=(0.3, 1.0, 2.0))
    up = fisheye.moon_direction(one, 2.0)
    assert np.arcsin(up[2]) == pytest.approx(1.0) and np.arctan2(up[1], up[0]) == pytest.approx(0.3)
    assert fisheye.moon_direction(one, 8.0)[2] == pytest.approx(0, abs=1e-9)  # six hours later
    assert np.linalg.norm(fisheye.moon_direction(one, 5.0)) == pytest.approx(1)


def test_clouds_have_the_spectrum_they_are_asked_for():
    field = fisheye.random_field(256, 3.0, np.random.default_rng(0))
    power = np.abs(np.fft.fft2(field)) ** 2
    k = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256))
    bands = [power[(k > low) & (k < 1.3 * low)].mean() for low in (0.02, 0.2)]
    assert np.log10(bands[0] / bands[1]) == pytest.approx(3.0, abs=0.35)


def test_a_night_is_never_on_both_sides():
    data = weather.sample([], SETTINGS, 0)
    for one in np.unique(data["night"]):
        assert len(np.unique(data["split"][data["night"] == one])) == 1
    assert weather.night_of("2023-05-02T03:10", "") == weather.night_of("sky_20230501_2210.png", "") == "2023-05-01"
    with pytest.raises(ValueError, match="no date in its time or name"):
        weather.night_of("frame7.png", "a")


def picture(rng):
    return rng.integers(0, 255, (40, 50)).astype(np.uint8)


def test_folders_of_classes_are_read(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(12):
        folder = tmp_path / ("clear", "cloudy")[number % 2]
        folder.mkdir(exist_ok=True)
        write_png(folder / f"sky_202301{number // 2 + 10:02d}_2200.png", picture(rng))
    data = weather.sample([str(tmp_path)], SETTINGS, 0)
    assert data["images"].shape == (12, 120, 120) and list(data["classes"]) == ["clear", "cloudy"]
    assert "6 nights: 6 clear, 6 cloudy" in str(data["source"]) and (data["cell"] == -1).all()
    found = {name: [weather_models.train(name, data, SETTINGS, 0)] for name in ("stars", "cnn")}
    scores = weather.score([data], found, SETTINGS, np.random.default_rng(0))
    assert 0 <= scores["cnn_frames_balanced_accuracy"]["value"] <= 1 and "cnn_cells_auc" not in scores


def test_a_table_of_fits_files_is_read_and_what_is_broken_is_named(tmp_path):
    rng = np.random.default_rng(0)
    rows = ["file,label,time"]
    for number in range(8):
        name = f"{number}.fits"
        fitsio.write(str(tmp_path / name), picture(rng).astype(np.float32))
        if number % 2:
            (tmp_path / f"{name}.bz2").write_bytes(bz2.compress((tmp_path / name).read_bytes()))
            name += ".bz2"
        rows.append(f"{name},{'ab'[number % 2]},2023-01-{10 + number}T23:00")
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(rows) + "\n")
    assert weather.read_pictures(str(table))["images"].shape == (8, 120, 120)
    (tmp_path / "0.fits").write_bytes(b"SIMPLE")
    with pytest.raises(ValueError, match="0.fits is not a FITS file, or is truncated"):
        weather.read_pictures(str(table))
    table.write_text("name,label\na,b\n")
    with pytest.raises(ValueError, match="needs columns file and label; it has name, label"):
        weather.read_pictures(str(tmp_path))
    table.write_text("file,label\nno.png,b\nno.png,c\n")
    with pytest.raises(FileNotFoundError, match=r"no\.png does not exist"):
        weather.read_pictures(str(tmp_path))


def write_cells(path, n=10, cells=33):
    rng = np.random.default_rng(0)
    image = rng.integers(2300, 9000, (n, 240, 240)).astype(np.uint16)
    np.savez(path, image=image, cloud33=rng.integers(0, 2, (n, cells)).astype(np.uint8))


def test_real_cells_are_read_and_what_is_broken_is_named(tmp_path):
    path = str(tmp_path / "a.npz")
    write_cells(path, cells=32)
    with pytest.raises(ValueError, match=r"cloud33 \(10, 32\)"):
        weather.read_cells(path)
    write_cells(path)
    data = weather.sample([path], SETTINGS, 0)
    assert np.bincount(data["real_block"]).tolist() == [2, 2, 2, 2, 2] and "10 real frames, 330 cells" in str(
        data["source"]
    )


def test_every_variant_runs_is_scored_and_drawn(tmp_path):
    write_cells(tmp_path / "a.npz")
    data = weather.sample([str(tmp_path / "a.npz")], SETTINGS, 0)
    found = {name: [weather_models.train(name, data, SETTINGS, 0)] for name in ("stars", "boosting", "trees", "cnn")}
    scores = weather.score([data], found, SETTINGS, np.random.default_rng(0))
    assert scores["boosting_cells_balanced_accuracy"]["baseline"] == "stars_cells_balanced_accuracy"
    assert 0 <= scores["cnn_real_adapted_accuracy"]["value"] <= 1
    assert scores["trees_real_adapted_accuracy"]["baseline"] == "trees_real_only_accuracy"
    gain = scores["cnn_real_adapted_auc"]["value"] - scores["trees_real_only_auc"]["value"]
    assert scores["cnn_minus_trees_real_only_auc"]["value"] == pytest.approx(gain)
    assert scores["majority_real_accuracy"]["value"] >= 0.5
    for arm in ("real_only", "real_adapted"):
        assert found["cnn"][0][f"{arm}_probability"].min() > 0  # every block was held out once
    again = weather_models.train("cnn", data, SETTINGS, 0)
    assert np.array_equal(again["cell_probability"], found["cnn"][0]["cell_probability"])
    metrics = {f"weather_{key}": entry for key, entry in scores.items()}
    for figure in ("frames", "nights", "real"):
        for runs in (found, {}):
            with page(str(tmp_path / "figure.png"), 1600, 800) as sheet:
                getattr(challenge_weather, f"draw_{figure}")(sheet, [data], runs, metrics)
            assert (tmp_path / "figure.png").stat().st_size > 3000


def test_the_arm_of_real_frames_alone_sees_no_simulation(tmp_path):
    """Other simulated nights, same real frames: the same chances."""
    write_cells(tmp_path / "a.npz")
    data = [weather.sample([str(tmp_path / "a.npz")], SETTINGS, seed) for seed in (0, 1)]
    for name in ("trees", "cnn"):
        runs = [weather_models.train(name, one, SETTINGS, 0) for one in data]
        assert np.allclose(runs[0]["real_only_probability"], runs[1]["real_only_probability"])
        assert not np.allclose(runs[0]["real_adapted_probability"], runs[1]["real_adapted_probability"])


def test_opening_is_for_clear_skies():
    is_clear = np.repeat([True, False], [50, 40])
    chance = np.r_[np.linspace(0.5, 1, 50), np.linspace(0, 0.4, 38), 0.99, 0.98]
    assert weather.opened(is_clear, chance) == 1.0  # two of forty may be opened in
    assert weather.calibration_error(np.full(100, 0.7), np.repeat([0, 1], [30, 70])) == pytest.approx(0)
    assert weather.calibration_error(np.full(100, 0.7), np.zeros(100)) == pytest.approx(0.7)
