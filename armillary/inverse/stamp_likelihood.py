"""The likelihood of a scene of galaxies, reduced to one small quadratic form in their coefficients.

A source is flux x (1, a) on a stack of stamps: the mean and the components of a basis. Seen through the camera, these
are columns of a linear model, and so are, to first order, a shift of each source and the background. All that the
data say is a Gram matrix and a vector; what is not asked for (shifts, background, what the decoder misses) is Gaussian
and integrated out in closed form. Samplers then work with matrices of a few hundred rows instead of images.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from armillary.inverse.stamp_operator import StampOperator, image_of, modes_of, slopes_of
from armillary.inverse.stamp_residual import residual_root

POSITION_SIGMA_ARCSEC = 0.05  # of a centre around its given position: 0.3 pixels of HSC
FLUX_SIGMA = 0.5  # of the PCA-Gaussian's flux around the template's
N_ROUNDS = 3  # of registration


class Scene(NamedTuple):
    """The data of one scene, ready for linear algebra."""

    operator: StampOperator
    whiten: jax.Array  # (n_y, n_x) weights 1 / sigma, 0 where missing; or (n_pixels, n_pixels) for correlated noise
    image: jax.Array  # (n_y, n_x), 0 where missing
    position: jax.Array  # (n_sources, 2) arcsec
    background_sigma: jax.Array


class Point(NamedTuple):
    """Where the model is linearised: each source's flux, coefficients of its stamp of flux 1, and shift."""

    flux: jax.Array  # (n_sources,)
    coefficients: jax.Array  # (n_sources, n_components)
    shift: jax.Array  # (n_sources, 2) arcsec, from the middle of the frame


class Seen(NamedTuple):
    """What the data say about c = flux x (1, a) of all sources, (n,) in a row, shifts and background integrated out.

    ln p(data | c) = -0.5 c gram c + pull c + const.
    """

    gram: jax.Array
    pull: jax.Array
    nuisance_mean: (
        jax.Array
    )  # (n_nuisances,) at c = 0; shifts (dy, dx) of each source relative to the point, background
    nuisance_slope: jax.Array  # (n_nuisances, n): how c changes that mean
    nuisance_root: jax.Array  # (n_nuisances, n_nuisances) root of the covariance
    ln_constant: jax.Array  # of ln p, without what the noise alone gives: the same for all models of the same pixels


class Evidence(NamedTuple):
    """The same with what the prior misses integrated out, too, at each of its scales.

    ln p(data | c, scale) = ln_weight + pull c - 0.5 c gram c + const.
    """

    gram: jax.Array  # (n_scales, n, n)
    pull: jax.Array  # (n_scales, n)
    ln_weight: jax.Array  # (n_scales,)
    residual_root: jax.Array  # (n_scales, n, n_missed): root of the covariance of residuals given data and c
    seen: Seen


def whitening(variance: np.ndarray, missing: np.ndarray, correlation: float) -> np.ndarray:
    """What turns an image's noise into independent unit noise, missing pixels left out.

    Without correlation an image of 1 / sigma. With it the inverse Cholesky factor (n_pixels, n_pixels) of the
    covariance of the pixels that are there: neighbours in a row or column share `correlation`, diagonal ones its
    square. Raises ValueError for bad variances or nothing left.
    """
    good = ~missing
    if not good.any():
        raise ValueError("all pixels are masked: nothing constrains the galaxy (config keys `mask`, `missing_planes`)")
    if not (np.isfinite(variance[good]).all() and (variance[good] > 0).all()):
        bad = int(np.sum(~(np.isfinite(variance[good]) & (variance[good] > 0))))
        raise ValueError(
            f"{bad} unmasked pixels have a variance that is not above 0: mask them (config key `variance`)"
        )
    root = np.where(good, 1 / np.sqrt(np.where(good, variance, 1.0)), 0.0)
    if correlation == 0:
        return root
    if not abs(correlation) < 0.5:
        raise ValueError(f"noise_correlation is {correlation}; it must be below 0.5 in size")
    axes = [np.eye(n) + correlation * (np.eye(n, k=1) + np.eye(n, k=-1)) for n in variance.shape]
    places = np.flatnonzero(good.ravel())
    factor = np.linalg.inv(np.linalg.cholesky(np.kron(*axes)[np.ix_(places, places)]))
    full = np.zeros((variance.size, variance.size))
    full[np.ix_(places, places)] = factor * root.ravel()[places]
    return full


