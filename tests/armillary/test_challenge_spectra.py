"""Spectra by closed forms, the school's file and what breaks it, measures of what was put in, and every method."""

import h5py
import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture

from armillary.challenges import galaxy_spectra, spectra, spectra_models, spectral_indices
from armillary.challenges.galaxy_spectra import LN_WAVE, STEP
from armillary.challenges.loop import build
from armillary.challenges.scores import scaled_mad
from armillary.figures import challenge_spectra
from armillary.figures.style import page

SETTINGS = {
    "n_spectra": 160, "train_share": 0.6, "validation_share": 0.1, "n_latents": [6, 2], "n_details": 3, "n_epochs": 2,
    "n_flow_epochs": 1, "batch_size": 32, "learning_rate": 1e-3, "beta": 1.0, "n_resamples": 20,
}  # fmt: skip


def test_histories_make_all_their_mass():
    age = np.array([0.01, 0.1, 1.0, 10.0])
    assert galaxy_spectra.history_weights(age, 8.0, 2.0).sum() == pytest.approx(1)
    burst = galaxy_spectra.history_weights(age, 10.0, 0.05)
    assert burst[-1] == pytest.approx(1, abs=1e-3)  # all of it long ago
    edge = np.sqrt(10.0)  # mass older than the last edge: 1 - (1 + x) exp(-x), x = time from the start over tau
    x, whole = (8 - edge) / 2, 4.0
    share = (1 - (1 + x) * np.exp(-x)) / (1 - (1 + whole) * np.exp(-whole))
    assert galaxy_spectra.history_weights(age, 8.0, 2.0)[-1] == pytest.approx(share)


def test_lines_keep_their_light_and_their_decrement():
    wave = np.exp(np.arange(np.log(4700), np.log(7000), 1e-5))
    light = galaxy_spectra.lines(wave, np.ones(len(wave)), 0.0, np.random.default_rng(0))
    pixels = wave * 1e-5
    hb = (light * pixels)[np.abs(wave - 4862.7) < 20].sum()
    ha_and_nii = (light * pixels)[np.abs(wave - 6567) < 50].sum()
    assert ha_and_nii > 2.86 * hb and hb == pytest.approx(300 / 2.86, rel=0.6)


def test_simulated_spectra_have_the_noise_they_say():
    data = spectra.sample([], SETTINGS, 0)
    assert data["flux"].shape == (160, 700) and "stand-ins" in str(data["source"])
    variance = np.where(data["ivar"] > 0, 1 / np.maximum(data["ivar"], 1e-9), np.nan)
    step = np.diff(data["flux"], axis=1) / np.sqrt(variance[:, 1:] + variance[:, :-1])  # continua hardly change in one
    assert 0.95 < scaled_mad(step[np.isfinite(step)]) < 1.25
    assert ((data["z"] > 0.02) & (data["z"] < 0.2)).all()


def test_components_are_found_through_gaps():
    """Rank two with a third of the pixels gone: the missing ones come back."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(80, 2)) @ rng.normal(size=(2, 60)) + 3
    ivar = np.where(rng.uniform(size=truth.shape) < 0.33, 0, 1e4)
    seen = np.where(ivar > 0, truth, -50)
    mean, basis = spectra_models.weighted_components(seen, ivar, 2, 30)
    found = mean + spectra_models.component_weights(seen - mean, ivar, basis) @ basis
    assert np.abs(found - truth).max() < 0.1 * truth.std()


def test_a_mixture_is_drawn_from_given_what_is_known():
    """Two Gaussians that the known coordinate tells apart: the draws have the conditional's mean and variance."""
    mixture = GaussianMixture(2)
    mixture.weights_ = np.array([0.5, 0.5])
    mixture.means_ = np.array([[0.0, -5.0], [3.0, 5.0]])
    mixture.covariances_ = np.array([[[1.0, 0.8], [0.8, 1.0]], [[4.0, -1.0], [-1.0, 1.0]]])
    wanted = np.repeat([[-4.0], [6.0]], 20000, 0)
    drawn = spectra_models.condition(mixture, 1, wanted, np.random.default_rng(0)).reshape(2, -1)
    assert drawn.mean(1) == pytest.approx([0.8, 2.0], abs=0.05)
    assert drawn.var(1) == pytest.approx([1 - 0.64, 4 - 1], rel=0.05)
    free = spectra_models.condition(mixture, 2, np.zeros((40000, 0)), np.random.default_rng(0))
    assert free.mean(0) == pytest.approx([1.5, 0], abs=0.1)


