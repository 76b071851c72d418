"""The most likely convergence when B is lensed E plus noise, to first order: conjugate gradients on a linear problem.

With E known (Wiener-filtered, as observed) B = T kappa + noise, T being the gradient template, and kappa is Gaussian
with power C_kk. What E itself tells enters by its quadratic estimate y = W^2 kappa + noise of power N, W being the
window. The posterior's maximum solves (1/C + T^t T / N_B + W^2 W^2 / N) kappa = T^t B / N_B + W^2 y / N. T^t is the
quadratic estimator of E and B without its normalisation, so an iteration costs one template and one quadratic estimate.
Unlike that estimator, which divides by the *mean* information, it knows where this very E has gradients that tell about
lensing. It is first order: E is not delensed while kappa is found, and the template is linear in kappa.
"""

from typing import NamedTuple

import numpy as np

from armillary.cmb_spectra import Instrument, Spectra, noise_power
from armillary.flatsky import Patch, fourier, mode_count, modes, pixels, radial
from armillary.lensing import template_of_gradients
from armillary.quadratic import Filters, kappa_of_pairs, normalisation

MODEL_ERROR = 0.02  # of C_BB: what the first-order template cannot explain, counted as noise


class Posterior(NamedTuple):
    """The linear problem on a patch, half-plane arrays; make it with `linear_problem`."""

    b_inverse: np.ndarray
    n0: np.ndarray  # of phi, rad^4
    prior: np.ndarray  # 1 / C_kk
    information: np.ndarray  # 1 / N0 of kappa: the mean of T^t T / N


class FromE(NamedTuple):
    """What pairs of E tell of kappa: their estimate of W^2 kappa, coefficients, and 1 / its noise."""

    kappa: np.ndarray
    information: np.ndarray
    window: np.ndarray | None  # W^2 (n_y, n_x); None: 1 everywhere


def linear_problem(spectra: Spectra, instrument: Instrument, patch: Patch, weights: Filters) -> Posterior:
    """Weights of least variance given kappa: the noise of B alone, not the power that lensing gives it."""
    noise = noise_power(instrument, spectra.l_max) + MODEL_ERROR * spectra.bb_lensed
    noise = radial(noise, patch)
    inverse = np.divide(1.0, noise, out=np.zeros_like(noise), where=(noise > 0) & (weights.b_inverse > 0))
    n0 = normalisation(weights.e_wiener, radial(spectra.ee_lensed, patch), inverse, patch)
    l, kk = modes(patch).l.astype(np.float64), radial(spectra.kk, patch).astype(np.float64)  # noqa: E741
    solved = (n0 > 0) & (kk > 0) & (l > 1)
    prior = np.where(solved, 1 / np.where(solved, kk, 1.0), 0.0)
    information = np.where(solved, 4 / np.where(solved, n0 * l**4, 1.0), 0.0)
    return Posterior(inverse, n0, prior, information)


def most_likely_kappa(
    gradients: np.ndarray, b: np.ndarray, start: np.ndarray, problem: Posterior, patch: Patch, *, n_iterations: int,
    from_e: FromE | None = None,
) -> np.ndarray:  # fmt: skip
    """Coefficients of kappa after `n_iterations` steps from `start`.

    `gradients` are those of Wiener-filtered E (`polarisation_gradients`), b are coefficients with the beam divided out.
    """
    count = mode_count(patch)
    solved = problem.prior > 0
    more = 0.0 if from_e is None else from_e.information
    diagonal = problem.prior + problem.information + more
    preconditioner = np.divide(1.0, diagonal, out=np.zeros_like(diagonal), where=solved)

    def adjoint(values: np.ndarray) -> np.ndarray:
        return problem.information * kappa_of_pairs(gradients, problem.b_inverse * values, problem.n0, patch)

    def operator(kappa: np.ndarray) -> np.ndarray:
        template = template_of_gradients(gradients, kappa.astype(np.complex64), patch)[1]
        found = problem.prior * kappa + adjoint(template)
        return found if from_e is None else found + _seen(more * _seen(kappa, from_e, patch), from_e, patch)

    def dot(one: np.ndarray, other: np.ndarray) -> float:
        return float(((one * other.conj()).real * count).sum())

    told = adjoint(b) if from_e is None else adjoint(b) + _seen(more * from_e.kappa, from_e, patch)
    x = np.where(solved, start, 0.0).astype(np.complex128)
    residual = np.where(solved, told - operator(x), 0.0)
    step = preconditioner * residual
    direction, size = step, dot(residual, step)
    for _ in range(n_iterations):
        if size <= 0:
            break
        moved = np.where(solved, operator(direction), 0.0)
        length = size / dot(direction, moved)
        x, residual = x + length * direction, residual - length * moved
        step = preconditioner * residual
        size, before = dot(residual, step), size
        direction = step + (size / before) * direction
    return x.astype(np.complex64)


def _seen(kappa: np.ndarray, from_e: FromE, patch: Patch) -> np.ndarray:
    return kappa if from_e.window is None else fourier(from_e.window * pixels(kappa, patch))
