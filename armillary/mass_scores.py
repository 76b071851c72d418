"""How good a mass map is against the truth: errors, spectra, peaks, distributions, and coverage of posterior samples.

All maps are mean-free in the mask (the mass sheet is not measured) and 0 outside it. Definitions of error and
correlation are those of the mass-mapping literature: RMSE over the mask, NRMSE in units of the rms of the truth.
"""

import numpy as np
from scipy.ndimage import maximum_filter

from armillary.convergence import binned_spectra, mean_free, smooth

QUANTILES_68 = (0.15865, 0.84135)


def squared_error(kappa: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> float:
    """Mean square of the difference of two maps in the mask."""
    difference = mean_free(kappa, mask) - mean_free(truth, mask)
    return float(np.square(difference[mask]).mean())


def correlation(kappa: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> float:
    """Pearson's r of two maps in the mask."""
    return float(np.corrcoef(kappa[mask], truth[mask])[0, 1])


def whole_map_errors(kappa: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
    """(RMSE, r) as Remy et al. (2023) define them: each map less its mean over the whole map, not over the mask, and
    r that of the masked maps over all pixels.
    """
    kappa, truth = kappa - kappa.mean(), truth - truth.mean()
    rmse = np.sqrt(np.square(kappa - truth)[mask].mean())
    return float(rmse), float(np.corrcoef((mask * kappa).ravel(), (mask * truth).ravel())[0, 1])


def spectra(
    kappa: np.ndarray, truth: np.ndarray, mask: np.ndarray, pixel_arcmin: float, edges: np.ndarray
) -> np.ndarray:
    """(3, n_bins): power of the map, of the truth, and across, of the masked maps."""
    first, second = mean_free(kappa, mask), mean_free(truth, mask)
    pairs = ((first, first), (second, second), (first, second))
    return np.array([binned_spectra(*pair, pixel_arcmin, edges)[0] for pair in pairs])


def peaks(kappa: np.ndarray, mask: np.ndarray, smoothing_px: float) -> np.ndarray:
    """Heights of the local maxima of 3 x 3 pixels in the mask, of the mean-free map after a Gaussian smoothing."""
    smoothed = smooth(mean_free(kappa, mask), smoothing_px)
    return smoothed[mask & (smoothed == maximum_filter(smoothed, size=3, mode="wrap"))]


def peak_counts(heights: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Peaks in bins of height."""
    return np.histogram(heights, edges)[0]


def distribution(kappa: np.ndarray, mask: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Share of the mask's pixels in bins of convergence, over the bins' widths."""
    return np.histogram(mean_free(kappa, mask)[mask], edges)[0] / (mask.sum() * np.diff(edges))


def rank_of_truth(samples: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Where the truth stands among the samples (n, n_y, n_x) of every pixel in the mask, between 0 and 1 (n_pixels,).

    (number of samples below + 1/2) / (n + 1): uniform if truth and samples are draws from the same law.
    """
    below = (mean_free(samples, mask) < mean_free(truth, mask)).sum(0)[mask]
    return (below + 0.5) / (len(samples) + 1)


def rank_density(rank: np.ndarray, n_samples: int, most_bins: int = 20) -> np.ndarray:
    """Density of the ranks of `rank_of_truth` in even bins between 0 and 1; 1 everywhere is right.

    Each of the n + 1 ranks is spread over its own 1 / (n + 1), so that bins need not divide them.
    """
    counts = np.bincount(np.round(rank * (n_samples + 1) - 0.5).astype(int), minlength=n_samples + 1)
    below = np.concatenate([[0.0], np.cumsum(counts)]) / counts.sum()
    n_bins = min(n_samples + 1, most_bins)
    edges = np.linspace(0.0, 1.0, n_bins + 1)
    return n_bins * np.diff(np.interp(edges, np.linspace(0.0, 1.0, n_samples + 2), below))


def covered(rank: np.ndarray, n_samples: int, quantiles: tuple[float, float] = QUANTILES_68) -> np.ndarray:
    """The probability that an interval between two quantiles of the posterior holds each truth, (n_pixels,), 0 to 1.

    A rank among n samples says the posterior's quantile to 1 / (n + 1); that width counts by the share inside the
    interval, so that few samples do not bias the coverage.
    """
    half = 0.5 / (n_samples + 1)
    low = np.maximum(rank - half, quantiles[0])
    return np.clip(np.minimum(rank + half, quantiles[1]) - low, 0.0, None) / (2 * half)


def coverage_in_bins(inside: np.ndarray, convergence: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean of `inside` and the number of pixels in bins of convergence; nan where there is none."""
    place = np.digitize(convergence, edges) - 1
    good = (place >= 0) & (place < len(edges) - 1)
    total = np.bincount(place[good], inside[good], len(edges) - 1)
    count = np.bincount(place[good], minlength=len(edges) - 1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan), count
