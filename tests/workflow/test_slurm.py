"""The site profiles on a throw-away Slurm shaped like each site: requests placed, requests refused, the chain run.

The first site runs the cluster chain at its smallest to its metrics; the others train and score anew in the same
results. ARMILLARY_SLURM=full makes every site run all of it, figures too. A new test of a site takes `site`:
`site.run()`, `site.jobs_of(rule)`, and `slurm(site.environment, "scancel", ...)` or any other command.
"""

import contextlib
import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from armillary.des import standin_tile_names
from armillary.files import read_catalog
from armillary.local_slurm import SITES, local_slurm, slurm, submitted_jobs, what_is_missing

ROOT = Path(__file__).parents[2]
ACCOUNTS = {"narval": "def-someone", "bridges2": "abc123456p", "slurm": "anyone"}
SMALLEST = """
clusters:
  nfiles: 16
  validation_fraction: 0.5
  infer_shard: {source: empty, tile_list: tiles.txt, n_tiles_per_shard: 2}
"""
HURRY = (
    "--jobs 4 --retries 0 --latency-wait 20 --max-jobs-per-timespan 100/1s --seconds-between-status-checks 1".split()
)
PLUGIN = "--slurm-status-command squeue --slurm-init-seconds-before-status-checks 2".split()
FULL = os.environ.get("ARMILLARY_SLURM") == "full"

pytestmark = pytest.mark.skipif(bool(what_is_missing()), reason=what_is_missing() or "-")


class Rehearsal(SimpleNamespace):
    """A site that runs: `name` of its profile, `environment` of its commands, `checkout` that jobs run in."""

    def start(self, *arguments: str, settings: str = "", n_gpus: int = 1, **variables: str) -> subprocess.Popen:
        """Snakemake with the site's profile at test size; what follows the targets may override settings."""
        (self.checkout / "more.yaml").write_text(SMALLEST + f"  n_gpus: {n_gpus}\n{settings}")
        command = [sys.executable, "-m", "snakemake", *arguments, "--profile", f"profiles/{self.name}"]
        command += ["--nolock", "--configfile", "config/test.yaml", "more.yaml"]
        environment = {name: value for name, value in (self.environment | variables).items() if value}
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(command, cwd=self.checkout, env=environment, **pipes)

    def snakemake(self, *arguments: str, **more) -> subprocess.CompletedProcess:
        """What Snakemake says, and its exit status."""
        process = self.start(*arguments, **more)
        said, _ = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, said, "")

    def run(self, *arguments: str, **more) -> subprocess.CompletedProcess:
        """A real run: every job but the local ones goes through this Slurm."""
        return self.snakemake(*arguments, *HURRY, *self.plugin, **more)

    @property
    def plugin(self) -> list[str]:
        return [] if self.name == "narval" else PLUGIN

    def jobs_of(self, rule: str) -> list[dict[str, str]]:
        """The jobs that this Slurm was given for a rule."""
        jobs = submitted_jobs(self.environment)
        return [job for job in jobs if re.fullmatch(rf"(rule_)?{rule}(_wildcards.*)?", job.get("Comment", ""))]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A copy of the checkout without results, for all sites in turn."""
    folder = tmp_path_factory.mktemp("checkout") / "armillary"
    left_out = shutil.ignore_patterns(
        ".venv", ".git", "results", "downloads", "__pycache__", ".snakemake", ".ruff_cache"
    )
    shutil.copytree(ROOT, folder, ignore=left_out)
    (folder / "tiles.txt").write_text("\n".join(standin_tile_names(5)) + "\n")
    return folder


@pytest.fixture(scope="module", params=SITES)
def site(request, checkout):
    """Each site in turn, running."""
    with contextlib.ExitStack() as stack:
        try:
            environment = stack.enter_context(local_slurm(SITES[request.param]))
        except (OSError, TimeoutError) as error:  # a container may refuse device nodes, or munge its socket
            pytest.skip(f"no Slurm can run here: {str(error).splitlines()[0]}")
        environment |= {"SBATCH_ACCOUNT": ACCOUNTS[request.param], "OMP_NUM_THREADS": "1", "ARMILLARY_MIRROR": ""}
        environment |= {"GOMP_SPINCOUNT": "0"}  # jobs share few cores
        yield Rehearsal(name=request.param, environment=environment, checkout=checkout)


METRICS = "results/test/clusters/metrics.json"
SCORE = "results/test/clusters/scores/score_fields.json"


def test_the_chain_runs_with_its_gpu(site):
    """The chain through the site's queue; training really held the GPU that the profile asks for."""
    forced = [] if site.name == "narval" else ["--forcerun", "clusters_train_encoder"]
    target = METRICS if site.name == "narval" else SCORE
    done = site.run("clusters", "--forceall") if FULL else site.run(target, *forced)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    (training,) = site.jobs_of("clusters_train_encoder")
    asked = {"narval": "gres:gpu:a100:1", "bridges2": "gres:gpu:l40s-48:1", "slurm": "gpu:1"}[site.name]
    assert asked in (training.get("TresPerNode"), training.get("TresPerJob", "").removeprefix("gres:"))
    assert training["JobState"] == "COMPLETED"
    assert training["Devices"] != "none"
    place = {"narval": ("gpubase_bygpu_b5", "ng1"), "bridges2": ("GPU-shared", "l001"), "slurm": ("batch", "g1")}
    assert (training["Partition"], training["NodeList"]) == place[site.name]
    others = [job for job in submitted_jobs(site.environment) if job["JobId"] != training["JobId"]]
    assert others and {job["Devices"] for job in others} == {"none"}
    assert all(job["Account"] == ACCOUNTS[site.name] for job in [training, *others])


