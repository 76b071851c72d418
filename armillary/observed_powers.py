"""Power spectrum of the convergence of one observed map: N0 of this very map by simulations, N1 and response, too."""

import numpy as np

from armillary.band_powers import BandPowers, band_powers_of_one, lensing_b_power, sums_of_set
from armillary.estimators import (
    KAPPAS,
    Estimators,
    Seen,
    kappa_estimates,
    observed_eb,
    seen_map,
    truth_window,
    unpaired,
)
from armillary.flatsky import Patch, pixels


def bins_inside(edges: list[float], patch: Patch, l_max: int) -> list[float]:
    """The edges that a patch has modes between."""
    spacing = 2 * np.pi / np.sqrt(patch.area)
    return [edge for edge in edges if spacing < edge < min(patch.nyquist, l_max)]


def observed_band_powers(
    fitted: Estimators, q: np.ndarray, u: np.ndarray, skies: dict[str, np.ndarray], edges: list[float],
    kappa: np.ndarray | None,
) -> dict[str, BandPowers]:  # fmt: skip
    """C_kk by every estimator, from q and u (n_y, n_x) and simulated skies q, u, k (n >= 3, n_y, n_x) like it.

    RDN0 = <C[E_d, B_s] + C[E_s, B_d] - C[E_s, B_s']>, Namikawa et al. (2013), d being the data, s and s' two skies.
    `kappa` is the true convergence, if it is known. The skies must not be those that the estimators were fitted to.
    """
    setting = fitted.setting
    data, *sky = [
        seen_map(fitted, *observed_eb(setting, *pair)) for pair in zip([q, *skies["q"]], [u, *skies["u"]], strict=True)
    ]
    n, window = len(sky), truth_window(setting, "k")
    apart = [unpaired(fitted, sky[i], sky[(i + 1) % n], sky[(i + 2) % n]) for i in range(n)]
    crossed = [pair for s in sky for pair in (unpaired(fitted, data, s, s), unpaired(fitted, s, data, data))]
    found, of_skies, of_apart, of_crossed = (_maps(fitted, some) for some in ([data], sky, apart, crossed))
    b_power = [
        lensing_b_power(pixels(np.stack([one.b for one in some]), setting.patch), setting, setting.instrument)
        for some in ([data], sky)
    ]
    truth = [window * (np.zeros_like(q)[None] if kappa is None else kappa[None]), window * skies["k"]]
    powers = {}
    for name in KAPPAS:
        reference = sums_of_set(of_skies[name], of_apart[name], truth[1], b_power[1], setting, edges)
        ours = sums_of_set(found[name], found[name], truth[0], b_power[0], setting, edges)
        repeated = np.repeat(truth[1], 2, 0), np.zeros(2 * n)
        mixed = sums_of_set(of_crossed[name], of_crossed[name], *repeated, setting, edges)
        rdn0 = 2 * mixed.auto.mean(0) - reference.unpaired.mean(0)
        powers[name] = band_powers_of_one(ours, rdn0, reference)
    return powers


def _maps(fitted: Estimators, seen: list[Seen]) -> dict[str, np.ndarray]:
    """Convergence maps (n, n_y, n_x) by every estimator."""
    each = [kappa_estimates(fitted, one)[0] for one in seen]
    return {name: pixels(np.stack([one[name] for one in each]), fitted.setting.patch) for name in KAPPAS}
