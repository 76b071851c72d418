"""One training in several processes, one a GPU: how they are started, and how they agree."""

import multiprocessing
import os
import signal

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from armillary.interruption import Interrupted
from armillary.step import announce


def share_training(train, n_processes: int, run) -> None:
    """Call `train(run, device)`, a function of a module, in that many processes of this machine: each takes its share
    of one training, and what they leave in the folder of `run` is the finished state.

    They are started as torchrun starts them; an error in one ends them all and is raised here, and so is `Interrupted`
    if they were asked to stop. SIGTERM is passed on to them, and they stop when they are ready.
    """
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch  # slow to import

    config = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=n_processes, rdzv_backend="c10d", rdzv_endpoint="localhost:0",
        run_id=str(os.getpid()), max_restarts=0, start_method="spawn",
        signals_to_handle="SIGINT",  # its answer to SIGTERM is to kill after half a minute
    )  # fmt: skip
    before = signal.signal(signal.SIGTERM, _pass_on)
    try:
        n_threads = max(torch.get_num_threads() // n_processes, 1)
        interruptions = elastic_launch(config, _take_share)(train, run, n_threads)
    finally:
        signal.signal(signal.SIGTERM, before)
    if any(interruptions.values()):
        raise Interrupted(interruptions[0])


def _take_share(train, run, n_threads: int) -> str:
    """What one of the processes does; what interrupted it, "" if nothing did."""
    torch.set_num_threads(n_threads)
    device = join()
    rank, n_processes = rank_and_size()
    announce(f"process {rank + 1} of {n_processes} on {device}, {n_threads} threads")
    try:
        train(run, device)
    except Interrupted as interruption:
        return str(interruption)
    finally:
        leave()
    return ""


def _pass_on(number: int, frame) -> None:
    for process in multiprocessing.active_children():
        process.terminate()


def join() -> str:
    """Join the group of processes that torchrun's environment names, if there is one; the device of this process."""
    has_gpu = torch.cuda.is_available()
    if "WORLD_SIZE" not in os.environ:
        return "cuda" if has_gpu else "cpu"
    dist.init_process_group("nccl" if has_gpu else "gloo")
    if not has_gpu:
        return "cpu"
    device = int(os.environ["LOCAL_RANK"])
    torch.cuda.set_device(device)
    return f"cuda:{device}"


def leave() -> None:
    """Leave the group, if this process is in one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def rank_and_size() -> tuple[int, int]:
    """This process's number and how many train together; (0, 1) alone."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def averaging_gradients(network: nn.Module) -> nn.Module:
    """The network, with gradients averaged over the processes after each backward pass."""
    return DistributedDataParallel(network) if dist.is_initialized() else network


def as_first_process_says(value: float) -> float:
    """The first process's value in every process, so that all of them decide alike."""
    if not dist.is_initialized():
        return value
    told = [value]
    dist.broadcast_object_list(told, src=0)
    return told[0]


def any_process_says(flag: bool, device: str) -> bool:
    """Whether the flag is true in one process at least, so that all of them stop after the same step."""
    if not dist.is_initialized():
        return flag
    said = torch.tensor(float(flag), device=device)
    dist.all_reduce(said, dist.ReduceOp.MAX)
    return bool(said)
