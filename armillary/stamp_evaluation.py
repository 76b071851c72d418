"""Scores of galaxy reconstructions as metrics: every method on the same scenes, each number with error and baseline."""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.stats import norm

from armillary.files import read_arrays
from armillary.files_hsc import read_posteriors, read_set
from armillary.metrics import bootstrap_ratio, estimate, join_notes, measurement, resample_counts
from armillary.posterior_checks import (
    closer_share,
    covered_share,
    deviation_bound,
    expected_coverage_deviation,
    rank_chi2,
)
from armillary.stamp_basis import StampBasis
from armillary.stamp_headlines import headline_metrics
from armillary.stamp_scores import BRIGHT, psnr_db, shapes
from armillary.stamp_sets import Observations, shifted_images

SHAPE_NAMES = ("flux", "size", "e1", "e2")
SMOOTHING_ARCSEC = 0.12  # sigma that a noisy truth is smoothed with before pixels are chosen on it
COVERAGE_NOTE = "of pixels above a tenth of the peak; 0.683 is right"
SHUFFLED = "negative control, posteriors of other scenes with this one's flux: must fail"
N_QUANTILES = 200
R_HAT_LIMIT = 1.2  # chains above have not met
CLEAR_SNR = 50.0  # of a flux, were all shapes known: sources above have errors of shape, not of noise


class ProblemData(NamedTuple):
    """What the scores of one problem are made from."""

    name: str
    seen: Observations
    posteriors: dict[str, dict[str, np.ndarray]]  # method -> arrays of `reconstruct`
    stack: np.ndarray  # mean and components
    fine_pixel_arcsec: float

    def samples(self, method: str, scene: int) -> np.ndarray:
        """Sample images (n_draws, n_sources, size, size), centred as the truth is."""
        return self._images(method, scene, slice(None))

    def independent_samples(self, method: str, scene: int) -> np.ndarray:
        """As many of them as chains have independent ones, evenly spaced."""
        found = self.posteriors[method]
        n, n_draws = int(found["n_independent"][scene]), found["c"].shape[1]
        return self._images(method, scene, np.linspace(0, n_draws - 1, n).astype(int))

    def _images(self, method: str, scene: int, chosen) -> np.ndarray:
        found = self.posteriors[method]
        images = np.tensordot(found["c"][scene][chosen], self.stack, 1)
        return shifted_images(images, found["shift"][scene][chosen] - self.seen.position[scene], self.fine_pixel_arcsec)


def read_problem(
    observations: str, basis: str, posteriors: str, *, fine_pixel_arcsec: float, name: str = ""
) -> ProblemData:
    """The scenes of a problem, of a set and a basis on disk, with what all methods made of them."""
    stack = StampBasis(**read_arrays(basis)).stack
    return ProblemData(
        name, read_set(observations, Observations), read_posteriors(posteriors), stack, fine_pixel_arcsec
    )


def read_problems(
    observations: str, basis: str, posteriors: list[str], *, fine_pixel_arcsec: float, name: str
) -> list[ProblemData]:
    """The scenes of a problem with what the methods made of them under each training of the priors."""
    first = read_problem(observations, basis, posteriors[0], fine_pixel_arcsec=fine_pixel_arcsec, name=name)
    return [first, *(first._replace(posteriors=read_posteriors(path)) for path in posteriors[1:])]


def _baseline(method: str, methods) -> str | None:
    """The simpler one of `methods` that a method is held against, if there is one."""
    simpler = {"ml": [], "ml_positive": ["ml"], "monotonic": ["ml_positive"], "bulge_disc": ["ml_positive"]}
    simpler |= {"pca_gaussian": ["ml_positive"], "pca_mixture": ["pca_gaussian"]}
    return next((name for name in simpler.get(method, ["pca_mixture", "pca_gaussian"]) if name in methods), None)


def image_metrics(data: ProblemData, counts: np.ndarray) -> dict:
    """PSNR of all methods, gains over positivity and over the PCA-Gaussian, chi2 a pixel."""
    found, decibels = {}, {}
    for method, posterior in data.posteriors.items():
        one = psnr_db(posterior["image"], data.seen.truth, data.seen.truth_variance).mean(1)
        decibels[method] = one
        other = _baseline(method, data.posteriors)
        baseline = f"{data.name}_{other}_psnr_db" if other else None
        found[f"{data.name}_{method}_psnr_db"] = _mean(one, counts, "dB", baseline)
        for part in ("", "_bright"):
            value, samples = bootstrap_ratio(
                posterior[f"chi2{part}"],
                posterior[f"n_{'pixels' if not part else 'bright'}"],
                np.arange(len(one)),
                counts,
            )
            found[f"{data.name}_{method}_chi2{part}"] = estimate(value, samples, len(one), "a pixel")
    for method, one in decibels.items():
        for other in ("ml_positive", "pca_gaussian"):
            if other in decibels and method not in ("ml", "ml_positive", other):
                found[f"{data.name}_{method}_gain_over_{other}"] = _mean(
                    one - decibels[other], counts, "dB", f"{data.name}_{other}_psnr_db", "same scenes"
                )
    if "ml_positive" in data.posteriors:
        late = psnr_db(data.posteriors["ml_positive"]["image_at_end"], data.seen.truth, data.seen.truth_variance).mean(
            1
        )
        found[f"{data.name}_ml_positive_converged_psnr_db"] = _mean(late, counts, "dB", None, "without early stopping")
    return found


