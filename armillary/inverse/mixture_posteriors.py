"""Posteriors of scenes of galaxies under a mixture of Gaussians in the basis: closed forms, with evidence.

Given which part of the mixture each source is of, all is Gaussian: the posterior is a mixture of as many Gaussians as
there are combinations of parts, weighted by their evidences. One source has few and all are kept. Several sources have
n_parts ** n_sources: each source's parts are weighed in turn with the parts of the others held at their best, their
coefficients integrated out (coordinate ascent); the N_JOINT combinations whose sum of these weights is highest are then
weighed together, exactly.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from armillary.inverse.galaxy_prior import Mixture
from armillary.inverse.stamp_likelihood import FLUX_SIGMA, Point, Scene, Seen, moved, registered, seen_at

N_ROUNDS = 2  # of linearisation at the mixture's own galaxy, after the PCA-Gaussian's
N_SWEEPS = 2  # over the sources
N_JOINT = 12  # combinations of several sources' parts that are weighed together


class MixturePosterior(NamedTuple):
    """The posterior of c of all sources (n,) in a row: Gaussians, one a combination of parts."""

    point: Point  # that it is linearised at
    seen: Seen
    parts: jax.Array  # (n_combinations, n_sources)
    ln_evidence: jax.Array  # (n_combinations,), with the weights of the parts
    mean: jax.Array  # (n_combinations, n)
    root: jax.Array  # (n_combinations, n, n): root root^T is the covariance

    @property
    def best(self) -> jax.Array:
        """The posterior mean of c (n,)."""
        return jax.nn.softmax(self.ln_evidence) @ self.mean


def prior_of_parts(mixture: Mixture, flux: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Means (n_parts, 1 + n_components) of c = flux x (1, a) of one source and roots of its covariances: the flux is
    within FLUX_SIGMA of `flux`, and a galaxy that is brighter is so in all its coefficients."""
    mean = jnp.pad(mixture.mean, ((0, 0), (1, 0)), constant_values=1.0)
    root = jnp.pad(mixture.root, ((0, 0), (1, 0), (1, 0))).at[:, :, 0].set(FLUX_SIGMA * mean)
    return flux * mean, flux * root


def _solved(gram: jax.Array, pull: jax.Array, mean: jax.Array, root: jax.Array):
    """ln evidence of a Gaussian prior of c (n,), the Cholesky factor of 1 + root^T gram root, and what it leaves of
    the pull: ln p(data | c) = pull c - 0.5 c gram c."""
    pushed = gram @ mean
    held = jnp.linalg.cholesky(jnp.eye(len(mean)) + root.T @ (gram @ root))
    left = jax.scipy.linalg.solve_triangular(held, root.T @ (pull - pushed), lower=True)
    ln_evidence = pull @ mean - 0.5 * mean @ pushed + 0.5 * left @ left - jnp.sum(jnp.log(jnp.diag(held)))
    return ln_evidence, held, left


def _gaussian_of(gram: jax.Array, pull: jax.Array, mean: jax.Array, root: jax.Array):
    """ln evidence, posterior mean (n,) and a root (n, n) of its covariance."""
    ln_evidence, held, left = _solved(gram, pull, mean, root)
    narrowed = jax.scipy.linalg.solve_triangular(held, root.T, lower=True).T
    return ln_evidence, mean + narrowed @ left, narrowed


def _without_others(gram: jax.Array, pull: jax.Array, means: jax.Array, roots: jax.Array):
    """gram and pull of the first source, the others' Gaussians (n_sources - 1, m), (n_sources - 1, m, m) integrated
    out. gram is (n_sources, m, n_sources, m), pull (n_sources, m)."""
    m = pull.shape[1]
    root, mean = jax.scipy.linalg.block_diag(*roots), means.ravel()
    others = gram[1:, :, 1:].reshape(len(mean), len(mean))
    cross = gram[0][:, 1:].reshape(m, -1)
    held = jnp.linalg.cholesky(jnp.eye(len(mean)) + root.T @ others @ root)
    solve = partial(jax.scipy.linalg.solve_triangular, held, lower=True)
    hidden, left = solve((cross @ root).T), solve(root.T @ (pull[1:].ravel() - others @ mean))
    return gram[0][:, 0] - hidden.T @ hidden, pull[0] - cross @ mean - hidden.T @ left


