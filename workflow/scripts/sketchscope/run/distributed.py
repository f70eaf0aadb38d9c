"""Several processes that train one network: each takes a share of every batch, and all hold the same weights."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import nn

from ..errors import InputError
from .job import on_stop

FIRST_PORT, PORTS = 20000, 10000  # range of ports at which the processes of several nodes meet


class Team(NamedTuple):
    """The processes that train together, as one of them sees it; by default this process is alone."""

    rank: int = 0
    """Number of this process, from 0."""
    size: int = 1
    """Number of processes."""

    @property
    def share(self) -> slice:
        """The examples of a batch that this process takes."""
        return slice(self.rank, None, self.size)

    def wrap(self, network: nn.Module) -> nn.Module:
        """Wrap a network so that its gradients are averaged over all processes."""
        return network if self.size == 1 else nn.parallel.DistributedDataParallel(network)

    def agree(self, answer: bool) -> bool:
        """Return the answer of the first process in all processes."""
        if self.size == 1:
            return answer
        shared = torch.tensor([answer])
        dist.broadcast(shared, 0)
        return bool(shared.item())

    def mean(self, value: torch.Tensor) -> torch.Tensor:
        """Average a value over all processes."""
        if self.size > 1:
            dist.all_reduce(value)
        return value / self.size

    def check_batch(self, batch_size: int) -> None:
        """Check that all processes get the same number of examples.

        Raises
        ------
        InputError
            If they do not.
        """
        if batch_size % self.size:
            raise InputError(
                f"diffusion.batch_size is {batch_size}; to share it out to {self.size} GPUs it must be a multiple of"
                f" {self.size}"
            )


def is_launched() -> bool:
    """Check whether `launch` started this process."""
    return dist.is_torchelastic_launched()


@contextmanager
def join_team(device: torch.device) -> Iterator[Team]:
    """Join the processes that `launch` started along with this one; a process of its own is a team of one."""
    if not is_launched():
        yield Team()
        return
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    try:
        yield Team(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


def launch(script: str, processes: int, nodes: int = 1) -> int:
    """Run a Python script in several processes and wait for them.

    Parameters
    ----------
    script : str
        Path of the script, the same on all nodes.
    processes : int
        Number of processes on all nodes together, one per GPU.
    nodes : int
        Nodes of this SLURM job to spread them over.

    Returns
    -------
    int
        Exit status, 0 if all of them succeeded.
    """
    if processes % nodes:
        sys.exit(f"Error: {processes} GPUs on {nodes} nodes; every node must have the same number of GPUs")
    torchrun = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes // nodes}"]
    if nodes == 1:
        command = [*torchrun, "--standalone", script]
    else:
        command = [*_build_srun(nodes), *torchrun, *_choose_meeting_point(nodes), script]
    process = subprocess.Popen(command, env=_build_environment())
    with on_stop(lambda *_: process.terminate()):
        return process.wait()


def _build_srun(nodes: int) -> list[str]:
    """Build the srun command: one task per node, beside the running step, with all CPUs and GPUs of the job."""
    return ["srun", "--overlap", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", "--cpu-bind=none"]


def _choose_meeting_point(nodes: int) -> list[str]:
    """Choose where the processes meet: on this node, at a port that depends on the job so that two jobs differ."""
    job = int(os.environ["SLURM_JOB_ID"])
    endpoint = f"{platform.node()}:{FIRST_PORT + job % PORTS}"
    return [f"--nnodes={nodes}", "--rdzv-backend=c10d", f"--rdzv-endpoint={endpoint}", f"--rdzv-id={job}"]


def _build_environment() -> dict[str, str]:
    """Copy the environment without the variables of the running step, which srun would apply to the new one."""
    kept = ("SLURM_JOB_ID", "SLURM_JOB_PARTITION")
    return {key: value for key, value in os.environ.items() if not key.startswith("SLURM_") or key in kept}
