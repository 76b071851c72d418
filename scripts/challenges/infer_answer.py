"""Run a student's answer on the test objects of a challenge."""

from armillary.challenges.exercise_models import make_task, run_answer
from armillary.files import read_arrays, write_arrays
from armillary.step import run


def infer_answer(answer: str, data: str, judged: str, *, challenge: str, seed: int, settings: dict) -> None:
    write_arrays(judged, **run_answer(answer, make_task(challenge, read_arrays(data), settings, seed)))


if __name__ == "__main__":
    run(infer_answer, snakemake)
