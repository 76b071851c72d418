"""What a CMB analyst would use instead of a network: quadratic and iterated quadratic estimator, the most likely
convergence, delensed E, lensing B.

All act on one map of Q and U and share one call. The convergence comes from pairs of E and B (EB), of E and E (EE), and
of both together (EB + EE), all filtered alike: with factors of least mean square error, one to three per ring of
multipoles. The last one moves the maps back by the most likely convergence and adds what pairs EB and EE of these
delensed maps still tell. `fit_estimators` learns from simulated skies of the same patch, window, beam and noise what
has no closed form: those factors, the noise of B after each step, that of EE, and on a cut sky the mean fields. Nothing
is fitted to the maps that are scored.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from armillary.cmb_spectra import Instrument, Spectra
from armillary.flatsky import Patch, beam, eb_from_qu, fourier, mode_count, modes, pixels, qu_from_eb, radial
from armillary.lensing import delensed, polarisation_gradients, template_of_gradients
from armillary.posterior import FromE, Posterior, linear_problem, most_likely_kappa
from armillary.purification import naive_eb, pure_eb
from armillary.quadratic import Filters, filters, kappa_of_e_pairs, kappa_of_pairs, normalisation, normalisation_ee

MAX_DECONVOLUTION = 30.0  # beyond this factor the beam is not divided out: nothing but noise is left there
KAPPAS = (
    "k_qe_eb", "k_qe_ee", "k_qe_eb_ee", "k_iqe_eb", "k_iqe_eb_ee", "k_map_eb", "k_map_eb_ee", "k_map_delensed",
)  # fmt: skip
MAPS = (
    "E", "B", "B_pure", "E_wiener", "B_wiener", "B_residual", *KAPPAS, "e_observed", "e_delensed", "b_template",
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
    """One pass of an iterated estimator: x -> keep x + add QE(E, B - template(x)) + add_ee QE(E, E); half planes."""

    keep: np.ndarray
    add: np.ndarray
    add_ee: np.ndarray
    b_inverse: np.ndarray  # weights of B, from its power after the template is taken off
    n0: np.ndarray
    mean_field: np.ndarray  # complex; zero on a periodic patch


class FromPairs(NamedTuple):
    """The plain quadratic estimator of E and E; that of E and B is in the first `Step`."""

    n0_ee: np.ndarray
    mean_field_ee: np.ndarray  # complex; zero on a periodic patch
    information_ee: np.ndarray  # 1 / noise of the convergence from E and E
    wiener_ee: np.ndarray  # Wiener filter of E and E alone


class Likely(NamedTuple):
    """How the most likely kappa becomes an estimate of least mean square error."""

    mean: np.ndarray  # over skies, zero on a periodic patch
    mix: tuple[np.ndarray, ...]  # factors of it (through the squared window) and of the estimate it started from


class Delensed(NamedTuple):
    """What pairs EE and EB of maps moved back by the most likely kappa add to it."""

    mean_fields: np.ndarray  # complex (2, ...): EE, EB; zero on a periodic patch
    mix: tuple[np.ndarray, ...]  # factors of the most likely estimate, of EE and of EB


class Estimators(NamedTuple):
    """Fitted estimators; make them with `fit_estimators`."""

    setting: Setting
    weights: Filters
    pairs: FromPairs
    steps_eb: tuple[Step, ...]  # the first is the plain quadratic estimator of E and B with its Wiener filter
    steps: tuple[Step, ...]  # of both: EB + EE
    posterior: Posterior
    n_iterations: int  # of conjugate gradients
    likely_eb: Likely
    likely: Likely
    delensed: Delensed
    e_mix: tuple[np.ndarray, np.ndarray]  # factors of observed and of delensed E
    e_observed: np.ndarray  # Wiener filter of observed E
    b_mix: tuple[np.ndarray, np.ndarray]  # factors of pure (or plain) B and of the template


class Seen(NamedTuple):
    """One observed map: coefficients of E and (pure) B, beam divided out, and what all steps need of E."""

    e: np.ndarray
    b: np.ndarray
    gradients: np.ndarray  # of Wiener-filtered E
    ee: np.ndarray  # convergence from pairs of E, normalised, mean field not yet taken off
    e_other: np.ndarray | None  # E of another map that E is paired with in the place of itself


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
    n0_ee = normalisation_ee(weights.e_wiener, radial(setting.spectra.ee_lensed, patch), weights.e_inverse, patch)
    pairs_of_maps = zip(maps["q"], maps["u"], strict=True)
    seen = [_seen_with(weights, n0_ee, *observed_eb(setting, q, u), patch) for q, u in pairs_of_maps]
    truth = {name: windowed_truth(setting, name, maps[name]) for name in ("e", "k", "b")}
    ee = np.stack([one.ee for one in seen])
    mean_field = _mean_on_cut_sky(setting, ee)
    ee -= mean_field
    steps_eb, x_eb = _fitted_steps(setting, weights, rings, seen, truth["k"], ee=None, n_steps=n_steps)
    steps, x = _fitted_steps(setting, weights, rings, seen, truth["k"], ee=ee, n_steps=n_steps)
    wiener_ee = _fitted_factors(rings, [ee], truth["k"])[0]
    pairs = FromPairs(n0_ee, mean_field, _information(setting, rings, ee, truth["k"]), wiener_ee)
    posterior = linear_problem(setting.spectra, setting.instrument, patch, weights)
    how = {"problem": posterior, "patch": patch, "n_iterations": n_iterations}
    of_likely = []
    for with_ee, start in ((False, x_eb), (True, x)):
        told = [_told_by_e(setting, pairs, one) if with_ee else None for one in ee]
        found = [most_likely_kappa(one.gradients, one.b, start[n], from_e=told[n], **how) for n, one in enumerate(seen)]
        mean = _mean_on_cut_sky(setting, np.stack(found))
        likely = np.stack(found) - mean
        through = np.stack([_through_window(setting, one) for one in likely])
        of_likely.append(Likely(mean, _fitted_factors(rings, [through, start], truth["k"])))
    keep, add = of_likely[1].mix
    moved = [_moved_back(setting, weights, n0_ee, one, k) for one, k in zip(seen, likely, strict=True)]
    left = np.stack([[one.ee, _kappa_of_step(setting, one, one.b, steps[-1])] for one in moved], 1)
    mean_fields = np.stack([_mean_on_cut_sky(setting, one) for one in left])
    left -= mean_fields[:, None]
    of_moved = Delensed(mean_fields, _fitted_factors(rings, [keep * through + add * start, *left], truth["k"]))
    e_seen, b_seen = (np.stack([getattr(one, name) for one in seen]) for name in ("e", "b"))
    e_moved = np.stack([one.e for one in moved])
    b_made = np.stack([template(setting, one, k) for one, k in zip(seen, likely, strict=True)])
    return Estimators(
        setting, weights, pairs, steps_eb, steps, posterior, n_iterations, *of_likely, of_moved,
        e_mix=_fitted_factors(rings, [e_seen, e_moved], truth["e"]),
        e_observed=_fitted_factors(rings, [e_seen], truth["e"])[0],
        b_mix=_fitted_factors(rings, [b_seen, b_made], truth["b"]),
    )  # fmt: skip


def _fitted_steps(
    setting: Setting, weights: Filters, rings: Rings, seen: list["Seen"], truth: np.ndarray, *, ee: np.ndarray | None,
    n_steps: int,
) -> tuple[tuple[Step, ...], np.ndarray]:  # fmt: skip
    """The plain quadratic estimator and `n_steps` passes, with pairs of E or without, and the last estimate."""
    steps, x = [], None
    for _ in range(n_steps + 1):
        left = [one.b if x is None else one.b - template(setting, one, x[n]) for n, one in enumerate(seen)]
        step, g = _measured_step(setting, weights, rings, seen, left, first=x is None)
        parts = [part for part in (x, g, ee) if part is not None]
        factors = list(_fitted_factors(rings, parts, truth))
        x = sum(factor * part for factor, part in zip(factors, parts, strict=True))
        none = np.zeros_like(step.keep)
        keep = factors.pop(0) if steps else none
        steps.append(step._replace(keep=keep, add=factors[0], add_ee=none if ee is None else factors[1]))
    return tuple(steps), x


def estimate(estimators: Estimators, q: np.ndarray, u: np.ndarray) -> dict[str, np.ndarray]:
    """All estimates from one pair of maps (n_y, n_x) in uK, float32 maps under the names of MAPS.

    E, B: plain transform of the (windowed) map, beam in. B_pure: pure B, beam divided out. E_wiener, B_wiener: filtered
    with the weights of the quadratic estimator, uK and 1/uK. B_residual: what the most likely lensing leaves of B, with
    the weights of the last step. The rest are estimates of least mean square error of kappa (k_qe: quadratic; k_iqe:
    iterated; k_map: most likely, to first order; each from EB, EE or both; k_map_delensed: k_map_eb_ee and what pairs
    EB and EE of the delensed maps add), of unlensed E (e_observed: without, e_delensed: with delensing) and of lensing
    B (b_template).
    """
    setting = estimators.setting
    seen = seen_map(estimators, *observed_eb(setting, q, u))
    return _all_estimates(estimators, seen, naive_eb(q, u, window_of(setting), setting.patch))


def estimate_unpaired(estimators: Estimators, q: np.ndarray, u: np.ndarray) -> dict[str, np.ndarray]:
    """`estimate_all` of maps (n >= 3, n_y, n_x) whose E and B do not belong together: E of each, B of the next.

    No lensing connects the two, so the power of such estimates is the disconnected bias N0 of the maps at hand, with
    their own power in E and in B. Where E is paired with itself it is paired with E of the next but one, times sqrt 2,
    for two equal legs can be connected in two ways.
    """
    setting, patch, window = estimators.setting, estimators.setting.patch, window_of(estimators.setting)
    seen = [seen_map(estimators, *observed_eb(setting, *pair)) for pair in zip(q, u, strict=True)]
    plain = [naive_eb(*pair, window, patch) for pair in zip(q, u, strict=True)]
    found = []
    for n, one in enumerate(seen):
        after, next_but_one = ((n + step) % len(seen) for step in (1, 2))
        mixed = unpaired(estimators, one, seen[after], seen[next_but_one])
        found.append(_all_estimates(estimators, mixed, (plain[n][0], plain[after][1])))
    return {name: np.stack([one[name] for one in found]) for name in MAPS}


def unpaired(estimators: Estimators, one: Seen, of_b: Seen, of_e: Seen) -> Seen:
    """E of `one` with B of `of_b`; where E is paired with itself, one leg (either) is that of `of_e`, times sqrt 2."""
    n0_ee, patch = estimators.pairs.n0_ee, estimators.setting.patch
    return _seen_with(estimators.weights, n0_ee, one.e, of_b.b, patch, e_other=of_e.e)


def _all_estimates(estimators: Estimators, seen: Seen, plain: tuple[np.ndarray, np.ndarray]) -> dict[str, np.ndarray]:
    setting, weights, patch = estimators.setting, estimators.weights, estimators.setting.patch
    kappas, likely, moved = kappa_estimates(estimators, seen)
    made = template(setting, seen, likely)
    found = kappas | {
        "E": plain[0], "B": plain[1], "B_pure": seen.b,
        "E_wiener": weights.e_wiener * seen.e, "B_wiener": weights.b_inverse * seen.b,
        "B_residual": estimators.steps[-1].b_inverse * (seen.b - made), "e_observed": estimators.e_observed * seen.e,
        "e_delensed": estimators.e_mix[0] * seen.e + estimators.e_mix[1] * moved.e,
        "b_template": estimators.b_mix[0] * seen.b + estimators.b_mix[1] * made,
    }  # fmt: skip
    return dict(zip(MAPS, pixels(np.stack([found[name] for name in MAPS]), patch).astype(np.float32), strict=True))


def seen_map(estimators: Estimators, e: np.ndarray, b: np.ndarray) -> Seen:
    """What the estimators need of a map with coefficients e and b."""
    return _seen_with(estimators.weights, estimators.pairs.n0_ee, e, b, estimators.setting.patch)


def _seen_with(
    weights: Filters, n0_ee: np.ndarray, e: np.ndarray, b: np.ndarray, patch: Patch, e_other: np.ndarray | None = None
) -> Seen:
    gradients = polarisation_gradients(weights.e_wiener * e, patch)
    if e_other is None:
        return Seen(e, b, gradients, kappa_of_e_pairs(gradients, weights.e_inverse * e, n0_ee, patch), None)
    ee = kappa_of_e_pairs(gradients, weights.e_inverse * e_other, n0_ee, patch)
    gradients_of_other = polarisation_gradients(weights.e_wiener * e_other, patch)
    ee = np.float32(np.sqrt(0.5)) * (ee + kappa_of_e_pairs(gradients_of_other, weights.e_inverse * e, n0_ee, patch))
    return Seen(e, b, gradients, ee, e_other)


def _moved_back(setting: Setting, weights: Filters, n0_ee: np.ndarray, seen: Seen, kappa: np.ndarray) -> Seen:
    """A map, and the one that its E is paired with, delensed by a convergence; multipoles up to `l_max`."""
    patch = setting.patch
    inside = modes(patch).l <= setting.l_max
    e, b = delensed(*qu_from_eb(seen.e * inside, seen.b * inside, patch), kappa, patch)
    other = seen.e_other
    if other is not None:
        other = delensed(*qu_from_eb(other * inside, np.float32(0), patch), kappa, patch)[0]
    return _seen_with(weights, n0_ee, e, b, patch, e_other=other)


def _ee_without(seen: Seen, mean_field: np.ndarray) -> np.ndarray:
    """Convergence from pairs of E less its mean field, which two maps that do not belong together do not have."""
    return seen.ee - mean_field if seen.e_other is None else seen.ee


def _kappa_of_step(setting: Setting, seen: Seen, b: np.ndarray, step: Step) -> np.ndarray:
    """The quadratic estimate of E and B with the weights of a step, mean field not yet taken off."""
    return kappa_of_pairs(seen.gradients, step.b_inverse * b, step.n0, setting.patch)


def kappa_estimates(estimators: Estimators, seen: Seen) -> tuple[dict[str, np.ndarray], np.ndarray, Seen]:
    """Coefficients of every estimate of the convergence (KAPPAS), of the most likely one before its factors, and the
    map delensed by that.
    """
    setting, pairs, steps = estimators.setting, estimators.pairs, estimators.steps
    ee = _ee_without(seen, pairs.mean_field_ee)
    g = _kappa_of_step(setting, seen, seen.b, steps[0]) - steps[0].mean_field
    found = {
        "k_qe_eb": estimators.steps_eb[0].add * g,
        "k_qe_ee": pairs.wiener_ee * ee,
        "k_qe_eb_ee": steps[0].add * g + steps[0].add_ee * ee,
    }
    found["k_iqe_eb"] = _iterated(setting, seen, found["k_qe_eb"], ee, estimators.steps_eb)
    found["k_iqe_eb_ee"] = _iterated(setting, seen, found["k_qe_eb_ee"], ee, steps)
    how = {"problem": estimators.posterior, "patch": setting.patch, "n_iterations": estimators.n_iterations}
    for name, start, told, of in (
        ("k_map_eb", found["k_iqe_eb"], None, estimators.likely_eb),
        ("k_map_eb_ee", found["k_iqe_eb_ee"], _told_by_e(setting, pairs, ee), estimators.likely),
    ):
        likely = most_likely_kappa(seen.gradients, seen.b, start, from_e=told, **how) - of.mean
        found[name] = of.mix[0] * _through_window(setting, likely) + of.mix[1] * start
    moved = _moved_back(setting, estimators.weights, pairs.n0_ee, seen, likely)
    (mean_ee, mean_eb), mix = estimators.delensed.mean_fields, estimators.delensed.mix
    left = _ee_without(moved, mean_ee), _kappa_of_step(setting, moved, moved.b, steps[-1]) - mean_eb
    found["k_map_delensed"] = mix[0] * found["k_map_eb_ee"] + mix[1] * left[0] + mix[2] * left[1]
    return found, likely, moved


def _iterated(setting: Setting, seen: Seen, x: np.ndarray, ee: np.ndarray, steps: tuple[Step, ...]) -> np.ndarray:
    """All steps after the first, from its estimate x."""
    for step in steps[1:]:
        g = _kappa_of_step(setting, seen, seen.b - template(setting, seen, x), step) - step.mean_field
        x = step.keep * x + step.add * g + step.add_ee * ee
    return x


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


def template(setting: Setting, seen: Seen, kappa: np.ndarray) -> np.ndarray:
    """B that the convergence makes of the Wiener-filtered observed E, to first order."""
    return template_of_gradients(seen.gradients, kappa, setting.patch)[1]


def _told_by_e(setting: Setting, pairs: FromPairs, ee: np.ndarray) -> FromE:
    window = None if setting.window is None else truth_window(setting, "k")
    return FromE(ee, pairs.information_ee, window)


def _mean_on_cut_sky(setting: Setting, found: np.ndarray) -> np.ndarray:
    """Mean over skies, which a window alone makes of no lensing at all; zero on a periodic patch, which has none."""
    return np.zeros_like(found[0]) if setting.window is None else found.mean(0)


def _information(setting: Setting, rings: "Rings", found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """1 / noise power of estimates of the windowed convergence, on the half plane, from their difference to the truth.

    It is that of a sky seen whole: the noise of a product of two windowed maps is W^4 times as large.
    """
    patch, seen = setting.patch, truth_window(setting, "k")
    noise = rings.products(found - truth, found - truth) / (rings.n_modes * len(found))
    noise *= patch.area / (patch.n_y * patch.n_x) ** 2 / np.mean(seen**2)
    inside = (modes(patch).l >= setting.l_min) & (modes(patch).l <= setting.l_max)
    smooth = np.exp(np.interp(rings.l, rings.centres, np.log(np.maximum(noise, 1e-300))))
    return np.where(inside, 1 / smooth, 0.0)


def _through_window(setting: Setting, kappa: np.ndarray) -> np.ndarray:
    """Coefficients of an estimate of kappa itself as those of the squared window times it."""
    if setting.window is None:
        return kappa
    return fourier(truth_window(setting, "k") * pixels(kappa, setting.patch))


def _measured_step(setting, weights, rings, seen, left, *, first: bool) -> tuple[Step, np.ndarray]:
    """A step with weights from the power of B left over, its factors still blank, and what it makes of the maps."""
    patch = setting.patch
    if first:
        b_inverse = weights.b_inverse
    else:
        power = rings.sums(np.mean([np.abs(b) ** 2 for b in left], axis=0)) / rings.n_modes
        area = np.mean(window_of(setting) ** 2) * (patch.n_y * patch.n_x) ** 2 / patch.area
        in_range = weights.b_inverse > 0
        smooth = np.exp(np.interp(rings.l, rings.centres, np.log(np.maximum(power / area, 1e-30))))
        b_inverse = np.where(in_range, 1 / smooth, 0.0).astype(np.float32)
    n0 = normalisation(weights.e_wiener, radial(setting.spectra.ee_lensed, patch), b_inverse, patch)
    g = np.stack([kappa_of_pairs(one.gradients, b_inverse * b, n0, patch) for one, b in zip(seen, left, strict=True)])
    mean_field = _mean_on_cut_sky(setting, g)
    return Step(n0, n0, n0, b_inverse, n0, mean_field), g - mean_field


def _fitted_factors(rings: Rings, estimates: list[np.ndarray], truth: np.ndarray) -> tuple[np.ndarray, ...]:
    """Factors per ring (half-plane arrays) of least mean square error; least squares, one ring at a time."""
    matrix = np.array([[rings.products(a, b) for a in estimates] for b in estimates])  # (k, k, n_rings)
    vector = np.array([rings.products(a, truth) for a in estimates])  # (k, n_rings)
    factors = np.zeros_like(vector)
    for ring in range(rings.n_rings):
        if matrix[0, 0, ring] > 0:
            factors[:, ring] = np.linalg.lstsq(matrix[:, :, ring], vector[:, ring], rcond=1e-9)[0]
    return tuple(rings.spread(values) for values in factors)
