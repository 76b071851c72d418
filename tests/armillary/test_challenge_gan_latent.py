"""Latent spaces: populations and kinds as they should be, scores by closed forms, files, fair games, every method."""

import h5py
import numpy as np
import pytest
import torch

from armillary.challenges import adversary_models, gan_latent, gan_latent_models
from armillary.challenges import population_spectra as populations
from armillary.challenges.components import find_components, observe
from armillary.challenges.galaxy_kinds import PIXEL_ARCSEC, simulate_galaxies
from armillary.challenges.spectra import make_populations
from armillary.figures import challenge_gan_latent
from armillary.figures.style import page

SETTINGS = {
    "n_spectra": 200, "n_galaxies": 120, "side_px": 16, "train_share": 0.6, "validation_share": 0.1, "n_latents": 5,
    "n_hidden": 16, "n_steps": 8, "gan_batch_size": 16, "gan_learning_rate": 1e-3, "information": 1.0,
    "n_epochs": 1, "batch_size": 32, "learning_rate": 2e-3, "beta": 1.0, "n_resamples": 20,
}  # fmt: skip


@pytest.fixture(scope="module")
def data() -> dict:
    return gan_latent.sample([], SETTINGS, 0)


def test_dust_reddens_as_its_law_says():
    """Two draws that differ in dust alone: the ratio of their colours is 10^(-0.4 (A_B - A_R))."""

    class Draws:
        """Uniform numbers in the middle, but for dust; no noise."""

        def __init__(self, dust):
            self.dust = dust

        def uniform(self, low, high, size):
            return np.full(size, self.dust if high == populations.DUST_MAX_MAG else (low + high) / 2)

        def normal(self, size):
            return np.zeros(size)

    clear, dusty = (populations.simulate_populations(10, make_populations(), Draws(av)) for av in (0.0, 1.0))
    ratio = dusty["x"][0] * dusty["scale"][0] / (clear["x"][0] * clear["scale"][0])
    law = 10 ** (-0.4 * (clear["wave"] / 5500) ** -0.7)
    assert ratio == pytest.approx(law, rel=2e-3)
    assert clear["x"].mean(1) == pytest.approx(1) and clear["x"].shape[1] == 140


def test_bins_keep_light_and_know_their_errors():
    rng = np.random.default_rng(0)
    wave, error = np.linspace(4000, 9000, 1400), np.full((400, 1400), 0.3)
    error[0, :20] = 0
    ivar = np.where(error > 0, 1 / np.where(error > 0, error, 1) ** 2, 0)
    flux = 3 + 0.3 * rng.normal(size=error.shape)
    found = populations.binned(flux, ivar, wave)
    assert found["x"].shape == (400, 140) and found["scale"] == pytest.approx(np.full(400, 3), rel=0.01)
    assert (found["sigma"][0, :2] == 0).all() and found["x"][0, :2] == pytest.approx(1, abs=0.02)
    known = found["sigma"] > 0
    assert ((found["x"] - 1) / np.where(known, found["sigma"], 1))[known].std() == pytest.approx(1, abs=0.02)
    assert populations.binned(flux[:, :140], ivar[:, 100:240], wave[:140])["x"].shape[1] == 140  # as they are


def test_galaxies_have_the_shapes_they_say():
    found = simulate_galaxies(150, 32, np.random.default_rng(1))
    assert np.bincount(found["label"]).tolist() == [50, 50, 50]
    discs = found["label"] == 1
    light = (found["x"] * found["scale"][:, None]).reshape(-1, 32, 32)[discs]
    assert light.sum((1, 2)) == pytest.approx(np.ones(50), abs=0.2)
    place = np.arange(32) - 15.5
    x, y = np.meshgrid(place, place)
    near = np.hypot(x, y) < 12
    moments = [(light * near * weight).sum((1, 2)) for weight in (x * x - y * y, 2 * x * y, x * x + y * y)]
    truth = found["y"][discs]
    for moment, shape in zip(moments, truth[:, 1:].T, strict=False):
        assert np.corrcoef(moment / moments[2], shape)[0, 1] > 0.7
    assert PIXEL_ARCSEC * 32 > 3.5


