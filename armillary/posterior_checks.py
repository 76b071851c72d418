"""Whether samples of a posterior are what they claim to be: coverage, ranks, distances, convergence of chains."""

import numpy as np

INTERVAL_68 = (0.1587, 0.8413)


def covered_share(samples: np.ndarray, truth: np.ndarray, where: np.ndarray) -> float:
    """Share of the pixels `where` whose truth lies in the central 68 % of the samples (n, ...).

    Quantiles of few samples are too narrow; ranks are not: the truth's rank among n samples is uniform on 0 ... n.
    """
    rank = (samples[:, where] < truth[where]).sum(0)
    low, high = (quantile * (len(samples) + 1) for quantile in INTERVAL_68)
    # a rank is an interval of length 1: what of it lies within
    inside = np.clip(np.minimum(rank + 1, high) - np.maximum(rank, low), 0, 1)
    return float(inside.mean())


def closer_share(samples: np.ndarray, truth: np.ndarray, reference: np.ndarray) -> float:
    """Share of samples (n, m) closer to a reference (m,) than the truth (m,) is (Lemos et al. 2023)."""
    distance = np.linalg.norm(samples - reference, axis=1)
    return float((distance < np.linalg.norm(truth - reference)).mean())


def expected_coverage_deviation(shares: np.ndarray) -> float:
    """Largest difference between credibility and the share of objects inside; `deviation_bound` is its 95 % point."""
    shares = np.sort(np.asarray(shares, float))
    steps = np.arange(len(shares) + 1) / len(shares)
    return float(max(np.abs(steps[1:] - shares).max(), np.abs(steps[:-1] - shares).max()))


def deviation_bound(n: int) -> float:
    """The Kolmogorov-Smirnov bound (95 %) of that difference for n objects."""
    return 1.36 / np.sqrt(n)


def rank_chi2(ranks: np.ndarray, n_samples: int | np.ndarray, n_bins: int = 8) -> float:
    """chi2 of the ranks (n,), each of 0 ... n_samples, in bins of as many of these as can be; n_bins - 1 if uniform.

    `n_samples` may differ from rank to rank (n,). Bins that no rank can reach do not count.
    """
    ranks = np.asarray(ranks)
    sizes = np.broadcast_to(n_samples, ranks.shape)
    edges = np.linspace(0, 1 + 1e-9, n_bins + 1)
    expected = np.zeros(n_bins)
    for size, number in zip(*np.unique(sizes, return_counts=True), strict=True):
        possible = np.histogram(np.arange(size + 1) / size, edges)[0]
        expected += number * possible / (size + 1)
    counts = np.histogram(ranks / sizes, edges)[0]
    reached = expected > 0
    return float(np.sum((counts - expected)[reached] ** 2 / expected[reached]))


def split_r_hat(chains: np.ndarray) -> np.ndarray:
    """Split R-hat (n_unknowns,) of chains (n_chains, n_samples, n_unknowns) (Gelman et al. 2013)."""
    half = chains.shape[1] // 2
    halves = np.concatenate([chains[:, :half], chains[:, half : 2 * half]])
    within, between = halves.var(1, ddof=1).mean(0), halves.mean(1).var(0, ddof=1)
    return np.sqrt((half - 1) / half + between / np.maximum(within, 1e-30))


def effective_samples(chains: np.ndarray) -> np.ndarray:
    """Effective sample size (n_unknowns,) of chains (n_chains, n_samples, n_unknowns), autocorrelations summed to
    Geyer's (1992) first negative pair."""
    n_chains, n, _ = chains.shape
    centred = chains - chains.mean((0, 1))
    power = np.abs(np.fft.rfft(centred, 2 * n, axis=1)) ** 2
    correlation = np.fft.irfft(power, axis=1)[:, :n].mean(0)
    correlation = correlation / np.maximum(correlation[:1], 1e-30)
    pairs = correlation[0 : n - n % 2 : 2] + correlation[1 : n - n % 2 + 1 : 2]
    positive = np.cumprod(pairs > 0, axis=0)
    return n_chains * n / np.maximum(2 * (pairs * positive).sum(0) - 1, 1.0 / np.log10(n_chains * n + 10))
