"""The notebook of an exercise: task, data, one plot, an answer with blanks, hints from slight to strong, a solution."""

START = """SOLUTION = False  # True: our solution takes the place of your answer.py

import numpy as np
from matplotlib import pyplot as plt

data = np.load("data.npz")
for name in data.files:
    print(name, data[name].shape, data[name].dtype)"""
CONTRACT = """## Your answer

A file `answer.py` with one function:

```python
predict(train_inputs, train_targets, test_inputs)  # -> {shape}
```

{contract} A cell below writes the file. Fill its blanks (`...`), or write your own: any method
counts."""
TRIAL = """import importlib.util

spec = importlib.util.spec_from_file_location("answer", "answer.py")
answer = importlib.util.module_from_spec(spec)
spec.loader.exec_module(answer)
guess = answer.predict(data["train_inputs"], data["train_targets"], data["validation_inputs"])
print("on validation objects:", measure(data["validation_targets"], guess))"""
SCORE = """## Your score beside ours

Objects of the test have no targets in your file. In the folder of the checkout,

```bash
snakemake exercise_score_{name} --cores 2
```

lets your `answer.py` learn from what our methods learned from, and prints a line: yours, ours ({label}),
and the difference with its error, from the same resamples of the same test objects. It trains ours first if need be."""


def exercise_notebook(name: str, text: dict) -> dict:
    """A notebook (format 4.5) from resources/exercises/<name>.yaml."""
    hints = "\n\n".join(
        f"<details><summary>Hint {number}</summary>\n\n{hint.strip()}\n\n</details>"
        for number, hint in enumerate(text["hints"], start=1)
    )
    contract = CONTRACT.format(shape=text["shape"], contract=text["contract"].strip())
    solution = (
        "# The solution: open this cell when you have tried. SOLUTION = True above uses it.\n"
        f"OUR_ANSWER = '''{text['solution'].strip()}\n'''\n"
        'if SOLUTION:\n    with open("answer.py", "w") as stream:\n        stream.write(OUR_ANSWER)'
    )
    cells = [
        _words(f"# Exercise: {text['title']}\n\n{text['task'].strip()}"),
        _code(START),
        _words(f"## The data\n\n{text['data'].strip()}"),
        _code(text["plot"].strip()),
        _words(contract),
        _words(f"## Hints\n\nFrom slight to strong.\n\n{hints}"),
        _code(f"%%writefile answer.py\n{text['answer'].strip()}\n"),
        _code(solution, hidden=True),
        _words("## Try it\n\nLearn from training objects, look at validation objects."),
        _code(f"{text['measure'].strip()}\n\n\n{TRIAL}"),
        _words(SCORE.format(name=name, label=text["ours"]["label"])),
    ]
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def _words(text: str) -> dict:
    return {"cell_type": "markdown", "metadata": {}, "source": text.splitlines(keepends=True)}


def _code(text: str, hidden: bool = False) -> dict:
    folded = {"jupyter": {"source_hidden": True}} if hidden else {}
    return {"cell_type": "code", "execution_count": None, "metadata": folded, "outputs": [],
            "source": text.splitlines(keepends=True)}  # fmt: skip
