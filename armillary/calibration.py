"""From what a network says to probabilities of the sky: calibrated logits, and the natural rate of clusters.

Training fields hold more clusters than the sky, and the richer the more. The truth table's weight, natural over
sampled rate, is close to a quadratic in x = ln(richness) - 3.5: ln w = a + b x + c x^2 + d (z - 0.45). What a network
learned at the sampled rate then becomes natural by Bayes' rule in closed form: a Gaussian in x times w is a Gaussian.
"""

from typing import NamedTuple

import numpy as np

REFERENCE_LN_RICHNESS, REFERENCE_REDSHIFT = 3.5, 0.45


class NaturalPrior(NamedTuple):
    """ln w = constant + slope x + curvature x^2 + redshift_slope (z - 0.45), and by how much the odds of a cluster
    fall because tiles without one are as common on the sky as they are: ln((1 - sampled) / (1 - natural rate))."""

    constant: float = 0.0
    slope: float = 0.0
    curvature: float = 0.0
    redshift_slope: float = 0.0
    negative: float = 0.0

    def ln_odds_shift(self, ln_richness, ln_richness_error, redshift) -> np.ndarray:
        """What to add to log odds at the sampled rate: ln of the mean of w over the estimate of ln richness."""
        x, variance = ln_richness - REFERENCE_LN_RICHNESS, ln_richness_error**2
        narrowing = 1 - 2 * self.curvature * variance
        exponent = (self.slope * x + self.curvature * x**2 + self.slope**2 * variance / 2) / narrowing
        at_redshift = self.redshift_slope * (redshift - REFERENCE_REDSHIFT)
        return self.constant + exponent - 0.5 * np.log(narrowing) + at_redshift + self.negative

    def ln_richness(self, ln_richness, ln_richness_error) -> tuple[np.ndarray, np.ndarray]:
        """Mean and error of ln richness given the natural rate, from those at the sampled rate (Eddington 1913)."""
        x, variance = ln_richness - REFERENCE_LN_RICHNESS, ln_richness_error**2
        narrowing = 1 - 2 * self.curvature * variance
        return REFERENCE_LN_RICHNESS + (x + self.slope * variance) / narrowing, ln_richness_error / np.sqrt(narrowing)


def fit_natural_prior(weight, ln_richness, redshift, n_tiles: int) -> NaturalPrior:
    """The prior from the positive tiles (n,) among `n_tiles`, by least squares in ln w with curvature <= 0.

    ValueError if no tile or every tile is positive.
    """
    weight, n_positive = np.asarray(weight, float), len(weight)
    if not 0 < n_positive < n_tiles:
        raise ValueError(f"{n_positive} of {n_tiles} training tiles hold a cluster; change clusters: nfiles")
    x, z = np.asarray(ln_richness, float) - REFERENCE_LN_RICHNESS, np.asarray(redshift, float) - REFERENCE_REDSHIFT
    curved = _least_squares([np.ones(n_positive), x, x**2, z], np.log(weight))
    if curved[2] > 0:
        constant, slope, redshift_slope = _least_squares([np.ones(n_positive), x, z], np.log(weight))
        curved = [constant, slope, 0.0, redshift_slope]
    negative = np.log1p(-n_positive / n_tiles) - np.log1p(-weight.sum() / n_tiles)
    return NaturalPrior(*(float(value) for value in (*curved, negative)))


def _least_squares(columns: list[np.ndarray], values: np.ndarray) -> np.ndarray:
    """Coefficients of the columns; a weak pull to zero keeps them finite where all clusters are alike."""
    matrix = np.stack(columns, 1)
    return np.linalg.solve(matrix.T @ matrix + 1e-6 * np.eye(len(columns)), matrix.T @ values)


def expit(x: np.ndarray) -> np.ndarray:
    """The logistic function 1 / (1 + exp(-x)), without overflow."""
    return 1.0 / (1.0 + np.exp(-np.clip(x, -60, 60)))


def logistic_calibration(logit: np.ndarray, truth: np.ndarray, n_iterations: int = 50) -> tuple[float, float]:
    """Slope and intercept that maximise the likelihood of `truth` (Platt scaling), by Newton's method."""
    x = np.stack([logit.ravel(), np.ones(logit.size)], 1).astype(float)
    y = truth.ravel().astype(float)
    beta = np.array([1.0, 0.0])
    for _ in range(n_iterations):
        p = expit(x @ beta)
        # ASSUME: a weak prior at slope 1, intercept 0 keeps the fit finite on separable or empty truth
        gradient = x.T @ (y - p) - (beta - [1.0, 0.0])
        hessian = (x * (p * (1 - p))[:, None]).T @ x + np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        beta = beta + np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-9:
            break
    return float(beta[0]), float(beta[1])


def error_scale(residual, error) -> float:
    """What to multiply errors by so that 68.3 % of the residuals lie within one of them; 1 where there are none."""
    return float(np.quantile(np.abs(residual) / error, 0.683)) if len(residual) else 1.0


def fit_logistic(features, labels, weight=None, ridge: float = 1e-2, n_steps: int = 50) -> np.ndarray:
    """Coefficients of a ridge-regularised logistic regression, the constant last; `weight` (n,) multiplies the
    likelihood of each label, and features are scaled inside."""
    weight = np.ones(len(labels)) if weight is None else weight
    mean, width = features.mean(0), features.std(0) + 1e-9
    design = np.column_stack([(features - mean) / width, np.ones(len(features))])
    coefficients = np.zeros(design.shape[1])
    penalty = ridge * np.append(np.ones(features.shape[1]), 1e-3) * max(len(labels), 1) / 100 + 1e-6
    for _ in range(n_steps):  # Newton
        p = expit(design @ coefficients)
        gradient = design.T @ (weight * (labels - p)) - penalty * coefficients
        hessian = (design * (weight * p * (1 - p))[:, None]).T @ design + np.diag(penalty)
        step = np.linalg.solve(hessian, gradient)
        coefficients = coefficients + step / max(1.0, np.abs(step).max() / 2)
        if np.abs(step).max() < 1e-8:
            break
    slope = coefficients[:-1] / width
    return np.append(slope, coefficients[-1] - slope @ mean)
