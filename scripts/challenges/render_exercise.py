"""Write the notebook of an exercise."""

from armillary.challenges.notebooks import exercise_notebook
from armillary.files import write_json
from armillary.step import run


def render_exercise(notebook: str, *, challenge: str, text: dict) -> None:
    write_json(notebook, exercise_notebook(challenge, text))


if __name__ == "__main__":
    run(render_exercise, snakemake)