def residual_of(scene: Scene, model: jax.Array) -> jax.Array:
    """Whitened residuals of a model image (n_y, n_x), flat; missing pixels are 0."""
    return _whitened(scene, (scene.image - model)[None])[0]


def _whitened(scene: Scene, images: jax.Array) -> jax.Array:
    """(n, n_pixels) of images (n, n_y, n_x)."""
    if scene.whiten.shape == scene.image.shape:
        return (images * scene.whiten).reshape(len(images), -1)
    return images.reshape(len(images), -1) @ scene.whiten.T


def linear_columns(scene: Scene, stack: jax.Array, point: Point) -> tuple[jax.Array, jax.Array]:
    """Images of c (n, n_y, n_x) and of the nuisances (2 n_sources + 1, n_y, n_x) at a point."""
    signal, slopes = [], []
    for flux, coefficients, shift in zip(*point, strict=True):
        modes = modes_of(scene.operator, stack)
        signal.append(image_of(scene.operator, modes, shift))
        whole = flux * (modes[0] + jnp.tensordot(coefficients, modes[1:], 1))
        slopes.append(slopes_of(scene.operator, whole, shift))
    return jnp.concatenate(signal), jnp.concatenate([*slopes, jnp.ones_like(scene.image)[None]])


def seen_at(scene: Scene, stack: jax.Array, point: Point) -> Seen:
    """The quadratic form of a scene around a point, for sources whose stamps are all that the prior says."""
    signal, nuisances = linear_columns(scene, stack, point)
    n = len(signal)
    rows = _whitened(scene, jnp.concatenate([signal, nuisances]))
    data = _whitened(scene, scene.image[None])[0]
    gram, pull = rows @ rows.T, rows @ data
    expected = jnp.append((scene.position - point.shift).ravel(), 0.0)
    sigma = jnp.append(jnp.full(expected.size - 1, POSITION_SIGMA_ARCSEC), scene.background_sigma)
    precision = jnp.diag(sigma**-2)
    inverse = jnp.linalg.inv(gram[n:, n:] + precision)
    mean = inverse @ (pull[n:] + precision @ expected)
    slope = -inverse @ gram[n:, :n]
    root = jnp.linalg.cholesky(inverse)
    given = pull[n:] + precision @ expected
    squares = data @ data + expected @ precision @ expected - given @ inverse @ given
    ln_constant = jnp.sum(jnp.log(jnp.diag(root))) - jnp.sum(jnp.log(sigma)) - 0.5 * squares
    return Seen(gram[:n, :n] + gram[:n, n:] @ slope, pull[:n] - gram[:n, n:] @ mean, mean, slope, root, ln_constant)


def evidence(seen: Seen, root: jax.Array, scales: jax.Array) -> Evidence:
    """The forms with residuals of covariance scale^2 root root^T, root (n, n_missed), integrated out."""
    lifted, pulled = root.T @ seen.gram, root.T @ seen.pull
    inner = lifted @ root

    def at(scale):
        held = jnp.linalg.cholesky(jnp.eye(root.shape[1]) + scale**2 * inner)
        solve = partial(jax.scipy.linalg.solve_triangular, held, lower=True)
        hidden, pull = scale * solve(lifted), scale * solve(pulled)
        ln_weight = 0.5 * pull @ pull - jnp.sum(jnp.log(jnp.diag(held)))
        return seen.gram - hidden.T @ hidden, seen.pull - hidden.T @ pull, ln_weight, scale * solve(root.T).T

    return Evidence(*jax.lax.map(at, scales), seen)


def evidence_at(
    scene: Scene, stack: jax.Array, spectrum: jax.Array, scales: jax.Array, n_known: int, point: Point
) -> Evidence:
    """The evidence of a scene around a point; what is missed of each source follows the light it has there."""
    roots = [
        flux * jnp.pad(residual_root(spectrum, stack, one, n_known), ((1, 0), (0, 0)))
        for flux, one in zip(point.flux, point.coefficients, strict=True)
    ]  # the mean stamp has no residual
    return evidence(seen_at(scene, stack, point), jax.scipy.linalg.block_diag(*roots), scales)


