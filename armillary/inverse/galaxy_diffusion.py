"""Posteriors of scenes of galaxies under the score prior: `score`, beside the methods of `galaxy_posteriors`.

Unknowns of a source are its whitened coefficients and one more for the logarithm of its flux. What the prior's
coefficients miss has one of few scales, drawn for each sample given the data; shifts and background follow.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from armillary.inverse.diffusion import Data, descend
from armillary.inverse.galaxy_posteriors import (
    LN_FLUX_SIGMA,
    Draws,
    Effort,
    compiled_evidence,
    compiled_registered,
)
from armillary.inverse.galaxy_prior import GalaxyPrior
from armillary.inverse.galaxy_score import (
    SIGMA_MAX,
    SIGMA_MIN,
    GalaxyScore,
    coefficients_of_white,
    denoised_moments,
    white_of_coefficients,
)
from armillary.inverse.stamp_likelihood import (
    Evidence,
    Point,
    Scene,
    moved,
    nuisance_sample,
    residual_sample,
)
from armillary.inverse.stamp_residual import sampled_residuals

RETURN_SIGMA = 1.0  # that a finished draw goes back to for the next one
WARMUP_SHARE = 2  # one draw that is not kept for so many that are


def moments_of_sources(score: GalaxyScore, n_sources: int, noisy: jax.Array, sigma: jax.Array):
    """Mean and root of the covariance of clean unknowns given noisy ones (n_sources (k + 1),)."""
    rows = noisy.reshape(n_sources, -1)
    mean, root = jax.vmap(lambda row: denoised_moments(score, row[:-1], sigma))(rows)
    variance = 1.0 + sigma**2
    mean = jnp.concatenate([mean, rows[:, -1:] / variance], 1)  # ln flux is Gaussian: no network
    root = jnp.pad(root, ((0, 0), (0, 1), (0, 1))).at[:, -1, -1].set(sigma / jnp.sqrt(variance))
    return mean.ravel(), jax.scipy.linalg.block_diag(*root)


def c_of_unknowns(score: GalaxyScore, flux: jax.Array, unknowns: jax.Array) -> tuple[jax.Array, jax.Array]:
    """c (n_sources (k + 1),) = flux x (1, a) of unknowns (n_sources (k + 1),), and its slope."""
    rows = unknowns.reshape(len(flux), -1)
    stamps, slopes = jax.vmap(lambda row: coefficients_of_white(score, row[:-1]))(rows)
    brightness = flux * jnp.exp(LN_FLUX_SIGMA * rows[:, -1])
    c = brightness[:, None] * jnp.pad(stamps, ((0, 0), (1, 0)), constant_values=1.0)
    slope = jnp.pad(brightness[:, None, None] * slopes, ((0, 0), (1, 0), (0, 1))).at[..., -1].set(LN_FLUX_SIGMA * c)
    return c.ravel(), jax.scipy.linalg.block_diag(*slope)


class Chains(NamedTuple):
    """Draws of the diffusion: unknowns (n_chains, n_samples, n), and which scale of residuals each of them has."""

    unknowns: jax.Array
    scale: jax.Array  # (n_chains, n_samples)


def _data(score: GalaxyScore, found: Evidence, n_sources: int) -> Data:
    """What the evidences, one a scale, say of the coefficients that the score prior knows."""
    rows = jnp.arange(n_sources)[:, None] * (found.pull.shape[1] // n_sources)
    seen = (rows + jnp.arange(score.n_coefficients + 1)).ravel()
    return Data(found.gram[:, seen][:, :, seen], found.pull[:, seen])


@jax.jit
def sweep(
    score: GalaxyScore, found: Evidence, flux: jax.Array, unknowns: jax.Array, sigmas: jax.Array, key: jax.Array,
    settled: bool,
) -> tuple[jax.Array, jax.Array]:  # fmt: skip
    """Draws (n_chains, n) from unknowns that are blurred to sigmas[0] first, and their scales of residuals (n_chains,).

    `found` has one evidence a scale. A scale is drawn by what the data say of it at the unknowns, once these are
    `settled`; before that it is the largest, which hides the most.
    """
    data = _data(score, found, len(flux))
    moments, forward = partial(moments_of_sources, score, len(flux)), partial(c_of_unknowns, score, flux)

    def chain(unknowns, key):
        keys = jax.random.split(key, 3)
        c = forward(unknowns)[0]
        fit = found.ln_weight + data.pull @ c - 0.5 * jnp.einsum("i,sij,j->s", c, data.gram, c)
        scale = jnp.where(settled, jax.random.categorical(keys[0], fit), len(fit) - 1)
        noisy = unknowns + sigmas[0] * jax.random.normal(keys[1], unknowns.shape)
        one = jax.tree.map(lambda part: part[scale], data)
        return descend(moments, forward, one, noisy, unknowns, sigmas, keys[2])[0], scale

    return jax.vmap(chain)(unknowns, jax.random.split(key, len(unknowns)))


def score_draws(prior: GalaxyPrior, scene: Scene, key: jax.Array, effort: Effort, n_draws: int) -> Draws:
    """Samples by guided diffusion under the score prior: first draws around the PCA-Gaussian's galaxy, then chains from
    these, linearised anew at their mean."""
    keys = jax.random.split(key, 3)
    point = compiled_registered(scene, prior.stack, prior.covariance)
    flux = point.flux  # that ln flux is counted from
    found = _evidence(prior, scene, point)
    falling, returning = (jnp.geomspace(start, SIGMA_MIN, effort.n_levels) for start in (SIGMA_MAX, RETURN_SIGMA))
    start = jnp.repeat(_start(prior, point)[None], effort.n_diffusions, 0)
    unknowns, _ = sweep(prior.score, found, flux, start, falling, keys[0], False)
    point = _point_of_draws(prior, found, point, unknowns)
    found = _evidence(prior, scene, point)
    n_kept = -(-n_draws // effort.n_diffusions)
    n_warmup = max(n_kept // WARMUP_SHARE, 1)
    rows = []
    for one in jax.random.split(keys[1], n_warmup + n_kept):
        unknowns, scale = sweep(prior.score, found, flux, unknowns, returning, one, True)
        rows.append(Chains(unknowns, scale))
    kept = jax.tree.map(lambda *parts: jnp.stack(parts, 1), *rows[n_warmup:])
    return _draws(prior, found, point, flux, kept, keys[2], n_draws)


def _evidence(prior: GalaxyPrior, scene: Scene, point: Point) -> Evidence:
    """The evidence with what the score prior's coefficients miss."""
    score = prior.score
    residual = (score.residual_spectrum, score.residual_scales, score.n_coefficients)
    return compiled_evidence(scene, prior.stack, *residual, point)