def test_components_keep_what_rises_above_noise():
    rng = np.random.default_rng(2)
    truth = rng.normal(size=(900, 3)) @ (5 * rng.normal(size=(3, 40)))
    found = find_components(truth + rng.normal(size=truth.shape), np.ones_like(truth), 2)
    assert len(found.spread) == 3
    inside = found.objects(found.weights(truth))
    assert (inside - truth).std() < 0.2 and found.weights(truth).std(0) == pytest.approx(np.ones(3), abs=0.05)
    sigma = np.ones((2, 40))
    sigma[0, 5] = 0
    seen = observe(np.zeros((2, 40)), sigma, np.full(40, 7.0), rng)
    assert seen[0, 5] == 7 and abs(seen[1, 5]) < 5


def test_what_is_made_gets_the_noise_and_the_gaps_of_real_objects(data):
    """Noise of the right size on average, and behind a gap the filler whatever was made."""
    gaps = dict(data)
    gaps["spectra_sigma"] = np.where(np.arange(140) < 40, 0, 1e-6).astype(np.float32) * np.ones((200, 1), np.float32)
    field = gan_latent_models.prepare("spectra", gaps, 5, 0)
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(20, len(field.components.spread))).astype(np.float32)
    seen = field.see(torch.from_numpy(weights), np.arange(20), rng).numpy()
    model = field.components.objects(weights)
    truth = field.components.weights(np.where(np.arange(140) < 40, field.filler, model))
    assert seen == pytest.approx(truth, abs=1e-3)
    field = gan_latent_models.prepare("galaxies", data, 5, 0)
    expected = data["galaxies_sigma"][0, 0] / field.components.spread
    assert field.kept is None and field.noise.std((0, 1)) == pytest.approx(expected, rel=0.15)


def test_scores_of_latents_by_closed_forms():
    rng = np.random.default_rng(3)
    factors = rng.normal(size=(4000, 2))
    turned = factors @ np.array([[1, 1], [-1, 1]]) / 2**0.5
    clean = np.column_stack([np.exp(factors[:, 1]), -factors[:, 0], rng.normal(size=4000)])
    correlations = gan_latent.rank_correlations(clean, factors)
    assert gan_latent.matched_correlation(correlations) == pytest.approx(1, abs=0.01)  # whatever sign, order, map
    mixed = gan_latent.matched_correlation(gan_latent.rank_correlations(turned, factors))
    assert mixed == pytest.approx(6 / np.pi * np.arcsin(2**-0.5 / 2), abs=0.03)  # Spearman's of Pearson's 1 / sqrt 2


def test_a_collapsed_generator_is_found_out():
    """Half of the modes lie far from the whole, more of the same does not; and the distance of known Gaussians."""
    rng = np.random.default_rng(4)
    modes = 6 * np.eye(4)
    real, again = (modes[rng.integers(4, size=800)] + rng.normal(size=(800, 4)) for _ in range(2))
    lost = modes[rng.integers(2, size=800)] + rng.normal(size=(800, 4))
    far, near = (gan_latent.frechet_distance(drawn, real) for drawn in (lost, again))
    assert far > 20 * near
    one = np.diag([1.0, 2.0]) @ rng.normal(size=(2, 100000))
    assert gan_latent.frechet_distance(one.T, 3 * one.T + 1) == pytest.approx(2 + 4 * (1 + 4), rel=0.03)


