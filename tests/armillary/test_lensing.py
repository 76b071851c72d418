"""Lensing against closed forms, a finer grid, an independent code, and CAMB."""

import numpy as np
import pytest

from armillary.cmb_spectra import Instrument
from armillary.files import read_arrays
from armillary.flatsky import ARCMIN, Patch, fourier, mode_count, modes, pixels, square_patch
from armillary.lensed_skies import lensed_box, simulate_patches, sky_model, white_coefficients
from armillary.lensing import at_displaced, deflection, delensed, finer, gradient_template, remapped
from armillary.sky_checks import external_remap, mean_spectra, remap_error

PATCH = square_patch(5.0, 128)


def test_deflection_of_one_wave_is_its_gradient():
    """phi = cos(l y): kappa = l^2 cos(l y) / 2 and alpha_y = -l sin(l y)."""
    l = 2 * np.pi * 3 / (128 * PATCH.pixel_arcmin * ARCMIN)  # noqa: E741
    y = np.arange(128)[:, None] * PATCH.pixel_arcmin * ARCMIN + np.zeros((1, 128))
    alpha = deflection(fourier(0.5 * l**2 * np.cos(l * y)), PATCH)
    np.testing.assert_allclose(alpha.imag, -l * np.sin(l * y), atol=1e-4 * l)
    np.testing.assert_allclose(alpha.real, 0, atol=1e-4 * l)


@pytest.mark.parametrize("patch", [PATCH, Patch(64, 96, 3.0)])
def test_a_constant_shift_by_whole_pixels_rolls_the_map(patch, rng):
    values = rng.standard_normal(patch.shape) + 1j * rng.standard_normal(patch.shape)
    shift = np.full(patch.shape, (2 + 3j) * patch.pixel_arcmin * ARCMIN, np.complex64)
    moved = at_displaced(np.fft.fft2(values), shift, patch)
    np.testing.assert_allclose(moved, np.roll(values, (-3, -2), (0, 1)), atol=2e-3)


def test_no_lensing_changes_nothing(spectra):
    model = sky_model(spectra, PATCH, Instrument(0.0, 0.0), periodic=True)
    sky = lensed_box(model, seed=1, number=0, lensing_amplitude=0.0)
    inside = modes(PATCH).l < 4000
    np.testing.assert_allclose(sky["e_lensed"] * inside, sky["e"] * inside, atol=2e-4 * np.abs(sky["e"]).max())
    assert np.abs(sky["b"]).max() < 1e-4 * np.abs(sky["e"]).max()


def test_the_remap_is_that_of_a_finer_grid_in_double_precision(spectra):
    assert max(remap_error(spectra, PATCH, n_patches=2, seed=1)) < 1e-4


def test_the_remap_agrees_with_an_independent_code(mirror):
    files = sorted(str(path) for path in (mirror / "cmb/cmblensing_fields").iterdir())
    found = external_remap(files)
    assert found["e_error"] < 0.005
    assert found["b_rho"] > 0.9995


def test_mean_spectra_are_those_of_camb(spectra):
    means = mean_spectra(spectra, PATCH, n_boxes=30, edges=[300, 1500, 4000], seed=2)
    np.testing.assert_allclose(means["ee"][0], 1, atol=0.01)
    np.testing.assert_allclose(means["bb"][0], 1, atol=0.015 + means["bb"][1].max())


def test_moving_back_undoes_lensing(spectra):
    model = sky_model(spectra, PATCH, Instrument(0.0, 0.0), periodic=True)
    sky = lensed_box(model, seed=3, number=0)
    from armillary.flatsky import qu_from_eb

    e, b = delensed(*qu_from_eb(sky["e_lensed"], sky["b"], PATCH), sky["k"], PATCH)
    inside = mode_count(PATCH) * (modes(PATCH).l < 2500)
    left = (np.abs(e - sky["e"]) ** 2 * inside).sum() / (np.abs(sky["e_lensed"] - sky["e"]) ** 2 * inside).sum()
    assert left < 0.01
    assert (np.abs(b) ** 2 * inside).sum() < 0.02 * (np.abs(sky["b"]) ** 2 * inside).sum()


