"""Posteriors of scenes of galaxies: the most likely, Gaussian approximations, and samples, under the learned prior.

Unknowns of a source are the unit Gaussian variables of its stamp and one more for the logarithm of its flux. Shifts,
background and what the decoder misses are integrated out (`stamp_likelihood`) and drawn afterwards, given the rest.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from armillary.inverse.galaxy_prior import GalaxyPrior, coefficients_of_unit, unit_of_coefficients
from armillary.inverse.hamiltonian import hamiltonian_samples
from armillary.inverse.mixture_posteriors import MixturePosterior, mixture_posterior, sample_posterior
from armillary.inverse.stamp_likelihood import (
    Evidence,
    Point,
    Scene,
    Seen,
    evidence_at,
    gaussian_posterior,
    ln_likelihoods,
    moved,
    nuisance_sample,
    registered,
    residual_sample,
    seen_at,
)

LN_FLUX_SIGMA = 0.5  # of the prior of ln flux around the registered one


class Effort(NamedTuple):
    """How long the methods work."""

    n_starts: int = 4
    n_map_steps: int = 40
    n_chains: int = 4
    n_warmup: int = 150
    n_samples: int = 100  # of a chain
    n_leapfrog: int = 6
    n_vi_steps: int = 300
    n_vi_draws: int = 4  # pairs
    n_diffusions: int = 4  # chains of the score prior
    n_levels: int = 16  # of noise, from the largest to the smallest


class Draws(NamedTuple):
    """What a method says of a scene: its best c, samples of c, shifts and background, and chains of the unknowns."""

    best: jax.Array  # (n_sources, 1 + n_components): flux x (1, a)
    best_shift: jax.Array  # (n_sources, 2) arcsec
    c: jax.Array  # (n, n_sources, 1 + n_components)
    shift: jax.Array  # (n, n_sources, 2)
    background: jax.Array  # (n,)
    chains: jax.Array | None  # (n_chains, n_samples, n_unknowns)
    quality: jax.Array  # acceptance of HMC, importance efficiency of VI; nan otherwise
    moved: jax.Array | None = None  # (n_chains,) chains that went on from another one's place
    ln_evidence: jax.Array | None = None  # of the prior as a whole, where it is a closed form


def c_of(prior: GalaxyPrior, flux: jax.Array, unknowns: jax.Array) -> jax.Array:
    """c (n,) of unknowns (n_sources (n_latents + 1),)."""
    rows = unknowns.reshape(len(flux), -1)
    stamps = coefficients_of_unit(prior, rows[:, :-1])
    brightness = flux * jnp.exp(LN_FLUX_SIGMA * rows[:, -1])
    return (brightness[:, None] * jnp.pad(stamps, ((0, 0), (1, 0)), constant_values=1.0)).ravel()


def ln_posterior(
    prior: GalaxyPrior, found: Evidence, flux: jax.Array, unknowns: jax.Array, inverse_temperature: jax.Array = 1.0
) -> jax.Array:
    """ln of prior times likelihood, up to a constant, whatever the scale of the residuals."""
    fit = jax.nn.logsumexp(ln_likelihoods(found, c_of(prior, flux, unknowns)))
    return inverse_temperature * fit - 0.5 * jnp.sum(unknowns**2)


def climbed(
    found: Evidence, c_of_unknowns: Callable[[jax.Array], jax.Array], start: jax.Array, n_steps: int,
    ln_share: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array]:  # fmt: skip
    """Unknowns (n,) after damped Gauss-Newton steps (Marquardt 1963) from a start, ln of the posterior there, and its
    curvature (n, n).

    The posterior is probability in a unit of volume that its own width sets, not in one of the unknowns, so that the
    maximum hardly depends on where a flow has stretched space: its metric is the curvature, the data's information
    and the prior's (Druilhet and Marin 2007; theirs is the data's alone). `ln_share` (n_scales,) is of the residuals'
    scales.
    """

    def height_of(unknowns):
        fits = ln_likelihoods(found, c_of_unknowns(unknowns)) + ln_share
        slope = jax.jacfwd(c_of_unknowns)(unknowns)
        gram = jnp.tensordot(jax.nn.softmax(fits), found.gram, 1)
        curvature = slope.T @ gram @ slope + jnp.eye(len(unknowns))
        ln_volume = -jnp.sum(jnp.log(jnp.diag(jnp.linalg.cholesky(curvature))))
        return jax.nn.logsumexp(fits) - 0.5 * jnp.sum(unknowns**2) + ln_volume, curvature

    look = jax.value_and_grad(height_of, has_aux=True)

    def step(_, state):
        (unknowns, (height, curvature), gradient), damping = state
        tried = unknowns + jnp.linalg.solve(curvature + damping * jnp.diag(jnp.diag(curvature)), gradient)
        new = (tried, *look(tried))
        higher = new[1][0] > height
        kept = jax.tree.map(lambda new, old: jnp.where(higher, new, old), new, state[0])
        return kept, jnp.clip(damping * jnp.where(higher, 0.3, 4.0), 1e-4, 1e6)

    (unknowns, (height, curvature), _), _ = jax.lax.fori_loop(0, n_steps, step, ((start, *look(start)), jnp.array(1.0)))
    return unknowns, height, curvature


@jax.jit
def _climb(prior: GalaxyPrior, found: Evidence, flux: jax.Array, starts: jax.Array, n_steps: int, ln_share: jax.Array):
    """`climbed` from each of the starts (n_starts, n)."""
    return jax.vmap(lambda one: climbed(found, partial(c_of, prior, flux), one, n_steps, ln_share))(starts)


class Summit(NamedTuple):
    """The maximum of a posterior (`climbed`), the evidence around it, and a root of the Gaussian's covariance there."""

    unknowns: jax.Array
    root: jax.Array
    flux: jax.Array  # that ln flux is counted from
    point: Point
    found: Evidence


