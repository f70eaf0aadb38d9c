"""Several processes that train one network: a share of every batch each, the same weights in all of them."""

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

FIRST_PORT, PORTS = 20000, 10000  # where the processes of several nodes meet


class Team(NamedTuple):
    """The processes that train together, as one of them sees it; alone by default."""

    rank: int = 0
    size: int = 1

    @property
    def share(self) -> slice:
        """The examples of a batch that are this process's."""
        return slice(self.rank, None, self.size)

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network, its gradients averaged over all processes."""
        return network if self.size == 1 else nn.parallel.DistributedDataParallel(network)

    def agree(self, answer: bool) -> bool:
        """What the first process answers, for all."""
        if self.size == 1:
            return answer
        said = torch.tensor([answer])
        dist.broadcast(said, 0)
        return bool(said.item())

    def mean(self, value: torch.Tensor) -> torch.Tensor:
        """Mean of a value over all processes."""
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


def launched() -> bool:
    """Whether `launch` started this process."""
    return dist.is_torchelastic_launched()


@contextmanager
def joined(device: torch.device) -> Iterator[Team]:
    """Join the processes that `launch` started along with this one; without, a team of one."""
    if not launched():
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
        Its path, the same on all nodes.
    processes : int
        On all nodes together, one a GPU.
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
        command = [*_srun(nodes), *torchrun, *_meeting_point(nodes), script]
    process = subprocess.Popen(command, env=_environment())
    with on_stop(lambda *_: process.terminate()):
        return process.wait()


def _srun(nodes: int) -> list[str]:
    """One task a node, beside the step that this process is, with all that the job has there."""
    return ["srun", "--overlap", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", "--cpu-bind=none"]


def _meeting_point(nodes: int) -> list[str]:
    """On this node, at a port that no other job on it takes."""
    job = int(os.environ["SLURM_JOB_ID"])
    endpoint = f"{platform.node()}:{FIRST_PORT + job % PORTS}"
    return [f"--nnodes={nodes}", "--rdzv-backend=c10d", f"--rdzv-endpoint={endpoint}", f"--rdzv-id={job}"]


def _environment() -> dict[str, str]:
    """Without what describes the present step, which srun would take for settings of the new one."""
    kept = ("SLURM_JOB_ID", "SLURM_JOB_PARTITION")
    return {key: value for key, value in os.environ.items() if not key.startswith("SLURM_") or key in kept}
