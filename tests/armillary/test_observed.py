"""A user's own maps: files, windows, signs, any size."""

import fitsio
import h5py
import numpy as np
import pytest

from armillary.cmb_spectra import Instrument
from armillary.estimators import Setting, estimate, fit_estimators, windowed_truth
from armillary.files_cmb import read_user_maps
from armillary.flatsky import Patch, cosine_taper, fourier, mode_count, modes, square_patch
from armillary.observed_maps import apodised, check_sign, even_sided, simulate_like
from armillary.observed_networks import blend, matched_patch, moved, square_corners


@pytest.mark.parametrize("kind", ["h5", "npz", "fits"])
def test_three_formats_say_the_same(kind, tmp_path, rng):
    path, maps = tmp_path / f"mine.{kind}", dict(zip("qu", rng.standard_normal((2, 40, 60)), strict=True))
    names = {"q": "Q", "u": "U"}
    if kind == "h5":
        with h5py.File(path, "w") as stream:
            stream["Q"], stream["U"] = maps["q"], maps["u"]
    elif kind == "npz":
        np.savez(path, Q=maps["q"], U=maps["u"])
    else:
        fitsio.write(path, maps["q"].astype("f4"))
        fitsio.write(path, maps["u"].astype("f4"))
        names = {"q": 0, "u": 1}
    found = read_user_maps(str(path), names)
    np.testing.assert_allclose(found["u"], maps["u"], atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"U": np.full((40, 60), np.nan)}, "u has 2400 pixels that are not finite"),
        ({"U": np.ones((40, 50))}, r"u is 40 x 50, the first map \(40, 60\)"),
        ({"U": np.ones(40)}, "u has 1 axes"),
    ],
)
def test_bad_maps_are_refused_in_words(changes, said, tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, **({"Q": np.ones((40, 60)), "U": np.ones((40, 60))} | changes))
    with pytest.raises(ValueError, match=said):
        read_user_maps(str(path), {"q": "Q", "u": "U"})


def test_a_missing_map_or_file_is_named(tmp_path):
    np.savez(tmp_path / "mine.npz", Q=np.ones((40, 60)))
    with pytest.raises(ValueError, match="has no map U; it holds Q"):
        read_user_maps(str(tmp_path / "mine.npz"), {"q": "Q", "u": "U"})
    with pytest.raises(FileNotFoundError, match="observed: file"):
        read_user_maps(str(tmp_path / "nothing.npz"), {"q": "Q", "u": "U"})


def test_a_mask_is_apodised_inwards():
    patch = square_patch(5.0, 64)
    mask = np.ones(patch.shape)
    mask[20:30, 40:50] = 0
    window = apodised(patch, mask, 1.0)
    assert window[20:30, 40:50].max() == 0
    assert np.all(window <= cosine_taper(patch, 1.0) + 1e-6)
    assert window[50, 30] > 0.95
    steepest = max(np.abs(np.diff(window, axis=axis)).max() for axis in (0, 1))
    assert steepest < 0.2  # nowhere a step
    with pytest.raises(ValueError, match="leaves no pixel"):
        apodised(patch, 0 * mask, 1.0)


def test_a_masked_rectangle_is_recovered_and_its_sign_checked(spectra):
    patch, instrument = Patch(72, 120, 3.0), Instrument(2.0, 1.0)
    mask = np.ones(patch.shape)
    mask[30:34, 60:64] = 0
    setting = Setting(patch, spectra, instrument, apodised(patch, mask, 0.6), 50, 3000)
    fitted = fit_estimators(setting, simulate_like(setting, 24, seed=1), n_steps=2, n_iterations=3)
    sky = {name: values[0] for name, values in simulate_like(setting, 1, seed=2).items()}
    said = []
    assert check_sign(setting, sky["q"], sky["u"], said.append) < 0.2
    with pytest.raises(ValueError, match="in the other convention"):
        check_sign(setting, sky["q"], -sky["u"], said.append)
    found, truth = fourier(estimate(fitted, sky["q"], sky["u"])["k_map_eb_ee"]), windowed_truth(setting, "k", sky["k"])
    weight = mode_count(patch) * ((modes(patch).l > 100) & (modes(patch).l < 500))
    xt, xx, tt = ((p * weight).sum() for p in ((found * truth.conj()).real, np.abs(found) ** 2, np.abs(truth) ** 2))
    assert xt / np.sqrt(xx * tt) > 0.8


def test_odd_sides_lose_one_row_and_small_maps_are_refused():
    cut = even_sided({"q": np.ones((41, 60)), "u": np.ones((41, 60))})
    assert cut["u"].shape == (40, 60)
    with pytest.raises(ValueError, match="at least 32 a side"):
        even_sided({"q": np.ones((30, 60))})


@pytest.mark.parametrize("shape", [(128, 128), (200, 128), (250, 300)])
def test_squares_cover_any_map_and_blend_to_what_they_were_cut_from(shape, rng):
    values = rng.standard_normal((2, *shape)).astype(np.float32)
    corners = square_corners(shape, 128)
    squares = np.stack([values[:, y : y + 128, x : x + 128] for y, x in corners])
    np.testing.assert_allclose(blend(squares, corners, shape), values, atol=1e-5)


def test_the_training_pixel_scale_is_met():
    trained = square_patch(5.0, 128)
    grid = matched_patch(Patch(300, 400, 2.0), trained)
    assert grid.pixel_arcmin == pytest.approx(trained.pixel_arcmin, rel=0.01)
    assert grid.n_y % 2 == grid.n_x % 2 == 0
    patch = Patch(300, 400, 2.0)
    wave = np.cos(2 * np.pi * 3 * np.arange(400) / 400)[None, None] * np.ones((1, 300, 1))
    there_and_back = moved(moved(wave, patch, grid), grid, patch)
    np.testing.assert_allclose(there_and_back, wave, atol=1e-5)
