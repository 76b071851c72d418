"""Train the encoder on the training fields; keep its best epoch, calibrated on the validation fields."""

import hashlib
import json
import os

import numpy as np
import torch

from armillary.files import read_catalog
from armillary.galaxies import prepare_red_sequence, red_ln_flux
from armillary.inference import log_odds, logistic_calibration
from armillary.networks.sources import N_REDSHIFTS, OUTPUTS, REDSHIFT_RANGE
from armillary.step import announce, run
from armillary.tiles import check_same_settings, read_file_data
from armillary.training import Fields, build_network, evaluate, fit, pick_precision, write_history
from armillary.windows import check_tiling


def train_encoder(
    red_sequence: str, train: list[str], validation: list[str], checkpoint: str, history: str, *, work_folder: str,
    survey: str, bands: list[str], image_size: int, tile_size: int, bin_factor: int, architecture: str, width: int,
    n_epochs: int, batch_size: int, learning_rate: float, weight_decay: float, band_drop: float, patience: int,
    precision: str, tensorboard: bool, seed: int, threads: int,
) -> None:  # fmt: skip
    """`work_folder` holds the resumable state and the TensorBoard events; it is not an output of the rule."""
    torch.set_num_threads(threads)
    check_tiling(image_size, tile_size, bin_factor)
    shape = {
        "survey": survey,
        "bands": bands,
        "image_size": image_size,
        "tile_size": tile_size,
        "bin_factor": bin_factor,
    }
    files = {
        name: [read_file_data(path) for path in paths] for name, paths in (("train", train), ("validation", validation))
    }
    check_same_settings(files["train"] + files["validation"], train + validation, shape)
    pixel_arcsec = files["train"][0]["pixel_arcsec"]
    network = build_network(
        architecture, n_bands=len(bands), tile_pixels=tile_size // bin_factor, width=width,
        pixel_arcsec=pixel_arcsec * bin_factor, seed=seed,
    )  # fmt: skip
    if architecture == "sources":
        table = prepare_red_sequence(read_catalog(red_sequence), survey)
        network.start_from(torch.from_numpy(red_ln_flux(table, np.linspace(*REDSHIFT_RANGE, N_REDSHIFTS), bands)))
    sets = {name: Fields(data, network) for name, data in files.items()}
    n_parameters = sum(p.numel() for p in network.parameters())
    announce(f"{architecture}: {n_parameters:,} parameters, {len(sets['train'])} training fields")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    settings = {
        "n_epochs": n_epochs, "batch_size": batch_size, "learning_rate": learning_rate, "weight_decay": weight_decay,
        "band_drop": band_drop, "patience": patience, "precision": precision, "seed": seed, "device": device,
    }  # fmt: skip
    rows = fit(
        network, sets["train"], sets["validation"], folder=work_folder,
        fingerprint=_fingerprint(
            {**shape, **settings, "architecture": architecture, "width": width}, train + validation
        ),
        tensorboard=os.path.join(work_folder, "tensorboard") if tensorboard else None, **settings,
    )  # fmt: skip
    write_history(history, rows)
    _, outputs = evaluate(network, sets["validation"], batch_size, device, pick_precision(precision, device))
    calibration = {
        factor: logistic_calibration(
            outputs[:, OUTPUTS.index(f"{factor}_logit")].numpy(), sets["validation"].labels(factor).numpy()
        )
        for factor in ("membership", "centre")
    }
    torch.save(
        {
            "architecture": architecture, "width": width, **shape, "pixel_arcsec": pixel_arcsec,
            "state": {name: value.cpu() for name, value in network.state_dict().items()},
            "calibration": calibration, "prior_shift": _prior_shift(sets["train"]), "settings": settings,
        },
        checkpoint,
    )  # fmt: skip


def _prior_shift(train: Fields) -> dict[str, float]:
    """Log odds of a positive tile on the sky minus those in the training fields, per factor."""
    weight = train.labels("weight")
    shift = {}
    for factor in ("membership", "centre"):
        positive = train.labels(factor).double()
        sampled, natural = float(positive.mean()), float((positive * weight).mean())
        if not 0 < sampled < 1:
            raise ValueError(
                f"the training fields have {factor} in {sampled:.0%} of their tiles; raise clusters: nfiles"
            )
        shift[factor] = log_odds(natural) - log_odds(sampled)
    return shift


def _fingerprint(settings: dict, paths: list[str]) -> str:
    """Settings and data of a run: the names, sizes and times of its files stand for their contents."""
    files = [(path, os.path.getsize(path), os.path.getmtime(path)) for path in paths]
    return hashlib.sha256(json.dumps([settings, files]).encode()).hexdigest()


if __name__ == "__main__":
    run(train_encoder, snakemake)
