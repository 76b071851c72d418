"""Train the encoder on the training fields; selection fields choose its epoch, calibration fields calibrate it."""

import os

import pandas as pd
import torch

from armillary.calibration import NaturalPrior, error_scale, fit_natural_prior, logistic_calibration
from armillary.detection_training import fit_detections
from armillary.encoder_data import Fields
from armillary.encoder_training import TrainingRun, train_together
from armillary.files import read_catalog
from armillary.fingerprints import fingerprint
from armillary.galaxies import prepare_red_sequence, red_ln_flux
from armillary.inference import Encoder, readable, write_encoder
from armillary.natural_tiles import encoder_features, fit_tiles, weights_of_fields
from armillary.networks.sources import OUTPUTS, redshift_grid
from armillary.precision import pick_precision
from armillary.step import announce, run
from armillary.tiles import check_same_settings, read_file_data
from armillary.training import HISTORY, Settings, evaluate
from armillary.training_log import write_history
from armillary.windows import check_tiling


def train_encoder(
    red_sequence: str, train: list[str], selection: list[str], calibration: list[str], code: list[str],
    checkpoint: str, history: str, *,
    work_folder: str, survey: str, bands: list[str], image_size: int, tile_size: int, bin_factor: int,
    architecture: str, width: int, n_epochs: int, batch_size: int, crop_size: int, n_processes: int,
    learning_rate: float, weight_decay: float, band_drop: float, patience: int, precision: str, tensorboard: bool,
    seed: int, threads: int, runtime: int,
) -> None:  # fmt: skip
    """`seed` is that of this training. `work_folder` holds the resumable state and the TensorBoard events; it is not an
    output of the rule. A state made from other data, settings or code is not resumed."""
    torch.set_num_threads(min(threads, len(os.sched_getaffinity(0))))
    check_tiling(image_size, tile_size, bin_factor)
    check_crop(crop_size, tile_size, image_size)
    shape = {
        "survey": survey,
        "bands": bands,
        "image_size": image_size,
        "tile_size": tile_size,
        "bin_factor": bin_factor,
    }
    files = [read_file_data(path) for path in train + selection + calibration]
    check_same_settings(files, train + selection + calibration, shape)
    pixel_arcsec = files[0]["pixel_arcsec"]
    table = None
    if architecture == "sources":
        table = red_ln_flux(prepare_red_sequence(read_catalog(red_sequence), survey), redshift_grid().numpy(), bands)
    settings = Settings(
        n_epochs, batch_size, crop_size // tile_size, learning_rate, weight_decay, band_drop, patience, precision, seed
    )
    training = TrainingRun(
        train, selection,
        network={
            "architecture": architecture, "n_bands": len(bands), "tile_pixels": tile_size // bin_factor,
            "width": width, "pixel_arcsec": pixel_arcsec * bin_factor, "seed": seed,
        },
        red_sequence=table, settings=settings, folder=work_folder,
        fingerprint=fingerprint(
            {**shape, **settings._asdict(), "architecture": architecture, "width": width, "n_processes": n_processes},
            contents=[red_sequence, *code], stamped=train + selection,
        ),
        tensorboard=os.path.join(work_folder, "tensorboard") if tensorboard else None,
        minutes=runtime,
    )  # fmt: skip
    announce(f"{architecture}: {sum(len(data['field']) for data in files[: len(train)])} training fields")
    network, fields, rows = train_together(training, n_processes)
    write_history(history, HISTORY, rows)
    device = str(next(network.parameters()).device)
    dtype = pick_precision(precision, device)
    known = Fields(files[len(train + selection) :], network)
    outputs = evaluate(network, known, device, dtype)[1]
    encoder = Encoder(
        network, **shape, pixel_arcsec=pixel_arcsec, device=device,
        calibration=_calibration(outputs, known),
        redshift_error_scale=1.0, natural_prior=tuple(_natural_prior(fields["train"])), detection={}, natural_tiles={},
    )  # fmt: skip
    encoder = encoder._replace(redshift_error_scale=_redshift_error_scale(encoder, outputs, known))
    encoder = encoder._replace(
        detection=_detection(encoder, outputs, known), natural_tiles=_natural_tiles(encoder, outputs, known)
    )
    write_encoder(checkpoint, encoder, architecture=architecture, width=width, settings=settings._asdict())


def _calibration(outputs: torch.Tensor, known: Fields) -> dict[str, tuple[float, float]]:
    """Slope and intercept of the logits of membership and centre."""
    return {
        factor: logistic_calibration(outputs[:, OUTPUTS.index(f"{factor}_logit")].numpy(), known.labels(factor).numpy())
        for factor in ("membership", "centre")
    }


def _redshift_error_scale(encoder: Encoder, outputs: torch.Tensor, known: Fields) -> float:
    """How much larger the errors of redshift are than the network says, where clusters are centred."""
    maps = readable(encoder, outputs.numpy(), class_prior="training")
    centred = known.labels("centre")[..., 0].numpy().astype(bool)
    true = known.labels("cluster_redshift")[..., 0].numpy()
    return error_scale((maps["redshift"] - true)[centred], maps["redshift_error"][centred])


def _detection(encoder: Encoder, outputs: torch.Tensor, known: Fields) -> dict[str, dict]:
    """How likely a peak is a cluster, by class prior."""
    maps = readable(encoder, outputs.numpy(), class_prior="training")
    predictions = [{key: value[n] for key, value in maps.items()} for n in range(len(known))]
    fields = [
        {"field": int(data["field"][k]), "wcs": data["wcs"][k], "truth": data["truth"][k]}
        for data in known.files
        for k in range(len(data["field"]))
    ]
    return fit_detections(
        predictions, fields, NaturalPrior(*encoder.natural_prior), image_size=encoder.image_size,
        tile_size=encoder.tile_size, pixel_arcsec=encoder.pixel_arcsec,
    )  # fmt: skip


def _natural_tiles(encoder: Encoder, outputs: torch.Tensor, known: Fields) -> dict[str, list[float]]:
    """What gives the probability of a member and of a centre in a tile at the natural rate, by factor."""
    maps = readable(encoder, outputs.numpy(), class_prior="training")
    truth = pd.concat([pd.DataFrame(table) for data in known.files for table in data["truth"]], ignore_index=True)
    numbers = torch.cat([data["field"] for data in known.files]).numpy()
    weight = weights_of_fields(truth, numbers, encoder.image_size, encoder.tile_size, encoder.pixel_arcsec)
    probabilities = {"membership": maps["probability"], "centre": maps["centre_probability"]}
    return {
        factor: fit_tiles(
            encoder_features(probability, maps), known.labels(factor)[..., 0].numpy().astype(bool), weight
        ).tolist()
        for factor, probability in probabilities.items()
    }


def check_crop(crop_size: int, tile_size: int, image_size: int) -> None:
    """Refuse crops that are not whole tiles, or larger than a field."""
    if crop_size % tile_size or crop_size > image_size:
        raise ValueError(
            f"clusters: train_encoder: crop_size is {crop_size} px; it must be a multiple of tile_size "
            f"({tile_size} px) and at most image_size ({image_size} px)"
        )


def _natural_prior(train: Fields) -> NaturalPrior:
    """How the cluster rate of the sky differs from that of the training fields, by richness and redshift."""
    member = train.labels("membership")[..., 0].numpy().astype(bool)
    of_member = (train.labels(name)[..., 0].numpy()[member] for name in ("weight", "ln_richness", "cluster_redshift"))
    return fit_natural_prior(*of_member, n_tiles=member.size)


if __name__ == "__main__":
    run(train_encoder, snakemake)