def test_the_flow_is_its_own_inverse_and_counts_volume():
    flow = build(lambda: spectra_models.Coupling(4, 2), 0)
    latents, wishes = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)), torch.ones(5, 2)
    noise, ln_determinant = flow(latents, wishes)
    assert torch.allclose(flow.inverse(noise, wishes), latents, atol=1e-5)
    jacobian = torch.autograd.functional.jacobian(lambda x: flow(x[None], wishes[:1])[0][0], latents[0])
    assert torch.linalg.slogdet(jacobian)[1] == pytest.approx(float(ln_determinant[0].detach()), abs=1e-4)


def test_redshifts_of_shifted_templates_come_back():
    rng = np.random.default_rng(0)
    rest = np.cumsum(rng.normal(size=(3, 1000)), 1) * 0.02 + 3
    z = rng.uniform(0.02, 0.2, 60)
    places = np.arange(700) + 250
    shift = np.log1p(z) / STEP
    flux = np.array([np.interp(places - by, np.arange(1000), rest[k % 3]) for k, by in enumerate(shift)])
    templates, lead = spectral_indices.rest_templates(flux, np.ones_like(flux), z, 0.25)
    found = spectral_indices.measure_redshifts(flux, templates, lead, 0.25)
    assert np.median(np.abs(found - z)) < 0.3 * STEP


def test_a_shift_to_the_rest_frame_and_back_keeps_the_spectrum():
    rng = np.random.default_rng(0)
    z, flux = np.array([0.02, 0.11, 0.2]), np.cumsum(rng.normal(size=(3, 700)), 1) * 0.01
    ivar = np.ones_like(flux)
    ivar[:, 300] = 0
    rest, weight = spectral_indices.to_rest(flux, ivar, z, 160)
    assert rest.shape == (3, 860) and ((weight == 0).sum(1) >= 160).all()
    wave = np.exp(LN_WAVE[0] + (np.arange(860) - 160) * STEP)
    blue = np.array([wave[np.flatnonzero(one > 0)[0]] for one in weight])
    assert blue == pytest.approx(3850 / (1 + z), rel=2 * STEP)
    back = spectral_indices.to_observed(rest, z, 160)
    inside = np.r_[5:295, 305:690]
    assert np.abs(back - flux)[:, inside].max() < 0.05


def test_indices_measure_what_was_drawn():
    wave = np.exp(LN_WAVE)
    z = np.array([0.1, 0.1])
    flux = np.ones((2, len(wave))) * np.where(wave / 1.1 < 4000, 0.5, 1.0)
    for name, light in (("Ha", 30.0), ("NII", 10.0), ("Hb", 10.0), ("OIII", 20.0)):
        centre = galaxy_spectra.LINES_A[name]
        flux[0] += light / (4 * np.sqrt(2 * np.pi)) * np.exp(-0.5 * ((wave / 1.1 - centre) / 4) ** 2)
    found = spectral_indices.indices(flux, z)
    assert found[:, 0] == pytest.approx(2, rel=0.02)
    assert found[0, 1] == pytest.approx(30, rel=0.15) and found[1, 1] == pytest.approx(0, abs=0.1)
    assert found[0, 2] == pytest.approx(np.log10(1 / 3), abs=0.08) and found[0, 3] == pytest.approx(
        np.log10(2), abs=0.08
    )


def raw_file(path, n=14, n_pixels=400, **changes):
    rng = np.random.default_rng(0)
    table = {
        name: np.full(n, value) for name, value in (("z", 0.1), ("age", 5e9), ("metallicity", 0.5), ("smass", 1e10))
    }
    table |= {name: np.arange(n) for name in ("plateid", "fiberid", "mjd", "ra", "dec", "zerr")}
    spec = rng.uniform(1, 3, (n, n_pixels))
    table |= {
        "wavelength": np.geomspace(4000, 9900, n_pixels),
        "spec": spec,
        "specerr": np.full(spec.shape, 0.1),
    } | changes
    with h5py.File(path, "w") as stream:
        stream.create_group("raw").update({name: value for name, value in table.items() if value is not None})