@jax.jit
def _start(prior: GalaxyPrior, point: Point) -> jax.Array:
    """Unknowns (n,) of the PCA-Gaussian's galaxies."""
    near = jnp.clip(white_of_coefficients(prior.score, point.coefficients), -3.0, 3.0)  # (n_sources, k)
    return jnp.pad(near, ((0, 0), (0, 1))).ravel()


@jax.jit
def _point_of_draws(prior: GalaxyPrior, found: Evidence, point: Point, unknowns: jax.Array) -> Point:
    """The point that the mean of draws (n_chains, n) stands for, ln flux counted from the old one."""
    c = jax.vmap(lambda one: _padded(prior, point.flux, one))(unknowns).mean(0)
    return moved(point, c, found.seen.nuisance_mean + found.seen.nuisance_slope @ c)


@partial(jax.jit, static_argnames="n_draws")
def _draws(prior, found: Evidence, point: Point, flux, kept: Chains, key, n_draws: int) -> Draws:
    """Draws of everything from the chains of unknowns."""
    flat = jax.tree.map(lambda part: jnp.swapaxes(part, 0, 1).reshape(-1, *part.shape[2:])[:n_draws], kept)
    complete = jax.vmap(lambda *one: _completed(prior, found, flux, *one))
    c, nuisances = complete(flat.unknowns, flat.scale, jax.random.split(key, n_draws))
    c = c.reshape(n_draws, len(flux), -1)
    shift = point.shift + nuisances[:, :-1].reshape(n_draws, -1, 2)
    return Draws(c.mean(0), shift.mean(0), c, shift, nuisances[:, -1], kept.unknowns, jnp.array(jnp.nan))


def _padded(prior: GalaxyPrior, flux: jax.Array, unknowns: jax.Array) -> jax.Array:
    """c (n_sources (1 + n_components),) without residuals."""
    c = c_of_unknowns(prior.score, flux, unknowns)[0].reshape(len(flux), -1)
    return jnp.pad(c, ((0, 0), (0, prior.stack.shape[0] - c.shape[1]))).ravel()


def _completed(prior, found: Evidence, flux, unknowns, scale, key) -> tuple[jax.Array, jax.Array]:
    """c with a draw of its residual, and of the nuisances."""
    keys = jax.random.split(key)
    c = _padded(prior, flux, unknowns)
    c = c + residual_sample(found, scale, c, jax.random.normal(keys[0], (found.residual_root.shape[2],)))
    return c, nuisance_sample(found.seen, c, jax.random.normal(keys[1], found.seen.nuisance_mean.shape))


def sample_score_prior(prior: GalaxyPrior, key: jax.Array, n: int, n_levels: int) -> jax.Array:
    """Coefficients (n, n_components) of galaxies drawn from the score prior, residuals included."""
    score, keys = prior.score, jax.random.split(key)
    k = score.n_coefficients
    nothing = Data(jnp.zeros((k, k)), jnp.zeros(k))
    sigmas = jnp.geomspace(SIGMA_MAX, SIGMA_MIN, n_levels)

    def draw(key):
        keys = jax.random.split(key)
        noisy = SIGMA_MAX * jax.random.normal(keys[0], (k,))
        moments, forward = partial(denoised_moments, score), partial(coefficients_of_white, score)
        white = descend(moments, forward, nothing, noisy, jnp.zeros(k), sigmas, keys[1])[0]
        return coefficients_of_white(score, white)[0]

    known = jax.lax.map(draw, jax.random.split(keys[0], n), batch_size=64)
    drawn = jnp.pad(known, ((0, 0), (0, prior.stack.shape[0] - 1 - k)))
    return drawn + sampled_residuals(score.residual_spectrum, score.residual_scales, prior.stack, drawn, k, keys[1])