# --- jobs that are killed, and jobs with two GPUs


CHECKPOINT = "results/test/clusters/checkpoints/best_encoder.ckpt"
LONGER = "  train_encoder: {n_epochs: 10, patience: 99, batch_size: 2}\n"  # of four training fields


def training_process(checkout: Path) -> int:
    """The process that trains, on whatever node."""
    pattern = rf"{checkout}/.snakemake/scripts/\w+.train_encoder.py"
    return int(subprocess.run(["pgrep", "--newest", "--full", pattern], capture_output=True, text=True).stdout)


def wait_until(condition, seconds: float = 120) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "waited too long"
        time.sleep(0.1)


def kill(site: Rehearsal, job: dict[str, str]) -> None:
    """No warning at all, as when memory runs out."""
    os.kill(training_process(site.checkout), signal.SIGKILL)


def scancel(site: Rehearsal, job: dict[str, str]) -> None:
    slurm(site.environment, "scancel", job["JobId"])


def reach_time_limit(site: Rehearsal, job: dict[str, str]) -> None:
    slurm(site.environment, "scontrol", "update", f"JobId={job['JobId']}", "EndTime=now+1seconds")


def fail_node(site: Rehearsal, job: dict[str, str]) -> None:
    slurm(site.environment, "scontrol", "update", f"NodeName={job['NodeList']}", "State=DOWN", "Reason=test")


INTERRUPTIONS = {"narval": [kill, scancel], "slurm": [reach_time_limit, fail_node]}


