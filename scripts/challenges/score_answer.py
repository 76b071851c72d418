"""Score a student's answer beside ours on the same test objects, and say the difference with its paired error."""

import numpy as np

from armillary.challenges.exercises import answer_scores, checked_ours, score_lines
from armillary.files import read_arrays, write_json
from armillary.metrics import validate_metrics
from armillary.step import announce, run


def score_answer(judged: str, outcome: str, score: str, *, challenge: str, ours: dict, settings: dict) -> None:
    answers = read_arrays(judged)
    prediction = checked_ours(challenge, answers, read_arrays(outcome), ours["values"])
    rng = np.random.default_rng(2021)
    scores = answer_scores(challenge, answers, prediction, settings["n_resamples"], rng)
    validate_metrics(scores, challenge)
    for line in score_lines(challenge, scores, ours["label"]):
        announce(line)
    write_json(score, scores)


if __name__ == "__main__":
    run(score_answer, snakemake)
