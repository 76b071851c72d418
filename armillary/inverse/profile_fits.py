"""A joint fit of a bulge and a disc to each galaxy of a scene: what the field does with images of this kind.

An exponential disc and a de Vaucouleurs bulge are sums of Gaussians (Hogg and Lang 2013), so that a sheared profile
behind the stamps' Gaussian PSF is one, too. The fit is the maximum of a posterior with wide priors, found by damped
Gauss-Newton steps; samples are of the Gaussian of its curvature. Shifts are parameters; the background is integrated
out.
"""

from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import nnls

from armillary.inverse.galaxy_posteriors import Draws, compiled_registered
from armillary.inverse.galaxy_prior import GalaxyPrior
from armillary.inverse.stamp_likelihood import POSITION_SIGMA_ARCSEC, Scene, residual_of
from armillary.inverse.stamp_operator import image_of, modes_of
from armillary.stamp_psfs import psf_fwhm_arcsec
from armillary.stamp_sets import StampSet

FWHM_OVER_SIGMA = 2.3548
N_STEPS = 30  # at most
ENOUGH = 1e-2  # of ln p: a step that gains less is the last
N_PARAMETERS = 10
# ln of the flux over the registered one, logit of the bulge's share, ln of both half-light radii in arcsec, two shape
# components of each, shift (dy, dx) in units of POSITION_SIGMA_ARCSEC: means and standard deviations
PRIOR_MEAN = np.array([0.0, -1.5, np.log(0.3), np.log(0.15), 0, 0, 0, 0, 0, 0])
PRIOR_SIGMA = np.array([1.0, 1.5, 0.7, 0.7, 0.4, 0.4, 0.3, 0.3, 1, 1])
STARTS = ((0.3, 0.3), (-0.5, -0.3))  # ln of disc's and bulge's radius over the prior's


class ProfileFrame(NamedTuple):
    """The stamps' grid and the width of their PSF."""

    size: int
    pixel_arcsec: float
    psf_sigma_arcsec: float


def profile_frame(stamps: StampSet) -> ProfileFrame:
    """The frame of a set of stamps.

    # ASSUME: the effective PSF is a Gaussian, as `StampFrame` makes it
    """
    fwhm = psf_fwhm_arcsec(stamps.effective_psf, float(stamps.pixel_arcsec))
    return ProfileFrame(stamps.image.shape[-1], float(stamps.pixel_arcsec), fwhm / FWHM_OVER_SIGMA)


@lru_cache(maxsize=2)
def gaussians_of(index: float, rate: float, n_gaussians: int, smallest: float, largest: float):
    """Fluxes and variances (n_gaussians,) of Gaussians whose sum is a Sersic profile of half-light radius 1 and flux 1,
    exp(-rate r^(1 / index)), best in surface brightness times radius."""
    variance = np.geomspace(smallest, largest, n_gaussians)
    radius = np.geomspace(0.01, 8.0, 300)
    profile = np.exp(-rate * radius ** (1 / index))
    columns = np.exp(-0.5 * radius[:, None] ** 2 / variance) / (2 * np.pi * variance)
    weight = radius**1.5  # each ring of a geometric series counts by its light, outer ones a little less
    flux, _ = nnls(columns * weight[:, None], profile * weight)
    kept = flux > 0
    return flux[kept] / flux.sum(), variance[kept]


DISC = (1.0, 1.678347, 6, 0.02, 4.0)  # index, and the rate that makes the half-light radius 1 (Ciotti and Bertin 1999)
BULGE = (4.0, 7.669249, 9, 1e-3, 60.0)


def profile_stamp(parameters: jax.Array, frame: ProfileFrame) -> jax.Array:
    """The stamp (size, size) of flux exp(parameters[0]) of one galaxy's parameters (N_PARAMETERS,), without shift."""
    place = jnp.asarray((np.arange(frame.size) - (frame.size - 1) / 2) * frame.pixel_arcsec, jnp.float32)
    share = jax.nn.sigmoid(parameters[1])
    image = 0.0
    for part, ln_radius, shape, weight in (
        (DISC, parameters[2], parameters[4:6], 1 - share), (BULGE, parameters[3], parameters[6:8], share),
    ):  # fmt: skip
        flux, variance = (jnp.asarray(one, jnp.float32) for one in gaussians_of(*part))
        length = jnp.sqrt(jnp.sum(shape**2) + 1e-12)
        g1, g2 = shape / length * jnp.tanh(length)  # |g| = (1 - q) / (1 + q)
        scale = jnp.exp(2 * ln_radius) / (1 - g1**2 - g2**2)  # the area stays
        xx, yy = scale * ((1 + g1) ** 2 + g2**2), scale * ((1 - g1) ** 2 + g2**2)
        xy = scale * 2 * g2
        soft = frame.psf_sigma_arcsec**2
        a, b, c = variance * xx + soft, variance * yy + soft, variance * xy
        determinant = a * b - c**2
        x, y = place[None, None, :], place[None, :, None]
        power = (b[:, None, None] * x**2 + a[:, None, None] * y**2 - 2 * c[:, None, None] * x * y) / determinant[
            :, None, None
        ]
        heights = weight * flux / (2 * jnp.pi * jnp.sqrt(determinant)) * frame.pixel_arcsec**2
        image = image + jnp.tensordot(heights, jnp.exp(-0.5 * power), 1)
    return jnp.exp(parameters[0]) * image


