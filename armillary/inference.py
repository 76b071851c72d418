"""A trained encoder as a function: counts of an image in, calibrated estimates for every tile out."""

from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from armillary.networks.sources import OUTPUTS
from armillary.tiles import bin_image, decode_pixels, encode_pixels
from armillary.training import LN_RICHNESS_SCALE, REDSHIFT_SCALE, autocast, build_network, pick_precision

CHECKPOINT_KEYS = {
    "architecture", "width", "survey", "bands", "image_size", "tile_size", "bin_factor", "pixel_arcsec", "state",
    "calibration", "prior_shift",
}  # fmt: skip


class Encoder(NamedTuple):
    """A network with what it was trained for; `calibration` and `prior_shift` are keyed by factor."""

    network: nn.Module
    survey: str
    bands: list[str]
    image_size: int
    tile_size: int
    bin_factor: int
    pixel_arcsec: float
    calibration: dict[str, tuple[float, float]]
    prior_shift: dict[str, float]
    device: str


def read_encoder(checkpoint: str) -> Encoder:
    """The encoder of a `best_encoder.ckpt`, on the GPU if there is one."""
    try:
        saved = torch.load(checkpoint, weights_only=True)
    except FileNotFoundError:
        raise FileNotFoundError(f"{checkpoint} does not exist; clusters_train_encoder makes it") from None
    except Exception as error:  # torch raises many kinds for a damaged archive
        raise ValueError(f"{checkpoint} is not a complete checkpoint: {str(error).splitlines()[0]}") from error
    missing = CHECKPOINT_KEYS - set(saved)
    if missing:
        raise ValueError(
            f"{checkpoint} is no checkpoint of clusters_train_encoder: it lacks {', '.join(sorted(missing))}"
        )
    network = build_network(
        saved["architecture"], n_bands=len(saved["bands"]), tile_pixels=saved["tile_size"] // saved["bin_factor"],
        width=saved["width"], pixel_arcsec=saved["pixel_arcsec"] * saved["bin_factor"], seed=0,
    )  # fmt: skip
    try:
        network.load_state_dict(saved["state"])
    except RuntimeError as error:
        raise ValueError(
            f"{checkpoint} does not fit architecture {saved['architecture']!r}: {str(error).splitlines()[-1].strip()}"
        ) from error
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network.eval().to(device, memory_format=torch.channels_last)
    return Encoder(network, device=device, **{k: saved[k] for k in Encoder._fields if k not in ("network", "device")})


def check_fits(encoder: Encoder, name: str, **wanted) -> None:
    """Refuse a checkpoint that was trained for another survey, band list or sizes."""
    for key, value in wanted.items():
        if getattr(encoder, key) != value:
            raise ValueError(f"{name} was trained for {key} = {getattr(encoder, key)}, but {key} is {value} here")


def raw_outputs(encoder: Encoder, coded: torch.Tensor, sky_sigma: torch.Tensor) -> np.ndarray:
    """What the network says (B, n_outputs, T, T) of asinh-coded int16 images (B, C, h, w); see `readable`.

    sky_sigma: counts per binned pixel, (B, C).
    """
    dtype = pick_precision("auto", encoder.device)
    with torch.inference_mode(), autocast(encoder.device, dtype):
        inputs = [
            encoder.network.prepare(decode_pixels(image).to(encoder.device), sigma.to(encoder.device))
            for image, sigma in zip(coded, sky_sigma, strict=True)
        ]
        return encoder.network(inputs).float().cpu().numpy()


def predict_windows(
    encoder: Encoder, images: np.ndarray, sky_sigma: np.ndarray, *, class_prior: str
) -> dict[str, np.ndarray]:
    """Estimates (B, T, T) for counts (B, C, H, W), NaN where invalid, with sky sigma (C,) per native pixel."""
    coded = [
        [encode_pixels(bin_image(band, encoder.bin_factor), sigma / encoder.bin_factor)
         for band, sigma in zip(image, sky_sigma, strict=True)]
        for image in images
    ]  # fmt: skip
    sigma = torch.tensor(np.nan_to_num(sky_sigma, nan=1.0) / encoder.bin_factor, dtype=torch.float32).expand(
        len(images), -1
    )
    return readable(encoder, raw_outputs(encoder, torch.from_numpy(np.array(coded)), sigma), class_prior=class_prior)


def readable(encoder: Encoder, raw: np.ndarray, *, class_prior: str) -> dict[str, np.ndarray]:
    """Raw outputs in physical units, each (B, T, T); errors are one standard deviation.

    probability and centre_probability are calibrated; class_prior "natural" moves them from the boosted cluster
    rate of the training fields to the rate of the sky, "training" leaves them.
    """
    if class_prior not in ("natural", "training"):
        raise ValueError(f"class_prior is {class_prior!r}; known: natural, training")
    shift = encoder.prior_shift if class_prior == "natural" else dict.fromkeys(encoder.prior_shift, 0.0)
    o = dict(zip(OUTPUTS, np.moveaxis(raw, 1, 0), strict=True))
    probability = {}
    for factor in ("membership", "centre"):
        slope, intercept = encoder.calibration[factor]
        probability[factor] = expit(slope * o[f"{factor}_logit"] + intercept + shift[factor])
    (z_mean, z_spread), (ln_mean, ln_spread) = REDSHIFT_SCALE, LN_RICHNESS_SCALE
    return {
        "probability": probability["membership"],
        "centre_probability": probability["centre"],
        "offset_x": expit(o["offset_x"]),
        "offset_y": expit(o["offset_y"]),
        "redshift": z_mean + z_spread * o["redshift"],
        "redshift_error": z_spread * np.exp(np.clip(o["redshift_ln_error"], -5, 3)),
        "ln_richness": ln_mean + ln_spread * o["ln_richness"],
        "ln_richness_error": ln_spread * np.exp(np.clip(o["ln_richness_ln_error"], -5, 3)),
    }


def expit(x: np.ndarray) -> np.ndarray:
    """The logistic function 1 / (1 + exp(-x)), without overflow."""
    return 1.0 / (1.0 + np.exp(-np.clip(x, -60, 60)))


def logistic_calibration(logit: np.ndarray, truth: np.ndarray, n_iterations: int = 50) -> tuple[float, float]:
    """Slope and intercept that maximise the likelihood of `truth` (Platt scaling), by Newton's method."""
    x = np.stack([logit.ravel(), np.ones(logit.size)], 1).astype(float)
    y = truth.ravel().astype(float)
    beta = np.array([1.0, 0.0])
    for _ in range(n_iterations):
        p = expit(x @ beta)
        # ASSUME: a weak prior at slope 1, intercept 0 keeps the fit finite on separable or empty truth
        gradient = x.T @ (y - p) - (beta - [1.0, 0.0])
        hessian = (x * (p * (1 - p))[:, None]).T @ x + np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        beta = beta + np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-9:
            break
    return float(beta[0]), float(beta[1])


def log_odds(rate: float) -> float:
    """ln(rate / (1 - rate)) of a rate between 0 and 1, both excluded."""
    return float(np.log(rate / (1 - rate)))
