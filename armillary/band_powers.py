"""Power spectra of the convergence from estimated maps: biases taken off, binned, with covariance.

The power of an estimate x of kappa is R^2 C_kk + N0 + N1. R, the response, and N1 come from reference skies with the E
spectrum of the data (which the data tell to a percent) and a fiducial C_kk. N0, the disconnected bias, comes from the
data themselves: E of one patch with B of the next (`estimators.estimate_unpaired`), the realisation-dependent N0 of
Namikawa et al. (2013) with patches of the data in the place of simulations; of a single map it is theirs, with
simulations. N1 is all that is left, for estimators that delens B also what they take off N0. It is of first order in
C_kk and scales with the power of lensing B, which is measured in the data. More lensing makes the peaks of C_EE
smoother, to which the estimator from pairs of E responds less at low L: its response is corrected to first order for
the E power of the data (`response_factors`).
"""

from typing import NamedTuple

import numpy as np

from armillary.cmb_spectra import Instrument, noise_power
from armillary.estimators import Estimators, Setting, truth_window, window_of
from armillary.flatsky import fourier, mode_count, modes, radial
from armillary.map_scores import bin_powers
from armillary.quadratic import normalisation_ee

LENSING_B_BAND = (300, 1500)  # multipoles in which the power of lensing B is compared
E_BAND, E_WIDTH = (100, 3000), 80  # multipoles in which that of E is, in rings narrower than its peaks


class Sums(NamedTuple):
    """Powers of one method on one set of skies, C_l of each map (n_maps, n_bins), and lensing B of each (n_maps,)."""

    auto: np.ndarray
    cross: np.ndarray  # with the true kappa
    truth: np.ndarray
    unpaired: np.ndarray  # auto-power where E and B do not belong together: N0
    lensing_b: np.ndarray


class BandPowers(NamedTuple):
    """C_kk of a set of skies in bins of L, and all that was taken off it, (n_bins,) each."""

    power: np.ndarray
    covariance: np.ndarray  # (n_bins, n_bins), of `power`, from the scatter of the maps
    rdn0: np.ndarray
    n1: np.ndarray
    response: np.ndarray
    truth: np.ndarray  # C_kk of these very skies


def sums_of_set(
    found: np.ndarray, unpaired: np.ndarray, seen: np.ndarray, lensing_b: np.ndarray, setting: Setting,
    edges: list[float],
) -> Sums:  # fmt: skip
    """Powers of one set: estimates, unpaired estimates and the truth as they see it, all (n, n_y, n_x).

    They are divided by the mean square of the window that the estimates see kappa through.
    """
    paired, mixed = (bin_powers(maps, seen, setting.patch, edges) for maps in (found, unpaired))
    scale = paired.n_modes * np.mean(truth_window(setting, "k") ** 2)
    return Sums(*(part / scale for part in (*paired[:3], mixed.auto)), lensing_b)


def lensing_b_power(b_pure: np.ndarray, setting: Setting, instrument: Instrument) -> np.ndarray:
    """Mean power of B (n,) of maps (n, n_y, n_x) above their noise; only ratios of it mean anything on a cut sky."""
    patch = setting.patch
    low, high = LENSING_B_BAND
    l = modes(patch).l  # noqa: E741
    weight = mode_count(patch) * ((l >= low) & (l < min(high, setting.l_max)))
    noise = radial(noise_power(instrument, setting.spectra.l_max), patch) * np.mean(window_of(setting) ** 2)
    power = np.abs(fourier(b_pure)) ** 2 * patch.area / (patch.n_y * patch.n_x) ** 2
    return ((power - noise) * weight).sum((1, 2)) / weight.sum()