@partial(jax.jit, static_argnames="frame")
def _fitted(scene: Scene, flux: jax.Array, frame: ProfileFrame):
    """The best parameters (n_sources N_PARAMETERS,) and a root of their covariance; mean and standard deviation
    of the background at them."""
    n = len(flux) * N_PARAMETERS
    mean, sigma = (jnp.tile(jnp.asarray(one, jnp.float32), len(flux)) for one in (PRIOR_MEAN, PRIOR_SIGMA))
    zero = residual_of(scene, jnp.zeros_like(scene.image))
    sky = (zero - residual_of(scene, jnp.ones_like(scene.image))) * scene.background_sigma
    soft = 1 + sky @ sky

    def clean(residual):  # the root of 1 - sky sky^T / soft: a background within its sigma is integrated out
        along = sky @ residual / (sky @ sky)
        return residual - sky * along * (1 - 1 / jnp.sqrt(soft))

    def misfit(u):
        rows = (mean + sigma * u).reshape(len(flux), -1)
        model = 0.0
        for one, level, place in zip(rows, flux, scene.position, strict=True):
            modes = modes_of(scene.operator, level * profile_stamp(one, frame))
            model = model + image_of(scene.operator, modes, place + POSITION_SIGMA_ARCSEC * one[8:])
        return residual_of(scene, model)

    def residuals(u):
        return clean(misfit(u))

    def look(u):
        r, slope = residuals(u), jax.jacfwd(residuals)(u)
        return 0.5 * r @ r + 0.5 * u @ u, slope.T @ r + u, slope.T @ slope + jnp.eye(n)

    def goes_on(state):
        return (state[3] < N_STEPS) & (state[4] > ENOUGH) & (state[2] < 1e5)

    def step(state):
        u, (cost, gradient, curvature), damping, number, _ = state
        tried = u - jnp.linalg.solve(curvature + damping * jnp.diag(jnp.diag(curvature)), gradient)
        new = look(tried)
        lower = new[0] < cost
        u, kept = jax.tree.map(lambda a, b: jnp.where(lower, a, b), (tried, new), (u, state[1]))
        gain = jnp.where(lower, cost - new[0], jnp.inf)
        return u, kept, jnp.clip(damping * jnp.where(lower, 0.2, 5.0), 1e-4, 1e6), number + 1, gain

    def climb(start):
        first = (start, look(start), jnp.array(0.3), 0, jnp.array(jnp.inf))
        u, (cost, _, curvature), *_ = jax.lax.while_loop(goes_on, step, first)
        return u, cost, curvature

    widths = jnp.asarray([[0.0, 0.0, a, b, *[0.0] * 6] for a, b in STARTS], jnp.float32)
    starts = jnp.tile(widths, (1, len(flux))) / sigma
    u, cost, curvature = jax.lax.map(climb, starts)
    best = jnp.argmin(jnp.where(jnp.isfinite(cost), cost, jnp.inf))
    root = jnp.linalg.inv(jnp.linalg.cholesky(curvature[best])).T
    background = scene.background_sigma * (sky @ misfit(u[best])) / soft
    return mean + sigma * u[best], sigma[:, None] * root, background, scene.background_sigma / jnp.sqrt(soft)


@partial(jax.jit, static_argnames=("frame", "n_draws"))
def _profile_draws(scene: Scene, stack, flux, best, root, key, frame: ProfileFrame, n_draws: int):
    rows = jnp.concatenate([best[None], best + jax.random.normal(key, (n_draws, len(best))) @ root.T])
    rows = rows.reshape(n_draws + 1, len(flux), -1)

    def c_of(one, level):
        stamp = profile_stamp(one.at[0].set(0.0), frame)
        a = jnp.tensordot(stack[1:], stamp - stack[0], ((1, 2), (0, 1)))
        return level * jnp.exp(one[0]) * jnp.append(1.0, a)

    c = jax.lax.map(lambda row: jax.vmap(c_of)(row, flux), rows)
    return c, scene.position + POSITION_SIGMA_ARCSEC * rows[..., 8:]


def profile_draws(prior: GalaxyPrior, scene: Scene, key: jax.Array, n_draws: int, frame: ProfileFrame) -> Draws:
    """The best bulges and discs, and draws of the Gaussian about them, as coefficients of the basis."""
    flux = compiled_registered(scene, prior.stack, prior.covariance).flux
    best, root, sky, sky_error = _fitted(scene, flux, frame)
    keys = jax.random.split(key)
    c, shift = _profile_draws(scene, prior.stack, flux, best, root, keys[0], frame, n_draws)
    background = sky + sky_error * jax.random.normal(keys[1], (n_draws,))
    return Draws(c[0], shift[0], c[1:], shift[1:], background, None, jnp.array(jnp.nan))
