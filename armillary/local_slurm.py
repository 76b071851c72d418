"""A throw-away Slurm on this host, shaped like a real site, to rehearse a profile on before a real queue.

It has its own munge key, configuration and state in one folder, is reached through SLURM_CONF alone, and leaves
any other Slurm of the machine untouched. Nodes, GPUs and their names are make-believe; limits are enforced at
submission as the site enforces them. Needs root, slurmctld, slurmd and munged (Debian: slurm-wlm, munge).
"""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

N_DEVICES = 8
START_SECONDS = 30


class Site(NamedTuple):
    """What a site's Slurm looks like from outside. `{ports[k]}` in `nodes` is the port of the k-th node."""

    nodes: dict[str, str]  # name -> CPUs, memory and Gres as in slurm.conf
    partitions: list[str]
    submit_lua: str  # body of slurm_job_submit(job): may set job.partition, returns refuse("why") or nothing
    scratch_variable: str  # environment variable of the node's own disk


# ASSUME: the sizes and limits below are those the sites document; their real submit filters are not public.
# Narval has a default CPU partition here, so that a profile that lets one be named is caught.
NARVAL = Site(
    nodes={
        "ng1": "CPUs=48 RealMemory=510000 Gres=gpu:a100:4",
        "ng2": "CPUs=48 RealMemory=510000 Gres=gpu:a100_1g.5gb:2,gpu:a100_2g.10gb:2,gpu:a100_3g.20gb:4",
        "nc1": "CPUs=64 RealMemory=256000",
    },
    partitions=[
        "PartitionName=cpubase_bycore_b1 Nodes=nc1 MaxTime=3:00:00 Default=YES",
        "PartitionName=cpubase_bycore_b5 Nodes=nc1 MaxTime=7-00:00:00",
        "PartitionName=gpubase_bygpu_b5 Nodes=ng1,ng2 MaxTime=7-00:00:00",
    ],
    submit_lua="""
    local gpus = job.tres_per_node or job.tres_per_job or job.tres_per_task
    if job.account == nil then return refuse("an account is needed") end
    if not job.account:match("^def%-") and not job.account:match("^r[rp][gp]%-") then
        return refuse("no such account: " .. job.account)
    end
    if job.time_limit == slurm.NO_VAL then return refuse("a time limit is needed") end
    if gpus and not gpus:match("gpu:%a") then return refuse("a GPU model must be named") end
    if gpus and tonumber(gpus:match("a100_[%w.]+:(%d+)") or 1) > 1 then return refuse("one MIG instance a job") end
    if job.partition == nil then job.partition = gpus and "gpubase_bygpu_b5" or "cpubase_bycore_b5" end
""",
    scratch_variable="SLURM_TMPDIR",
)
BRIDGES2 = Site(
    nodes={
        "r001": "CPUs=128 RealMemory=256000",
        "v001": "CPUs=40 RealMemory=512000 Gres=gpu:v100-32:8",
        "h001": "CPUs=96 RealMemory=2000000 Gres=gpu:h100-80:8",
        "l001": "CPUs=64 RealMemory=1000000 Gres=gpu:l40s-48:8",
    },
    partitions=[
        "PartitionName=RM Nodes=r001 MaxTime=3-00:00:00 OverSubscribe=EXCLUSIVE Default=YES DefaultTime=1:00:00",
        "PartitionName=RM-shared Nodes=r001 MaxTime=3-00:00:00 MaxNodes=1 MaxCPUsPerNode=64 MaxMemPerCPU=2000",
        "PartitionName=GPU Nodes=v001,h001,l001 MaxTime=2-00:00:00 OverSubscribe=EXCLUSIVE",
        "PartitionName=GPU-shared Nodes=v001,h001,l001 MaxTime=2-00:00:00 MaxNodes=1",
    ],
    submit_lua="""
    local gpus = job.tres_per_node or job.tres_per_job or job.tres_per_task
    local n_gpus = gpus and tonumber(gpus:match(":(%d+)$") or 1) or 0
    if job.account and not job.account:match("^%l%l%l%d%d%d%d%d%dp$") then
        return refuse("no such account: " .. job.account)
    end
    if job.partition == "GPU-shared" and (n_gpus < 1 or n_gpus > 4) then return refuse("GPU-shared: 1 to 4 GPUs") end
    if job.partition == "GPU" and (n_gpus == 0 or n_gpus % 8 > 0) then return refuse("GPU: whole nodes of 8") end
""",
    scratch_variable="LOCAL",
)
PLAIN = Site(
    nodes={"c1": "CPUs=32 RealMemory=128000", "g1": "CPUs=32 RealMemory=128000 Gres=gpu:4"},
    partitions=["PartitionName=batch Nodes=c1,g1 MaxTime=1-00:00:00 Default=YES"],
    submit_lua="",
    scratch_variable="TMPDIR",
)
SITES = {"narval": NARVAL, "bridges2": BRIDGES2, "slurm": PLAIN}