def summit(prior: GalaxyPrior, scene: Scene, key: jax.Array, effort: Effort) -> Summit:
    """Climb from the mean and from draws of the mixture's posterior with the largest residuals, which leave the least
    maxima; linearise at the best; climb on from there with residuals of every scale."""
    known = mixture_posterior(scene, prior.stack, prior.covariance, prior.mixture)
    point = known.point
    flux, scales = point.flux, jnp.arange(len(prior.residual_scales))
    residual = (prior.stack, prior.residual_spectrum, prior.residual_scales, 0)
    found = compiled_evidence(scene, *residual, point)
    starts = _starts(prior, known, key, effort.n_starts)
    largest = jnp.where(scales == scales[-1], 0.0, -jnp.inf)
    unknowns, height, _ = _climb(prior, found, flux, starts, effort.n_map_steps, largest)
    point = _moved(prior, found, flux, unknowns, height, point)
    found = compiled_evidence(scene, *residual, point)
    unknowns, height, curvature = _climb(prior, found, flux, unknowns, effort.n_map_steps, jnp.zeros(len(scales)))
    best = _highest(height)
    root = jnp.linalg.inv(jnp.linalg.cholesky(curvature[best])).T
    return Summit(unknowns[best], root, flux, point, found)


# compiled apart: methods and rounds share them
compiled_registered, compiled_seen = jax.jit(registered), jax.jit(seen_at)
compiled_evidence = jax.jit(evidence_at, static_argnames="n_known")


@partial(jax.jit, static_argnames="n_starts")
def _starts(prior: GalaxyPrior, known: MixturePosterior, key: jax.Array, n_starts: int) -> jax.Array:
    """Unknowns (n_starts, n): near the mixture's mean galaxies, then near draws of its posterior."""
    c = jnp.concatenate([known.best[None], sample_posterior(known, key, n_starts - 1)])
    c = c.reshape(n_starts, len(known.point.flux), -1)
    flux = jnp.maximum(c[..., 0], 0.05 * known.point.flux)
    unit = jnp.clip(unit_of_coefficients(prior, c[..., 1:] / flux[..., None]), -3, 3)
    brighter = jnp.log(flux / known.point.flux) / LN_FLUX_SIGMA
    return jnp.concatenate([unit, brighter[..., None]], -1).reshape(n_starts, -1)


def _highest(height: jax.Array) -> jax.Array:
    return jnp.argmax(jnp.where(jnp.isfinite(height), height, -jnp.inf))


@jax.jit
def _moved(prior, found, flux, unknowns, height, point) -> Point:
    c, nuisances = _with_residual(prior, found, flux, unknowns[_highest(height)])
    return moved(point, c, nuisances)


