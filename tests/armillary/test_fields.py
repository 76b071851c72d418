"""Field galaxies and stars: counts against the power law, clustering against the log-normal closed form."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import gamma

from armillary import fields, galaxies, haloes
from armillary.files import read_catalog


@pytest.fixture(scope="module")
def red_sequence():
    table = Path(__file__).parents[2] / "resources/red_sequence.ecsv"
    return galaxies.prepare_red_sequence(read_catalog(str(table)), "des")


@pytest.fixture(scope="module")
def model(red_sequence):
    rates = haloes.halo_rates(image_deg2=0.01, cluster_rate="natural")
    return fields.prepare_field(red_sequence, rates, image_size=1280, pixel_arcsec=0.263)


AREA_ARCMIN2 = (1280 * 0.263 / 60) ** 2


def test_counts_are_the_stated_power_law():
    counts = fields.galaxy_counts_per_arcmin2(np.array([22.0, 23.0, 19.0, 20.0]), 45.0)
    assert np.log10(counts[1] / counts[0]) == pytest.approx(0.33)
    assert np.log10(counts[3] / counts[2]) == pytest.approx(0.50)
    magnitude = np.linspace(-5.0, 25.0, 30001)
    single = 45.0 * 0.33 * np.log(10) * 10 ** (0.33 * (magnitude - 25.0))
    assert np.trapezoid(single, magnitude) == pytest.approx(45.0, rel=1e-4)
    assert fields.galaxy_counts_per_arcmin2(24.0, 45.0) == pytest.approx(np.interp(24.0, magnitude, single), rel=1e-6)


def test_redshift_distribution_is_smail_where_no_galaxy_is_too_bright(red_sequence):
    redshift = np.linspace(0.005, 2.0, 400)
    density = fields.redshift_probability(redshift, np.array([24.4]), red_sequence)[:, 0]
    expected = gamma.pdf(redshift, 3.0, scale=0.0417 * 24.4 - 0.744)
    mean = (density * redshift).sum()
    assert mean == pytest.approx((expected * redshift).sum() / expected.sum(), rel=0.05)


def test_field_and_haloes_together_make_the_counts(model):
    """The field keeps 85 to 100 % of all galaxies: sampled haloes bring the rest."""
    magnitude = 0.5 * (model.magnitude_edges[1:] + model.magnitude_edges[:-1])
    total = fields.galaxy_counts_per_arcmin2(magnitude, 45.0).sum() * 0.1 * AREA_ARCMIN2
    assert 0.85 < model.n_galaxies.sum() / total < 1.0


def test_red_fraction(model):
    magnitude = 0.5 * (model.magnitude_edges[1:] + model.magnitude_edges[:-1])
    bright = model.n_galaxies[:, :, magnitude < 22.5].sum(axis=(1, 2))
    assert 0.15 < bright[1] / bright.sum() < 0.27  # haloes hold more red galaxies than blue ones


def test_drawn_numbers_match_expectation(model):
    drawn = [fields.sample_field_galaxies(np.random.default_rng(k), model) for k in range(60)]
    numbers = np.array([len(d["x"]) for d in drawn])
    assert numbers.mean() == pytest.approx(model.n_galaxies.sum(), rel=0.05)
    assert numbers.std() > np.sqrt(numbers.mean())  # clustered, so more than Poisson
    magnitudes = np.concatenate([d["magnitude_i"] for d in drawn])
    counts = np.histogram(magnitudes, np.arange(22.5, 24.55, 0.1))[0]
    slope = np.polyfit(np.arange(22.55, 24.5, 0.1), np.log10(counts), 1)[0]
    assert slope == pytest.approx(0.33, abs=0.03)


def test_density_maps_have_log_normal_moments(model):
    """Mean 1 and variance exp(b^2 sigma^2) - 1 for each bias b."""
    rng = np.random.default_rng(3)
    maps = np.array([fields._density_maps(rng, model, 20) for _ in range(600)])
    for kind, bias in enumerate((fields.BLUE_BIAS, fields.RED_BIAS)):
        assert maps[:, kind].mean() == pytest.approx(1.0, abs=0.05)
        assert maps[:, kind].var() == pytest.approx(np.expm1(bias**2 * model.variance[20]), rel=0.25)


def pair_excess(x, y, limit_px, image_size, rng):
    """Pairs closer than a limit over those of as many random points, less 1."""

    def n_pairs(a, b):
        return ((a[:, None] - a) ** 2 + (b[:, None] - b) ** 2 < limit_px**2).sum() - len(a)

    random = np.mean([n_pairs(*rng.uniform(0, image_size, (2, len(x)))) for _ in range(3)])
    return n_pairs(x, y), random


def test_galaxies_of_one_slice_cluster_and_red_ones_more(model):
    rng = np.random.default_rng(5)
    boosted = model._replace(n_galaxies=np.full_like(model.n_galaxies, 0.3))
    cells = slice(40, 42)
    sums = np.zeros((2, 2))
    for _ in range(150):
        maps = fields._density_maps(rng, boosted, 20)
        for kind in (0, 1):
            drawn = fields._galaxies_of_slice(rng, boosted, cells, maps[kind], kind)
            sums[kind] += pair_excess(drawn["x"], drawn["y"], 60.0, 1280, rng)
    excess = sums[:, 0] / sums[:, 1] - 1.0
    assert excess[0] > 0.1
    assert excess[1] > 1.3 * excess[0]


def test_star_counts(model):
    drawn = [fields.sample_stars(np.random.default_rng(k), model)["magnitude_i"] for k in range(300)]
    magnitudes = np.concatenate(drawn)
    assert magnitudes.min() >= 15.0 and magnitudes.max() <= 24.0
    assert len(magnitudes) / 300 / AREA_ARCMIN2 == pytest.approx(0.8 * 10**0.3, rel=0.03)


def test_stars_are_about_15_percent_of_bright_objects(model):
    magnitude = 0.5 * (model.magnitude_edges[1:] + model.magnitude_edges[:-1])
    n_galaxies = fields.galaxy_counts_per_arcmin2(magnitude, 45.0)[magnitude < 22].sum() * 0.1
    assert 0.8 / (0.8 + n_galaxies) == pytest.approx(0.15, abs=0.04)
