"""The most likely convergence when B is lensed E plus noise, to first order: conjugate gradients on a linear problem.

With E known (Wiener-filtered, as observed) B = T kappa + noise, T being the gradient template, and kappa is Gaussian
with power C_kk. The posterior's maximum solves (1/C + T^t T / N) kappa = T^t B / N. T^t is the quadratic estimator
without its normalisation, so an iteration costs one template and one quadratic estimate. Unlike that estimator, which
divides by the *mean* information, it knows where this very E has gradients that tell about lensing.
"""

from typing import NamedTuple

import numpy as np

from armillary.cmb_spectra import Instrument, Spectra, noise_power
from armillary.flatsky import Patch, mode_count, modes, radial
from armillary.lensing import gradient_template
from armillary.quadratic import Filters, estimate_kappa, normalisation

MODEL_ERROR = 0.02  # of C_BB: what the first-order template cannot explain, counted as noise


class Posterior(NamedTuple):
    """The linear problem on a patch, half-plane arrays; make it with `linear_problem`."""

    b_inverse: np.ndarray
    n0: np.ndarray  # of phi, rad^4
    prior: np.ndarray  # 1 / C_kk
    information: np.ndarray  # 1 / N0 of kappa: the mean of T^t T / N
    preconditioner: np.ndarray  # 1 / (prior + information)


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
    preconditioner = np.where(solved, 1 / np.where(solved, prior + information, 1.0), 0.0)
    return Posterior(inverse, n0, prior, information, preconditioner)


def most_likely_kappa(
    e: np.ndarray, b: np.ndarray, start: np.ndarray, weights: Filters, problem: Posterior, patch: Patch, *,
    n_iterations: int,
) -> np.ndarray:  # fmt: skip
    """Coefficients of kappa after `n_iterations` steps from `start`; e and b have their beam divided out."""
    seen = weights.e_wiener * e
    filters = Filters(weights.e_wiener, problem.b_inverse)
    count = mode_count(patch)

    def adjoint(values: np.ndarray) -> np.ndarray:
        return problem.information * estimate_kappa(e, values, filters, problem.n0, patch)

    def operator(kappa: np.ndarray) -> np.ndarray:
        return problem.prior * kappa + adjoint(gradient_template(seen, kappa.astype(np.complex64), patch)[1])

    def dot(one: np.ndarray, other: np.ndarray) -> float:
        return float(((one * other.conj()).real * count).sum())

    x = np.where(problem.preconditioner > 0, start, 0.0).astype(np.complex128)
    residual = adjoint(b) - operator(x)
    step = problem.preconditioner * residual
    direction, size = step, dot(residual, step)
    for _ in range(n_iterations):
        if size <= 0:
            break
        moved = operator(direction)
        length = size / dot(direction, moved)
        x, residual = x + length * direction, residual - length * moved
        step = problem.preconditioner * residual
        size, before = dot(residual, step), size
        direction = step + (size / before) * direction
    return x.astype(np.complex64)