@pytest.fixture(scope="module")
def uninterrupted(checkout) -> tuple[bytes, list[dict]]:
    """Checkpoint and history of a training that nothing disturbs, in this process's own Snakemake."""
    (checkout / "long.yaml").write_text(SMALLEST + "  n_gpus: 1\n" + LONGER)  # as many threads as on the sites
    command = [sys.executable, "-m", "snakemake", CHECKPOINT, "--cores", "2", "--nolock", "--configfile"]
    done = subprocess.run(
        [*command, "config/test.yaml", "long.yaml"], cwd=checkout, capture_output=True, text=True,
        stdin=subprocess.DEVNULL, env=os.environ | {"GOMP_SPINCOUNT": "0", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return trained(checkout)


def trained(checkout: Path) -> tuple[bytes, list[dict]]:
    """A finished training: the bytes of its checkpoint, and its history but for the seconds that it took."""
    with open(checkout / "results/test/clusters/checkpoints/training_0/history.csv") as stream:
        history = [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(stream)]
    return (checkout / CHECKPOINT).read_bytes(), history


def test_an_interrupted_training_ends_the_same(site, uninterrupted):
    """Killed by each way that there is, training goes on where it was, and ends with the very same bytes."""
    if site.name not in INTERRUPTIONS:
        pytest.skip("tried on one site an executor")
    shutil.rmtree(site.checkout / "results/test/clusters/checkpoints")
    log = site.checkout / "results/test/clusters/logs/all_tries/train_encoder_0.log"
    log.unlink(missing_ok=True)
    run = site.start(CHECKPOINT, *HURRY, "--retries", "2", *site.plugin, settings=LONGER)
    for number, interrupt in enumerate(INTERRUPTIONS[site.name], start=1):
        wait_until(lambda epoch=2 * number: log.exists() and f"epoch {epoch}/" in log.read_text())
        process = training_process(site.checkout)
        os.kill(process, signal.SIGSTOP)  # so that it does not end before Slurm acts
        (job,) = [job for job in site.jobs_of("clusters_train_encoder") if job["JobState"] == "RUNNING"]
        interrupt(site, job)
        state = ["squeue", "--noheader", "--states=all", "--format=%T", f"--jobs={job['JobId']}"]
        wait_until(lambda state=state: slurm(site.environment, *state).strip() != "RUNNING")
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGCONT)
    said, _ = run.communicate()
    assert run.returncode == 0, said[-4000:]
    told = log.read_text()
    assert told.count("training fields") == 1 + len(INTERRUPTIONS[site.name]), told  # nothing of an earlier try is lost
    n_stopped = len(re.findall(r"Interrupted: asked to end by SIGTERM; stopped in epoch \d+ after step [12];", told))
    assert n_stopped == sum(interrupt is not kill for interrupt in INTERRUPTIONS[site.name]), told
    assert len(re.findall(r"resumed after epoch \d+ and [12] steps more", told)) == n_stopped
    checkpoint, history = trained(site.checkout)
    assert history == uninterrupted[1]
    assert checkpoint == uninterrupted[0]


def test_two_gpus_train_together(site, uninterrupted):
    """The profile asks for as many GPUs as the config says; two processes train as one does."""
    if site.name != "bridges2":
        pytest.skip("tried where the request for GPUs is no resource of the job")
    shutil.rmtree(site.checkout / "results/test/clusters/checkpoints")
    done = site.run(CHECKPOINT, settings=LONGER, n_gpus=2)
    assert done.returncode == 0, done.stdout[-4000:]
    job = site.jobs_of("clusters_train_encoder")[-1]
    assert "gres:gpu:l40s-48:2" in (job.get("TresPerNode"), job.get("TresPerJob"))
    assert job["Devices"].count(",") == 1 and job["NumCPUs"] == "16"
    told = (site.checkout / "results/test/clusters/logs/train_encoder_0.log").read_text()
    assert "process 1 of 2 on cpu" in told and "process 2 of 2 on cpu" in told
    two, one = trained(site.checkout)[1][-1], uninterrupted[1][-1]
    assert float(two["validation_loss"]) == pytest.approx(float(one["validation_loss"]), rel=0.05)
    assert float(two["validation_pr_auc"]) == pytest.approx(float(one["validation_pr_auc"]), abs=0.02)


def test_a_survey_is_one_array(site):
    """Three shards of stand-in tiles go in as one array where the executor has arrays, and are merged."""
    if site.name != "bridges2":
        pytest.skip("tried on one site: cluster-generic has no arrays, and the slurm profile has the same one")
    done = site.run("clusters_survey")
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    shards = [job for job in submitted_jobs(site.environment) if "ArrayTaskId" in job]
    assert len({job["ArrayJobId"] for job in shards}) == 1
    assert len(shards) == 3
    footprint = read_catalog(str(site.checkout / "results/test/clusters/survey/all/footprint.dat"))
    assert footprint.tile.tolist() == standin_tile_names(5)


REFUSED = {
    "narval": [
        ("--time=60 --gpus-per-node=1", "a GPU model must be named"),
        ("--time=60 --gpus-per-node=a100:5", "node configuration is not available"),
        ("--time=60 --gpus-per-node=h100:1", "node configuration is not available"),
        ("--time=60 --gpus-per-node=a100_3g.20gb:2", "one MIG instance"),
        ("--time=10081 --gpus-per-node=a100:1", "time limit"),
        ("--gpus-per-node=a100:1", "a time limit is needed"),
        ("--time=60 --partition=cpubase_bycore_b1 --gpus-per-node=a100:1", "node configuration is not available"),
        ("--time=60 --account=someone", "no such account"),
        ("--time=60 --cpus-per-task=65", "More processors requested"),
    ],
    "bridges2": [
        ("--partition=GPU-shared --time=60 --gpus-per-node=l40s:1", "node configuration is not available"),
        ("--partition=GPU-shared --time=60 --gpus-per-node=l40s-48:5", "1 to 4 GPUs"),
        ("--partition=GPU-shared --time=2881 --gpus-per-node=l40s-48:1", "time limit"),
        ("--partition=GPU-shared --time=60", "1 to 4 GPUs"),
        ("--partition=GPU --time=60 --gpus-per-node=v100-32:4", "whole nodes"),
        ("--partition=RM-shared --time=60 --gpus-per-node=l40s-48:1", "node configuration is not available"),
        ("--partition=RM-shared --time=60 --cpus-per-task=65", "More processors|not available|limit"),
        ("--partition=GPU-small --time=60 --gpus-per-node=v100-32:1", "[Ii]nvalid partition"),
        ("--partition=RM-shared --time=60 --account=def-someone", "no such account"),
    ],
    "slurm": [
        ("--time=1441", "time limit"),
        ("--time=60 --gpus=5", "not available"),
        ("--time=60 --partition=debug", "[Ii]nvalid partition"),
    ],
}


def test_what_the_site_refuses_is_refused(site):
    for request, why in REFUSED[site.name]:
        with pytest.raises(RuntimeError, match=why):
            slurm(site.environment, "sbatch", "--test-only", *request.split(), "--wrap=true")


PARTITION = ["--set-resources", "clusters_plot_training:slurm_partition=debug"]
WRONG = {  # rule that is run, environment and arguments that make its request wrong
    "narval": [("train_encoder", {"ARMILLARY_GPU": "h100"}, []), ("plot_training", {"SBATCH_ACCOUNT": ""}, [])],
    "bridges2": [
        ("train_encoder", {"ARMILLARY_GPU": "l40s"}, []),
        ("plot_training", {"SBATCH_ACCOUNT": "def-someone"}, []),
    ],
    "slurm": [("plot_training", {}, PARTITION)],
}


def test_a_wrong_request_ends_the_run_at_submission(site):
    """A GPU, account or partition that the site does not have is an error of the run, not a job that waits for ever."""
    for step, variables, arguments in WRONG[site.name]:
        rule = f"clusters_{step}"
        known = {job["JobId"] for job in site.jobs_of(rule)}
        done = site.run("clusters", "--forcerun", rule, "--until", rule, *arguments, **variables)
        assert done.returncode != 0, rule
        new = [job for job in site.jobs_of(rule) if job["JobId"] not in known]
        assert all((job["JobState"], job["RunTime"]) == ("FAILED", "00:00:00") for job in new), (rule, new)
    assert {"narval": "no account: export SBATCH_ACCOUNT=def-<name>"}.get(site.name, "") in done.stdout + done.stderr


# --- every rule of every rule set


TARGETS = "clusters clusters_tiles clusters_survey cmb massmap hsc mim challenges benchmarks".split()
TARGETS += ["mim_label_efficiency"]


class Resources(dict):
    """A job's resources as the executor plugin reads them."""

    def __getattr__(self, name):
        return self[name]


def planned_jobs(site: Rehearsal) -> dict[str, tuple[int, Resources]]:
    """Rule -> threads and resources of one of its jobs, from a dry run of all targets with the site's profile."""
    done = site.snakemake(
        *TARGETS, "--dry-run", "--forceall", "--cores", "64", settings="cmb: {n_gpus: 1}\nmim: {n_gpus: 1}\n"
    )
    assert done.returncode == 0, done.stdout[-3000:]
    jobs = {}
    for block in re.split(r"^(?=(?:rule|localrule) \w+:$)", done.stdout + done.stderr, flags=re.M)[1:]:
        rule = re.match(r"(rule|localrule) (\w+):", block)
        threads = re.search(r"^    threads: (\d+)$", block, flags=re.M)
        resources = re.search(r"^    resources: (.*)$", block, flags=re.M)
        pairs = [pair.partition("=") for pair in resources[1].split(", ")]
        values = {name: int(value) if value.isdigit() else value for name, _, value in pairs if value != "<TBD>"}
        if rule[1] == "rule":
            jobs[rule[2]] = (int(threads[1]) if threads else 1, Resources(values))
    return jobs


def submit_command(site: Rehearsal, rule: str, threads: int, resources: Resources) -> str:
    """The sbatch call that the site's executor would make for a job, turned into a question."""
    if site.name == "narval":
        words = [rule, threads, resources.mem_mb, resources.runtime, resources.gpu, resources.gpu_model, "smallest.sh"]
        return "bash profiles/narval/submit.sh " + " ".join(map(str, words))
    from snakemake_executor_plugin_slurm.submit_string import get_submit_command
    from snakemake_executor_plugin_slurm.utils import set_gres_string

    job = SimpleNamespace(resources=resources, threads=threads)
    partition = f"-p {resources['slurm_partition']}" if "slurm_partition" in resources else ""
    names = {"run_uuid": "-", "slurm_logfile": "-", "comment_str": rule, "account": "", "workdir": ""}
    return get_submit_command(job, names | {"partition": partition}) + set_gres_string(job) + " smallest.sh"


def test_every_rule_is_accepted(site, tmp_path):
    asking = tmp_path / "sbatch"
    asking.write_text(f'#!/bin/sh\nexec {shutil.which("sbatch")} --test-only "$@"\n')
    asking.chmod(0o755)
    (site.checkout / "smallest.sh").write_text("#!/bin/sh\n")
    environment = site.environment | {"PATH": f"{tmp_path}:{site.environment['PATH']}"}
    jobs = planned_jobs(site)
    assert {"clusters_train_encoder", "clusters_infer_shard", "cmb_train_network", "massmap_train_score"} <= set(jobs)
    assert {"benchmarks_compare_renderers", "mim_train_network", "challenges_train_variant"} <= set(jobs)
    for rule, (threads, resources) in jobs.items():
        command = submit_command(site, rule, threads, resources)
        asked = subprocess.run(command, shell=True, cwd=site.checkout, env=environment, capture_output=True, text=True)
        assert asked.returncode == 0, f"{rule}: {command}: {asked.stderr}"
        assert "to start at" in asked.stderr, f"{rule}: {asked.stderr}"
