"""The mixture of Gaussians, the fits of profiles and of monotonic pixels, and headline scores, against closed forms."""

import galsim
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from armillary.inverse.galaxy_methods import _convergence as convergence_of
from armillary.inverse.galaxy_posteriors import Draws
from armillary.inverse.galaxy_prior import Mixture
from armillary.inverse.mixture_posteriors import posterior_at, prior_of_parts, sample_posterior, weights_of_parts
from armillary.inverse.pixel_fits import inner_neighbours, monotonic_image
from armillary.inverse.profile_fits import ProfileFrame, profile_stamp
from armillary.inverse.stamp_likelihood import Point, Seen
from armillary.metrics import resample_counts
from armillary.posterior_checks import rank_chi2
from armillary.stamp_evaluation import ProblemData
from armillary.stamp_headlines import headline_metrics
from armillary.stamp_mixture import fit_mixture, ln_density
from armillary.stamp_sets import Observations


def test_the_mixture_of_two_groups_is_found_and_preferred(rng):
    groups = np.concatenate([rng.normal(size=(400, 3)) * [1, 0.3, 1], rng.normal(size=(800, 3)) * 0.3 + [4, 0, 0]])
    held = np.concatenate([rng.normal(size=(400, 3)) * [1, 0.3, 1], rng.normal(size=(800, 3)) * 0.3 + [4, 0, 0]])
    two, one = (fit_mixture(groups, n, 0) for n in (2, 1))
    assert np.sort(two.weight) == pytest.approx([1 / 3, 2 / 3], abs=0.03)
    assert two.mean[np.argmax(two.weight)] == pytest.approx([4, 0, 0], abs=0.1)
    assert ln_density(two, held).mean() > ln_density(one, held).mean() + 0.5
    expected = multivariate_normal(groups.mean(0), one.covariance[0]).logpdf(held)
    assert ln_density(one, held) == pytest.approx(expected, abs=1e-2)
    with pytest.raises(ValueError, match="n_parts is 200"):
        fit_mixture(groups, 200, 0)


@pytest.fixture
def mixture(rng) -> Mixture:
    """Four Gaussians of two coefficients, far enough apart for data to tell them."""
    root = np.tril(rng.normal(size=(4, 2, 2))) * 0.3
    root[:, [0, 1], [0, 1]] = np.abs(root[:, [0, 1], [0, 1]]) + 0.1
    weight = np.array([0.4, 0.3, 0.2, 0.1])
    return Mixture(*(jnp.asarray(part, jnp.float32) for part in (np.log(weight), 2 * rng.normal(size=(4, 2)), root)))


@pytest.mark.parametrize("n_sources", [1, 2])
def test_the_mixtures_posterior_is_that_of_all_combinations(rng, mixture, n_sources):
    """Evidence, mean and draws against a sum over every combination of dense Gaussians, for data A c + unit noise."""
    n = 3 * n_sources
    design = rng.normal(size=(8, n))
    flux = np.array([1.0, 1.5])[:n_sources]
    data = design @ np.concatenate([level * np.append(1.0, mixture.mean[2 - k]) for k, level in enumerate(flux)])
    data = data + rng.normal(size=8)
    seen = Seen(*(jnp.asarray(a, jnp.float32) for a in (
        design.T @ design, design.T @ data, np.zeros(3), np.zeros((3, n)), np.eye(3), -0.5 * data @ data,
    )))  # fmt: skip
    point = Point(jnp.asarray(flux, jnp.float32), jnp.zeros((n_sources, 2)), jnp.zeros((n_sources, 2)))
    found = posterior_at(mixture, seen, point)
    terms = []
    means, roots = zip(*(map(np.asarray, prior_of_parts(mixture, level)) for level in flux), strict=True)
    for parts in np.ndindex(*[4] * n_sources):
        mean = np.concatenate([means[k][part] for k, part in enumerate(parts)])
        spread = np.zeros((n, n))
        for k, part in enumerate(parts):
            spread[3 * k : 3 * k + 3, 3 * k : 3 * k + 3] = roots[k][part] @ roots[k][part].T
        total = design @ spread @ design.T + np.eye(8)
        gain = spread @ design.T @ np.linalg.inv(total)
        ln_prior = sum(float(mixture.ln_weight[part]) for part in parts)
        evidence = multivariate_normal(design @ mean, total).logpdf(data) + 4 * np.log(2 * np.pi) + ln_prior
        terms.append((evidence, mean + gain @ (data - design @ mean), spread - gain @ design @ spread))
    ln_evidence = np.array([term[0] for term in terms])
    whole = np.logaddexp.reduce(ln_evidence)
    weight = np.exp(ln_evidence - whole)
    mean = weight @ np.array([term[1] for term in terms])
    assert jax.nn.logsumexp(found.ln_evidence) == pytest.approx(whole, abs=0.02)
    assert np.asarray(found.best) == pytest.approx(mean, abs=0.02)
    variance = weight @ np.array([np.diag(term[2]) + (term[1] - mean) ** 2 for term in terms])
    drawn = np.asarray(sample_posterior(found, jax.random.key(0), 4000))
    assert drawn.std(0) == pytest.approx(np.sqrt(variance), rel=0.08)
    best = np.argmax(np.asarray(weights_of_parts(mixture, seen, point.flux)), 1)
    assert tuple(best) == np.unravel_index(np.argmax(ln_evidence), [4] * n_sources)


def test_a_brighter_galaxy_is_brighter_in_all_its_coefficients(mixture):
    mean, root = prior_of_parts(mixture, 3.0)
    assert np.asarray(mean[1]) == pytest.approx(3.0 * np.append(1.0, mixture.mean[1]))
    covariance = np.asarray(root[1] @ root[1].T)
    assert covariance[0, 1:] / covariance[0, 0] == pytest.approx(np.asarray(mixture.mean[1]), rel=1e-4)


