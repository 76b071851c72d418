"""Starlets, the learned residual, the score prior and the one call for all methods, on small skies."""

import jax
import numpy as np
import pytest

from armillary.convergence import kaiser_squires, shear_of_convergence, smooth
from armillary.convergence_skies import (
    SkyModel,
    draw_convergence,
    draw_field,
    mismatched,
    observed,
    reduced,
    with_drawn_shift,
)
from armillary.inverse.annealing import Schedule
from armillary.inverse.local_network import Kept, fit, initial_weights, perceptron
from armillary.inverse.lognormal import ChainSettings
from armillary.inverse.methods import METHODS, SAMPLED_METHODS, reconstruct, set_up
from armillary.inverse.residual import (
    REGRESSIONS,
    _columns,
    residual_features,
    train_residual,
    with_regression,
    with_residual,
)
from armillary.inverse.score import train_score
from armillary.inverse.starlets import inpainted_kaiser_squires, sparse_map, starlet, starlet_bands
from armillary.inverse.wiener import data_of, wiener_map
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


def test_skies_have_shifts_of_their_own_and_known_kinds_of_mismatch():
    rng = np.random.default_rng(17)
    ln_shift = np.log([with_drawn_shift(MODEL, 0.4, rng).shift / MODEL.shift for _ in range(400)])
    assert ln_shift.mean() == pytest.approx(0, abs=0.07) and ln_shift.std() == pytest.approx(0.4, abs=0.05)
    assert mismatched(MODEL, "same") == MODEL
    assert mismatched(MODEL, "low_shift").shift == pytest.approx(0.0198)
    assert mismatched(MODEL, "low_amplitude").power == pytest.approx(0.8 * POWER)
    assert mismatched(MODEL, "gaussian").kind == "gaussian"


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
        features[:10],
        lacking[:10],
        2,
        n_hidden=16,
        n_steps=400,
        n_trainings=2,
        learning_rate=3e-3,
        seed=0,
        kept=kept(tmp_path),
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
    for name in REGRESSIONS:
        closed = np.mean(
            [
                ((with_regression(weights, name, wiener, one) - (sky - sky[like.mask].mean()))[like.mask] ** 2).mean()
                for (wiener, sky), one in zip(maps[10:], data[10:], strict=True)
            ]
        )
        assert closed < before
    first, second = (with_residual(weights, maps[0][0], data[0], training) for training in (0, 1))
    assert 0 < (first - second)[like.mask].std() < 0.5 * maps[0][0][like.mask].std()


def test_regressions_find_the_curve_and_the_polynomial_that_made_the_data(rng, tmp_path):
    features = [rng.normal(size=(400, 5)).astype(np.float32) for _ in range(4)]
    curve = [f[:, 0] ** 3 - f[:, 0] for f in features]
    polynomial = [f @ np.arange(5.0) + 1 + f[:, 1] * f[:, 3] - 2 * f[:, 0] * f[:, 2] ** 2 for f in features]
    for name, wanted in (("cubic", curve), ("polynomial", polynomial)):
        found, _ = train_residual(
            features, wanted, 1, n_hidden=4, n_steps=20, n_trainings=1, learning_rate=1e-3, seed=0,
            kept=kept(tmp_path, name),
        )  # fmt: skip
        standard = (features[0] - found["centre"]) / found["spread"]
        assert _columns(name, standard) @ found[name] == pytest.approx(wanted[0], abs=2e-3)


def test_inpainting_mends_what_gaps_do_to_a_noise_free_field():
    rng = np.random.default_rng(15)
    kappa = smooth(draw_convergence(MODEL._replace(kind="gaussian"), 64, rng), 2.0)
    kappa -= kappa.mean()
    mask = rng.random((16, 16)).repeat(4, 0).repeat(4, 1) > 0.15
    g1, g2 = (np.where(mask, g, 0.0) for g in shear_of_convergence(kappa))
    sigma = np.where(mask, 1e-3, 0.0)
    mended = inpainted_kaiser_squires(ShearMap(g1, g2, sigma, sigma, mask, PIXEL), 60)
    gappy = kaiser_squires(g1, g2)[0]
    assert (mended - kappa)[mask].std() < 0.5 * (gappy - kappa)[mask].std()


def test_the_sparse_part_stops_and_keeps_a_peak_that_wiener_shrinks():
    like, rng = noise_map((48, 48), 0.04), np.random.default_rng(16)
    y, x = np.mgrid[:48, :48] - 24
    peak = 0.3 * np.exp(-(x**2 + y**2) / (2 * 1.5**2))
    data = observed(np.stack([peak, *shear_of_convergence(peak)]), like, rng)
    field = settings(like)
    maps = [
        sparse_map(
            field.problem, data, field.band_noise, field.bands, threshold_sigma=4.0, finest_scale=0, most_iterations=n
        )
        for n in (40, 41)
    ]
    assert np.array_equal(*maps)  # it had stopped before
    wiener = np.asarray(wiener_map(field.problem, *data_of(data))[0])
    assert abs(maps[0][24, 24] - peak[24, 24]) < 0.5 * abs(wiener[24, 24] - peak[24, 24])
    without = sparse_map(
        field.problem, data, field.band_noise, field.bands, threshold_sigma=4.0, finest_scale=3, most_iterations=40
    )
    assert np.allclose(without, wiener, atol=1e-5)  # no band is left to find it in


def kept(folder, name="state"):
    return Kept(str(folder / f"{name}.npz"), "these settings")


def settings(like, residual=None, score=None):
    return set_up(
        like, MULTIPOLE, POWER, methods=METHODS, reduced_shear=True,
        tuned={"smoothing_arcmin": 1.0, "inpainted_smoothing_arcmin": 1.0, "threshold_sigma": 4.0, "finest_scale": 0},
        n_scales=3,
        n_sparse_iterations=6, n_inpainting_iterations=10, residual=residual, score=score,
        schedule=Schedule(1.0, 0.1, 4, 4), shift=0.033, shift_spread=0.4, chain=ChainSettings(20, 2, 4), seed=0,
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
        features, [wiener[like.mask]] * 3, 1, n_hidden=4, n_steps=20, n_trainings=1, learning_rate=1e-3, seed=0,
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
        if method in ("kaiser_squires", "inpainted", "wiener", "sparse"):  # 20 steps teach a network nothing
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
