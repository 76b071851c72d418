"""Score the prior on held-out stamps: decoding against the linear basis, the flow against Gaussians, populations."""

import numpy as np

from armillary.files import read_arrays, write_json
from armillary.files_hsc import read_set
from armillary.metrics import bootstrap_ratio, estimate, measurement, resample_counts
from armillary.stamp_scores import concentration, psnr_db, shapes
from armillary.stamp_sets import StampSet
from armillary.step import announce, run


def score_prior(
    stamps: str, real: list[str], checks: str, metrics: str, *, n_resamples: int, mag_max: float, seed: int
) -> None:  # fmt: skip
    sets, found = read_set(stamps, StampSet), read_arrays(checks)
    truth = sets.of_split("test").image
    counts = resample_counts(len(truth), n_resamples, np.random.default_rng([seed, 6]))

    def mean(values, unit, baseline=None, note=""):
        value, samples = bootstrap_ratio(values, np.ones(len(values)), np.arange(len(values)), counts)
        return estimate(value, samples, len(values), unit, baseline, note)

    decoded, linear, whole = (psnr_db(found[name], truth) for name in ("decoded", "projected", "projected_all"))
    numbers = {
        "prior_pca_psnr_db": mean(linear, "dB", None, f"{len(found['active'])} components"),
        "prior_autoencoder_psnr_db": mean(decoded, "dB", "prior_pca_psnr_db", "held-out stamps"),
        "prior_autoencoder_gain_db": mean(decoded - linear, "dB", "prior_pca_psnr_db", "same stamps"),
        "prior_basis_psnr_db": mean(whole, "dB", None, "all components: what no method here can exceed"),
        "prior_flow_nats": mean(found["nats_flow"], "nats"),
        "prior_flow_gain_nats": mean(found["nats_unit"] - found["nats_flow"], "nats", None, "over unit Gaussians"),
        "prior_flow_gain_over_gaussian_nats": mean(
            found["nats_gaussian"] - found["nats_flow"], "nats", None, "over the Gaussian fitted to training latents"
        ),
        "prior_score_loss": mean(
            found["score_losses"].mean(0), "", "prior_gaussian_score_loss", "mean over the widths of noise, test stamps"
        ),
        "prior_gaussian_score_loss": mean(
            found["gaussian_losses"].mean(0), "", None, "the closed form: Gaussian of the same mean and covariance"
        ),
        "prior_active_latents": measurement((found["active"] > 0.1).sum(), n=len(found["active"])),
    }  # fmt: skip
    # second moments of a few drawn stamps are not positive; no galaxy's ellipticity is above 1
    sources = (truth, found["drawn"], found["drawn_by_score"])
    moments = [shapes(images, sets.pixel_arcsec) for images in sources]
    quantities = {
        "size_arcsec": [one[:, 1] for one in moments],
        "ellipticity": [np.minimum(np.hypot(*one[:, 2:].T), 1.0) for one in moments],
        "concentration": [concentration(images, sets.pixel_arcsec) for images in sources],
        "peak": [images.max((1, 2)) for images in sources],
        "negative_flux": [np.maximum(-images, 0.0).sum((1, 2)) for images in sources],
    }  # fmt: skip
    for sigma, ours, gaussian in zip(found["sigma"], found["score_losses"], found["gaussian_losses"], strict=True):
        key = f"prior_score_loss_at_{sigma:g}"
        numbers[key] = mean(ours, "", f"{key}_gaussian")
        numbers[f"{key}_gaussian"] = mean(gaussian, "")
    for name, (of_real, *of_drawn) in quantities.items():
        numbers[f"prior_stamps_{name}"] = mean(of_real, "mean")
        for source, values in zip(("drawn", "score_drawn"), of_drawn, strict=True):
            numbers[f"prior_{source}_{name}"] = _mean_of(values, f"prior_stamps_{name}")
    for path in real:
        space = read_set(path, StampSet)
        numbers |= _real_population(space.image[space.mag <= mag_max], space.pixel_arcsec)
    announce(f"auto-encoder {decoded.mean():.1f} dB, PCA {linear.mean():.1f} dB")
    for name, images in zip(("stamps", "drawn", "score_drawn"), sources, strict=True):
        numbers[f"prior_{name}_highest_peak"] = measurement(
            np.percentile(images.max((1, 2)), 99), n=len(images), unit="of the flux",
            baseline=None if name == "stamps" else "prior_stamps_highest_peak", note="99 % point",
        )  # fmt: skip
    write_json(metrics, numbers)


def _real_population(images: np.ndarray, pixel_arcsec: float) -> dict:
    """Means over real galaxies as bright as the drawn ones, with the noise that they have."""
    found = shapes(images, pixel_arcsec)
    columns = {
        "size_arcsec": found[:, 1], "ellipticity": np.minimum(np.hypot(*found[:, 2:].T), 1.0),
        "concentration": concentration(images, pixel_arcsec),
    }  # fmt: skip
    return {
        f"prior_real_{name}": _mean_of(values, f"prior_stamps_{name}")
        for name, values in columns.items()
        if len(values)
    }


def _mean_of(values: np.ndarray, baseline: str) -> dict:
    value, error = values.mean(), values.std() / len(values) ** 0.5
    return measurement(value, value - error, value + error, len(values), "mean", baseline)


if __name__ == "__main__":
    run(score_prior, snakemake)