def test_a_game_finds_a_distribution_and_codes_find_its_axes():
    """Two factors in four noisy weights, no label given."""
    rng = np.random.default_rng(5)
    real = np.column_stack([rng.uniform(-1.7, 1.7, (2000, 2)), np.zeros((2000, 2))]) + 0.05 * rng.normal(size=(2000, 4))
    layout = adversary_models.Latents(2, 0, 1)
    game = adversary_models.Game(layout, 32, 250, 64, 3e-3, 1.0)

    def see(weights, rows, rng):
        return weights + 0.05 * torch.from_numpy(rng.standard_normal(weights.shape, np.float32))

    def distance(generator):
        latents = torch.from_numpy(layout.draw(500, np.zeros((500, 0)), np.random.default_rng(0)))
        with torch.inference_mode():
            return gan_latent.frechet_distance(generator(latents).numpy(), real[:500])

    arguments = (torch.from_numpy(real.astype(np.float32)), torch.zeros(2000, 0), see, distance, 0)
    generator, history = adversary_models.play(game, *arguments)
    assert history[:, 3].min() < 0.2 < history[0, 3]
    latents = layout.draw(500, np.zeros((500, 0)), np.random.default_rng(1))
    with torch.inference_mode():
        made = generator(torch.from_numpy(latents)).numpy()
    assert np.abs(gan_latent.rank_correlations(latents[:, :2], made[:, :2])).max() > 0.5
    again = (
        adversary_models.play(game._replace(n_steps=20), *arguments),
        adversary_models.play(game._replace(n_steps=20), *arguments),
    )
    assert np.array_equal(again[0][1], again[1][1])


def test_wishes_come_first_and_kinds_are_one():
    rng = np.random.default_rng(6)
    layout = adversary_models.Latents(2, 3, 4)
    latents = layout.draw(1000, np.zeros((1000, 0)), rng)
    assert latents.shape == (1000, 9) and (latents[:, 2:5].sum(1) == 1).all()
    assert latents.std(0)[[0, 1, 5, 8]] == pytest.approx(np.ones(4), abs=0.1)
    wishes = rng.normal(size=(1000, 5)).astype(np.float32)
    assert np.array_equal(layout._replace(asked=True).draw(1000, wishes, rng)[:, :5], wishes)


def test_directions_of_a_linear_generator_are_those_of_its_matrix():
    generator = adversary_models.build(lambda: adversary_models.Generator(3, 6, 8), 0)
    scales = torch.tensor([0.1, 3.0, 1.0])
    with torch.no_grad():
        generator.first.weight.copy_(0.01 * torch.eye(8, 3) * scales)  # so small that it is linear
        generator.first.bias.zero_()
    latents = np.random.default_rng(7).normal(size=(300, 3)).astype(np.float32)
    along = gan_latent_models.directions(generator, latents, np.ones(6, np.float32))
    for name in ("factorised", "features"):
        assert abs(np.corrcoef(along[name][:, 0], latents[:, 1])[0, 1]) > 0.998
    turn = {name: np.linalg.lstsq(latents, along[name], rcond=None)[0] for name in ("random", "jacobian")}
    assert turn["random"].T @ turn["random"] == pytest.approx(np.eye(3), abs=1e-5)
    assert turn["jacobian"].T @ turn["jacobian"] == pytest.approx(np.eye(3), abs=1e-3)


def school_file(path, n=14, **changes):
    rng = np.random.default_rng(0)
    table = {name: np.full(n, value) for name, value in (("age", 5e9), ("metallicity", 0.5), ("smass", 1e10))}
    table |= {name: np.arange(n) for name in ("plateid", "fiberid", "mjd", "ra", "dec", "zerr")}
    spec = rng.uniform(1, 3, (n, 4530))
    table |= {"z": np.linspace(0.1, 0.2, n), "wavelength": np.geomspace(4000, 9990, 4530), "spec": spec,
              "specerr": np.full(spec.shape, 0.1)} | changes  # fmt: skip
    with h5py.File(path, "w") as stream:
        stream.create_group("raw").update({name: value for name, value in table.items() if value is not None})
    return str(path)