def response_factors(
    estimators: Estimators, data_e: np.ndarray, reference_e: np.ndarray, edges: list[float]
) -> dict[str, np.ndarray]:
    """Response on the data over that on the reference skies, in bins of L, of the estimators in which pairs of E weigh.

    `data_e` and `reference_e` are Wiener-filtered E (n, n_y, n_x) of the noise that the estimators were fitted to.
    """
    patch, weights = estimators.setting.patch, estimators.weights
    ee = radial(estimators.setting.spectra.ee_lensed, patch)
    of_sky = ee * radial(_e_power_ratio(estimators, data_e, reference_e), patch)
    plain, now = (normalisation_ee(weights.e_wiener, ee, weights.e_inverse, patch, power) for power in (None, of_sky))
    change = np.divide(plain, now, out=np.ones_like(plain), where=now != 0) - 1
    first = estimators.steps[0]
    both = first.add + first.add_ee
    share = np.divide(first.add_ee, both, out=np.zeros_like(both), where=both != 0)
    index, count = np.digitize(modes(patch).l, edges).ravel(), mode_count(patch).ravel()
    n_modes = np.bincount(index, count, minlength=len(edges) + 1)[1:-1]
    changes = {"k_qe_ee": change, "k_qe_eb_ee": share * change}
    return {
        name: 1 + np.bincount(index, values.ravel() * count, minlength=len(edges) + 1)[1:-1] / n_modes
        for name, values in changes.items()
    }


def _e_power_ratio(estimators: Estimators, data_e: np.ndarray, reference_e: np.ndarray) -> np.ndarray:
    """C_EE of the data over that of the reference at l = 0 ... l_max."""
    setting, patch = estimators.setting, estimators.setting.patch
    m, count = modes(patch).l, mode_count(patch)
    noise = radial(noise_power(setting.instrument, setting.spectra.l_max), patch) * estimators.weights.e_wiener**2
    noise = noise * np.mean(window_of(setting) ** 2)
    index, to_cl = (m / E_WIDTH).astype(int).ravel(), patch.area / (patch.n_y * patch.n_x) ** 2
    power = [np.mean(np.abs(fourier(maps)) ** 2, axis=0) * to_cl - noise for maps in (data_e, reference_e)]
    of_data, of_reference, centres = (np.bincount(index, (part * count).ravel()) for part in (*power, m))
    centres /= np.bincount(index, count.ravel())
    inside = (centres > E_BAND[0]) & (centres < min(E_BAND[1], setting.l_max - E_WIDTH))
    ratio = of_data[inside] / of_reference[inside]
    return np.interp(np.arange(setting.spectra.l_max + 1), centres[inside], ratio)


def band_powers(data: Sums, reference: Sums, factor: np.ndarray | float = 1.0) -> BandPowers:
    """C_kk of `data` with response, times `factor`, and N1 of `reference`."""
    response, n1 = _calibrated(*(part.mean(0) for part in reference[:4]))
    response = response * factor
    n1 = n1 * data.lensing_b.mean() / reference.lensing_b.mean()
    each = (data.auto - data.unpaired - n1) / response**2
    covariance = np.atleast_2d(np.cov(each, rowvar=False)) / len(each)
    return BandPowers(each.mean(0), covariance, data.unpaired.mean(0), n1, response, data.truth.mean(0))


def band_powers_of_one(data: Sums, rdn0: np.ndarray, reference: Sums) -> BandPowers:
    """C_kk of a single map, whose N0 simulations gave; the covariance is that of the reference skies, one by one."""
    of_reference = band_powers(reference, reference)
    n1 = of_reference.n1 * data.lensing_b.mean() / reference.lensing_b.mean()
    power = (data.auto[0] - rdn0 - n1) / of_reference.response**2
    covariance = of_reference.covariance * len(reference.auto)
    return BandPowers(power, covariance, rdn0, n1, of_reference.response, data.truth[0])


def resampled_powers(
    data: Sums, reference: Sums, counts: np.ndarray, factor: np.ndarray | float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Recovered and true C_kk (n_resamples, n_bins) of resampled maps.

    `counts` (n_resamples, n_maps) say how often each is drawn, in both sets: they were drawn from the same seeds.
    """
    auto, _, truth, unpaired = (counts @ part / counts.sum(1, keepdims=True) for part in data[:4])
    of_reference = [counts @ part / counts.sum(1, keepdims=True) for part in reference[:4]]
    response, n1 = _calibrated(*of_reference)
    scale = (counts @ data.lensing_b) / (counts @ reference.lensing_b)
    return (auto - unpaired - scale[:, None] * n1) / (response * factor) ** 2, truth


def _calibrated(auto, cross, truth, unpaired) -> tuple[np.ndarray, np.ndarray]:
    response = cross / truth
    return response, auto - unpaired - response**2 * truth