def _mean(values: np.ndarray, counts: np.ndarray, unit: str, baseline=None, note="") -> dict:
    value, samples = bootstrap_ratio(values, np.ones(len(values)), np.arange(len(values)), counts)
    return estimate(value, samples, len(values), unit, baseline, note)


def flux_metrics(data: ProblemData, counts: np.ndarray) -> dict:
    """Median and 90 % point of the absolute relative flux error of all sources, and of those above CLEAR_SNR; the
    median of the signed one."""
    found, units = {}, np.repeat(np.arange(len(data.seen.image)), data.seen.true_flux.shape[1])
    least = np.abs(data.seen.flux_sigma / data.seen.true_flux).ravel()
    clear = f"signal to noise above {CLEAR_SNR:g}, were all shapes known"
    parts = {"": (np.ones(len(least), bool), ""), "_clear": (least < 1 / CLEAR_SNR, clear)}
    for method, posterior in data.posteriors.items():
        error = (posterior["image"].sum((2, 3)) / data.seen.true_flux - 1).ravel()
        rows = [("bias", error, 50, *parts[""])]
        for part, chosen in parts.items():
            rows += [(f"median{part}", np.abs(error), 50, *chosen), (f"p90{part}", np.abs(error), 90, *chosen)]
        for name, values, level, chosen, note in rows:
            drawn = [np.repeat(values[chosen], row[units[chosen]].astype(int)) for row in counts]
            baseline = f"{data.name}_pca_gaussian_flux_error_{name}" if method != "pca_gaussian" else None
            found[f"{data.name}_{method}_flux_error_{name}"] = estimate(
                _percentile(values[chosen], level), [_percentile(one, level) for one in drawn], int(chosen.sum()),
                "of the flux", baseline, note,
            )  # fmt: skip
        if "c" in posterior:
            fluxes = posterior["c"] @ data.stack.sum((1, 2))  # (n, n_draws, n_sources)
            found |= _claimed_errors(f"{data.name}_{method}_flux", error, fluxes)
    bound = "the Cramer-Rao bound if the shapes of all galaxies were known: no method without them can do as well"
    quantiles = norm.ppf(0.5 + 0.5 * (np.arange(N_QUANTILES) + 0.5) / N_QUANTILES)
    for part, (chosen, note) in parts.items():
        for name, level in (("median", 50), ("p90", 90)):
            found[f"{data.name}_least_flux_error_{name}{part}"] = measurement(
                _percentile(least[chosen, None] * quantiles, level), n=int(chosen.sum()), unit="of the flux",
                note=join_notes(note, bound),
            )  # fmt: skip
    return found


def _percentile(values: np.ndarray, level: float) -> float:
    """NaN without values."""
    return np.percentile(values, level) if values.size else np.nan


def _claimed_errors(key: str, error: np.ndarray, fluxes: np.ndarray) -> dict:
    """What the samples' fluxes (n, n_draws, n_sources) say of the errors (n n_sources,), and whether these are so."""
    mean = fluxes.mean(1, keepdims=True)
    away = np.abs(fluxes / mean - 1)
    z = error / (fluxes.std(1) / mean[:, 0]).ravel()
    found = {
        f"{key}_error_{name}_claimed": measurement(
            np.percentile(away, level),
            n=len(error),
            unit="of the flux",
            note="the same of the samples about their mean",
        )
        for name, level in (("median", 50), ("p90", 90))
    }
    return found | {
        f"{key}_z": measurement(
            1.4826 * np.median(np.abs(z)),
            n=len(error),
            note="errors over the samples' spread, from the median; 1 is right",
        )
    }