def test_the_schools_file_is_binned_and_its_scale_kept(tmp_path):
    ages = np.r_[-1.0, np.full(13, 5e9)]
    found = gan_latent.sample_spectra(school_file(tmp_path / "a.hdf5", age=ages), 100, np.random.default_rng(0))
    assert found["x"].shape == (13, 140) and list(found["y_names"]) == ["z", "log_age", "log_metals"]
    assert found["y"][0] == pytest.approx([0.1 + 0.1 / 13, np.log10(5), np.log10(0.5)])
    assert found["scale"] == pytest.approx(np.full(13, 2), rel=0.1) and "13 given spectra of 13" in str(found["source"])
    with pytest.raises(ValueError, match="raw has no specerr"):
        populations.read_school_file(school_file(tmp_path / "b.hdf5", specerr=None), 100)
    with pytest.raises(ValueError, match="0 of 14 galaxies have z, age and metallicity above 0"):
        populations.read_school_file(school_file(tmp_path / "c.hdf5", age=np.full(14, -1.0)), 100)
    with pytest.raises(ValueError, match="0 of 14 spectra have a flux above 0"):
        populations.read_school_file(school_file(tmp_path / "d.hdf5", specerr=np.zeros((14, 4530))), 100)


def test_a_table_of_spectra_is_read(tmp_path):
    rng = np.random.default_rng(9)
    table = {"wave": np.linspace(4000, 7000, 300), "flux": rng.uniform(1, 2, (20, 300))}
    table |= {"error": np.full((20, 300), 0.1), "y": rng.normal(size=(20, 2)), "y_names": np.array(["a", "b"])}
    path = str(tmp_path / "own.npz")
    np.savez(path, **table)
    found = gan_latent.sample_spectra(path, 100, rng)
    assert found["x"].shape == (20, 140) and np.array_equal(found["y"], table["y"])
    for changes, message in (
        ({"y": table["y"][:5]}, "do not fit together"),
        ({"wave": table["wave"][:90], "flux": table["flux"][:, :90], "error": table["error"][:, :90]}, "of 90 pixels"),
        ({"y": np.ones((20, 2))}, "a factor that is the same in all"),
    ):
        np.savez(path, **table | changes)
        with pytest.raises(ValueError, match=message):
            gan_latent.sample_spectra(path, 100, rng)
    with pytest.raises(ValueError, match="one file of spectra or of populations"):
        gan_latent.sample([path, path], SETTINGS, 0)
    with pytest.raises(ValueError, match="n_latents is 2; the 2 factors"):
        np.savez(path, **table)
        gan_latent.sample([path], SETTINGS | {"n_latents": 2}, 0)


def test_every_method_runs_is_scored_and_drawn(data, tmp_path):
    names = [f"{subject}_{method}" for subject in gan_latent.SUBJECTS for method in challenge_gan_latent.METHODS]
    found = {name: [gan_latent_models.train(name, data, SETTINGS, 0)] for name in names}
    scores = gan_latent.score([data], found, SETTINGS, np.random.default_rng(0))
    assert all(entry["baseline"] in scores for entry in scores.values() if entry["baseline"])
    assert scores["spectra_gan_auc"]["baseline"] == "spectra_pca_auc"
    assert scores["spectra_gan_matched_factorised"]["baseline"] == "spectra_gan_matched_random"
    assert scores["galaxies_cgan_asked_r2_e1"]["baseline"] == "galaxies_real_estimator_r2_e1"
    gain = scores["spectra_infogan_matched"]["value"] - scores["spectra_pca_matched_independent"]["value"]
    assert scores["spectra_infogan_minus_pca_matched_independent"]["value"] == pytest.approx(gain)
    again = gan_latent_models.train("galaxies_infogan", data, SETTINGS, 0)
    assert all(np.array_equal(again[key], value) for key, value in found["galaxies_infogan"][0].items())
    metrics = {f"gan_latent_{key}": entry for key, entry in scores.items()}
    for figure in ("samples", "quality", "latents", "traversals", "probes"):
        for runs in (found, {}):
            with page(str(tmp_path / "figure.png"), 1600, 800) as sheet:
                getattr(challenge_gan_latent, f"draw_{figure}")(sheet, [data], runs, metrics)
            assert (tmp_path / "figure.png").stat().st_size > 3000
