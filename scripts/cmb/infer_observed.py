"""Apply a trained network to a user's maps and score every estimate if there is a truth."""

import numpy as np
import torch

from armillary.cmb_networks import pick_device, read_model
from armillary.estimators import KAPPAS, truth_window
from armillary.files import read_arrays, write_json
from armillary.files_cmb import read_facts, read_maps, write_maps
from armillary.map_scores import bin_labels, bin_powers, score_curves
from armillary.metrics import measurement
from armillary.observed_networks import infer_any_size
from armillary.skies import estimators_from_arrays
from armillary.step import announce, run

WRITTEN = (*KAPPAS, "E", "B_pure", "e_delensed", "b_template", "window")


def infer_observed(
    estimates: str, estimators: str, network: str, maps: str, metrics: str, *, experiment: str,
    bin_edges: list[float], threads: int,
) -> None:  # fmt: skip
    """The network's outputs are called <channel>_network; metrics are correlations with the truth, if it is given."""
    torch.set_num_threads(threads)
    setting = estimators_from_arrays(read_arrays(estimators)).setting
    found = read_maps(estimates)
    device = pick_device("auto")
    predicted = infer_any_size(read_model(network, device), found, setting, device=device, announce=announce)
    written = {name: found[name] for name in WRITTEN}
    written |= {f"{name}_network": values for name, values in predicted.items()}
    written |= {"k": found["k"]} if "k" in found else {}
    write_maps(maps, written, {**read_facts(estimates), "experiment": experiment})
    write_json(metrics, _scores(written, setting, bin_edges) if "k" in found else {})


def _scores(maps: dict[str, np.ndarray], setting, edges: list[float]) -> dict:
    """rho with the true kappa through the squared window, one sky: errors from the number of modes."""
    seen = truth_window(setting, "k") * maps["k"]
    spacing = 2 * np.pi / np.sqrt(setting.patch.area)
    edges = [edge for edge in edges if spacing < edge < setting.patch.nyquist]
    entries = {}
    for name in (*KAPPAS, "k_network"):
        if name not in maps:
            continue
        powers = bin_powers(maps[name], seen, setting.patch, edges)
        rho = score_curves(powers, np.zeros(1, int), n_resamples=10, seed=0).rho
        effective = powers.n_modes * np.mean(truth_window(setting, "k")) ** 2 / np.mean(truth_window(setting, "k") ** 2)
        for label, value, n in zip(bin_labels(edges), rho, effective, strict=True):
            error = (1 - value**2) / np.sqrt(max(n, 1))
            baseline = f"observed_k_map_delensed_rho_{label}" if name == "k_network" else None
            entries[f"observed_{name}_rho_{label}"] = measurement(value, value - error, value + error, 1, "", baseline)
    return entries


if __name__ == "__main__":
    run(infer_observed, snakemake)