def test_the_schools_file_is_read(tmp_path):
    path, bad = str(tmp_path / "a.hdf5"), np.full(14, 0.5)
    bad[:2] = -1
    raw_file(path, metallicity=bad, smass=np.r_[np.full(13, 1e10), 1e13])
    data = spectra.sample([path], SETTINGS, 0)
    assert data["flux"].shape == (11, 700) and "11 spectra of 14 read, 3 without" in str(data["source"])
    known = data["ivar"] > 0
    assert [data["flux"][k][known[k]].mean() for k in range(11)] == pytest.approx(np.ones(11), rel=1e-5)
    assert not known[:, np.log(3990) > LN_WAVE].any()


BROKEN = {
    "no specerr": ({"specerr": None}, "raw has no specerr"),
    "lengths": ({"z": np.full(5, 0.1)}, "do not fit together"),
    "wavelength": ({"wavelength": np.geomspace(4000, 9900, 30)}, "wavelength has 30 pixels, spec 400"),
    "values": ({"age": np.full(14, -1.0)}, "0 of 14 galaxies have z, age and metallicity above 0"),
    "errors": ({"specerr": np.zeros((14, 400))}, "no pixel with specerr above 0"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_give_one_line(tmp_path, case):
    changes, message = BROKEN[case]
    raw_file(tmp_path / "a.hdf5", **changes)
    with pytest.raises(ValueError, match=message):
        spectra.read(str(tmp_path / "a.hdf5"), 100)


def test_truncated_files_give_one_line(tmp_path):
    raw_file(tmp_path / "a.hdf5")
    (tmp_path / "b.hdf5").write_bytes((tmp_path / "a.hdf5").read_bytes()[:500])
    with pytest.raises(ValueError, match="not an HDF5 file, or is truncated"):
        spectra.read(str(tmp_path / "b.hdf5"), 100)
    np.savez(
        tmp_path / "c.npz", wave=np.ones(3), flux=np.ones((2, 3)), Z=np.array([0.1, 0.2]), age_gyr=np.array([1, 2])
    )
    with pytest.raises(ValueError, match="2 metallicities and 2 ages"):
        spectra.read_populations(str(tmp_path / "c.npz"))


def test_every_variant_runs_is_scored_and_drawn(tmp_path):
    data = spectra.sample([], SETTINGS, 0)
    found = {name: [spectra_models.train(name, data, SETTINGS, 0)] for name in spectra.SAMPLERS}
    scores = spectra.score([data], found, SETTINGS, np.random.default_rng(0))
    assert scores["pca_chi2_at_6"]["value"] < scores["pca_chi2_at_2"]["value"]
    assert scores["vae_chi2_at_6"]["baseline"] == "pca_chi2_at_6"
    assert scores["pca_rest_chi2_at_6"]["value"] < 0.5 * scores["pca_chi2_at_6"]["value"]  # de-redshifting
    assert scores["pca_rest_chi2_at_9"]["value"] < scores["pca_rest_chi2_at_6"]["value"]
    assert scores["conditional_chi2_at_9"]["value"] < scores["conditional_chi2_at_6"]["value"]  # the second stage
    assert scores["conditional_asked_auc"]["baseline"] == "pca_rest_asked_auc"
    assert scores["conditional_real_redshift_nmad"]["value"] < 0.02
    assert 0 <= scores["vae_flow_auc"]["value"] <= 1
    again = spectra_models.train("vae", data, SETTINGS, 0)
    assert np.array_equal(again["chi2"], found["vae"][0]["chi2"])
    metrics = {f"spectra_{key}": entry for key, entry in scores.items()}
    for figure in ("samples", "fidelity", "physics"):
        for runs in (found, {}):
            with page(str(tmp_path / "figure.png"), 1600, 800) as sheet:
                getattr(challenge_spectra, f"draw_{figure}")(sheet, [data], runs, metrics)
            assert (tmp_path / "figure.png").stat().st_size > 3000


def test_a_classifier_that_cannot_tell_says_half():
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=(2, 400, 3))
    drawn, real = spectra_models.told_apart(one, two, 0)
    truth = np.repeat([True, False], 400)
    assert spectra.area_under_roc(np.concatenate([drawn, real]), truth) == pytest.approx(0.5, abs=0.07)
    drawn, real = spectra_models.told_apart(one + 2, two, 0)
    assert spectra.area_under_roc(np.concatenate([drawn, real]), truth) > 0.95
    assert spectra.largest_gap(np.arange(10.0), np.arange(10.0) + 100) == 1
