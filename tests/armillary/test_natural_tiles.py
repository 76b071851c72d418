"""Weights of tiles at the natural rate, and the probabilities that a weighted fit gives."""

import numpy as np
import pandas as pd
import pytest

from armillary.cosmology import pixels_per_mpc, richness_radius_mpc
from armillary.natural_tiles import encoder_features, fit_tiles, natural_tile_weights, tile_logistic, weights_of_fields

SIZE, TILE, PIXEL = 2560, 128, 0.263
WEIGHT = 0.05


def haloes(rng, field: int, rate: float) -> pd.DataFrame:
    n = rng.poisson(rate)
    return pd.DataFrame({
        "field": np.full(n, field), "x": rng.uniform(-1500, SIZE + 1500, n), "y": rng.uniform(-1500, SIZE + 1500, n),
        "redshift": np.full(n, 0.6), "richness": np.full(n, 25.0), "weight": np.full(n, WEIGHT),
    })  # fmt: skip


def drawn_sky(rng, n_fields: int, rate: float):
    """Haloes, whether tiles hold a member, and a blurred measurement of how many haloes cover them."""
    tables, membership, seen = [], [], []
    centres = (np.arange(SIZE // TILE) + 0.5) * TILE
    radius = richness_radius_mpc(25.0) * pixels_per_mpc(0.6, PIXEL)
    for field in range(n_fields):
        table = haloes(rng, field, rate)
        inside = np.hypot(
            centres[:, None] - table.y.to_numpy()[:, None, None], centres - table.x.to_numpy()[:, None, None]
        )
        covering = (inside < 0.8 * radius).sum(0)
        membership.append(rng.uniform(size=covering.shape) < 1 - 0.5**covering)
        seen.append(covering + rng.normal(0, 0.4, covering.shape))
        tables.append(table)
    return pd.concat(tables), np.array(membership), np.array(seen)


def test_a_tile_that_a_disc_touches_takes_its_weight():
    radius = richness_radius_mpc(25.0) * pixels_per_mpc(0.6, PIXEL)
    one = {"redshift": 0.6, "richness": 25.0, "weight": 0.1}
    truth = pd.DataFrame([{"x": -radius + 1.0, "y": 700.0, **one}, {"x": -radius + 1.0, "y": 700.0, **one}])
    weights = natural_tile_weights(truth, SIZE, TILE, PIXEL)
    assert weights.shape == (20, 20)
    assert weights[5, 0] == pytest.approx(0.01)  # row 5 holds y = 700, both discs reach 1 px into it
    assert (weights == 1).sum() == weights.size - 1
    assert (natural_tile_weights(truth.iloc[:0], SIZE, TILE, PIXEL) == 1).all()


def test_weights_turn_the_drawn_sky_into_the_natural_one():
    rng = np.random.default_rng(1)
    truth, membership, _ = drawn_sky(rng, 400, 12.0)
    weights = weights_of_fields(truth, np.arange(400), SIZE, TILE, PIXEL)
    assert weights.mean() == pytest.approx(1)
    _, natural, _ = drawn_sky(rng, 4000, 12.0 * WEIGHT)
    assert (weights * membership).mean() == pytest.approx(natural.mean(), rel=0.1)


def test_a_weighted_fit_recovers_the_odds_of_the_natural_sky():
    """Fitted at a twentyfold rate, scored on a sky at the natural one: every bin within a fifth of the truth."""
    rng = np.random.default_rng(2)
    truth, membership, seen = drawn_sky(rng, 600, 12.0)
    weights = weights_of_fields(truth, np.arange(600), SIZE, TILE, PIXEL)
    features = np.stack([seen, seen**2], -1)
    coefficients = fit_tiles(features, membership, weights)
    _, natural, seen = drawn_sky(rng, 4000, 12.0 * WEIGHT)
    probability = tile_logistic(np.stack([seen, seen**2], -1), coefficients)
    drawn = tile_logistic(np.stack([seen, seen**2], -1), fit_tiles(features, membership))
    for low, high in ((0.0, 0.1), (0.1, 0.3), (0.3, 1.0)):
        chosen = (probability >= low) & (probability < high)
        assert natural[chosen].sum() >= 30
        assert probability[chosen].sum() == pytest.approx(natural[chosen].sum(), rel=0.2)
    assert drawn.mean() > 1.5 * natural.mean()


def test_features_of_a_tile_are_its_own():
    maps = {"ln_richness": np.full((3, 3), 3.0), "redshift": np.full((3, 3), 0.4),
            "ln_richness_error": np.full((3, 3), 0.3), "redshift_error": np.full((3, 3), 0.02)}  # fmt: skip
    maps["redshift"][1, 1] = np.nan
    features = encoder_features(np.full((3, 3), 0.2), maps)
    assert features.shape == (3, 3, 6)
    assert np.isfinite(features).all(-1).sum() == 8
