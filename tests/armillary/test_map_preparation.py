"""Preparation of network inputs and targets, and the way back."""

import numpy as np
import pytest

from armillary.cmb_spectra import Instrument
from armillary.estimators import Setting, truth_window
from armillary.flatsky import cosine_taper, fourier, modes, square_patch
from armillary.map_preparation import (
    derived_channels,
    fit_mix,
    fit_preparation,
    prepare_inputs,
    prepare_targets,
    restore,
)

PATCH = square_patch(5.0, 64)
SETTING = Setting(PATCH, None, Instrument(1.0, 1.0), cosine_taper(PATCH, 1.0), 20, 2000)
HOW = {
    "normalize_maps": True,
    "apodize_maps": True,
    "apodize_targets": False,
    "noise_fraction": 0.0,
    "noise_channels": [],
}


@pytest.fixture
def maps(rng):
    """Fields whose power falls, and an estimate of k that has half of it."""
    filters = 1 / (100 + modes(PATCH).l)
    drawn = {
        name: np.fft.irfft2(fourier(rng.standard_normal((12, 64, 64))) * filters, s=PATCH.shape).astype(np.float32)
        for name in ("q", "u", "e", "k", "E_wiener")
    }
    return drawn | {"k_map_delensed": 0.5 * truth_window(SETTING, "k") * drawn["k"]}


def test_a_perfect_network_gives_the_truth_back(maps):
    """Whitened rest in, truth out, wherever the band is whole."""
    preparation = fit_preparation(
        maps, SETTING, inputs=["E_wiener", "k_map_delensed"], outputs=["k"], start_from_estimates=True, **HOW
    )
    perfect = prepare_targets(preparation, maps, SETTING)
    assert perfect.std() == pytest.approx(1, rel=1e-3)
    found = restore(preparation, perfect, maps, SETTING)["k"]
    inside = (modes(PATCH).l > 100) & (modes(PATCH).l < 800)
    truth = fourier(truth_window(SETTING, "k") * maps["k"])
    np.testing.assert_allclose(fourier(found)[:, inside], truth[:, inside], atol=0.02 * np.abs(truth[:, inside]).std())


def test_a_useless_network_is_left_out(maps, rng):
    preparation = fit_preparation(
        maps, SETTING, inputs=["E_wiener", "k_map_delensed"], outputs=["k"], start_from_estimates=True, **HOW
    )
    nothing = 5 * rng.standard_normal((12, 1, 64, 64)).astype(np.float32)
    mixed = fit_mix(preparation, nothing, maps, SETTING)
    rest = maps["k"] * truth_window(SETTING, "k") - maps["k_map_delensed"]
    found = restore(mixed, nothing, maps, SETTING)["k"] - truth_window(SETTING, "k") * maps["k"]
    assert found.std() < 1.05 * rest.std()
    assert mixed.mix[0, 1].max() < 0.3


def test_raw_maps_are_windowed_and_their_estimates_too(maps):
    preparation = fit_preparation(
        maps, SETTING, inputs=["q", "u"], outputs=["e", "k"], start_from_estimates=False, **HOW
    )
    inputs = prepare_inputs(preparation, maps, SETTING, seed=1)
    assert inputs.shape == (12, 2, 64, 64)
    assert np.abs(inputs[:, :, 0]).max() < 0.05 * np.abs(inputs).max()
    found = restore(preparation, prepare_targets(preparation, maps, SETTING), maps, SETTING)
    for name in ("e", "k"):
        np.testing.assert_allclose(found[name], truth_window(SETTING, name) * maps[name], atol=1e-6)


def test_extra_noise_is_a_fraction_of_the_channel(maps):
    noisy = HOW | {"noise_fraction": 0.5, "noise_channels": ["q"], "apodize_maps": False, "normalize_maps": False}
    preparation = fit_preparation(maps, SETTING, inputs=["q", "u"], outputs=["k"], start_from_estimates=False, **noisy)
    added = prepare_inputs(preparation, maps, SETTING, seed=1) - np.stack([maps["q"], maps["u"]], 1)
    assert added[:, 0].std() == pytest.approx(0.5 * maps["q"].std(), rel=0.02)
    assert np.abs(added[:, 1]).max() == 0
    again = prepare_inputs(preparation, maps, SETTING, seed=1) - np.stack([maps["q"], maps["u"]], 1)
    np.testing.assert_array_equal(again, added)


def test_unlensed_stokes_are_made_of_e_and_back(maps):
    found = derived_channels({"e": maps["e"]}, ["Q", "U"], PATCH)
    again = derived_channels(found, ["E", "B"], PATCH)
    inside = modes(PATCH).l < 0.9 * PATCH.nyquist
    np.testing.assert_allclose(fourier(again["E"]) * inside, fourier(maps["e"]) * inside, atol=2e-3)
    assert np.abs(fourier(again["B"]) * inside).max() < 2e-3


def test_no_estimate_to_start_from_is_said(maps):
    with pytest.raises(ValueError, match="there is no estimate of Q"):
        fit_preparation(maps, SETTING, inputs=["q", "u"], outputs=["Q", "U"], start_from_estimates=True, **HOW)
