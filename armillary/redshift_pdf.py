"""Redshift probability densities from features, and whether they are calibrated.

A multinomial logistic regression gives the probability of each redshift bin; within a bin the density is constant. Bins
hold equally many labelled galaxies. PIT: Dawid (1984, JRSS A 147, 278); CRPS: Gneiting & Raftery (2007, JASA 102, 359).
"""

import numpy as np

PENALTY = 1.0


def estimate_pdf(
    features: np.ndarray, redshift: np.ndarray, wanted: np.ndarray, n_bins: int
) -> tuple[np.ndarray, np.ndarray]:
    """Edges (n + 1,) and probabilities (m, n) of at most `n_bins` bins; ValueError for too few labels."""
    from sklearn.linear_model import LogisticRegression

    if len(redshift) < 4 * n_bins:
        raise ValueError(
            f"{len(redshift)} labelled galaxies for {n_bins} redshift bins; four a bin are needed "
            "(config key `mim: score_probes: n_redshift_bins`)"
        )
    edges = np.unique(np.quantile(redshift, np.linspace(0, 1, n_bins + 1)))  # galaxies at the same limit share a bin
    n_bins = len(edges) - 1
    bins = np.clip(np.searchsorted(edges, redshift, side="right") - 1, 0, n_bins - 1)
    mean, width = features.mean(0), features.std(0) + 1e-9
    fitted = LogisticRegression(C=1 / PENALTY, max_iter=300, tol=1e-3).fit((features - mean) / width, bins)
    probability = np.full((len(wanted), n_bins), 1e-6)
    probability[:, fitted.classes_] += fitted.predict_proba((wanted - mean) / width)
    return edges, probability / probability.sum(1, keepdims=True)


def cumulative_at(edges: np.ndarray, probability: np.ndarray, redshift: np.ndarray) -> np.ndarray:
    """Probability (m,) below each redshift: the PIT when it is the true one."""
    cumulative = np.concatenate([np.zeros((len(probability), 1)), probability.cumsum(1)], 1)
    place = np.clip(np.searchsorted(edges, redshift, side="right") - 1, 0, len(edges) - 2)
    share = np.clip((redshift - edges[place]) / np.diff(edges)[place], 0, 1)
    rows = np.arange(len(redshift))
    return cumulative[rows, place] + share * probability[rows, place]


def coverage(pit: np.ndarray, level: float) -> float:
    """Share of the objects whose truth lies in the central interval of this probability; `level` if calibrated."""
    return float((np.abs(pit - 0.5) <= level / 2).mean())


def crps(edges: np.ndarray, probability: np.ndarray, redshift: np.ndarray, n_steps: int = 200) -> float:
    """Mean integral of (cumulative - step at the truth)^2 over redshift; the smaller the better."""
    grid = np.linspace(edges[0], edges[-1], n_steps)
    cumulative = np.stack([cumulative_at(edges, probability, np.full(len(redshift), z)) for z in grid], 1)
    step = grid[None] >= redshift[:, None]
    return float(((cumulative - step) ** 2).mean() * (edges[-1] - edges[0]))