def _with_residual(prior, found: Evidence, flux, unknowns, key=None):
    """c with its residual, and the nuisances, drawn; without a key their means at the most probable scale."""
    c = c_of(prior, flux, unknowns)
    fits, n_missed, n_nuisances = ln_likelihoods(found, c), found.residual_root.shape[2], len(found.seen.nuisance_mean)
    if key is None:
        scale, noise = jnp.argmax(fits), (jnp.zeros(n_missed), jnp.zeros(n_nuisances))
    else:
        keys = jax.random.split(key, 3)
        scale = jax.random.categorical(keys[0], fits)
        noise = jax.random.normal(keys[1], (n_missed,)), jax.random.normal(keys[2], (n_nuisances,))
    c = c + residual_sample(found, scale, c, noise[0])
    return c, nuisance_sample(found.seen, c, noise[1])


@jax.jit
def _draws(prior, top: Summit, unknowns, key, chains, quality, was_moved=None) -> Draws:
    """Draws of everything from unknowns (n, n_unknowns)."""
    found, n_sources = top.found, len(top.flux)
    complete = jax.vmap(lambda one, key: _with_residual(prior, found, top.flux, one, key))
    c, nuisances = complete(unknowns, jax.random.split(key, len(unknowns)))
    best, best_nuisances = _with_residual(prior, found, top.flux, top.unknowns)
    return Draws(
        best.reshape(n_sources, -1), top.point.shift + best_nuisances[:-1].reshape(-1, 2),
        c.reshape(len(unknowns), n_sources, -1), top.point.shift + nuisances[:, :-1].reshape(len(unknowns), -1, 2),
        nuisances[:, -1], chains, quality, was_moved,
    )  # fmt: skip


def gaussian_draws(prior: GalaxyPrior, scene: Scene, key: jax.Array, n_draws: int) -> Draws:
    """The PCA-Gaussian posterior: no network, closed form."""
    point = compiled_registered(scene, prior.stack, prior.covariance)
    return _gaussian_draws(prior.covariance, compiled_seen(scene, prior.stack, point), point, key, n_draws)


@partial(jax.jit, static_argnames="n_draws")
def _gaussian_draws(covariance: jax.Array, seen: Seen, point: Point, key: jax.Array, n_draws: int) -> Draws:
    mean, covariance = gaussian_posterior(seen, covariance, point.flux)
    values, vectors = jnp.linalg.eigh(covariance)
    root = vectors * jnp.sqrt(jnp.maximum(values, 0.0))
    keys = jax.random.split(key)
    c = mean + jax.random.normal(keys[0], (n_draws, len(mean))) @ root.T
    return _with_nuisances(seen, point, mean, c, keys[1])


def _with_nuisances(seen: Seen, point: Point, mean: jax.Array, c: jax.Array, key: jax.Array) -> Draws:
    """Draws c (n_draws, n) of a closed form with shifts and background drawn given them."""
    n_draws = len(c)
    noise = jax.random.normal(key, (n_draws, len(seen.nuisance_mean)))
    nuisances = jax.vmap(lambda one, noise: nuisance_sample(seen, one, noise))(c, noise)
    best_shift = point.shift + nuisance_sample(seen, mean, jnp.zeros(noise.shape[1]))[:-1].reshape(-1, 2)
    n_sources = len(point.flux)
    return Draws(
        mean.reshape(n_sources, -1), best_shift, c.reshape(n_draws, n_sources, -1),
        point.shift + nuisances[:, :-1].reshape(n_draws, -1, 2), nuisances[:, -1], None, jnp.array(jnp.nan),
    )  # fmt: skip


def mixture_draws(prior: GalaxyPrior, scene: Scene, key: jax.Array, n_draws: int) -> Draws:
    """The posterior under the mixture of Gaussians: closed form, exact draws, evidence."""
    known = mixture_posterior(scene, prior.stack, prior.covariance, prior.mixture)
    return _mixture_draws(known, key, n_draws)


@partial(jax.jit, static_argnames="n_draws")
def _mixture_draws(known: MixturePosterior, key: jax.Array, n_draws: int) -> Draws:
    keys = jax.random.split(key)
    drawn = _with_nuisances(known.seen, known.point, known.best, sample_posterior(known, keys[0], n_draws), keys[1])
    return drawn._replace(ln_evidence=jax.nn.logsumexp(known.ln_evidence))