def test_the_template_of_lensed_e_is_nearly_all_of_b(spectra):
    model = sky_model(spectra, PATCH, Instrument(0.0, 0.0), periodic=True)
    sky = lensed_box(model, seed=4, number=0)
    inside = mode_count(PATCH) * ((modes(PATCH).l > 100) & (modes(PATCH).l < 2000))

    def rho(x, y):
        xy, xx, yy = (((a * b.conj()).real * inside).sum() for a, b in ((x, y), (x, x), (y, y)))
        return xy / np.sqrt(xx * yy)

    assert rho(gradient_template(sky["e_lensed"], sky["k"], PATCH)[1], sky["b"]) > 0.996
    assert rho(gradient_template(sky["e"], sky["k"], PATCH)[1], sky["b"]) < 0.99
    assert rho(remapped(sky["e"], None, sky["k"], PATCH)[1], sky["b"]) > 0.9999


def test_white_fields_are_white_and_independent(rng):
    patch = Patch(32, 48, 2.0)
    drawn = np.concatenate([white_coefficients(patch, rng)[None] for _ in range(400)])
    power = (np.abs(drawn) ** 2).mean((0, 1))
    assert power.mean() == pytest.approx(1, abs=0.01)
    assert power[:, 0].mean() == pytest.approx(1, abs=0.06)
    assert power[:, -1].mean() == pytest.approx(1, abs=0.06)
    assert abs((drawn[:, 0] * drawn[:, 1].conj()).mean()) < 0.01
    np.testing.assert_allclose(fourier(pixels(drawn[0, 0], patch)), drawn[0, 0], atol=1e-5)


def test_streams_are_independent_and_repeat(spectra):
    quiet, noisy = (sky_model(spectra, PATCH, Instrument(n, 1.0), periodic=False) for n in (0.0, 5.0))
    one = simulate_patches(quiet, 4, seed=7)
    again = simulate_patches(quiet, 4, seed=7)
    loud = simulate_patches(noisy, 4, seed=7)
    other = simulate_patches(quiet, 4, seed=7, split=1)
    np.testing.assert_array_equal(one["q"], again["q"])
    np.testing.assert_array_equal(one["k"], loud["k"])  # noise does not move the sky
    assert (loud["q"] - one["q"]).std() == pytest.approx(5.0 / PATCH.pixel_arcmin, rel=0.02)
    assert abs(np.corrcoef(one["k"].ravel(), other["k"].ravel())[0, 1]) < 0.2
    assert one["box"].tolist() == [0, 0, 0, 0]  # four patches of one sky


def test_a_finer_grid_has_the_same_area():
    for patch in (PATCH, Patch(96, 64, 2.0), Patch(70, 90, 2.0)):
        grid = finer(patch, 1.5)
        assert grid.area == pytest.approx(patch.area)
        assert min(grid.n_y / patch.n_y, grid.n_x / patch.n_x) >= 1.5


def test_stored_maps_say_what_they_are(tmp_path, spectra):
    from armillary.files_cmb import read_facts, read_maps, write_maps

    path = str(tmp_path / "maps.h5")
    write_maps(path, {"q": np.ones((2, 8, 8)), "box": np.arange(2)}, {"noise_uk_arcmin": 1.0})
    assert read_maps(path)["q"].dtype == np.float32
    facts = read_facts(path)
    assert facts["noise_uk_arcmin"] == 1.0
    assert "COSMO" in facts["convention"]
    with pytest.raises(ValueError, match="has no maps k; it holds box, q"):
        read_maps(path, ["k"])
    with pytest.raises(ValueError, match="not an HDF5 file"):
        (tmp_path / "broken.h5").write_bytes(b"no")
        read_maps(str(tmp_path / "broken.h5"))
    with pytest.raises(FileNotFoundError):
        read_arrays(str(tmp_path / "nothing.npz"))
