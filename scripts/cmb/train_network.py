"""Train the network of one experiment and leave what reproduces it beside it."""

import os
from pathlib import Path

import torch

from armillary.channels import parse_devices
from armillary.cmb_networks import Architecture, Model, apply_model, n_parameters, pick_device, write_model
from armillary.cmb_training import HISTORY, Settings
from armillary.cmb_training_run import TrainingRun, train_together
from armillary.experiment_data import read_experiment_maps
from armillary.files import read_arrays
from armillary.fingerprints import fingerprint
from armillary.map_preparation import fit_mix, fit_preparation, prepare_inputs
from armillary.skies import estimators_from_arrays
from armillary.step import announce, git_revision, run
from armillary.training_log import LEAST_GAIN, gain_over_start, write_history

OF_PREPARATION = (
    "inputs outputs start_from_estimates normalize_maps apodize_maps apodize_targets noise_fraction noise_channels"
)
OF_ARCHITECTURE = "architecture width kernel_size skip_connections residuals generator_dropout discriminator_dropout"
OF_ARCHITECTURE += " generator_bias discriminator_bias high_res_len"


def train_network(
    estimators: str, train_maps: list[str], validation_maps: list[str], train_estimates: list[str],
    validation_estimates: list[str], train_chained: str | list, validation_chained: str | list, code: list[str],
    network: str, history: str, command: str, config: str, *, experiment: str, settings: dict, sky_settings: dict,
    seed: int, reproduction: str, work_folder: str, threads: int, runtime: int,
) -> None:  # fmt: skip
    """`work_folder` holds the resumable state; a state made from other data, settings or code is not resumed."""
    torch.set_num_threads(threads)
    devices = parse_devices(settings["devices"])
    if isinstance(devices, list):
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(str(number) for number in devices)
        devices = list(range(len(devices)))
    device = pick_device(devices)
    if settings["adversarial"] and isinstance(devices, list) and len(devices) > 1:
        raise ValueError(f"cmb: devices is {devices}; adversarial training runs on one device: name one")
    setting = estimators_from_arrays(read_arrays(estimators)).setting
    maps = {
        "train": read_experiment_maps(settings, setting, train_maps, train_estimates, train_chained),
        "validation": read_experiment_maps(
            settings, setting, validation_maps, validation_estimates, validation_chained
        ),
    }
    preparation = fit_preparation(maps["train"], setting, **{name: settings[name] for name in OF_PREPARATION.split()})
    what = Architecture(
        n_inputs=len(settings["inputs"]), n_outputs=len(settings["outputs"]), side=setting.patch.n_x,
        periodic=setting.window is None, **{name: settings[name] for name in OF_ARCHITECTURE.split()},
    )  # fmt: skip
    training = TrainingRun(
        maps["train"], maps["validation"], setting, preparation, what, settings["adversarial"],
        Settings(
            **{name: settings[name] for name in Settings._fields if name in settings},
            lambda_=settings["lambda"], periodic=setting.window is None, seed=seed,
        ),
        folder=work_folder,
        fingerprint=fingerprint(
            {"settings": settings, "sky": sky_settings, "seed": seed}, contents=[estimators, *code],
            stamped=[*train_maps, *validation_maps],
        ),
        minutes=runtime,
    )  # fmt: skip
    announce(f"{experiment}: {what.architecture}, {len(next(iter(maps['train'].values())))} maps, on {device}")
    trained, rows = train_together(training, len(devices) if isinstance(devices, list) else 1, device)
    if gain_over_start(rows) < LEAST_GAIN:
        announce(
            f"ALARM: {experiment} has not left its start: validation loss fell by {gain_over_start(rows):.2%}, "
            f"less than {LEAST_GAIN:.1%}; it adds little or nothing to the estimate (or the mean) that it starts from"
        )
    inputs = prepare_inputs(preparation, maps["validation"], setting, seed=seed + 1)
    model = Model(
        trained, what, preparation, setting.patch, sky_settings, {"n_parameters": n_parameters(trained), **settings}
    )
    outputs = apply_model(model, inputs, device=device, precision=settings["precision"])
    write_model(network, model._replace(preparation=fit_mix(preparation, outputs, maps["validation"], setting)))
    write_history(history, HISTORY, rows)
    Path(config).write_text(reproduction + "\n")
    Path(command).write_text(_command(network, config))


def _command(network: str, config: str) -> str:
    """What makes this network again from nothing, from the root of the checkout."""
    final, settings = (path.replace(".unfinished-", "") for path in (network, config))
    revision = git_revision()
    return f"git checkout {revision} && snakemake {final} --cores all --configfile {settings}\n"


if __name__ == "__main__":
    run(train_network, snakemake)
