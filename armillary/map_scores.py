"""How well an estimated map follows the truth, multipole by multipole, with errors from resampled skies.

rho_L = C_xt / sqrt(C_xx C_tt) is what counts: it does not change when the estimate is rescaled at each L. R_L = C_xt /
C_tt is the response, and N_L = C_tt (1 / rho_L^2 - 1) the noise of the estimate once it is divided by its response.
Spectra are summed over the maps of a test set first, then divided.
"""

from typing import NamedTuple

import numpy as np

from armillary.flatsky import Patch, fourier, mode_count, modes
from armillary.metrics import interval_68, join_notes, measurement, resample_counts


class Powers(NamedTuple):
    """Sums over the modes of each bin, one row a map: (n_maps, n_bins) each, and modes a bin."""

    auto: np.ndarray
    cross: np.ndarray
    truth: np.ndarray
    n_modes: np.ndarray


def bin_powers(estimate: np.ndarray, truth: np.ndarray, patch: Patch, edges: list[float]) -> Powers:
    """Auto- and cross-powers C_l of maps (n, n_y, n_x) in bins of l with the given edges, in unit^2."""
    if estimate.shape != truth.shape or estimate.shape[1:] != patch.shape:
        raise ValueError(f"maps of {estimate.shape} against a truth of {truth.shape} on a patch of {patch.shape}")
    index = np.digitize(modes(patch).l, edges).ravel()
    count = mode_count(patch).ravel()
    n_modes = np.bincount(index, count, minlength=len(edges) + 1)[1:-1]
    if not n_modes.all():
        empty = int(np.argmin(n_modes))
        raise ValueError(
            f"cmb: score_maps: bin_edges has the bin {edges[empty]:g} to {edges[empty + 1]:g} without a mode; "
            f"the modes of this patch are {2 * np.pi / np.sqrt(patch.area):.0f} apart"
        )
    to_cl = patch.area / (patch.n_y * patch.n_x) ** 2
    x, t = fourier(estimate), fourier(truth)
    powers = [
        (np.abs(x) ** 2).astype(np.float64),
        (x * t.conj()).real.astype(np.float64),
        (np.abs(t) ** 2).astype(np.float64),
    ]
    sums = [np.stack([_summed(row * to_cl, index, count, len(edges)) for row in power]) for power in powers]
    return Powers(*sums, n_modes)


def _summed(power: np.ndarray, index: np.ndarray, count: np.ndarray, n_edges: int) -> np.ndarray:
    return np.bincount(index, power.ravel() * count, minlength=n_edges + 1)[1:-1]


class Curves(NamedTuple):
    """Spectra and scores a bin (n_bins,), and the same for resampled sets of skies (n_resamples, n_bins)."""

    rho: np.ndarray
    response: np.ndarray
    noise: np.ndarray
    auto: np.ndarray
    cross: np.ndarray
    truth: np.ndarray
    rho_samples: np.ndarray
    response_samples: np.ndarray
    noise_samples: np.ndarray


def score_curves(powers: Powers, unit: np.ndarray, *, n_resamples: int, seed: int) -> Curves:
    """Scores of a set of maps; `unit` (n_maps,) says which box of sky each comes from, the unit of the bootstrap.

    The same seed and units draw the same resamples, so that two methods can be compared pair by pair.
    """
    boxes, unit = np.unique(unit, return_inverse=True)
    by_box = [np.stack([np.bincount(unit, column) for column in part.T], 1) for part in powers[:3]]
    counts = resample_counts(len(boxes), n_resamples, np.random.default_rng([seed, len(boxes)]))
    auto, cross, truth = (part.sum(0) for part in by_box)
    resampled = [counts @ part for part in by_box]
    mean = 1.0 / (len(unit) * powers.n_modes)
    with np.errstate(invalid="ignore"):  # a truth of 0 has no response
        rho_samples, response_samples = _rho(*resampled), resampled[1] / resampled[2]
        response = cross / truth
    return Curves(
        rho=_rho(auto, cross, truth), response=response, noise=_noise(auto, cross, truth) * mean,
        auto=auto * mean, cross=cross * mean, truth=truth * mean, rho_samples=rho_samples,
        response_samples=response_samples, noise_samples=_noise(*resampled) * mean,
    )  # fmt: skip


