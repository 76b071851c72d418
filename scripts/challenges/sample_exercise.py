"""Write the arrays that a student of an exercise gets: the targets of the test are not among them."""

from armillary.challenges.exercise_models import make_task, student_arrays
from armillary.files import read_arrays, write_arrays
from armillary.step import run


def sample_exercise(data: str, arrays: str, *, challenge: str, seed: int, settings: dict) -> None:
    write_arrays(arrays, **student_arrays(make_task(challenge, read_arrays(data), settings, seed)))


if __name__ == "__main__":
    run(sample_exercise, snakemake)