def test_a_bulge_and_a_disc_are_galsims():
    frame = ProfileFrame(64, 0.06, 0.15 / 2.3548)
    shapes = ((0.3, 0.1), (-0.1, 0.2))
    parameters = jnp.array([0.0, -1.0, np.log(0.35), np.log(0.2), *shapes[0], *shapes[1], 0, 0])
    share = 1 / (1 + np.e)
    parts = []
    profiles = galsim.Exponential(half_light_radius=0.35), galsim.DeVaucouleurs(half_light_radius=0.2)
    for profile, (a, b) in zip(profiles, shapes, strict=True):
        length = np.hypot(a, b)
        parts.append(profile.shear(g1=a / length * np.tanh(length), g2=b / length * np.tanh(length)))
    galaxy = galsim.Convolve((1 - share) * parts[0] + share * parts[1], galsim.Gaussian(fwhm=0.15))
    wanted = galaxy.drawImage(nx=64, ny=64, scale=0.06, method="no_pixel").array
    found = np.asarray(profile_stamp(parameters, frame))
    assert np.abs(found - wanted).max() < 4e-3 * wanted.max()
    assert found.sum() == pytest.approx(wanted.sum(), rel=4e-3)


def test_monotonic_images_fall_from_the_middle_and_are_symmetric(rng):
    inner = jnp.asarray(inner_neighbours(16))
    found = np.asarray(monotonic_image(jnp.asarray(rng.normal(size=(16, 16)) + 1.0), inner))
    assert (found >= 0).all() and found == pytest.approx(found[::-1, ::-1])
    assert (found.ravel() <= found.ravel()[np.asarray(inner)] + 1e-6).all()
    place = np.arange(16) - 7.5
    galaxy = np.exp(-0.5 * (place[:, None] ** 2 + place**2) / 9)
    assert np.asarray(monotonic_image(jnp.asarray(galaxy), inner)) == pytest.approx(galaxy, rel=1e-5)
    middle = np.asarray(inner) == np.arange(256)
    assert middle.sum() == 4


def test_ranks_of_scenes_with_fewer_independent_draws(rng):
    sizes = np.where(np.arange(4000) % 2, 64, 9)
    assert rank_chi2(rng.integers(0, sizes + 1), sizes) < 25
    assert rank_chi2(rng.integers(0, sizes + 1) // 2, sizes) > 500


def test_headlines_pair_scenes_and_hold_the_spread_of_trainings(rng):
    """A method that halves ellipticities and is 2 % bright, in three trainings that differ, against a perfect one."""
    place = (np.arange(32) - 15.5) * 0.1
    widths = rng.uniform(0.25, 0.45, (30, 2, 1, 1))
    truth = np.exp(-0.5 * (place[:, None] / widths[:, 0]) ** 2 - 0.5 * (place / widths[:, 1]) ** 2)[:, None]
    round_ = np.sqrt((widths**2).mean(1))[:, None] * np.ones((1, 2, 1, 1))
    between = 0.5 * widths + 0.5 * round_
    half = np.exp(-0.5 * (place[:, None] / between[:, 0]) ** 2 - 0.5 * (place / between[:, 1]) ** 2)[:, None]
    half *= truth.sum((2, 3), keepdims=True) / half.sum((2, 3), keepdims=True)
    none = np.zeros((30, 1, 1))
    seen = Observations(
        none, none, none, none, 0.1, np.zeros((30, 1, 2)), truth, np.zeros((30, 1, 1, 1)), truth.sum((2, 3)), none, none
    )
    trainings = [
        ProblemData(
            "p", seen, {"hmc": {"image": bright * half}} | ({"pca_mixture": {"image": 1.0001 * truth}}), None, 0.1
        )
        for bright in (1.01, 1.02, 1.03)
    ]
    found = headline_metrics(trainings, resample_counts(30, 100, rng), rng)
    assert found["p_hmc_ellipticity_slope"]["value"] == pytest.approx(0.5, abs=0.06)
    assert found["p_pca_mixture_ellipticity_slope"]["value"] == pytest.approx(1.0, abs=1e-3)
    assert found["p_hmc_flux_error_median"]["value"] == pytest.approx(0.02, rel=1e-3)
    width = found["p_hmc_flux_error_median"]["hi"] - found["p_hmc_flux_error_median"]["lo"]
    assert width == pytest.approx(0.02, rel=0.35)  # all scenes agree: the spread of trainings, 0.01, is the error
    assert found["p_hmc_psnr_db_minus_pca_mixture"]["hi"] < 0
    assert "p_pca_mixture_psnr_db_minus_hmc" not in found


def test_chains_that_were_moved_do_not_speak_for_convergence(rng):
    chains = rng.normal(size=(4, 100, 2))
    chains[3] += 5.0
    drawn = Draws(*[None] * 2, np.zeros((64, 1, 3)), *[None] * 2, chains, np.nan, np.array([False, False, False, True]))
    found = convergence_of(drawn)
    assert found["r_hat"] < 1.1 and found["moved"] == 0.25 and found["n_independent"] < 64
    assert convergence_of(drawn._replace(moved=np.zeros(4, bool)))["r_hat"] > 2
    assert convergence_of(drawn._replace(moved=np.array([False, True, True, True])))["r_hat"] == np.inf
    independent = drawn._replace(chains=rng.normal(size=(4, 100, 2)), moved=None)
    assert convergence_of(independent)["n_independent"] == 64
