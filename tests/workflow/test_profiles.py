"""What the profiles hold and what their scripts do, without a Slurm: stand-in commands say what they were asked."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROFILES = sorted((ROOT / "profiles").glob("*/profile.yaml"))


def shell(
    *command, folder: Path, commands: dict[str, str] | None = None, **variables: str
) -> subprocess.CompletedProcess:
    """Run a command in `folder` with stand-in `commands` (name -> shell text) first on the path."""
    place = folder / "commands"
    place.mkdir(exist_ok=True)
    for name, text in (commands or {}).items():
        (place / name).write_text(f"#!/bin/bash\n{text}\n")
        (place / name).chmod(0o755)
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("SBATCH_", "ARMILLARY_", "MAKE"))
    }
    environment = inherited | {"PATH": f"{place}:{os.environ['PATH']}"} | variables
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60
    )


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.parent.name)
def test_no_account_or_address_is_in_a_profile(path):
    settings = yaml.safe_load(path.read_text())
    values = [
        *settings.get("default-resources", {}),
        *(name for block in settings.get("set-resources", {}).values() for name in block),
    ]
    assert "slurm_account" not in values and "account" not in values
    assert not re.search(r"\w@\w", path.read_text())
    assert settings.get("jobs", 1) <= 900, "Narval takes 1000 jobs a user, running and waiting"


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.parent.name)
def test_a_profile_names_only_rules_that_there_are(path):
    settings = yaml.safe_load(path.read_text())
    rules = set(
        re.findall(r"^\s*rule (\w+):", "".join(p.read_text() for p in (ROOT / "rules").glob("*.smk")), flags=re.M)
    )
    named = {*settings.get("set-resources", {}), *settings.get("set-threads", {})}
    named |= set(filter(None, str(settings.get("slurm-array-jobs", "")).split(",")))
    assert named <= rules


def submit(folder, *words, **variables):
    """What narval/submit.sh would hand to sbatch."""
    script = ROOT / "profiles/narval/submit.sh"
    return shell("bash", script, *map(str, words), folder=folder, commands={"sbatch": 'echo "$@"'}, **variables)


def test_narval_is_asked_for_a_gpu_by_model_an_hour_at_least_and_no_partition(tmp_path):
    account = {"SBATCH_ACCOUNT": "def-someone"}
    asked = submit(tmp_path, "train", 12, 124000, 20, 2, "a100", "job.sh", **account, ARMILLARY_MAIL="who@where").stdout
    assert "--time=60" in asked and "--gpus-per-node=a100:2" in asked and "--mail-user=who@where" in asked
    assert "--partition" not in asked and "--account" not in asked
    asked = submit(tmp_path, "tile", 1, 3000, 90, 0, "a100", "job.sh", **account).stdout
    assert "--time=90" in asked and "gpu" not in asked and "mail" not in asked
    refused = submit(tmp_path, "tile", 1, 3000, 90, 0, "a100", "job.sh")
    assert refused.returncode != 0 and "export SBATCH_ACCOUNT=def-<name>" in refused.stderr


@pytest.mark.parametrize(
    ("squeue", "sacct", "told"),
    [
        ("echo RUNNING", "exit 1", "running"),
        ("echo COMPLETED", "exit 1", "success"),
        ("echo OUT_OF_MEMORY", "exit 1", "failed"),
        ("exit 1", "echo COMPLETED", "success"),
        ("exit 1", "echo 'CANCELLED by 1000'", "failed"),
        ("exit 1", "echo TIMEOUT", "failed"),
        ("exit 1", "exit 1", "running"),
    ],
)
def test_a_jobs_state_comes_from_squeue_then_sacct(squeue, sacct, told, tmp_path):
    script = ROOT / "profiles/narval/status.sh"
    asked = shell("bash", script, "7", folder=tmp_path, commands={"squeue": squeue, "sacct": sacct})
    assert asked.stdout.strip() == told


@pytest.mark.parametrize("site", ["narval", "bridges2"])
def test_a_sites_set_up_is_refused_elsewhere(site, tmp_path):
    done = shell("bash", ROOT / f"profiles/{site}/setup.sh", folder=tmp_path)
    assert done.returncode != 0
    assert "no 'module' command here" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("site", ["narval", "bridges2"])
def test_a_sites_set_up_builds_and_says_what_comes_next(site, tmp_path):
    """With stand-ins for what the site has, the script goes through and packs what it installed."""
    checkout = tmp_path / "checkout"
    (checkout / f"profiles/{site}").mkdir(parents=True)
    for name in (f"profiles/{site}/setup.sh", "requirements.lock"):
        (checkout / name).write_text((ROOT / name).read_text())
    python = '#!/bin/sh\n[ "$6" != GalSim ] && echo pip "$@" >> asked\n'  # the wheelhouse has all but one
    (checkout / "python").write_text(python)
    environment = "mkdir -p .venv/bin .venv/lib/python3.11/site-packages; install -m 755 python .venv/bin/python"
    commands = {"module": "exit 0", "virtualenv": environment, "make": 'echo make "$@" >> asked'}
    done = shell("bash", checkout / f"profiles/{site}/setup.sh", folder=checkout, commands=commands)
    assert done.returncode == 0, done.stderr
    assert f"snakemake clusters --profile {site}" in done.stdout
    asked = (checkout / "asked").read_text()
    assert "profiles" in asked.split()
    if site == "narval":
        assert (checkout / ".venv/site-packages.tar").exists() and (checkout / ".venv/.complete").exists()
        assert re.search(r"--no-index numpy\n", asked) and "pytest" not in asked
        assert re.search(r"install --quiet GalSim==\S+\n", asked)
