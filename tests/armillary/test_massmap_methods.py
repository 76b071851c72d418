"""Starlets, the learned residual, the score prior and the one call for all methods, on small skies."""

import jax
import numpy as np
import pytest

from armillary.convergence_skies import SkyModel, draw_convergence, draw_field, observed, reduced
from armillary.inverse.annealing import Schedule
from armillary.inverse.local_network import Kept, fit, initial_weights, perceptron
from armillary.inverse.lognormal import ChainSettings
from armillary.inverse.methods import METHODS, SAMPLED_METHODS, reconstruct, set_up
from armillary.inverse.residual import residual_features, train_residual, with_residual
from armillary.inverse.score import train_score
from armillary.inverse.starlets import starlet, starlet_bands
from armillary.shear_catalogs import ShearMap

PIXEL = 0.6
MULTIPOLE = np.geomspace(10, 1e5, 60)
POWER = 2e-9 * (MULTIPOLE / 100) ** -0.6 / (1 + (MULTIPOLE / 3000) ** 1.5)
MODEL = SkyModel(MULTIPOLE, POWER, "lognormal", 0.033, PIXEL)


def noise_map(shape, sigma=0.06) -> ShearMap:
    mask = np.zeros(shape, bool)
    mask[3:-3, 3:-3] = True
    mask[10:13, 8:14] = False
    noise = np.where(mask, sigma, 0.0)
    return ShearMap(np.zeros(shape), np.zeros(shape), noise, noise, mask, PIXEL)


@pytest.mark.parametrize("shape", [(32, 32), (31, 34)])
def test_starlet_bands_add_up_to_the_map(shape, rng):
    image = rng.normal(size=shape)
    coefficients = starlet(image, starlet_bands(shape, 3))
    assert coefficients.sum(0) == pytest.approx(image, abs=1e-12)
    assert np.abs(coefficients[:-1].mean((1, 2))).max() < 1e-12  # wavelets have no mean


def test_the_finest_starlet_is_the_map_less_its_b3_smoothing():
    image = np.zeros((16, 16))
    image[8, 8] = 1.0
    finest = starlet(image, starlet_bands((16, 16), 2))[0]
    assert finest[8, 8] == pytest.approx(1 - (6 / 16) ** 2)
    assert finest[8, 9] == pytest.approx(-(6 / 16) * (4 / 16))


def test_log_normal_skies_have_their_moments_and_their_floor():
    rng = np.random.default_rng(8)
    skies = np.array([draw_convergence(MODEL, 64, rng) for _ in range(60)])
    assert skies.min() > -MODEL.shift
    excess = 1 + skies.var() / MODEL.shift**2
    skewness = (skies**3).mean() / skies.var() ** 1.5
    assert skewness == pytest.approx((excess + 2) * np.sqrt(excess - 1), rel=0.3)
    assert abs(skies.mean()) < 0.004
    gaussian = np.array([draw_convergence(MODEL._replace(kind="gaussian"), 64, rng) for _ in range(60)])
    assert gaussian.var() == pytest.approx(skies.var(), rel=0.12)


def test_reduced_shear_is_shear_over_one_minus_kappa():
    g1, g2 = reduced(np.array([0.1, 0.6]), np.array([0.0, 0.0]), np.array([0.5, 0.7]))
    assert g1[0] == pytest.approx(0.2)
    assert g1[1] == pytest.approx(0.3 / 0.6)  # beyond the critical curve: 1 / g
    assert not g2.any()


def test_a_residual_is_learned_and_helps_where_it_was_not_trained(tmp_path):
    like, rng = noise_map((48, 48), 0.04), np.random.default_rng(9)
    field = settings(like)
    features, lacking, maps, data = [], [], [], []
    for _ in range(14):
        sky = draw_field(MODEL, like.mask.shape, 8, False, rng)
        data.append(observed(sky, like, rng))
        maps.append((reconstruct("wiener", data[-1], field, jax.random.key(0), 0)[0], sky[0]))
        features.append(residual_features(maps[-1][0], data[-1]))
        truth = sky[0] - sky[0][like.mask].mean()
        lacking.append((truth - maps[-1][0])[like.mask].astype(np.float32))
    weights, history = train_residual(
        features[:10], lacking[:10], 2, n_hidden=16, n_steps=400, learning_rate=3e-3, seed=0, kept=kept(tmp_path)
    )
    assert history[-1]["validation_loss"] < 1.05
    before = np.mean([gap**2 for gap in np.concatenate(lacking[10:])])
    after = np.mean(
        [
            ((with_residual(weights, wiener, one) - (sky - sky[like.mask].mean()))[like.mask] ** 2).mean()
            for (wiener, sky), one in zip(maps[10:], data[10:], strict=True)
        ]
    )
    assert after < before