def what_is_missing() -> str:
    """Why no throw-away Slurm can run here, in words; empty if it can."""
    absent = [name for name in ("slurmctld", "slurmd", "sbatch", "munged") if not shutil.which(name, path=_path())]
    if absent:
        return f"no {', '.join(absent)} here (Debian: apt-get install slurm-wlm munge)"
    return "" if os.geteuid() == 0 else "slurmd needs root"


@contextlib.contextmanager
def local_slurm(site: Site) -> Iterator[dict[str, str]]:
    """A running Slurm shaped like `site`; yields the environment in which its commands reach it.

    Jobs still running at the end are cancelled and every daemon that was started is stopped.
    """
    missing = what_is_missing()
    if missing:
        raise FileNotFoundError(missing)
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # a short path: sockets have at most 107 characters
    folder.chmod(0o755)
    environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": f"{folder}:{_path()}"}
    for name in [name for name in environment if name.startswith(("SLURM_JOB", "SBATCH_"))]:
        environment.pop(name)
    daemons = []
    try:
        _write_configuration(folder, site)
        daemons = _start(folder, site, environment)
        yield environment
    finally:
        if len(daemons) > 1:
            _cancel_all(environment)
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait()
        shutil.rmtree(folder, ignore_errors=True)


def slurm(environment: dict[str, str], *command: str) -> str:
    """What a Slurm command prints; a RuntimeError with what it complained of if it fails."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout + done.stderr


def submitted_jobs(environment: dict[str, str]) -> list[dict[str, str]]:
    """Every job so far as scontrol describes it, and under "Devices" the GPUs that its tasks saw ("none": none)."""
    described = slurm(environment, "scontrol", "--oneliner", "show", "job").splitlines()
    jobs = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in described if line.startswith("JobId=")]
    seen = Path(environment["SLURM_CONF"]).with_name("devices.txt")
    devices = dict(line.split(maxsplit=1) for line in seen.read_text().splitlines()) if seen.exists() else {}
    return [job | {"Devices": devices.get(job["JobId"], "none")} for job in jobs]


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def _write_configuration(folder: Path, site: Site) -> None:
    for name in ("state", "spool", "devices", "scratch"):
        (folder / name).mkdir()
    for number in range(N_DEVICES):
        os.mknod(folder / f"devices/nvidia{number}", 0o20600, os.makedev(195, number))
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    (folder / "prolog.sh").write_text(
        f'#!/bin/sh\necho "export {site.scratch_variable}={folder}/scratch"\n'
        f'echo "$SLURM_JOB_ID ${{CUDA_VISIBLE_DEVICES:-none}}" >> {folder}/devices.txt\n'
    )
    (folder / "prolog.sh").chmod(0o755)
    # Snakemake's plugin clears SLURM_CONF, which ours depends on, before it calls srun inside a job.
    srun = f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which("srun", path=_path())} "$@"\n'
    (folder / "srun").write_text(srun)
    (folder / "srun").chmod(0o755)
    (folder / "job_submit.lua").write_text(_submit_script(site))
    (folder / "gres.conf").write_text("\n".join(_device_lines(folder, site)) + "\n")
    (folder / "slurm.conf").write_text("\n".join(_configuration_lines(folder, site)) + "\n")


def _submit_script(site: Site) -> str:
    return (
        "local function refuse(why) slurm.log_user(why) return slurm.ERROR end\n"
        f"function slurm_job_submit(job, partitions, user)\n{site.submit_lua}\n    return slurm.SUCCESS\nend\n"
        "function slurm_job_modify(job, record, partitions, user) return slurm.SUCCESS end\n"
        "return slurm.SUCCESS\n"
    )


def _device_lines(folder: Path, site: Site) -> Iterator[str]:
    """gres.conf: the GPUs of a node share the make-believe devices, which nothing ever opens."""
    for node, facts in site.nodes.items():
        first = 0
        for gpus in [part for part in facts.partition("Gres=")[2].split(",") if part]:
            *model, count = gpus.split(":")[1:]
            last = first + int(count) - 1
            kind = f" Type={model[0]}" if model else ""
            yield f"NodeName={node} Name=gpu{kind} File={folder}/devices/nvidia[{first}-{last}]"
            first = last + 1


def _configuration_lines(folder: Path, site: Site) -> list[str]:
    host = socket.gethostname().partition(".")[0]
    controller, *ports = _free_ports(1 + len(site.nodes))
    nodes = [
        f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} {facts}"
        for (name, facts), port in zip(site.nodes.items(), ports, strict=True)
    ]
    return [
        "ClusterName=rehearsal",
        f"SlurmctldHost={host}(127.0.0.1)",
        f"SlurmctldPort={controller}",
        "SlurmUser=root",
        "AuthType=auth/munge",
        f"AuthInfo=socket={folder}/munge.socket,cred_expire=5",  # for so long a requeued job waits before it starts
        f"StateSaveLocation={folder}/state",
        f"SlurmdSpoolDir={folder}/spool/%n",
        f"SlurmctldPidFile={folder}/slurmctld.pid",
        f"SlurmdPidFile={folder}/slurmd.%n.pid",
        f"SlurmctldLogFile={folder}/slurmctld.log",
        f"SlurmdLogFile={folder}/slurmd.%n.log",
        f"TaskProlog={folder}/prolog.sh",
        "ProctrackType=proctrack/pgid",
        "TaskPlugin=task/none",
        "MpiDefault=none",
        "MailProg=/bin/true",
        "ReturnToService=2",
        "MinJobAge=86400",  # finished jobs stay known: without a database nothing else remembers them
        "SelectType=select/cons_tres",
        "SelectTypeParameters=CR_Core_Memory",
        "SlurmdParameters=config_overrides",
        "EnforcePartLimits=ALL",
        "JobSubmitPlugins=lua",
        "GresTypes=gpu",
        "MaxArraySize=10001",
        *nodes,
        *site.partitions,
    ]


def _free_ports(n_ports: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n_ports)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _start(folder: Path, site: Site, environment: dict[str, str]) -> list[subprocess.Popen]:
    """munged, slurmctld and a slurmd a node, in that order; returns once every node is idle."""
    munge = ["--foreground", "--force", f"--socket={folder}/munge.socket", f"--key-file={folder}/munge.key"]
    munge += [f"--pid-file={folder}/munge.pid", f"--seed-file={folder}/munge.seed", f"--log-file={folder}/munge.log"]
    commands = [["munged", *munge], ["slurmctld", "-D"], *(["slurmd", "-D", "-N", node] for node in site.nodes)]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    daemons = []
    for command in commands:
        daemons.append(subprocess.Popen(command, env=environment, start_new_session=True, **quiet))
        if command[0] == "munged":
            _wait_for(lambda: (folder / "munge.socket").exists(), folder)
    _wait_for(lambda: _node_states(environment) == {"idle"}, folder)
    return daemons


def _node_states(environment: dict[str, str]) -> set[str]:
    try:
        return set(slurm(environment, "sinfo", "--noheader", "--Node", "--format=%T").split())
    except RuntimeError:
        return set()


def _wait_for(condition, folder: Path) -> None:
    limit = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > limit:
            logs = "\n".join(f"{path.name}: {path.read_text()[-1500:]}" for path in sorted(folder.glob("*.log")))
            raise TimeoutError(f"the throw-away Slurm did not start within {START_SECONDS} s\n{logs}")
        time.sleep(0.1)


def _cancel_all(environment: dict[str, str]) -> None:
    """Cancel what still runs and wait a moment for it to end, so that no process outlives its Slurm."""
    subprocess.run(["scancel", "--user=root"], env=environment, capture_output=True)
    limit = time.monotonic() + START_SECONDS
    while time.monotonic() < limit and slurm(environment, "squeue", "--noheader").strip():
        time.sleep(0.2)
