"""A trained encoder as a function: counts of an image in, calibrated estimates for every tile and clusters out."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn

from armillary.calibration import NaturalPrior, expit
from armillary.detections import detect_clusters
from armillary.natural_tiles import encoder_features, tile_logistic
from armillary.networks.sources import LN_RICHNESS_SCALE, OUTPUTS, REDSHIFT_SCALE
from armillary.precision import autocast, pick_precision
from armillary.tiles import bin_image, decode_pixels, encode_pixels
from armillary.training import build_network

CHECKPOINT_KEYS = {
    "architecture", "width", "survey", "bands", "image_size", "tile_size", "bin_factor", "pixel_arcsec", "state",
    "calibration", "redshift_error_scale", "natural_prior", "detection", "natural_tiles",
}  # fmt: skip


class Encoder(NamedTuple):
    """A network with what it was trained for; `calibration` (slope and intercept of the logit) is keyed by factor,
    `detection` (the model of `armillary.detections`) by class prior; errors of redshift are `redshift_error_scale`
    times what the network says; `natural_tiles` holds by factor the coefficients (7,) that give, of
    `natural_tiles.encoder_features`, the probability of a tile at the natural rate."""

    network: nn.Module
    survey: str
    bands: list[str]
    image_size: int
    tile_size: int
    bin_factor: int
    pixel_arcsec: float
    calibration: dict[str, tuple[float, float]]
    redshift_error_scale: float
    natural_prior: tuple[float, ...]
    detection: dict[str, dict]
    natural_tiles: dict[str, list[float]]
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
    network.eval().to(device)
    return Encoder(network, device=device, **{k: saved[k] for k in Encoder._fields if k not in ("network", "device")})


def write_encoder(checkpoint: str, encoder: Encoder, *, architecture: str, width: int, settings: dict) -> None:
    """A checkpoint that `read_encoder` reads; `settings` of the training are kept for the record."""
    state = {name: value.cpu() for name, value in encoder.network.state_dict().items()}
    kept = {name: value for name, value in encoder._asdict().items() if name not in ("network", "device")}
    torch.save({**kept, "state": state, "architecture": architecture, "width": width, "settings": settings}, checkpoint)


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


def raw_windows(encoder: Encoder, images: np.ndarray, sky_sigma: np.ndarray) -> np.ndarray:
    """Raw outputs for counts (B, C, H, W), NaN where invalid, with sky sigma (C,) per native pixel."""
    coded = [
        [encode_pixels(bin_image(band, encoder.bin_factor), sigma / encoder.bin_factor)
         for band, sigma in zip(image, sky_sigma, strict=True)]
        for image in images
    ]  # fmt: skip
    sigma = torch.tensor(np.nan_to_num(sky_sigma, nan=1.0) / encoder.bin_factor, dtype=torch.float32).expand(
        len(images), -1
    )
    return raw_outputs(encoder, torch.from_numpy(np.array(coded)), sigma)


def clusters_of(encoder: Encoder, raw: np.ndarray, seen=True, *, threshold: float, class_prior: str) -> pd.DataFrame:
    """Clusters of one window from its raw outputs (n_outputs, T, T); tiles not `seen` hold none."""
    maps = {name: value[0] for name, value in readable(encoder, raw[None], class_prior="training").items()}
    maps |= {name: np.where(seen, maps[name], 0.0) for name in ("probability", "centre_probability")}
    return detect_clusters(
        maps, encoder.detection[class_prior], prior_of(encoder, class_prior), tile_size=encoder.tile_size,
        pixel_arcsec=encoder.pixel_arcsec, threshold=threshold,
    )  # fmt: skip


def prior_of(encoder: Encoder, class_prior: str) -> NaturalPrior:
    """What moves answers to a class prior: "natural", the cluster rate of the sky, or "training", no move."""
    if class_prior not in ("natural", "training"):
        raise ValueError(f"class_prior is {class_prior!r}; known: natural, training")
    return NaturalPrior(*encoder.natural_prior) if class_prior == "natural" else NaturalPrior()


def readable(encoder: Encoder, raw: np.ndarray, *, class_prior: str) -> dict[str, np.ndarray]:
    """Raw outputs in physical units, each (B, T, T); errors are one standard deviation.

    probability and centre_probability are calibrated, at the cluster rate of the training fields ("training") or at
    that of the sky ("natural"), for which fits to weighted tiles are stored. Richness moves to it in closed form.
    """
    prior = prior_of(encoder, class_prior)
    o = dict(zip(OUTPUTS, np.moveaxis(raw, 1, 0), strict=True))
    (z_mean, z_spread), (ln_mean, ln_spread) = REDSHIFT_SCALE, LN_RICHNESS_SCALE
    redshift = z_mean + z_spread * o["redshift"]
    richness = ln_mean + ln_spread * o["ln_richness"], ln_spread * np.exp(np.clip(o["ln_richness_ln_error"], -5, 3))
    redshift_error = encoder.redshift_error_scale * z_spread * np.exp(np.clip(o["redshift_ln_error"], -5, 3))
    drawn = {"ln_richness": richness[0], "ln_richness_error": richness[1],
             "redshift": redshift, "redshift_error": redshift_error}  # fmt: skip
    probability = {}
    for factor, (slope, intercept) in encoder.calibration.items():
        probability[factor] = expit(slope * o[f"{factor}_logit"] + intercept)
        if class_prior == "natural":
            features = encoder_features(probability[factor], drawn)
            probability[factor] = tile_logistic(features, encoder.natural_tiles[factor])
    ln_richness, ln_richness_error = prior.ln_richness(*richness)
    return {
        "probability": probability["membership"],
        "centre_probability": probability["centre"],
        "offset_x": expit(o["offset_x"]),
        "offset_y": expit(o["offset_y"]),
        "redshift": redshift,
        "redshift_error": redshift_error,
        "ln_richness": ln_richness,
        "ln_richness_error": ln_richness_error,
    }
