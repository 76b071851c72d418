"""The channels of one experiment, gathered from simulated maps, estimates, and predictions of a first experiment."""

import numpy as np

from armillary.channels import CHANNELS
from armillary.estimators import Setting
from armillary.files_cmb import read_many_maps, read_maps
from armillary.map_preparation import derived_channels, needed_channels


def read_experiment_maps(
    settings: dict, setting: Setting, maps: list[str], estimates: list[str], chained: str | list[str]
) -> dict[str, np.ndarray]:
    """Maps (n, n_y, n_x) of all channels that the experiment reads, by name.

    Where there is a file of predictions (`chained`), its channels stand for those of the same name, and E and B are
    the plain transform of its Q and U: the second network sees what the first one gave, in training, too.
    """
    names = needed_channels(settings["inputs"], settings["outputs"], settings["start_from_estimates"])
    if chained:
        given = read_maps(chained)
        inputs = derived_channels(given, settings["inputs"], setting.patch)
        return inputs | _read_sources(maps, [], settings["outputs"], setting)
    return _read_sources(maps, estimates, names, setting)


def _read_sources(maps: list[str], estimates: list[str], names: list[str], setting: Setting) -> dict[str, np.ndarray]:
    estimated = [name for name in names if CHANNELS[name].source == "estimate"]
    simulated = [name for name in names if name not in estimated and name not in "QU"]
    if {"Q", "U"} & set(names):
        simulated = list(dict.fromkeys([*simulated, "e"]))
    found = read_many_maps(maps, simulated) if simulated else {}
    found |= read_many_maps(estimates, estimated) if estimated else {}
    return derived_channels(found, names, setting.patch)