def ln_likelihoods(found: Evidence, c: jax.Array) -> jax.Array:
    """ln p(data | c, scale) (n_scales,) of c (n,), up to a constant; differentiable once."""
    fixed = jax.lax.stop_gradient(c)
    leant = jax.lax.stop_gradient(found.gram @ fixed)  # the slope without a second product
    return found.ln_weight + (found.pull - leant) @ c + 0.5 * leant @ fixed


def residual_sample(found: Evidence, scale: jax.Array, c: jax.Array, noise: jax.Array) -> jax.Array:
    """Residuals (n,) of c (n,) given data, c and the number of a scale; their mean for noise 0 (n_missed,)."""
    left = found.seen.pull - found.seen.gram @ c
    lifted = jnp.einsum("snm,n->sm", found.residual_root, left) + noise
    return jnp.einsum("snm,sm->sn", found.residual_root, lifted)[scale]  # all of them: cheaper than to copy one's root


def nuisance_sample(seen: Seen, c: jax.Array, noise: jax.Array) -> jax.Array:
    """Shifts and background given data and c (n,), residuals included; their mean for noise 0."""
    return seen.nuisance_mean + seen.nuisance_slope @ c + seen.nuisance_root @ noise


def gaussian_posterior(seen: Seen, covariance: jax.Array, flux: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean (n,) and covariance of c under the PCA-Gaussian prior: flux within FLUX_SIGMA of `flux`, coefficients with
    the population's covariance."""
    size = len(covariance) + 1
    prior = jnp.zeros((size, size)).at[0, 0].set(FLUX_SIGMA**2).at[1:, 1:].set(covariance)
    root = jnp.kron(jnp.diag(flux), jnp.linalg.cholesky(prior + 1e-9 * jnp.diag(jnp.diag(prior))))
    mean = jnp.kron(flux, jnp.eye(size)[0])
    inner = jnp.linalg.inv(jnp.eye(len(root)) + root.T @ seen.gram @ root)
    posterior = root @ inner @ root.T
    return mean + posterior @ (seen.pull - seen.gram @ mean), posterior


def registered(scene: Scene, stack: jax.Array, covariance: jax.Array, n_rounds: int = N_ROUNDS) -> Point:
    """A first point: fluxes by the mean galaxy, then shifts and stamps of the PCA-Gaussian posterior, in rounds."""
    n_sources, n_components = len(scene.position), len(covariance)
    point = Point(jnp.ones(n_sources), jnp.zeros((n_sources, n_components)), scene.position)
    point = point._replace(flux=_template_fluxes(scene, stack, point))

    def improve(_, point):
        seen = seen_at(scene, stack, point)
        mean, _ = gaussian_posterior(seen, covariance, point.flux)
        return moved(point, mean, seen.nuisance_mean + seen.nuisance_slope @ mean)

    return jax.lax.fori_loop(0, n_rounds, improve, point)


def moved(point: Point, c: jax.Array, nuisances: jax.Array) -> Point:
    """The point that c (n,) and nuisances found around `point` stand for."""
    sources = c.reshape(len(point.flux), -1)
    flux = jnp.maximum(sources[:, 0], 0.05 * jnp.abs(point.flux))
    step = jnp.clip(nuisances[:-1].reshape(-1, 2), -3 * POSITION_SIGMA_ARCSEC, 3 * POSITION_SIGMA_ARCSEC)
    return Point(flux, sources[:, 1:] / flux[:, None], point.shift + step)


def _template_fluxes(scene: Scene, stack: jax.Array, point: Point) -> jax.Array:
    """Fluxes (n_sources,) that fit best if all sources are the mean galaxy; at least a hundredth of the largest."""
    modes = modes_of(scene.operator, stack[0])
    images = jnp.stack([image_of(scene.operator, modes, shift) for shift in point.shift])
    rows = _whitened(scene, jnp.concatenate([images, jnp.ones_like(scene.image)[None]]))
    ridge = jnp.diag(jnp.append(jnp.zeros(len(images)), scene.background_sigma**-2.0))
    flux = jnp.linalg.solve(rows @ rows.T + ridge, rows @ _whitened(scene, scene.image[None])[0])[:-1]
    return jnp.maximum(flux, 0.01 * jnp.maximum(flux.max(), 1e-6))
