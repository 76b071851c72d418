"""What latents know and how well a generator covers its data: numbers from arrays, no network."""

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata

N_BINS = 10
N_NEIGHBOURS = 5


def rank_correlations(latents: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Spearman's correlation of each latent (n, L) with each factor (n, F): (L, F); 0 where one is constant."""
    ranks = [rankdata(part, axis=0) for part in (latents, factors)]
    ranks = [part - part.mean(0) for part in ranks]
    norms = [np.maximum(np.sqrt((part**2).sum(0)), 1e-12) for part in ranks]
    return ranks[0].T @ ranks[1] / np.outer(*norms)


def matched_correlation(correlations: np.ndarray) -> float:
    """Mean |correlation| of the factors with latents of their own, matched as well as can be (Kuhn 1955)."""
    size = np.abs(correlations)
    return float(size[linear_sum_assignment(-size)].mean())


def matched_share(one: np.ndarray, other: np.ndarray, n_kinds: int) -> float:
    """Share of objects whose two labels (n,) agree once those of one are matched with those of the other."""
    table = np.bincount(one * n_kinds + other, minlength=n_kinds**2).reshape(n_kinds, n_kinds)
    return float(table[linear_sum_assignment(-table)].sum() / len(one))


def mutual_information(latents: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Nats between each latent and each factor in ten quantiles each, (L, F), over the factor's entropy; what binning
    makes of independent numbers, (bins - 1)^2 / 2n, is taken off (Miller 1955)."""
    n = len(latents)
    places = [_quantiles(part) for part in (latents, factors)]
    found = np.empty((latents.shape[1], factors.shape[1]))
    for i, one in enumerate(places[0].T):
        for j, other in enumerate(places[1].T):
            joint = np.bincount(one * N_BINS + other, minlength=N_BINS**2).reshape(N_BINS, N_BINS) / n
            alone = np.outer(joint.sum(1), joint.sum(0))
            inside = joint > 0
            information = np.sum(joint[inside] * np.log(joint[inside] / alone[inside]))
            found[i, j] = max(information - (N_BINS - 1) ** 2 / (2 * n), 0)
    return found / np.log(N_BINS)


def _quantiles(values: np.ndarray) -> np.ndarray:
    return np.minimum((rankdata(values, axis=0) - 0.5) / len(values) * N_BINS, N_BINS - 1).astype(int)


def information_gap(information: np.ndarray) -> float:
    """MIG (Chen et al. 2018): mean over factors of the best latent's information less the second best's."""
    order = np.sort(information, axis=0)
    return float((order[-1] - order[-2]).mean())


def separated_gap(correlations: np.ndarray) -> float:
    """SAP (Kumar et al. 2018): the same gap in the share of variance that a latent's rank explains."""
    order = np.sort(correlations**2, axis=0)
    return float((order[-1] - order[-2]).mean())


def disentanglement(importance: np.ndarray) -> float:
    """D of DCI (Eastwood & Williams 2018): whether a latent serves one factor; from importances (L, F)."""
    total = importance.sum()
    if total <= 0 or importance.shape[1] < 2:
        return float("nan")
    share = importance / np.maximum(importance.sum(1, keepdims=True), 1e-12)
    entropy = -(share * np.log(np.maximum(share, 1e-12))).sum(1) / np.log(importance.shape[1])
    return float(((1 - entropy) * importance.sum(1)).sum() / total)


def frechet_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Squared distance of two Gaussians of the same moments (Dowson & Landau 1982), in the units of the space."""
    gap = one.mean(0) - other.mean(0)
    first, second = (np.cov(part.T) for part in (one, other))
    roots = np.sqrt(np.maximum(np.linalg.eigvals(first @ second).real, 0))
    return float(gap @ gap + np.trace(first + second) - 2 * roots.sum())


def neighbour_counts(real: np.ndarray, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Density of each drawn object and coverage of each real one (Naeem et al. 2020) with balls to the fifth
    neighbour: means are 1 and about 0.97 for what cannot be told apart."""
    radius = np.sqrt(np.partition(_squares(real, real), N_NEIGHBOURS, axis=1)[:, N_NEIGHBOURS])
    inside = np.sqrt(_squares(real, drawn)) <= radius[:, None]  # (real, drawn)
    return inside.sum(0) / N_NEIGHBOURS, inside.any(1).astype(float)


def _squares(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.maximum((one**2).sum(1)[:, None] + (other**2).sum(1) - 2 * one @ other.T, 0)


def cells(factors: np.ndarray, edges: np.ndarray, kind: np.ndarray) -> np.ndarray:
    """Number of the cell of each object: thirds of every factor by `edges` (2, F), in each kind."""
    place = kind.astype(int)
    for column, edge in zip(factors.T, edges.T, strict=True):
        place = 3 * place + np.searchsorted(edge, column)
    return place


def share_gap(one: np.ndarray, other: np.ndarray, n_cells: int) -> float:
    """Total variation of two histograms of cells: the share of objects that is in the wrong one."""
    shares = [np.bincount(part, minlength=n_cells) / len(part) for part in (one, other)]
    return float(0.5 * np.abs(shares[0] - shares[1]).sum())
