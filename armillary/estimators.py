"""What a CMB analyst would use instead of a network: quadratic and iterated quadratic estimator, delensed E, lensing B.

All act on one map of Q and U and share one call. `fit_estimators` learns from simulated skies of the same patch,
window, beam and noise what has no closed form: one or two numbers per ring of multipoles and step, the noise of B after
each step, and on a cut sky the mean field. Nothing is fitted to the maps that are scored.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from armillary.cmb_spectra import Instrument, Spectra
from armillary.flatsky import Patch, beam, eb_from_qu, fourier, mode_count, modes, pixels, qu_from_eb, radial
from armillary.lensing import delensed, gradient_template
from armillary.posterior import Posterior, linear_problem, most_likely_kappa
from armillary.purification import naive_eb, pure_eb
from armillary.quadratic import Filters, estimate_kappa, filters, normalisation

MAX_DECONVOLUTION = 30.0  # beyond this factor the beam is not divided out: nothing but noise is left there
MAPS = (
    "E", "B", "B_pure", "E_wiener", "B_wiener", "B_residual", "k_qe", "k_iqe", "k_map", "e_observed", "e_delensed",
    "b_template",
)  # fmt: skip


class Setting(NamedTuple):
    """Where estimators work; `window` (n_y, n_x) is None for a periodic patch seen whole."""

    patch: Patch
    spectra: Spectra
    instrument: Instrument
    window: np.ndarray | None
    l_min: int
    l_max: int


class Step(NamedTuple):
    """One pass of the iterated estimator: x -> keep x + add QE(E, B - template(x)); half-plane arrays."""

    keep: np.ndarray
    add: np.ndarray
    b_inverse: np.ndarray  # weights of B, from its power after the template is taken off
    n0: np.ndarray
    mean_field: np.ndarray  # complex; zero on a periodic patch


class Estimators(NamedTuple):
    """Fitted estimators; make them with `fit_estimators`."""

    setting: Setting
    weights: Filters
    response: np.ndarray  # cross-power of the plain estimate with the truth over the truth's, to calibrate it
    steps: tuple[Step, ...]  # the first is the plain quadratic estimator with its Wiener filter
    posterior: Posterior
    n_iterations: int  # of conjugate gradients
    k_mean: np.ndarray  # mean of the most likely kappa over skies, zero on a periodic patch
    k_mix: tuple[np.ndarray, np.ndarray]  # factors of most likely (through the squared window) and iterated kappa
    e_mix: tuple[np.ndarray, np.ndarray]  # factors of observed and of delensed E
    e_observed: np.ndarray  # Wiener filter of observed E
    b_mix: tuple[np.ndarray, np.ndarray]  # factors of pure (or plain) B and of the template


def ring_edges(patch: Patch) -> np.ndarray:
    """Edges of the rings that factors are fitted in: wide enough to hold enough modes of a small patch."""
    width = max(2 * np.pi / np.sqrt(patch.area), 60.0)
    edges = np.concatenate([np.arange(0.3 * width, 1000, 1.4 * width), np.arange(1000, patch.nyquist * 1.42, 200)])
    return edges[np.concatenate([[True], np.diff(edges) > width])]


class Rings:
    """Sums over rings of multipoles, and factors spread from rings to modes by linear interpolation."""

    def __init__(self, patch: Patch):
        self.l, self.count = modes(patch).l, mode_count(patch)
        self.count[0, 0] = 0.0  # the mean of a map says nothing about lensing, and must not weigh on the lowest ring
        lowest = np.min(self.l[self.l > 0])
        index = np.digitize(np.maximum(self.l, lowest), ring_edges(patch))
        has_modes = np.bincount(index.ravel(), self.count.ravel()) > 0
        self.index = np.cumsum(has_modes)[index] - 1
        self.n_rings = int(self.index.max()) + 1
        self.n_modes = self.sums(np.ones_like(self.l))
        self.centres = self.sums(self.l) / self.n_modes

    def sums(self, power: np.ndarray) -> np.ndarray:
        """Half-plane (n_y, n_x // 2 + 1) -> (n_rings,)."""
        return np.bincount(self.index.ravel(), (power * self.count).ravel(), minlength=self.n_rings)

    def products(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Sum of Re(first second*) over maps (n, ...) and modes of each ring."""
        return self.sums(sum((a * b.conj()).real.astype(np.float64) for a, b in zip(first, second, strict=True)))

    def spread(self, values: np.ndarray) -> np.ndarray:
        """(n_rings,) -> half plane, float32."""
        return np.interp(self.l, self.centres, values).astype(np.float32)


def fit_estimators(setting: Setting, maps: dict[str, np.ndarray], *, n_steps: int, n_iterations: int) -> Estimators:
    """Learn from simulated maps q, u, e, k, b (n, n_y, n_x) of the same setting; a few dozen are enough.

    `n_steps` passes follow the plain quadratic estimator, and `n_iterations` of conjugate gradients those.
    """
    patch, rings = setting.patch, Rings(setting.patch)
    weights = filters(setting.spectra, setting.instrument, patch, l_min=setting.l_min, l_max=setting.l_max)
    observed = [observed_eb(setting, q, u) for q, u in zip(maps["q"], maps["u"], strict=True)]
    truth = {name: windowed_truth(setting, name, maps[name]) for name in ("e", "k", "b")}
    steps, x, response = [], None, None
    for _ in range(n_steps + 1):
        b_left = [b if x is None else b - template(setting, weights, e, x[n]) for n, (e, b) in enumerate(observed)]
        step, g = _measured_step(setting, weights, rings, observed, b_left, first=x is None)
        if x is None:
            response = rings.products(g, truth["k"]) / rings.products(truth["k"], truth["k"])
            response = _smoothed(response, rings.n_modes)
            add = _fitted_factors(rings, [g], truth["k"])
            step = step._replace(keep=np.zeros_like(step.n0), add=add[0])
            x = step.add * g
        else:
            keep, add = _fitted_factors(rings, [x, g], truth["k"])
            step = step._replace(keep=keep, add=add)
            x = keep * x + add * g
        steps.append(step)
    posterior = linear_problem(setting.spectra, setting.instrument, patch, weights)
    how = {"weights": weights, "problem": posterior, "patch": patch, "n_iterations": n_iterations}
    likely = np.stack([most_likely_kappa(e, b, x[n], **how) for n, (e, b) in enumerate(observed)])
    k_mean = np.zeros_like(likely[0]) if setting.window is None else likely.mean(0)
    likely -= k_mean
    seen = np.stack([_through_window(setting, one) for one in likely])
    e_seen, b_seen = (np.stack(part) for part in zip(*observed, strict=True))
    e_moved = np.stack([_delensed_e(setting, *eb, one) for eb, one in zip(observed, likely, strict=True)])
    b_made = np.stack([template(setting, weights, e, one) for e, one in zip(e_seen, likely, strict=True)])
    return Estimators(
        setting, weights, rings.spread(response), tuple(steps), posterior, n_iterations, k_mean,
        k_mix=_fitted_factors(rings, [seen, x], truth["k"]),
        e_mix=_fitted_factors(rings, [e_seen, e_moved], truth["e"]),
        e_observed=_fitted_factors(rings, [e_seen], truth["e"])[0],
        b_mix=_fitted_factors(rings, [b_seen, b_made], truth["b"]),
    )  # fmt: skip


def estimate(estimators: Estimators, q: np.ndarray, u: np.ndarray) -> dict[str, np.ndarray]:
    """All estimates from one pair of maps (n_y, n_x) in uK, float32 maps under the names of MAPS.

    E, B: plain transform of the (windowed) map, beam in. B_pure: pure B, beam divided out. E_wiener, B_wiener: filtered
    with the weights of the quadratic estimator, uK and 1/uK. B_residual: what the most likely lensing leaves of B, with
    the weights of the last step. k_qe: calibrated, not Wiener-filtered. k_iqe, k_map (most likely), e_observed,
    e_delensed, b_template: estimates of least mean square error of kappa, unlensed E (without and with delensing) and
    lensing B.
    """
    setting, weights, patch = estimators.setting, estimators.weights, estimators.setting.patch
    e, b = observed_eb(setting, q, u)
    plain = naive_eb(q, u, window_of(setting), patch)
    x = qe = None
    for step in estimators.steps:
        left = b if x is None else b - template(setting, weights, e, x)
        g = estimate_kappa(e, left, Filters(weights.e_wiener, step.b_inverse), step.n0, patch) - step.mean_field
        if x is None:
            qe = g / np.where(np.abs(estimators.response) > 0.05, estimators.response, 1.0)
            x = step.add * g
        else:
            x = step.keep * x + step.add * g
    problem = {"problem": estimators.posterior, "n_iterations": estimators.n_iterations}
    likely = most_likely_kappa(e, b, x, weights, patch=patch, **problem) - estimators.k_mean
    made = template(setting, weights, e, likely)
    moved = _delensed_e(setting, e, b, likely)
    found = {
        "E": plain[0], "B": plain[1], "B_pure": b, "E_wiener": weights.e_wiener * e, "B_wiener": weights.b_inverse * b,
        "B_residual": estimators.steps[-1].b_inverse * (b - made), "k_qe": qe, "k_iqe": x,
        "k_map": estimators.k_mix[0] * _through_window(setting, likely) + estimators.k_mix[1] * x,
        "e_observed": estimators.e_observed * e, "e_delensed": estimators.e_mix[0] * e + estimators.e_mix[1] * moved,
        "b_template": estimators.b_mix[0] * b + estimators.b_mix[1] * made,
    }  # fmt: skip
    return dict(zip(MAPS, pixels(np.stack([found[name] for name in MAPS]), patch).astype(np.float32), strict=True))


def estimate_all(estimators: Estimators, q: np.ndarray, u: np.ndarray) -> dict[str, np.ndarray]:
    """`estimate` of many maps (n, n_y, n_x)."""
    each = [estimate(estimators, *pair) for pair in zip(q, u, strict=True)]
    return {name: np.stack([one[name] for one in each]) for name in MAPS}


def window_of(setting: Setting) -> np.ndarray:
    """The window, or ones."""
    return np.ones(setting.patch.shape, np.float32) if setting.window is None else setting.window


def truth_window(setting: Setting, channel: str) -> np.ndarray:
    """What an estimate of a channel sees the truth through: the window, squared for kappa (a product of two maps)."""
    window = window_of(setting)
    return window**2 if channel == "k" else window


def windowed_truth(setting: Setting, channel: str, values: np.ndarray) -> np.ndarray:
    """Coefficients of the truth (n, n_y, n_x) as an estimate sees it."""
    return fourier(truth_window(setting, channel) * values)


def observed_eb(setting: Setting, q: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients of E and (pure) B of a map with the beam divided out."""
    patch = setting.patch
    inverse = _inverse_beam(setting.instrument.beam_fwhm_arcmin, patch)
    if setting.window is None:
        e, b = eb_from_qu(fourier(q), fourier(u), patch)
        return e * inverse, b * inverse
    return naive_eb(q, u, setting.window, patch)[0] * inverse, pure_eb(q, u, setting.window, patch)[1] * inverse


@lru_cache(maxsize=8)
def _inverse_beam(fwhm_arcmin: float, patch: Patch) -> np.ndarray:
    window = radial(beam(fwhm_arcmin, int(1.5 * patch.nyquist)), patch)
    return np.where(window > 1 / MAX_DECONVOLUTION, 1 / np.maximum(window, 1e-6), 0.0).astype(np.float32)


def template(setting: Setting, weights: Filters, e: np.ndarray, kappa: np.ndarray) -> np.ndarray:
    """B that the convergence makes of the Wiener-filtered observed E, to first order."""
    return gradient_template(weights.e_wiener * e, kappa, setting.patch)[1]


def _through_window(setting: Setting, kappa: np.ndarray) -> np.ndarray:
    """Coefficients of an estimate of kappa itself as those of the squared window times it."""
    if setting.window is None:
        return kappa
    return fourier(truth_window(setting, "k") * pixels(kappa, setting.patch))


def _delensed_e(setting: Setting, e: np.ndarray, b: np.ndarray, kappa: np.ndarray) -> np.ndarray:
    inside = modes(setting.patch).l <= setting.l_max
    return delensed(*qu_from_eb(e * inside, b * inside, setting.patch), kappa, setting.patch)[0]


def _measured_step(setting, weights, rings, observed, b_left, *, first: bool) -> tuple[Step, np.ndarray]:
    """A step whose weights come from the power of B left over, and what it makes of the maps."""
    patch = setting.patch
    power = rings.sums(np.mean([np.abs(b) ** 2 for b in b_left], axis=0)) / rings.n_modes
    if first:
        b_inverse = weights.b_inverse
    else:
        area = np.mean(window_of(setting) ** 2) * (patch.n_y * patch.n_x) ** 2 / patch.area
        in_range = weights.b_inverse > 0
        smooth = np.exp(np.interp(rings.l, rings.centres, np.log(np.maximum(power / area, 1e-30))))
        b_inverse = np.where(in_range, 1 / smooth, 0.0).astype(np.float32)
    ee = radial(setting.spectra.ee_lensed, patch)
    n0 = normalisation(weights.e_wiener, ee, b_inverse, patch)
    now = Filters(weights.e_wiener, b_inverse)
    g = np.stack([estimate_kappa(e, b, now, n0, patch) for (e, _), b in zip(observed, b_left, strict=True)])
    mean_field = np.zeros_like(g[0]) if setting.window is None else g.mean(0)
    return Step(n0, n0, b_inverse, n0, mean_field), g - mean_field


def _smoothed(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted means over neighbouring rings, over more of them the higher the ring: a response varies slowly there."""
    reach = np.minimum(np.arange(len(values)) // 2, 4)
    places = [slice(max(i - r, 0), i + r + 1) for i, r in enumerate(reach)]
    return np.array([np.average(values[place], weights=weights[place]) for place in places])


def _fitted_factors(rings: Rings, estimates: list[np.ndarray], truth: np.ndarray) -> tuple[np.ndarray, ...]:
    """Factors per ring (half-plane arrays) of least mean square error; least squares, one ring at a time."""
    matrix = np.array([[rings.products(a, b) for a in estimates] for b in estimates])  # (k, k, n_rings)
    vector = np.array([rings.products(a, truth) for a in estimates])  # (k, n_rings)
    factors = np.zeros_like(vector)
    for ring in range(rings.n_rings):
        if matrix[0, 0, ring] > 0:
            factors[:, ring] = np.linalg.lstsq(matrix[:, :, ring], vector[:, ring], rcond=1e-9)[0]
    return tuple(rings.spread(values) for values in factors)
