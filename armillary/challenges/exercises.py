"""Exercises: how a student's answer is scored beside ours, on the same objects.

An answer is a file with `predict(train_inputs, train_targets, test_inputs)`. Its measures, ours and their difference
are taken from the same resamples of test objects (whole clusters where objects share one): the error of the difference
is a paired one.
"""

from typing import NamedTuple

import numpy as np

from armillary.challenges.pages import plus_minus
from armillary.challenges.photoz_trees import redshift_errors
from armillary.challenges.scores import r_squared, seed_scores
from armillary.challenges.xray_mass import mass_errors
from armillary.headlines import N_SIGMA


class Measure(NamedTuple):
    """What an answer is judged by: its name in words, which way is better, and its unit."""

    label: str
    better: str
    unit: str = ""


MEASURES = {
    "rings": {"accuracy": Measure("share of right counts", "higher")},
    "xray_mass": {"scatter_percent": Measure("scatter of ln mass", "lower", "%")},
    "photoz_trees": {
        "mse": Measure("mean squared error of z", "lower"),
        "nmad": Measure("NMAD of dz / (1 + z)", "lower"),
    },
    "snia_lasso": {"rmse": Measure("error of the magnitude", "lower", "mag")},
    "camels": {
        "r2_omega_m_simba": Measure("R2 of Omega_m, SIMBA", "higher"),
        "r2_omega_m_tng": Measure("R2 of Omega_m, IllustrisTNG", "higher"),
    },
}


def measures_of(challenge: str, truth: np.ndarray, guess: np.ndarray, part: np.ndarray) -> dict[str, float]:
    """The measures of one answer; `part` (n,) tells test objects of another kind apart (the code of a simulation)."""
    if challenge == "rings":
        return {"accuracy": float(np.mean(truth == guess))}
    if challenge == "xray_mass":
        return {"scatter_percent": mass_errors(truth, guess)["scatter_percent"]}
    if challenge == "photoz_trees":
        return {key: redshift_errors(truth, guess)[key] for key in ("mse", "nmad")}
    if challenge == "snia_lasso":
        return {"rmse": float(np.sqrt(np.mean((guess - truth) ** 2)))}
    names = {"r2_omega_m_tng": part == 0, "r2_omega_m_simba": part == 1}
    return {name: r_squared(truth[rows, 0], guess[rows, 0]) for name, rows in names.items()}


def answer_scores(
    challenge: str, judged: dict[str, np.ndarray], ours: np.ndarray, n_resamples: int, rng: np.random.Generator
) -> dict[str, dict]:
    """Measurements <measure>_yours, <measure>_ours and <measure>_difference (yours minus ours, paired).

    `judged` has prediction and truth (n, ...), group and part (n,) of the test objects; `ours` the same objects.
    """
    answers = {"yours": judged["prediction"], "ours": ours}

    def statistics(_, index):
        told = {who: measures_of(challenge, judged["truth"][index], answer[index], judged["part"][index])
                for who, answer in answers.items()}  # fmt: skip
        values = {f"{name}_{who}": value for who, one in told.items() for name, value in one.items()}
        gaps = {f"{name}_difference": told["yours"][name] - told["ours"][name] for name in told["ours"]}
        return values | gaps

    scores = seed_scores(statistics, [judged["group"]], n_resamples, rng)
    for name, measure in MEASURES[challenge].items():
        for end in ("yours", "ours", "difference"):
            scores[f"{name}_{end}"]["unit"] = measure.unit
        scores[f"{name}_yours"]["baseline"] = f"{name}_ours"
    return scores


def score_lines(challenge: str, scores: dict[str, dict], label: str) -> list[str]:
    """A line a measure: yours, ours (called `label`), the difference with its error, and what follows from it."""
    lines = []
    for name, measure in MEASURES[challenge].items():
        yours, ours, gap = (scores[f"{name}_{end}"] for end in ("yours", "ours", "difference"))
        error = 0.5 * (gap["hi"] - gap["lo"])
        unit = f" {measure.unit}" if measure.unit else ""
        rises = gap["value"] > 0 if measure.better == "higher" else gap["value"] < 0
        told = "yours is better" if rises else "ours is better"
        if abs(gap["value"]) <= N_SIGMA * error:
            told = "they cannot be told apart"
        size = f"{plus_minus(gap['value'], error)}{unit}"
        lines.append(
            f"{challenge}, {measure.label}, {yours['n']:g} test objects: yours {yours['value']:.3g}, "
            f"ours {ours['value']:.3g} ({label}), yours minus ours {size}, paired: {told}"
        )
    return lines


def checked_ours(challenge: str, judged: dict[str, np.ndarray], outcome: dict[str, np.ndarray], values: str):
    """Our prediction of the judged objects, and an error if it is of others (an outcome of another data set)."""
    if challenge == "snia_lasso":  # an outcome of all supernovae, in the order of the table
        return outcome[values][judged["row"]]
    truth = judged["truth"]
    width = truth[0].size
    ours, ours_truth = (outcome[key].reshape(len(outcome[key]), -1)[:, :width] for key in (values, "truth"))
    if ours.size != truth.size or not np.allclose(ours_truth, truth.reshape(ours.shape)):
        raise ValueError(
            f"our outcome of {challenge} is of other test objects than the exercise: make the exercise anew"
        )
    return ours.reshape(truth.shape)
