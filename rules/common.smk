"""Functions that every rule set uses, and those of the small sets `resources` and `benchmarks`; no rule lives here."""

import shlex
import sys
from functools import cache
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator

from armillary.datasets import collection_datasets, manifest_entry
from armillary.headlines import check_headlines
from armillary.local_slurm import what_is_missing
from armillary.script_imports import modules_needed

# Snakemake puts its Python into shell commands as it is, and without quotes a space in a folder's name ends every script
sys.executable = shlex.quote(sys.executable)


@cache
def read_yaml(path: str):
    """A YAML file of the checkout, read once a start and by the C parser where there is one: it is ten times faster."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(Path(workflow.basedir, path).read_text(), Loader=loader)


DATASETS = read_yaml("resources/datasets.yaml")


def code_of(script: str) -> list[str]:
    """The modules of `armillary` that a script imports, directly or not: an edit of any of them re-runs its rule."""
    root = Path(workflow.basedir)
    return [str(path.relative_to(root)) for path in modules_needed(root / script, root)] + [script]


def check_settings(settings, name: str) -> None:
    """Hold settings against config/schemas/<name>.yaml; the first thing wrong ends the run with one line."""
    schema = read_yaml(f"config/schemas/{name}.yaml")
    error = next(Draft202012Validator(schema).iter_errors(settings), None)
    if error is not None:
        place = ": ".join(str(key) for key in error.absolute_path) or "top level"
        wanted = f" ({error.schema['description']})" if "description" in error.schema else ""
        # a file that holds no settings has hundreds of unexpected keys: the first few say enough
        message = error.message if len(error.message) <= 300 else f"{error.message[:300]} ..."
        raise WorkflowError(f"config, {name}: {place}: {message}{wanted}")


def read_headlines(rule_set):
    """The table of a rule set's headlines, checked."""
    table = read_yaml(f"config/headlines/{rule_set}.yaml")
    check_settings(table, "headlines")
    check_headlines(table, rule_set)
    return table


def dataset_file(dataset):
    """Path of one downloaded file; a ValueError now rather than a failed job later if the manifest lacks it."""
    return f"resources/downloads/{manifest_entry(DATASETS, dataset)['dataset']}"


def collection_files(folder):
    """Paths of all downloaded files of a collection."""
    return [dataset_file(dataset) for dataset in collection_datasets(DATASETS, folder)]


def dataset_entry(wildcards):
    """What the manifest says of the file that is being fetched."""
    return manifest_entry(DATASETS, wildcards.dataset)


def benchmarks_light_steps():
    """Scripts of the scoring and figure steps, whose start-up must stay short."""
    folder = Path(workflow.basedir, "scripts/clusters")
    steps = [path for verb in ("score", "plot", "summarise") for path in sorted(folder.glob(f"{verb}_*.py"))]
    return [str(path.relative_to(workflow.basedir)) for path in steps]


def benchmarks_products():
    """What the target `benchmarks` asks for."""
    names = [
        "renderers",
        "render_processes",
        "windows",
        "encoders",
        "imports",
        "survey_plans",
        "remaps",
        "wiener",
        "masked_training",
    ]
    names += [] if what_is_missing() else ["executors"]
    return [f"<results>/benchmarks/{name}.json" for name in names]


# The rule sets that end in a metrics.json, and the names of their steps.
STEPS_OF_RULE_SETS = {
    name: sorted(path.stem for path in Path(workflow.basedir, "scripts", name).glob("*.py"))
    for name in ("clusters", "cmb", "massmap", "hsc", "mim", "challenges")
}
