"""Apply a trained network to a group of maps."""

import numpy as np
import torch

from armillary.channels import parse_devices
from armillary.cmb_networks import apply_model, pick_device, read_model
from armillary.experiment_data import read_experiment_maps
from armillary.files import read_arrays
from armillary.files_cmb import read_many_maps, write_maps
from armillary.map_preparation import prepare_inputs, restore
from armillary.skies import estimators_from_arrays
from armillary.step import run


def infer_maps(
    network: str, estimators: str, maps: list[str], estimates: list[str], chained: str | list, predictions: str, *,
    seed: int, threads: int,
) -> None:  # fmt: skip
    """Estimates are written as they are seen through the window: of e and b times W, of k times W^2."""
    torch.set_num_threads(threads)
    setting = estimators_from_arrays(read_arrays(estimators)).setting
    devices = "cpu" if not torch.cuda.is_available() else "auto"
    device = pick_device(parse_devices(devices))
    model = read_model(network, device)
    channels = read_experiment_maps(model.facts, setting, maps, estimates, chained)
    inputs = prepare_inputs(model.preparation, channels, setting, seed=seed + 2)
    found = restore(model.preparation, apply_model(model, inputs, device=device, precision="auto"), channels, setting)
    box = read_many_maps(maps, ["box"])["box"]
    write_maps(predictions, {**found, "box": np.asarray(box)}, {"network": network})


if __name__ == "__main__":
    run(infer_maps, snakemake)
