"""Train a probe that is a network itself with few and with many labels, and ask it about the objects that judge."""

import time

import numpy as np
import torch

from armillary.field_splits import fields_that_judge
from armillary.files import write_arrays
from armillary.files_cutouts import open_cutouts, read_embeddings
from armillary.label_probes import Training, frozen_tokens, predict_by_training, read_objects
from armillary.mim_networks import read_model
from armillary.probe_scores import TASKS, labelled_and_judges
from armillary.probes import Budget
from armillary.step import announce, run


def infer_label_probes(
    cutouts: str, model: str, embeddings: str, answers: str, *, task: str, method: str, network_number: int,
    n_networks: int, n_labels: list[int], n_steps: int, batch_size: int, n_settings: int, n_folds: int,
    test_fraction: float, cell_deg: float, bands: list[str], seed: int, threads: int,
) -> None:  # fmt: skip
    """Labels and judges are those that the other probes get with network `network_number`; `seconds_<n>` in `answers`
    are the CPU seconds of training, tuning included, with n labels."""
    torch.set_num_threads(threads)
    held, columns = read_model(model), read_embeddings(embeddings)[1]
    split = fields_that_judge(columns, cell_deg, test_fraction, n_networks, seed)
    labelled, judges = labelled_and_judges(task, columns, *split, n_labels, seed)
    labelled, judge = {n: of[network_number] for n, of in labelled.items()}, judges[network_number]
    rows = np.unique(np.concatenate([judge.rows, *labelled.values()]))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with open_cutouts(cutouts, bands) as file:
        objects = read_objects(file, held, rows)
    shown = frozen_tokens(held, objects, device) if method == "attentive" else objects
    settings = {"kind": TASKS[task].kind, "training": Training(n_steps, batch_size), "seed": network_number}
    settings |= {"budget": Budget(n_settings, n_folds), "device": device}
    told, truth = {}, columns[TASKS[task].column][rows]
    for n, of in labelled.items():
        places, started = (np.searchsorted(rows, of), np.searchsorted(rows, judge.rows)), time.process_time()
        told[f"told_{n}"] = predict_by_training(method, held, shown, truth, *places, **settings)
        told[f"seconds_{n}"] = np.array(time.process_time() - started)
        announce(f"{task}: {method} with {n} labels, {told[f'seconds_{n}']:.0f} CPU s")
    write_arrays(answers, rows=judge.rows, **told)


if __name__ == "__main__":
    run(infer_label_probes, snakemake)