def laplace_draws(prior: GalaxyPrior, scene: Scene, key: jax.Array, effort: Effort, n_draws: int) -> Draws:
    """The maximum, and a Gaussian of its curvature."""
    keys = jax.random.split(key, 3)
    top = summit(prior, scene, keys[0], effort)
    unknowns = top.unknowns + jax.random.normal(keys[1], (n_draws, len(top.unknowns))) @ top.root.T
    return _draws(prior, top, unknowns, keys[2], None, jnp.array(jnp.nan))


def variational_draws(prior: GalaxyPrior, scene: Scene, key: jax.Array, effort: Effort, n_draws: int) -> Draws:
    """The Gaussian of full covariance with the least Kullback-Leibler divergence to the posterior, started at the
    curvature's; `quality` is the efficiency of importance weights, 1 where the posterior is that Gaussian."""
    keys = jax.random.split(key, 4)
    top = summit(prior, scene, keys[0], effort)
    noise = jax.random.normal(keys[2], (n_draws, len(top.unknowns)))
    unknowns, efficiency = _variational(prior, top, keys[1], noise, effort.n_vi_steps, effort.n_vi_draws)
    return _draws(prior, top, unknowns, keys[3], None, efficiency)


@partial(jax.jit, static_argnames=("n_steps", "n_pairs"))
def _variational(prior, top: Summit, key, noise, n_steps: int, n_pairs: int) -> tuple[jax.Array, jax.Array]:
    """Unknowns (n_draws, n) of the fitted Gaussian, and the efficiency of their importance weights."""
    n = noise.shape[1]
    optimiser = optax.adam(optax.cosine_decay_schedule(0.02, n_steps))

    def unknowns_of(shape, noise):
        lower = jnp.tril(shape["root"], -1) + jnp.diag(jnp.exp(shape["ln_diagonal"]))
        return top.unknowns + (noise @ lower.T + shape["mean"]) @ top.root.T

    def ln_target(unknowns):
        return jax.vmap(lambda one: ln_posterior(prior, top.found, top.flux, one))(unknowns)

    def loss(shape, noise):
        return -jnp.mean(ln_target(unknowns_of(shape, noise))) - jnp.sum(shape["ln_diagonal"])

    def step(state, key):
        shape, memory = state
        half = jax.random.normal(key, (n_pairs, n))
        change, memory = optimiser.update(jax.grad(loss)(shape, jnp.concatenate([half, -half])), memory)
        return (optax.apply_updates(shape, change), memory), None

    shape = {"mean": jnp.zeros(n), "root": jnp.zeros((n, n)), "ln_diagonal": jnp.zeros(n)}
    (shape, _), _ = jax.lax.scan(step, (shape, optimiser.init(shape)), jax.random.split(key, n_steps))
    unknowns = unknowns_of(shape, noise)
    weight = jax.nn.softmax(ln_target(unknowns) + 0.5 * jnp.sum(noise**2, -1))
    return unknowns, 1 / jnp.sum(weight**2) / len(noise)


def hamiltonian_draws(prior: GalaxyPrior, scene: Scene, key: jax.Array, effort: Effort, n_draws: int) -> Draws:
    """Samples by Hamiltonian Monte Carlo from dispersed starts around the maximum."""
    keys = jax.random.split(key, 4)
    top = summit(prior, scene, keys[0], effort)
    start = top.unknowns + 1.5 * jax.random.normal(keys[1], (effort.n_chains, len(top.unknowns))) @ top.root.T
    lengths = (effort.n_warmup, effort.n_samples, effort.n_leapfrog)
    chains, acceptance, was_moved = _chains(prior, top, start, keys[2], *lengths)
    flat = jnp.swapaxes(chains, 0, 1).reshape(-1, chains.shape[-1])
    thinned = flat[jnp.linspace(0, len(flat) - 1, n_draws).astype(int)]
    return _draws(prior, top, thinned, keys[3], chains, acceptance, was_moved)


@partial(jax.jit, static_argnames=("n_warmup", "n_samples", "n_leapfrog"))
def _chains(prior, top: Summit, start, key, n_warmup: int, n_samples: int, n_leapfrog: int):
    return hamiltonian_samples(
        lambda unknowns, inverse_temperature: ln_posterior(prior, top.found, top.flux, unknowns, inverse_temperature),
        start, top.unknowns, top.root, key, n_warmup=n_warmup, n_samples=n_samples, n_leapfrog=n_leapfrog,
    )  # fmt: skip