def calibration_metrics(data: ProblemData, counts: np.ndarray, rng: np.random.Generator) -> tuple[dict, dict]:
    """Coverage, TARP and ranks of every method with samples, with two controls that must fail; and the curves."""
    found, curves = {}, {}
    sampled = [method for method, posterior in data.posteriors.items() if "c" in posterior]
    n = len(data.seen.image)
    fluxes = data.seen.truth.sum((1, 2, 3))
    for method in sampled:
        rows = [_of_scene(data, method, scene, fluxes, rng) for scene in range(n)]
        table = {name: np.array([row[name] for row in rows]) for name in rows[0]}
        key = f"{data.name}_{method}"
        for control, note in (("", ""), ("_shuffled", SHUFFLED)):
            covered = _share(table[f"covered{control}"], table["n_bright"], counts, join_notes(COVERAGE_NOTE, note))
            found[f"{key}_coverage_68{control}"] = covered
        if data.seen.truth_variance.any():
            found[f"{key}_coverage_68_of_noisy_truth"] = _share(
                table["covered_with_noise"], table["n_raw"], counts,
                "as if the truth, a noisy image, had no noise: pixels chosen on it, samples without it",
            )  # fmt: skip
        found[f"{key}_width"] = _mean(table["width"], counts, "of the peak", None, "mean sd of these pixels")
        # galaxies of other scenes alone, the prior, are covered and ranked as they should be: TARP sees what they lack
        unlearned = "negative control, galaxies of other scenes with this one's flux: must exceed the bound"
        for control, note in (("", ""), ("_shuffled", SHUFFLED), ("_prior_only", unlearned)):
            deviation = expected_coverage_deviation(table[f"closer{control}"])
            name = f"{key}_tarp{control or '_deviation'}"
            found[name] = measurement(deviation, n=n, baseline=f"{key}_tarp_bound", note=note)
        found[f"{key}_tarp_bound"] = measurement(deviation_bound(n), n=n, note="KS, 95 %")
        for number, name in enumerate(SHAPE_NAMES):
            for control, note in (("", ""), ("_shuffled", SHUFFLED)):
                if name == "flux" and control:
                    continue  # the control has the scene's own
                sizes = table["n_shuffled"] if control else table["n_draws"]
                chi2 = rank_chi2(table[f"ranks{control}"][:, number], sizes)
                found[f"{key}_sbc_{name}_chi2{control}"] = measurement(
                    chi2, n=n, note=join_notes("7 degrees of freedom; 14.1 is its 95 % bound", note)
                )
        if "r_hat" in data.posteriors[method]:
            found |= _chain_metrics(data, method, table, counts)
        curves |= {f"{method}_{name}": values for name, values in table.items()}
    return found, curves


def _chain_metrics(data: ProblemData, method: str, table: dict[str, np.ndarray], counts: np.ndarray) -> dict:
    """Whether chains have met, and the scores of the scenes where they have."""
    found, key, n = {}, f"{data.name}_{method}", len(data.seen.image)
    posterior = data.posteriors[method]
    note = "worst unknown; 10 to 90 %"
    for name, more in (("r_hat", "chains that were not moved"), ("ess", "all chains")):
        values = posterior[name]
        low, middle, high = np.percentile(values, (10, 50, 90), method="nearest")
        found[f"{key}_{name}"] = measurement(middle, low, high, n, "", None, join_notes(note, more))
    if "moved" in posterior:
        found[f"{key}_moved"] = _mean(
            posterior["moved"], counts, "of the chains", None, "went on from the best one's place"
        )
    together = posterior["r_hat"] <= R_HAT_LIMIT
    found[f"{key}_apart"] = _mean(~together, counts, "of the scenes", None, f"worst R-hat above {R_HAT_LIMIT:g}")
    met, n_met = f"of scenes with R-hat up to {R_HAT_LIMIT:g}", int(together.sum())
    scenes = np.flatnonzero(together)
    found[f"{key}_coverage_68_converged"] = _share(
        table["covered"][together], table["n_bright"][together], counts[:, together], join_notes(COVERAGE_NOTE, met)
    )
    for name in (method, *(other for other in ("pca_mixture",) if other in data.posteriors)):
        image, truth = data.posteriors[name]["image"][together], data.seen.truth[together]
        decibels = psnr_db(image, truth, data.seen.truth_variance[together]).mean(1)
        value, samples = bootstrap_ratio(decibels, np.ones(n_met), scenes, counts)
        label = key if name == method else f"{key}_converged_{name}"
        found[f"{label}_psnr_db_converged"] = estimate(value, samples, n_met, "dB", None, met)
        error = np.abs(image.sum((2, 3)) / data.seen.true_flux[together] - 1)
        drawn = [np.repeat(error, row[together].astype(int), 0) for row in counts]
        found[f"{label}_flux_error_median_converged"] = estimate(
            _percentile(error, 50), [_percentile(one, 50) for one in drawn], error.size, "of the flux", None, met
        )
    return found


