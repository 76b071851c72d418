"""The Makefile says what it will do, refuses an old Python in one line, and links profiles where asked."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = re.findall(r"^([a-z0-9-]+):", MAKEFILE, flags=re.M)

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="no make here")


def make(*arguments, folder=ROOT, **environment):
    """Run make away from the make that may have started these tests."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "MFLAGS"}
    command = ["make", *map(str, arguments)]
    return subprocess.run(
        command,
        cwd=folder,
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture
def checkout(tmp_path):
    """A folder with a space in its name that holds what `make` needs before the environment exists."""
    folder = tmp_path / "a checkout"
    folder.mkdir()
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "profiles", folder / "profiles")
    return folder


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_can_be_planned(target, checkout):
    planned = make("-n", target, folder=checkout)
    assert planned.returncode == 0, planned.stderr


def test_help_lists_every_target():
    shown = make().stdout
    assert [line.split()[1] for line in shown.splitlines()] == TARGETS


def test_demo_runs_the_chain_then_the_report(checkout):
    planned = make("-n", "demo", "CORES=3", folder=checkout).stdout
    assert "-m snakemake clusters --configfile config/demo.yaml --cores 3" in planned
    assert planned.index("pip install") < planned.index("--cores 3") < planned.index("snakemake report")


def test_a_home_that_cannot_be_written_is_let_be(checkout):
    """Snakemake would end in a traceback there: its cache goes into the checkout instead."""
    (checkout / "home").mkdir()
    for home, cached in [(checkout / "home", False), ("/dev/null", True)]:
        told = make("--print-data-base", "--dry-run", "help", folder=checkout, HOME=str(home), XDG_CACHE_HOME="").stdout
        assert (f"XDG_CACHE_HOME := {checkout}/.snakemake/cache" in told) == cached


@pytest.mark.parametrize("python", ["/bin/false", "no-such-python"])
def test_a_python_that_will_not_do_is_refused_in_one_line(python, checkout):
    refused = make("setup", f"PYTHON={python}", folder=checkout)
    assert refused.returncode != 0
    assert f"needs Python 3.11 or newer; found '{python}'. Name one: make PYTHON=" in refused.stderr
    assert not (checkout / ".venv").exists()


def test_the_notebook_of_an_exercise_is_copied_once_and_never_overwritten(checkout):
    """With a stand-in for Snakemake, which makes the notebook as it is before a student has touched it."""
    (checkout / ".venv/bin").mkdir(parents=True)
    folder = checkout / "results/exercises/rings"
    python = checkout / ".venv/bin/python"
    python.write_text(
        "#!/bin/sh\nmkdir -p results/exercises/rings\necho made > results/exercises/rings/original.ipynb\n"
    )
    python.chmod(0o755)
    (checkout / ".venv/.complete").touch()
    (checkout / "resources/exercises").mkdir(parents=True)
    shutil.copy(ROOT / "resources/exercises/rings.yaml", checkout / "resources/exercises")
    for content in ("made\n", "mine\n"):
        ran = make("exercise", "NAME=rings", folder=checkout)
        assert ran.returncode == 0, ran.stderr
        assert (folder / "exercise.ipynb").read_text() == content and "exercise_score_rings" in ran.stdout
        (folder / "exercise.ipynb").write_text("mine\n")
    for name in ("", "ring"):
        refused = make("exercise", f"NAME={name}", folder=checkout)
        assert refused.returncode != 0 and f"make exercise NAME={name}: name one of rings" in refused.stderr


def test_profiles_are_linked_where_snakemake_looks(checkout, tmp_path):
    (tmp_path / "config/snakemake/narval").mkdir(parents=True)
    linked = make("profiles", folder=checkout, XDG_CONFIG_HOME=str(tmp_path / "config"))
    assert linked.returncode == 0, linked.stderr
    assert (tmp_path / "config/snakemake/slurm/profile.yaml").read_text() == (
        ROOT / "profiles/slurm/profile.yaml"
    ).read_text()
    assert "narval is there already and no link; left as it is" in linked.stderr
    assert list((tmp_path / "config/snakemake/narval").iterdir()) == []


def test_the_lock_file_pins_every_dependency():
    lines = [
        line for line in (ROOT / "requirements.lock").read_text().splitlines() if line and not line.startswith("#")
    ]
    pins = dict(line.split("==") for line in lines)
    assert not [version for version in pins.values() if "+" in version]
    wanted = re.findall(r'^    "([\w-]+)[>=]=', (ROOT / "pyproject.toml").read_text(), flags=re.M)
    assert {name.lower() for name in wanted} <= {name.lower() for name in pins}


def test_a_step_runs_in_a_folder_with_a_space(tmp_path):
    folder = tmp_path / "my checkout"
    for name in ("Snakefile", "rules", "config", "scripts", "armillary", "resources", "profiles"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        folder.mkdir(exist_ok=True)
        copy(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
    product = "results/test/clusters/catalogs/truth_00000.dat"
    command = [
        folder / ".venv/bin/python",
        "-m",
        "snakemake",
        product,
        "--configfile",
        "config/test.yaml",
        "--cores",
        "1",
    ]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert (folder / product).exists(), ran.stderr
