"""Train probes that are networks themselves with few and with many labels, and ask them about the held-out objects."""

import numpy as np
import torch

from armillary.files import write_arrays
from armillary.files_cutouts import open_cutouts, read_embeddings
from armillary.label_probes import Training, frozen_tokens, predict_by_training, read_objects
from armillary.mim_networks import read_model
from armillary.probe_scores import TASKS, draw_labels, pool_and_held_out
from armillary.probes import Budget
from armillary.step import announce, run


def infer_label_probes(
    cutouts: str, model: str, embeddings: str, answers: str, *, task: str, network_number: int, n_labels: dict,
    n_steps: int, batch_size: int, n_settings: int, n_folds: int, test_fraction: float, bands: list[str], seed: int,
    threads: int,
) -> None:  # fmt: skip
    """Labels are those that the other probes get with network `network_number`; `n_labels` are the counts by method."""
    torch.set_num_threads(threads)
    held, columns = read_model(model), read_embeddings(embeddings)[1]
    pool, held_out = pool_and_held_out(task, columns, test_fraction)
    truth = columns[TASKS[task].column]
    counts = sorted({min(n, len(pool)) for of in n_labels.values() for n in of})
    labelled = {n: draw_labels(pool, n, network_number + 1, seed)[network_number] for n in counts}
    rows = np.unique(np.concatenate([held_out, *labelled.values()]))
    with open_cutouts(cutouts, bands) as file:
        objects = read_objects(file, held, rows)
    settings = {"is_value": TASKS[task].kind == "value", "training": Training(n_steps, batch_size)}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    settings |= {"budget": Budget(n_settings, n_folds), "seed": network_number, "device": device}
    told = {}
    for method, wanted in n_labels.items():
        shown = frozen_tokens(held, objects, device) if method == "attentive" and wanted else objects
        for n in sorted({min(n, len(pool)) for n in wanted}):
            places = np.searchsorted(rows, labelled[n]), np.searchsorted(rows, held_out)
            told[f"{method}_{n}"] = predict_by_training(method, held, shown, truth[rows], *places, **settings)
            announce(f"{task}: {method} with {n} labels")
    write_arrays(answers, rows=held_out, **told)


if __name__ == "__main__":
    run(infer_label_probes, snakemake)
