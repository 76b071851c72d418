"""What an exercise asks: inputs and targets for a student, and an answer run on the same objects as our methods.

A student's file has the targets of training and validation objects, never those of the test. Where ours learn from
validation objects as well (to stop early), an answer gets them, too. Supernovae are too few for one split: an answer
is run on the same folds as ours.
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.model_selection import KFold

TRAIN, VALIDATION, TEST = 0, 1, 2
RADII = slice(2, 14)
CONTRACT = "predict(train_inputs, train_targets, test_inputs)"


class Task(NamedTuple):
    """Inputs and targets (n, ...), rows of each share, folds of (rows to learn from, rows to judge), and of every
    object its group (what is resampled) and part (another kind of test object)."""

    inputs: np.ndarray
    targets: np.ndarray
    rows: dict[str, np.ndarray]
    folds: list[tuple[np.ndarray, np.ndarray]]
    group: np.ndarray
    part: np.ndarray


def make_task(challenge: str, data: dict[str, np.ndarray], settings: dict, seed: int) -> Task:
    """The task of a challenge, on the data that its methods saw."""
    return TASKS[challenge](data, settings, seed)


def _task(inputs, targets, split, learn=(TRAIN, VALIDATION), group=None, n_train: int | None = None) -> Task:
    """A task with one split; `learn` are the shares that our methods learn from."""
    train, validation, test = (np.flatnonzero(split == k) for k in (TRAIN, VALIDATION, TEST))
    train = train[:n_train]
    known = np.concatenate([{TRAIN: train, VALIDATION: validation}[k] for k in learn])
    rows = {"train": train, "validation": validation, "test": test}
    group = np.arange(len(inputs)) if group is None else group
    return Task(inputs, targets, rows, [(known, test)], group, np.zeros(len(inputs), int))


def count_rings(data, settings, seed) -> Task:
    """Images (n, 28, 28) uint8 and how many rings they have."""
    return _task(data["count_images"], data["count"], data["count_split"], n_train=settings["n_counting_train"])


def weigh_clusters(data, settings, seed) -> Task:
    """Images (n, side, side) of X-ray counts and log10 of the mass; views of one cluster belong together."""
    return _task(data["images"], data["log_mass"], data["split"], group=data["cluster"])


def tell_redshifts(data, settings, seed) -> Task:
    """Five fluxes and their errors (n, 10), NaN where a band is missing, and redshifts."""
    return _task(np.column_stack([data["flux"], data["error"]]), data["z"], data["split"], learn=(TRAIN,))


def tell_magnitudes(data, settings, seed) -> Task:
    """Variables (n, p) and magnitudes; judged on our outer folds, while the student's file keeps a quarter unknown."""
    n = len(data["y"])
    order = np.random.default_rng([seed, 131]).permutation(n)
    ends = n // 2, n - n // 4
    rows = {"train": order[: ends[0]], "validation": order[ends[0] : ends[1]], "test": order[ends[1] :]}
    folds = list(KFold(settings["n_folds"], shuffle=True, random_state=seed).split(data["x"]))
    return Task(data["x"], data["y"], rows, folds, np.arange(n), np.zeros(n, int))


def tell_cosmology(data, settings, seed) -> Task:
    """Log density profiles (n, 2, n_radii) of simulations and (Omega_m, sigma_8); learned from IllustrisTNG, judged on
    both codes. Radii are those that our methods see: the innermost two are noise, and the suites end differently."""
    codes = ("tng", "simba")
    sizes = [len(data[f"profiles_{code}"]) for code in codes]
    inputs = np.concatenate([data[f"profiles_{code}"][:, :, 0, RADII] for code in codes])
    targets = np.concatenate([data[f"parameters_{code}"][:, :2] for code in codes])
    split = np.concatenate([data[f"split_{code}"] for code in codes])
    split[sizes[0] :][split[sizes[0] :] != TEST] = -1  # nothing of SIMBA is learned from
    task = _task(inputs, targets, split)
    return task._replace(part=np.repeat([0, 1], sizes))


TASKS: dict[str, Callable[..., Task]] = {
    "rings": count_rings, "xray_mass": weigh_clusters, "photoz_trees": tell_redshifts, "snia_lasso": tell_magnitudes,
    "camels": tell_cosmology,
}  # fmt: skip


def student_arrays(task: Task) -> dict[str, np.ndarray]:
    """What a student's file holds: inputs of every share, targets of all but the test."""
    inputs = {f"{name}_inputs": task.inputs[rows] for name, rows in task.rows.items()}
    return inputs | {f"{name}_targets": task.targets[task.rows[name]] for name in ("train", "validation")}


def read_answer(path: str) -> Callable:
    """The function `predict` of a student's file."""
    spec = importlib.util.spec_from_file_location("answer", path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ValueError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    if not callable(getattr(module, "predict", None)):
        raise ValueError(f"{path} has no function {CONTRACT}")
    return module.predict


def run_answer(path: str, task: Task) -> dict[str, np.ndarray]:
    """prediction, truth, group and part of the judged objects, and their row among all."""
    predict = read_answer(path)
    found = []
    for known, judged in task.folds:
        inputs, wanted = task.inputs[judged], task.targets[judged]
        try:
            answer = predict(task.inputs[known].copy(), task.targets[known].copy(), inputs.copy())
        except Exception as error:
            raise ValueError(f"{path}: predict failed: {type(error).__name__}: {error}") from error
        found.append(checked(answer, wanted.shape, Path(path).name))
    row = np.concatenate([judged for _, judged in task.folds])
    return {"prediction": np.concatenate(found), "truth": task.targets[row], "group": task.group[row],
            "part": task.part[row], "row": row}  # fmt: skip


def checked(answer, shape: tuple, name: str) -> np.ndarray:
    """An answer as numbers; one line if it is none, has another shape, or is not finite."""
    try:
        numbers = None if answer is None else np.asarray(answer, float)
    except (TypeError, ValueError):
        numbers = None
    if numbers is None:
        raise ValueError(
            f"{name}: predict gave {type(answer).__name__}; an array {shape} of numbers was expected: is a blank left?"
        )
    if numbers.shape != shape:
        raise ValueError(f"{name}: predict gave an array of shape {numbers.shape}; {shape} was expected")
    bad = int((~np.isfinite(numbers)).sum())
    if bad:
        raise ValueError(f"{name}: {bad} of the {numbers.size} numbers that predict gave are not finite")
    return numbers