def weights_of_parts(mixture: Mixture, seen: Seen, flux: jax.Array) -> jax.Array:
    """ln weights (n_sources, n_parts) of each source's parts, the others' held at their best."""
    n, n_parts = len(flux), len(mixture.ln_weight)
    m = len(seen.pull) // n
    if n == 1:
        alone = jax.lax.map(lambda part: _solved(seen.gram, seen.pull, *part)[0], prior_of_parts(mixture, flux[0]))
        return (mixture.ln_weight + alone)[None]
    gram, pull = seen.gram.reshape(n, m, n, m), seen.pull.reshape(n, m)
    means, roots = jax.vmap(lambda one: prior_of_parts(mixture, one))(flux)

    def turn(number, table):
        source = number % n
        chosen = jnp.roll(jnp.argmax(table, 1), -source)
        order = jnp.roll(jnp.arange(n), -source)
        others = order[1:]
        mine = _without_others(
            jnp.roll(gram, (-source, -source), (0, 2)), jnp.roll(pull, -source, 0),
            means[others, chosen[1:]], roots[others, chosen[1:]],
        )  # fmt: skip
        weights = jax.lax.map(lambda part: _solved(*mine, *part)[0], (means[source], roots[source]))
        return table.at[source].set(mixture.ln_weight + weights)

    start = jnp.broadcast_to(mixture.ln_weight, (n, n_parts))
    return jax.lax.fori_loop(0, N_SWEEPS * n, turn, start)


def _best_combinations(table: jax.Array) -> jax.Array:
    """Parts (N_JOINT, n_sources) whose sums in a table (n_sources, n_parts) are the highest."""
    scores, parts = jnp.zeros(1), jnp.zeros((1, 0), int)
    for row in table:
        total = (scores[:, None] + row).ravel()
        scores, place = jax.lax.top_k(total, min(N_JOINT, len(total)))
        parts = jnp.concatenate([parts[place // len(row)], (place % len(row))[:, None]], 1)
    return parts


def _given_parts(mixture: Mixture, seen: Seen, flux: jax.Array, chosen: jax.Array):
    """ln evidence, mean (n,) and root (n, n) of c given each source's part (n_sources,)."""
    means, roots = zip(*(prior_of_parts(mixture, one) for one in flux), strict=True)
    mean = jnp.concatenate([one[part] for one, part in zip(means, chosen, strict=True)])
    root = jax.scipy.linalg.block_diag(*(one[part] for one, part in zip(roots, chosen, strict=True)))
    ln_evidence, mean, root = _gaussian_of(seen.gram, seen.pull, mean, root)
    return ln_evidence + mixture.ln_weight[chosen].sum() + seen.ln_constant, mean, root


def posterior_at(mixture: Mixture, seen: Seen, point: Point) -> MixturePosterior:
    """The posterior given what the data say around a point."""
    if len(point.flux) == 1:
        parts = jnp.arange(len(mixture.ln_weight))[:, None]
    else:
        parts = _best_combinations(weights_of_parts(mixture, seen, point.flux))
    of = partial(_given_parts, mixture, seen, point.flux)
    return MixturePosterior(point, seen, parts, *jax.lax.map(of, parts))


@jax.jit
def mixture_posterior(scene: Scene, stack: jax.Array, covariance: jax.Array, mixture: Mixture) -> MixturePosterior:
    """The posterior of a scene, linearised at the PCA-Gaussian's galaxies, then at those of its own best parts."""

    def improve(_, point):
        seen = seen_at(scene, stack, point)
        chosen = jnp.argmax(weights_of_parts(mixture, seen, point.flux), 1)
        c = _given_parts(mixture, seen, point.flux, chosen)[1]
        return moved(point, c, seen.nuisance_mean + seen.nuisance_slope @ c)

    point = registered(scene, stack, covariance, n_rounds=1)
    point = jax.lax.fori_loop(0, N_ROUNDS, improve, point)
    return posterior_at(mixture, seen_at(scene, stack, point), point)


def sample_posterior(found: MixturePosterior, key: jax.Array, n_draws: int) -> jax.Array:
    """Draws (n_draws, n) of c."""
    keys = jax.random.split(key)
    chosen = jax.random.categorical(keys[0], found.ln_evidence, shape=(n_draws,))
    noise = jax.random.normal(keys[1], (n_draws, found.mean.shape[1]))
    return jax.lax.map(lambda one: found.mean[one[0]] + found.root[one[0]] @ one[1], (chosen, noise))
