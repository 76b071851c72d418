"""What the rules of the challenges are given: files, variants, seeds, settings; no rule lives here."""

import os
from pathlib import Path

import yaml

CHALLENGES = config["challenges"]
CHALLENGES_FIGURES = {
    "snia_lasso": ["errors", "path", "stability"],
    "rings": ["examples", "counting", "regression", "generation", "detector"],
    "photoz_trees": ["redshifts", "learning", "dependence"],
    "xray_mass": ["examples", "masses", "networks"],
    "weather": ["frames", "nights", "real"],
    "spectra": ["samples", "fidelity", "physics"],
    "camels": ["slabs", "transfer", "shift"],
    "transfer": ["targets", "curves", "gain"],
    "gan_latent": ["samples", "quality", "latents", "traversals", "probes"],
}
CHALLENGES_EXERCISES = ["rings", "xray_mass", "photoz_trees", "snia_lasso", "camels"]
CHALLENGES_TEMPLATES = [
    f"resources/pages/{name}" for name in ("frame.html", "challenge.html", "challenges.html", "style.css")
]


def challenges_names():
    """The challenges that the target `challenges` runs."""
    return CHALLENGES["run"]


def challenges_of(*keys):
    """Settings of the challenge that the wildcards name, as params: one function a key."""

    def setting(key):
        return lambda wildcards: challenges_block(wildcards.challenge)[key]

    return {key: setting(key) for key in keys}


def challenges_block(name):
    """All settings of a challenge; a WorkflowError for one that there is not."""
    if name not in CHALLENGES_FIGURES:
        raise WorkflowError(
            f"challenges: no challenge is called {name!r}; known: {', '.join(CHALLENGES_FIGURES)}"
        )
    return CHALLENGES[name]


def challenges_story(wildcards):
    """What the page of a challenge says, with its headlines and contestants, and settings to try as the text of a file."""
    name = wildcards.challenge
    told = read_yaml(f"resources/pages/challenges/{name}.yaml")
    table = read_yaml("config/headlines/challenges.yaml")
    own = [one for one in table["headlines"] if one["metrics"][one["method"]].startswith(f"{name}_")]
    if not own:
        raise WorkflowError(f"config/headlines/challenges.yaml lists no headline of {name}")
    names = {one for headline in own for one in headline["metrics"]}
    tries = [
        {"text": one["text"], "expect": one["expect"], "snippet": challenges_snippet(name, one["settings"])}
        for one in told["try"]
    ]
    return told | {
        "headlines": own,
        "contestants": {one: table["contestants"][one] for one in sorted(names)},
        "try": tries,
        "exercise": name in CHALLENGES_EXERCISES,
    }


def challenges_snippet(name, settings):
    """A settings file that changes one challenge and keeps its results apart."""
    changed = {"challenges": {name: settings}, "pathvars": {"results": "results/try"}}
    return yaml.safe_dump(changed, default_flow_style=None, sort_keys=False).strip()


def challenges_code(ending="", folder="armillary/challenges/"):
    """The modules of a challenge that a generic step imports by name."""
    return lambda wildcards: code_of(f"{folder}{wildcards.challenge}{ending}.py")


def challenges_at_hand(name):
    """Whether a given file exists, is downloaded or is in the mirror folder, so that no network is needed."""
    mirror = os.environ.get("ARMILLARY_MIRROR")
    return (
        Path(name).exists()
        or Path("resources/downloads", name).exists()
        or bool(mirror and Path(mirror, name).exists())
    )


def challenges_files(wildcards):
    """The real files of the challenge that the wildcards name."""
    return challenges_given(wildcards.challenge)


def challenges_given(name):
    """The real files of a challenge: none if it is simulated, or if they are not at hand and `source` is auto."""
    block = challenges_block(name)
    names = block["files"] if block["source"] != "simulated" else []
    if block["source"] == "real" and not names:
        raise WorkflowError(f"challenges: {name}: source is real; name its `files`")
    if block["source"] == "auto" and not all(challenges_at_hand(file) for file in names):
        return []
    return [file if Path(file).exists() else dataset_file(file) for file in names]


def challenges_data(wildcards):
    """The data of all seeds of a challenge."""
    seeds = challenges_block(wildcards.challenge)["seeds"]
    return [f"<results>/challenges/{wildcards.challenge}/data_{seed}.npz" for seed in seeds]


def challenges_outcomes(wildcards):
    """The outcomes of all variants and seeds of a challenge, the seeds of a variant side by side."""
    block = challenges_block(wildcards.challenge)
    folder = f"<results>/challenges/{wildcards.challenge}"
    return [f"{folder}/{variant}/seed_{seed}.npz" for variant in block["variants"] for seed in block["seeds"]]


def challenges_figures(wildcards):
    """The figures of a challenge."""
    folder = f"<results>/challenges/{wildcards.challenge}/figures"
    return [f"{folder}/{figure}.png" for figure in CHALLENGES_FIGURES[wildcards.challenge]]


def challenge_products(name):
    """What the target `challenge_<name>` asks for; files that cannot be are an error at once."""
    challenges_given(name)
    return [f"<results>/challenges/{name}/index.html", f"<results>/challenges/{name}/metrics.json"]


def challenges_products():
    """What the target `challenges` asks for."""
    return [
        "<results>/challenges/metrics.json",
        "<results>/challenges/index.html",
        *(path for name in challenges_names() for path in challenge_products(name)),
    ]


def challenges_exercise(name):
    """The text of an exercise, and of which method its answers stand beside."""
    if name not in CHALLENGES_EXERCISES:
        raise WorkflowError(
            f"challenges: {name} has no exercise; there are {', '.join(CHALLENGES_EXERCISES)}"
        )
    return read_yaml(f"resources/exercises/{name}.yaml")


def challenges_exercise_text(wildcards):
    """The same, of the challenge that the wildcards name."""
    return challenges_exercise(wildcards.challenge)


def challenges_exercise_seed(wildcards):
    """The seed whose data an exercise is of: the first."""
    return challenges_block(wildcards.challenge)["seeds"][0]


def challenges_exercise_data(wildcards):
    """The data that an exercise is made of."""
    seed = challenges_exercise_seed(wildcards)
    return f"<results>/challenges/{wildcards.challenge}/data_{seed}.npz"


def challenges_exercise_ours(wildcards):
    """The outcome of our method that an answer stands beside."""
    ours = challenges_exercise(wildcards.challenge)["ours"]
    seed = challenges_exercise_seed(wildcards)
    return f"<results>/challenges/{wildcards.challenge}/{ours['variant']}/seed_{seed}.npz"


def challenges_answer(wildcards):
    """The file that the notebook of an exercise writes; an error that says how if it is not there."""
    name = wildcards.challenge
    path = workflow.pathvars.apply(f"<results>/exercises/{name}/answer.py")
    if not Path(path).exists():
        raise WorkflowError(
            f"{path} is not there: `make exercise NAME={name}` makes the notebook beside it, which writes it"
        )
    return path


def exercise_products(name):
    """What the target `exercise_<name>` asks for."""
    folder = f"<results>/exercises/{name}"
    return [f"{folder}/original.ipynb", f"{folder}/data.npz"]