def _share(shares: np.ndarray, sizes: np.ndarray, counts: np.ndarray, note: str) -> dict:
    """Mean share of pixels, of scenes with so many each; counts (n_resamples, n_scenes)."""
    value, samples = bootstrap_ratio(shares * sizes, sizes, np.arange(len(sizes)), counts)
    return estimate(value, samples, len(sizes), "", None, note)


def _bright(truth: np.ndarray, variance: np.ndarray, pixel_arcsec: float) -> np.ndarray:
    """Where the truth (n_sources, size, size), smoothed if it has noise, lest the noise choose the pixels, is above a
    tenth of its peak."""
    level = BRIGHT * truth.max((1, 2), keepdims=True)
    return (gaussian_filter(truth, (0, *[SMOOTHING_ARCSEC / pixel_arcsec] * 2)) if variance.any() else truth) > level


def _of_scene(data: ProblemData, method: str, scene: int, fluxes: np.ndarray, rng: np.random.Generator) -> dict:
    """Coverage, width, TARP shares and ranks of one scene; sources are taken together."""
    samples, truth = data.independent_samples(method, scene), data.seen.truth[scene]
    variance = np.broadcast_to(data.seen.truth_variance[scene], truth.shape)
    bright, raw = (_bright(truth, noise, data.fine_pixel_arcsec) for noise in (variance, np.zeros(1)))
    n = len(samples)
    # ASSUME: the truth's own noise is that of its pixels, taken for independent: what samples say of a noisy image
    noisy = samples + np.sqrt(variance) * rng.normal(size=samples.shape) if variance.any() else samples
    other = (scene + 1 + rng.integers(len(fluxes) - 1)) % len(fluxes)
    guess = data.posteriors["pca_gaussian"]
    # half of the references know nothing of the data but the flux, half are what another method makes of them, off by
    # its error
    if scene % 2:
        reference = data.seen.truth[other].ravel() * guess["image"][scene].sum() / fluxes[other]
    else:
        reference = (guess["image"][scene] + 2 * guess["sd"][scene] * rng.normal(size=truth.shape)).ravel()
    ignorant = np.arange(len(fluxes))[np.arange(len(fluxes)) != scene][:n]
    claims = {
        "": noisy,
        "_shuffled": data.independent_samples(method, other) * (fluxes[scene] / fluxes[other]),
        "_prior_only": data.seen.truth[ignorant] * (fluxes[scene] / fluxes[ignorant])[:, None, None, None],
    }
    shape_of_truth = shapes(truth, data.fine_pixel_arcsec)[0]
    found = {
        "covered_with_noise": covered_share(samples, truth, raw), "n_raw": raw.sum(), "n_bright": bright.sum(),
        "width": samples.std(0)[bright].mean() / truth.max(), "n_draws": n, "n_shuffled": len(claims["_shuffled"]),
    }  # fmt: skip
    for control, images in claims.items():
        found |= {
            f"covered{control}": covered_share(images, truth, bright),
            f"closer{control}": closer_share(images.reshape(len(images), -1), truth.ravel(), reference),
            f"ranks{control}": (shapes(images[:, 0], data.fine_pixel_arcsec) < shape_of_truth).sum(0),
        }
    return found


def hidden_metrics(data: ProblemData, counts: np.ndarray) -> dict:
    """z-scores of masked pixels: what they would have shown, less the prediction, over its error with their noise."""
    found, hidden = {}, data.seen.hidden != 0
    if not hidden.any():
        return found
    units = np.nonzero(hidden)[0]
    for method, posterior in data.posteriors.items():
        if "predicted" not in posterior:
            continue
        error = np.sqrt(posterior["predicted_sd"] ** 2 + data.seen.variance)
        z = ((data.seen.hidden - posterior["predicted"]) / error)[hidden]
        value, samples = bootstrap_ratio(z**2, np.ones(len(z)), units, counts)
        found[f"{data.name}_{method}_hidden_z"] = estimate(
            np.sqrt(value), np.sqrt(samples), len(z), "", None, "rms of masked pixels' z-scores; 1 is right"
        )
    return found


def score_problem(trainings: list[ProblemData], n_resamples: int, rng: np.random.Generator) -> tuple[dict, dict]:
    """All metrics of a problem, and the curves that figures show. Headlines are of all trainings, the others of the
    first."""
    data = trainings[0]
    counts = resample_counts(len(data.seen.image), n_resamples, rng)
    found = image_metrics(data, counts) | flux_metrics(data, counts) | hidden_metrics(data, counts)
    found |= headline_metrics(trainings, counts, rng)
    for method, posterior in data.posteriors.items():
        found[f"{data.name}_{method}_seconds"] = measurement(
            posterior["seconds"][0], n=len(data.seen.image), unit="s a scene", note="after compilation"
        )
    more, curves = calibration_metrics(data, counts, rng)
    return found | more, curves
