"""How well lensing can be known: analytic noise of the quadratic estimator, and the limit that iterating tends to."""

import numpy as np

from armillary.cmb_spectra import Instrument, Spectra, relensed
from armillary.flatsky import Patch, radial
from armillary.quadratic import filter_tables, kappa_noise, normalisation, normalisation_ee

N_ITERATIONS = 8
MARGIN = 1500  # multipoles beyond the last one that lensing needs to fill in the last ones


def quadratic_noise(
    spectra: Spectra, instrument: Instrument, patch: Patch, *, l_min: int, l_max: int, with_ee: bool = True
) -> np.ndarray:
    """N0 of kappa at L = 0 ... l_max from pairs of E and B and, `with_ee`, of E and E with l_min <= l <= l_max.

    The two have independent noise (Hu & Okamoto 2002, for C_EB = 0): their inverse variances add.
    """
    e_wiener, b_inverse, e_inverse = (
        radial(table, patch) for table in filter_tables(spectra, instrument, l_min=l_min, l_max=l_max)
    )
    ee = radial(spectra.ee_lensed, patch)
    noise = kappa_noise(normalisation(e_wiener, ee, b_inverse, patch), patch, l_max)
    if not with_ee:
        return noise
    other = kappa_noise(normalisation_ee(e_wiener, ee, e_inverse, patch), patch, l_max)
    with np.errstate(divide="ignore"):
        return 1 / (1 / noise + 1 / other)


def iterated_noise(
    spectra: Spectra, instrument: Instrument, patch: Patch, *, l_min: int, l_max: int, with_ee: bool = True
) -> np.ndarray:
    """The same when E and B are lensed only by what is left of kappa after it was estimated with that very noise.

    Hirata & Seljak (2003), Smith et al. (2012): repeat C_kk N / (C_kk + N) -> lensed spectra -> N until it stays.
    """
    reach = min(l_max + MARGIN, spectra.l_max)
    kk = spectra.kk[: reach + 1]
    what = {"l_min": l_min, "l_max": l_max, "with_ee": with_ee}
    noise = quadratic_noise(spectra, instrument, patch, **what)
    for _ in range(N_ITERATIONS):
        left = kk.copy()  # beyond l_max, and where there is no estimate, all of it is left
        known = np.flatnonzero(np.isfinite(noise) & (noise > 0))
        left[known] = kk[known] * noise[known] / (kk[known] + noise[known])
        partly = relensed(spectra, left, reach)
        before, noise = noise, quadratic_noise(partly, instrument, patch, **what)
        if np.max(np.abs(noise[l_min:l_max] / before[l_min:l_max] - 1)) < 1e-3:
            break
    return noise


def correlation(kk: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """rho of an estimate with that noise with the truth, sqrt(C / (C + N)), at each L of `noise`."""
    kk = kk[: len(noise)]
    return np.sqrt(kk / np.maximum(kk + noise, 1e-300))


def binned_correlation(kk: np.ndarray, noise: np.ndarray, edges: list[float]) -> np.ndarray:
    """rho of the Wiener-filtered estimate in bins of L, as a sum over the modes of each bin gives it."""
    squared = correlation(kk, noise) ** 2
    l = np.arange(len(squared))  # noqa: E741
    weight = l * kk[: len(squared)]
    pairs = zip(edges[:-1], edges[1:], strict=True)
    inside = [(l >= low) & (l < high) for low, high in pairs]
    return np.array([np.sqrt((weight * squared)[i].sum() / max(weight[i].sum(), 1e-300)) for i in inside])