def mean_of_trainings(each: list[Curves], rng: np.random.Generator) -> Curves:
    """Means over several trainings of a network; the spread from training to training is added to the resamples.

    As `metrics.over_trainings` has it, with the same draws in every bin: a training that is better is so at all L.
    """
    means = {name: np.mean([getattr(one, name) for one in each], axis=0) for name in Curves._fields}
    if len(each) > 1:
        drawn = rng.standard_normal((len(means["rho_samples"]), 1))
        for name in ("rho", "response", "noise"):
            spread = np.std([getattr(one, name) for one in each], axis=0, ddof=1)
            means[f"{name}_samples"] = means[f"{name}_samples"] + spread * drawn
    return Curves(**means)


def spread_note(each: list[Curves]) -> str:
    """What the errors of `mean_of_trainings` hold."""
    if len(each) == 1:
        return "one training: its spread is not in the error"
    return f"mean of {len(each)} trainings, whose spread is in the error"


def _rho(auto, cross, truth) -> np.ndarray:
    return cross / np.sqrt(np.maximum(auto * truth, 1e-300))


def _noise(auto, cross, truth) -> np.ndarray:
    """C_tt (1 / rho^2 - 1), infinite where nothing correlates."""
    rho2 = _rho(auto, cross, truth) ** 2
    return truth * (1 / np.maximum(rho2, 1e-12) - 1)


def bin_labels(edges: list[float]) -> list[str]:
    """The words of metrics keys for each bin: "l200" for 150 to 250."""
    return [f"l{int((low + high) // 2)}" for low, high in zip(edges[:-1], edges[1:], strict=True)]


def score_entries(
    found: Curves, edges: list[float], prefix: str, *, n: int, unit: str, baseline: str | None, more: str = ""
) -> dict:
    """rho, R and N of every bin in the metrics form under `<prefix>_<quantity>_<bin>`; `baseline` is another prefix,
    `more` a note to all."""
    entries = {}
    for quantity, unit_of in (("rho", ""), ("response", ""), ("noise", f"{unit}^2" if unit else "")):
        value, samples = getattr(found, quantity), getattr(found, f"{quantity}_samples")
        for number, label in enumerate(bin_labels(edges)):
            note = join_notes(f"{edges[number]:g} <= l < {edges[number + 1]:g}", more)
            against = f"{baseline}_{quantity}_{label}" if baseline else None
            lo, hi = interval_68(samples[:, number])
            entries[f"{prefix}_{quantity}_{label}"] = measurement(value[number], lo, hi, n, unit_of, against, note)
    return entries


def gain_entries(
    ours: Curves, theirs: Curves, edges: list[float], prefix: str, *, n: int, among: tuple[float, float]
) -> dict:
    """rho minus a baseline's rho in every bin, errors from the same resamples; the least gain of the bins `among`."""
    difference, samples = ours.rho - theirs.rho, ours.rho_samples - theirs.rho_samples
    entries = {}
    for number, label in enumerate(bin_labels(edges)):
        entries[f"{prefix}_{label}"] = measurement(difference[number], *interval_68(samples[:, number]), n, "")
    inside = [low >= among[0] and high <= among[1] for low, high in zip(edges[:-1], edges[1:], strict=True)]
    if any(inside):
        least = int(np.argmin(np.where(inside, difference, np.inf)))
        note = f"least of the bins inside {among[0]:g} < l < {among[1]:g}: {bin_labels(edges)[least]}"
        entries[f"{prefix}_least"] = measurement(difference[least], *interval_68(samples[:, least]), n, "", None, note)
    return entries
