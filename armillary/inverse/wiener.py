"""The Wiener filter of a shear map with a mask and uneven noise, solved exactly, and exact samples of its posterior.

The prior is a Gaussian field without B modes, kappa = S^1/2 x with white x; the data are g = D kappa + n with
variance N a pixel, infinite where there is no galaxy. The posterior mean solves (1 + S^1/2 D^T N^-1 D S^1/2) x =
S^1/2 D^T N^-1 g, here by conjugate gradients with a preconditioner that is the exact inverse for even noise. A sample
is the mean of data from which a simulated sky with its own noise was taken, plus that sky (Hoffman & Ribak 1991).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from armillary.convergence import power_on_grid, shear_kernel
from armillary.shear_catalogs import ShearMap


class WienerProblem(NamedTuple):
    """What a solve needs, as float32 arrays on the grid of one field."""

    root_power: jax.Array  # S^1/2 of the half plane, 0 for modes that leave no shear
    kernel: tuple[jax.Array, jax.Array]  # D of the half plane
    weight: tuple[jax.Array, jax.Array]  # N^-1 of either component, 0 outside the mask
    preconditioner: jax.Array  # of the half plane


def wiener_problem(
    multipole: np.ndarray, power: np.ndarray, sigma1: np.ndarray, sigma2: np.ndarray, mask: np.ndarray,
    pixel_arcmin: float,
) -> WienerProblem:  # fmt: skip
    """The problem of one field. `sigma1`, `sigma2` (n_y, n_x): noise of a component, read where `mask` is true."""
    real, imaginary = shear_kernel(mask.shape)
    variance = power_on_grid(multipole, power, mask.shape, pixel_arcmin) * (real**2 + imaginary**2 > 0)
    weight = [np.where(mask, 1.0 / np.square(np.where(mask, sigma, 1.0)), 0.0) for sigma in (sigma1, sigma2)]
    arrays = (np.sqrt(variance), (real, imaginary), tuple(weight), 1.0 / (1.0 + variance * np.mean(weight)))
    return WienerProblem(*jax.tree.map(lambda array: jnp.asarray(array, jnp.float32), arrays))


def colour(problem: WienerProblem, white: jax.Array) -> jax.Array:
    """S^1/2 of white maps (..., n_y, n_x)."""
    return jnp.fft.irfft2(problem.root_power * jnp.fft.rfft2(white), white.shape[-2:])


def shear_of_white(problem: WienerProblem, white: jax.Array) -> tuple[jax.Array, jax.Array]:
    """D S^1/2 x: the shear of the convergence that white maps (..., n_y, n_x) stand for."""
    modes = problem.root_power * jnp.fft.rfft2(white)
    return tuple(jnp.fft.irfft2(part * modes, white.shape[-2:]) for part in problem.kernel)


def white_of_shear(problem: WienerProblem, g1: jax.Array, g2: jax.Array) -> jax.Array:
    """The transpose of `shear_of_white`."""
    real, imaginary = problem.kernel
    modes = real * jnp.fft.rfft2(g1) + imaginary * jnp.fft.rfft2(g2)
    return jnp.fft.irfft2(problem.root_power * modes, g1.shape[-2:])


def galaxy_shear(problem: WienerProblem, kappa: jax.Array, reduced_shear: bool) -> list[jax.Array]:
    """What galaxies show of a convergence map (n_y, n_x): its shear, or its reduced shear gamma / (1 - kappa).

    1 - kappa is kept above 0.3, so that no pixel on a sampler's way comes near the critical curve.
    """
    modes = jnp.fft.rfft2(kappa)
    shear = [jnp.fft.irfft2(part * modes, kappa.shape) for part in problem.kernel]
    return [part / jnp.maximum(1.0 - kappa, 0.3) for part in shear] if reduced_shear else shear


def solve(
    problem: WienerProblem, source: jax.Array, tolerance: float, n_iterations: int
) -> tuple[jax.Array, jax.Array]:
    """x of (1 + S^1/2 D^T N^-1 D S^1/2) x = source, both (n_y, n_x), and the relative residual that is left.

    Stops at `tolerance`, the norm of the residual over that of the source, or after `n_iterations`.
    """

    def apply(white):
        shear = shear_of_white(problem, white)
        return white + white_of_shear(problem, *(w * g for w, g in zip(problem.weight, shear, strict=True)))

    def precondition(white):
        return jnp.fft.irfft2(problem.preconditioner * jnp.fft.rfft2(white), white.shape)

    bound = tolerance**2 * jnp.vdot(source, source)

    def step(state):
        x, residual, direction, product, n_done = state
        image = apply(direction)
        length = product / jnp.vdot(direction, image)
        x, residual = x + length * direction, residual - length * image
        steepest = precondition(residual)
        new_product = jnp.vdot(residual, steepest)
        return x, residual, steepest + new_product / product * direction, new_product, n_done + 1

    def unfinished(state):
        return (jnp.vdot(state[1], state[1]) > bound) & (state[4] < n_iterations)

    start = precondition(source)
    state = (jnp.zeros_like(source), source, start, jnp.vdot(source, start), 0)
    x = jax.lax.while_loop(unfinished, step, state)[0]
    left = source - apply(x)
    return x, jnp.sqrt(jnp.vdot(left, left) / jnp.maximum(jnp.vdot(source, source), 1e-30))


@jax.jit
def wiener_map(
    problem: WienerProblem, g1: jax.Array, g2: jax.Array, tolerance: float = 5e-6, n_iterations: int = 400
) -> tuple[jax.Array, jax.Array]:  # fmt: skip
    """Posterior mean of kappa (n_y, n_x) and the relative residual of its equation. Shear outside the mask is not
    looked at.
    """
    w1, w2 = problem.weight
    white, residual = solve(problem, white_of_shear(problem, w1 * g1, w2 * g2), tolerance, n_iterations)
    return colour(problem, white), residual


@jax.jit
def wiener_sample(
    problem: WienerProblem, g1: jax.Array, g2: jax.Array, key: jax.Array, tolerance: float = 5e-6, n_iterations: int =
    400
) -> jax.Array:  # fmt: skip
    """One sample (n_y, n_x) of the posterior."""
    keys = jax.random.split(key, 3)
    sky = jax.random.normal(keys[0], g1.shape)
    data = []
    for observed, simulated, weight, noise_key in zip(
        (g1, g2), shear_of_white(problem, sky), problem.weight, keys[1:], strict=True
    ):
        # N^-1 (g - D s - n) with n of variance N: the noise of the product has variance N^-1
        noise = jnp.sqrt(weight) * jax.random.normal(noise_key, g1.shape)
        data.append(weight * (observed - simulated) - noise)
    white, _ = solve(problem, white_of_shear(problem, *data), tolerance, n_iterations)
    return colour(problem, white + sky)


@jax.jit
def wiener_samples(problem: WienerProblem, g1: jax.Array, g2: jax.Array, keys: jax.Array) -> jax.Array:
    """Samples (n, n_y, n_x) of the posterior, one a key, one after the other."""
    return jax.lax.map(lambda key: wiener_sample(problem, g1, g2, key), keys)


def data_of(shear: ShearMap) -> tuple[jax.Array, jax.Array]:
    """The shear (g1, g2) of a map as float32 arrays."""
    return jnp.asarray(shear.g1, jnp.float32), jnp.asarray(shear.g2, jnp.float32)


def unreduced(shear: ShearMap, problem: WienerProblem) -> tuple[ShearMap, WienerProblem]:
    """Shear of reduced shear, g (1 - kappa) with the convergence of a first Wiener filter, and its problem.

    The noise shrinks by the same factor, so these pixels weigh more.
    """
    factor = 1.0 - np.asarray(wiener_map(problem, *data_of(shear), 1e-3)[0], float)
    weight = tuple(w / jnp.asarray(factor, jnp.float32) ** 2 for w in problem.weight)
    maps = {name: getattr(shear, name) * factor for name in ("g1", "g2", "sigma1", "sigma2")}
    return shear._replace(**maps), problem._replace(weight=weight)
