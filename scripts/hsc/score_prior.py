"""Score the prior on held-out stamps: decoding against the linear basis, the flow against Gaussians, populations."""

import numpy as np

from armillary.files import read_arrays, write_json
from armillary.files_hsc import read_set
from armillary.metrics import bootstrap_ratio, estimate, measurement, resample_counts
from armillary.stamp_scores import concentration, psnr_db, shapes
from armillary.stamp_sets import StampSet
from armillary.step import announce, run


def score_prior(stamps: str, checks: str, metrics: str, *, n_resamples: int, seed: int) -> None:
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
        "prior_active_latents": measurement((found["active"] > 0.1).sum(), n=len(found["active"])),
    }  # fmt: skip
    # second moments of a few drawn stamps are not positive; no galaxy's ellipticity is above 1
    real, drawn = shapes(truth, sets.pixel_arcsec), shapes(found["drawn"], sets.pixel_arcsec)
    quantities = {
        "size_arcsec": (real[:, 1], drawn[:, 1]),
        "ellipticity": tuple(np.minimum(np.hypot(*one[:, 2:].T), 1.0) for one in (real, drawn)),
        "concentration": (concentration(truth, sets.pixel_arcsec), concentration(found["drawn"], sets.pixel_arcsec)),
    }  # fmt: skip
    for name, (of_real, of_drawn) in quantities.items():
        error = of_drawn.std() / len(of_drawn) ** 0.5
        numbers[f"prior_stamps_{name}"] = mean(of_real, "mean")
        value = of_drawn.mean()
        numbers[f"prior_drawn_{name}"] = measurement(
            value, value - error, value + error, len(of_drawn), "mean", f"prior_stamps_{name}"
        )
    announce(f"auto-encoder {decoded.mean():.1f} dB, PCA {linear.mean():.1f} dB")
    write_json(metrics, numbers)


if __name__ == "__main__":
    run(score_prior, snakemake)