def kept(folder, name="state"):
    return Kept(str(folder / f"{name}.npz"), "these settings")


def settings(like, residual=None, score=None):
    return set_up(
        like, MULTIPOLE, POWER, reduced_shear=True, tuned={"smoothing_arcmin": 1.0, "threshold_sigma": 4.0}, n_scales=3,
        n_sparse_iterations=2, residual=residual, score=score, schedule=Schedule(1.0, 0.1, 4, 4), shift=0.033,
        chain=ChainSettings(20, 2, 4), seed=0,
    )  # fmt: skip


def test_every_method_keeps_the_contract(tmp_path):
    like, rng = noise_map((32, 33)), np.random.default_rng(10)
    sky = draw_field(MODEL, like.mask.shape, 8, True, rng)
    data = observed(sky, like, rng)
    skies = np.array([draw_convergence(MODEL, 32, rng) for _ in range(10)])
    score, _ = train_score(
        skies,
        MULTIPOLE,
        POWER,
        PIXEL,
        n_validation=4,
        n_hidden=8,
        n_steps=20,
        learning_rate=1e-3,
        seed=0,
        kept=kept(tmp_path),
    )
    wiener = reconstruct("wiener", data, settings(like), jax.random.key(0), 0)[0]
    features = [residual_features(wiener, data)] * 3
    residual, _ = train_residual(
        features, [wiener[like.mask]] * 3, 1, n_hidden=4, n_steps=20, learning_rate=1e-3, seed=0,
        kept=kept(tmp_path, "residual"),
    )  # fmt: skip
    field = settings(like, residual, score)
    for method in METHODS:
        n = 3 if method in SAMPLED_METHODS else 0
        runs = [reconstruct(method, data, field, jax.random.key(1), n) for _ in range(2)]
        kappa, samples = runs[0]
        assert kappa.shape == like.mask.shape and samples.shape == (n, *like.mask.shape)
        assert abs(kappa[like.mask].mean()) < 1e-9 and not kappa[~like.mask].any()
        assert np.array_equal(kappa, runs[1][0]), f"{method}: same key, another map"
        if method in ("kaiser_squires", "wiener", "sparse"):  # 20 steps teach a network nothing
            assert np.corrcoef(kappa[like.mask], sky[0][like.mask])[0, 1] > 0.2


def test_a_killed_training_ends_where_an_uninterrupted_one_ends(tmp_path):
    inputs = jax.random.normal(jax.random.key(1), (200, 3))
    wanted = inputs[:, :1] ** 2

    class Killed(Exception):
        pass

    def loss(weights, key):
        return ((perceptron(weights, inputs) - wanted) ** 2).mean() + 0 * jax.random.normal(key)

    def judge(weights):
        return ((perceptron(weights, inputs) - wanted) ** 2).mean()

    def train(state, kill_after=None):
        from armillary.inverse import local_network

        said, announce = [], local_network.announce

        def listen(line):
            said.append(line)
            if kill_after and len(said) > kill_after:
                raise Killed

        local_network.announce = listen
        try:
            start = initial_weights(jax.random.key(0), 3, 4, 1)
            settings = {"n_steps": 40, "learning_rate": 1e-2, "seed": 0, "label": "test", "n_chunks": 4}
            return *fit(start, loss, judge, **settings, kept=state), said
        finally:
            local_network.announce = announce

    whole, history, _ = train(kept(tmp_path, "whole"))
    with pytest.raises(Killed):
        train(kept(tmp_path, "killed"), kill_after=2)
    resumed, resumed_history, said = train(kept(tmp_path, "killed"))
    assert "resumed after step" in said[0]
    assert resumed_history == history
    assert all(np.array_equal(whole[name], resumed[name]) for name in whole)
    _, _, said = train(Kept(str(tmp_path / "killed.npz"), "other settings"))
    assert "starts afresh" in said[0]
