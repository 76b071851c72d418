"""Basis, networks and posteriors of galaxies, each against a closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from armillary.inverse.galaxy_posteriors import climbed
from armillary.inverse.hamiltonian import hamiltonian_samples
from armillary.inverse.latent_flow import LatentFlow, ln_density, to_latents, to_unit, train_flow
from armillary.inverse.local_network import Kept, initial_weights
from armillary.inverse.scenes import Camera, Problem, moffat_psf, scenes_of, simulated
from armillary.inverse.stamp_likelihood import (
    Evidence,
    Point,
    evidence,
    gaussian_posterior,
    linear_columns,
    ln_likelihoods,
    registered,
    seen_at,
    whitening,
)
from armillary.inverse.stamp_operator import image_of, modes_of
from armillary.stamp_basis import coefficients_of, fit_basis, images_of, orientations
from armillary.stamp_sets import Observations, missing_pixels, shifted_images


@pytest.fixture(scope="module")
def galaxies() -> np.ndarray:
    """Elliptical Gaussians of flux 1 on 24 pixels."""
    rng = np.random.default_rng(3)
    places = np.arange(24) - 11.5
    width = rng.uniform(1.5, 3.5, (60, 2, 1, 1))
    images = np.exp(-0.5 * (places[:, None] / width[:, 0]) ** 2 - 0.5 * (places / width[:, 1]) ** 2)
    return images / images.sum((1, 2), keepdims=True)


@pytest.fixture(scope="module")
def basis(galaxies):
    """Six components of them."""
    return fit_basis(galaxies, 6, np.random.default_rng(0))


@pytest.fixture(scope="module")
def scene(galaxies):
    """One of them through a camera, with masked pixels, and what was seen."""
    camera = Camera(17, 0.168, (0.6, 0.6), 3.5, 0.05, 0.05, 0.0)
    fine_psf = moffat_psf(25, 0.1, 0.2, 5.0, 0.0, 0.0)
    seen = simulated(
        galaxies[None, :1], np.array([23.0]), np.zeros((1, 1, 1, 1)), fine_psf, 0.1, camera, Problem(n_hidden_px=4), 2,
        np.random.default_rng(1),
    )  # fmt: skip
    missing = missing_pixels(seen.mask, {"INTRP": 2}, ["INTRP"])
    scenes = scenes_of(seen, missing, fine_psf, 24, 0.1, 0.05)
    return jax.tree.map(lambda part: part[0], scenes), seen, missing[0]


def test_the_basis_is_orthonormal_and_projects(galaxies, basis):
    flat = basis.components.reshape(6, -1)
    assert flat @ flat.T == pytest.approx(np.eye(6), abs=1e-5)
    more = fit_basis(galaxies, 20, np.random.default_rng(0))
    errors = [np.std(images_of(one, coefficients_of(one, galaxies)) - galaxies) for one in (basis, more)]
    assert errors[1] < errors[0] < 0.02 * galaxies.max()
    assert len(orientations(galaxies)) == 8 * len(galaxies)
    with pytest.raises(ValueError, match="n_components is 600"):
        fit_basis(galaxies, 600, np.random.default_rng(0))


def test_a_flow_inverts_and_its_density_is_the_jacobians(tmp_path):
    rng = np.random.default_rng(0)
    data = rng.normal(size=(500, 4)) * [1, 2, 1, 0.5]
    data[:, 1] += data[:, 0] ** 2
    kept = Kept(str(tmp_path / "work.npz"), "x")
    flow, history = train_flow(
        data, np.full_like(data, 0.01), data[:100], n_couplings=3, n_hidden=8, n_steps=200, learning_rate=5e-3, seed=0,
        kept=kept,
    )  # fmt: skip
    assert history[-1]["validation_loss"] < history[0]["validation_loss"] - 0.1
    latents = jnp.asarray(data[:20], jnp.float32)
    unit, ln_volume = to_unit(flow, latents)
    assert np.asarray(to_latents(flow, unit)) == pytest.approx(np.asarray(latents), abs=1e-4)
    jacobian = jax.vmap(jax.jacfwd(lambda one: to_unit(flow, one)[0]))(latents)
    assert np.asarray(jnp.linalg.slogdet(jacobian)[1]) == pytest.approx(np.asarray(ln_volume), abs=1e-3)


def test_an_untrained_flow_is_the_gaussian():
    weights = [initial_weights(jax.random.key(0), 1, 4, 2)]
    flow = LatentFlow(weights, jnp.eye(2)[None], jnp.zeros(2), jnp.ones(2))
    assert ln_density(flow, jnp.zeros(2)) == pytest.approx(-np.log(2 * np.pi), abs=1e-6)


def test_hamiltonian_samples_of_a_gaussian_have_its_moments():
    root = jnp.array([[1.0, 0.0], [1.5, 0.5]])
    precision = jnp.linalg.inv(root @ root.T)
    samples, acceptance, was_moved = jax.jit(
        lambda key: hamiltonian_samples(
            lambda x, heat: -0.5 * heat * (x - 3.0) @ precision @ (x - 3.0),
            jnp.zeros((4, 2)),
            jnp.zeros(2),
            jnp.eye(2),
            key,
            n_warmup=200,
            n_samples=2000,
            n_leapfrog=5,
        )  # fmt: skip
    )(jax.random.key(0))
    flat = np.asarray(samples).reshape(-1, 2)
    assert 0.6 < acceptance < 0.95 and not was_moved.any()
    assert flat.mean(0) == pytest.approx([3, 3], abs=0.15)
    assert np.cov(flat.T) == pytest.approx(np.asarray(root @ root.T), abs=0.3)


def test_the_evidence_is_the_likelihood_with_its_nuisances_integrated(scene, basis):
    """Gram and pull against the dense Gaussian of all pixels, nuisances and residuals as correlated noise."""
    one, seen, missing = scene
    point = Point(jnp.array([30.0]), jnp.zeros((1, 6)), jnp.array([[0.02, -0.03]]))
    root = np.zeros((7, 6))
    root[1:] = 30.0 * basis.mean.max() * np.linalg.cholesky(np.diag(np.linspace(1, 2, 6)) * 0.04)
    stack = jnp.asarray(basis.stack, jnp.float32)
    found = evidence(seen_at(one, stack, point), jnp.asarray(root, jnp.float32), jnp.array([1.0, 3.0]))
    signal, nuisance = (np.asarray(a, float) for a in linear_columns(one, stack, point))
    good = ~missing.ravel()
    a, z = (part.reshape(len(part), -1)[:, good].T for part in (signal, nuisance))
    prior = np.diag([0.05**2, 0.05**2, float(one.background_sigma) ** 2])
    missed = a @ root @ root.T @ a.T
    noise = np.eye(good.sum()) * 0.05**2 + z @ prior @ z.T + missed
    expected = z @ np.array([-0.02, 0.03, 0.0])
    data = np.asarray(one.image, float).ravel()[good] - expected
    weighted = np.linalg.solve(noise, a)
    scale = np.sqrt(np.outer(np.diag(a.T @ weighted), np.diag(a.T @ weighted)))
    assert np.abs(np.asarray(found.gram[0]) - a.T @ weighted).max() < 2e-3 * scale.max()
    pull = weighted.T @ data
    assert np.asarray(found.pull[0]) == pytest.approx(pull, abs=5e-3 * np.abs(pull).max())
    # and what tells residuals of two scales apart is the ratio of the two dense densities
    c, dense = np.append(30.0, np.zeros(6)), []
    for covariance in (noise, noise + 8 * missed):
        left = data - a @ c
        dense.append(-0.5 * left @ np.linalg.solve(covariance, left) - 0.5 * np.linalg.slogdet(covariance)[1])
    ours = ln_likelihoods(found, jnp.asarray(c, jnp.float32))
    assert ours[0] - ours[1] == pytest.approx(dense[0] - dense[1], abs=0.05)
    slope = jax.grad(lambda c: ln_likelihoods(found, c)[1])(jnp.asarray(c, jnp.float32))
    assert np.asarray(slope) == pytest.approx(np.asarray(found.pull[1] - found.gram[1] @ c), rel=1e-3, abs=1e-2)


def test_the_maximum_is_where_the_probability_is_not_where_a_flow_has_squeezed_it():
    """One unknown, seen through c to 0.05: c = 0.5 at u = -0.125 on a steep branch and at u = 1 on a flat one.

    The steep branch has the higher density in u, the flat one five times the probability.
    """
    sigma, seen = 0.05, 0.5
    form = jnp.full((1, 1, 1), sigma**-2), jnp.full((1, 1), seen * sigma**-2), jnp.zeros(1)
    found = Evidence(*form, None, None)

    def c_of_unknowns(u):
        return jnp.where(u > 0, 0.5 * u, -4.0 * u)

    u = np.linspace(-4, 4, 80001)
    density = np.exp(-0.5 * ((np.asarray(c_of_unknowns(u)) - seen) / sigma) ** 2 - 0.5 * u**2)
    assert u[np.argmax(density)] == pytest.approx(-0.125, abs=0.01)
    assert density[u > 0].sum() > 4 * density[u < 0].sum()
    tops = [climbed(found, c_of_unknowns, jnp.array([start]), 30, jnp.zeros(1)) for start in (-0.3, 0.7)]
    assert [float(top[0][0]) for top in tops] == pytest.approx([-0.125, 1.0], abs=0.01)
    assert tops[1][1] > tops[0][1] + 1
    assert tops[1][2] == pytest.approx(np.array([[(0.5 / sigma) ** 2 + 1]]), rel=1e-4)


def test_a_galaxy_is_registered_and_its_flux_found(scene, basis, galaxies):
    one, seen, _ = scene
    point = registered(one, jnp.asarray(basis.stack, jnp.float32), jnp.asarray(basis.covariance, jnp.float32))
    found = seen_at(one, jnp.asarray(basis.stack, jnp.float32), point)
    mean, covariance = gaussian_posterior(found, jnp.asarray(basis.covariance), point.flux)
    error = np.sqrt(covariance[0, 0])
    assert abs(mean[0] - seen.true_flux[0, 0]) < 4 * error + 0.02 * seen.true_flux[0, 0]
    assert (np.diag(covariance) > -1e-6).all()


def test_the_least_error_of_a_flux_is_the_matched_filters(galaxies):
    """One galaxy against its own noise-free image, two against one: far apart they do not matter to each other."""
    camera = Camera(31, 0.168, (0.6, 0.6), 3.5, 0.05, 0.001, 0.0)
    fine_psf, pair = moffat_psf(25, 0.1, 0.2, 5.0, 0.0, 0.0), np.stack([galaxies[:1], galaxies[:1]], 1)

    def sigma(stamps, problem, mag):
        none = np.zeros((1, stamps.shape[1], 1, 1))
        rng = np.random.default_rng(1)
        return simulated(stamps, np.array([mag]), none, fine_psf, 0.1, camera, problem, 2, rng)

    bright = sigma(pair[:, :1], Problem(), 10.0)
    shape = bright.image[0] / bright.true_flux[0, 0]
    assert bright.flux_sigma[0, 0] == pytest.approx(0.05 / np.sqrt(np.sum(shape**2)), rel=0.01)
    near, far = (
        sigma(pair, Problem(n_sources=2, separation_arcsec=(apart, apart)), 22.0).flux_sigma[0] for apart in (0.5, 3.0)
    )
    assert far == pytest.approx(np.full(2, bright.flux_sigma[0, 0]), rel=0.05)
    assert (near > 1.5 * far).all()


def test_light_near_an_edge_does_not_come_back_on_the_other_side(galaxies):
    fine_psf, psf = moffat_psf(25, 0.1, 0.2, 5.0, 0.0, 0.0), moffat_psf(41, 0.168, 0.6, 3.5, 0.0, 0.0)
    nothing, place = np.zeros((1, 41, 41)), np.array([[[3.2, 0.0]]])
    seen = Observations(
        nothing, nothing + 1, nothing.astype(int), psf[None], 0.168, place, nothing, nothing, nothing, nothing, nothing
    )
    one = jax.tree.map(lambda part: part[0], scenes_of(seen, nothing > 0, fine_psf, 24, 0.1, 0.05))
    image = np.asarray(
        image_of(one.operator, modes_of(one.operator, jnp.asarray(galaxies[0])), jnp.asarray(place[0, 0]))
    )
    assert image[-10:].sum() > 0.7
    assert np.abs(image[:10]).sum() < 5e-3


def test_whitened_correlated_noise_is_white(rng):
    correlation = 0.2
    lag = np.eye(6) + correlation * (np.eye(6, k=1) + np.eye(6, k=-1))
    missing = np.zeros((6, 6), bool)
    missing[2, 3] = True
    factor = whitening(np.full((6, 6), 4.0), missing, correlation)
    kept = ~missing.ravel()
    covariance = factor @ (4 * np.kron(lag, lag)) @ factor.T
    assert covariance[np.ix_(kept, kept)] == pytest.approx(np.eye(35), abs=1e-10)
    assert not factor[:, ~kept].any()


def test_bad_variances_and_masks_are_one_clear_line():
    nothing = np.zeros((4, 4), bool)
    with pytest.raises(ValueError, match="all pixels are masked"):
        whitening(np.ones((4, 4)), ~nothing, 0.0)
    with pytest.raises(ValueError, match="16 unmasked pixels have a variance"):
        whitening(np.zeros((4, 4)), nothing, 0.0)
    with pytest.raises(ValueError, match="unknown mask plane 'HALO'"):
        missing_pixels(np.zeros((2, 2), int), {"BAD": 0}, ["HALO"])
    assert missing_pixels(np.array([[4, 1], [44, 32]]), {"INTRP": 2}, ["INTRP"]).tolist() == [
        [True, False],
        [True, False],
    ]


def test_a_shift_by_whole_pixels_is_a_roll(rng):
    image = rng.normal(size=(2, 8, 8))
    moved = shifted_images(image, np.array([[0.2, -0.1], [0.0, 0.3]]), 0.1)
    assert moved[0] == pytest.approx(np.roll(image[0], (2, -1), (0, 1)))
    assert moved[1] == pytest.approx(np.roll(image[1], 3, 1))
