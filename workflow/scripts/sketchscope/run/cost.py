"""What the rules of one organism cost: time, memory and GPUs, from Snakemake's benchmark files and the jobs' logs."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ..errors import InputError
from ..io.atomic import PathLike

DEVICE_LINE = re.compile(r"^# device cuda.*?(?:, (\d+) GPUs)?$", re.MULTILINE)  # as `job.job` prints it


class Cost(NamedTuple):
    """What the jobs of one rule took."""

    jobs: int
    """Number of jobs."""
    seconds: float
    """Wall time, summed over the jobs."""
    peak_memory_mb: float | None
    """Largest memory of any job; None if Snakemake measured none because every job was too short."""
    gpu_seconds: float
    """Wall time times number of GPUs, summed over the jobs that ran on GPUs."""


def sum_costs(benchmarks: PathLike, logs: PathLike) -> dict[str, Cost]:
    """Add up what the jobs of each rule took.

    Parameters
    ----------
    benchmarks : path
        Folder of Snakemake's benchmark files: {rule}.tsv or {rule}.{anything}.tsv.
    logs : path
        Folder of the jobs' logs, which have the names of the benchmark files with the suffix .log. The header of a log
        names the device.

    Returns
    -------
    dict
        Cost by rule.

    Raises
    ------
    InputError
        If a file has no columns of seconds and memory.
    """
    costs: dict[str, Cost] = {}
    for path in sorted(Path(benchmarks).glob("*.tsv")):
        seconds, memory = _read_benchmark(path)
        cost = Cost(1, seconds, memory, seconds * _count_gpus(Path(logs) / f"{path.stem}.log"))
        rule = path.name.split(".")[0]
        costs[rule] = _add(costs[rule], cost) if rule in costs else cost
    return costs


def tabulate_costs(costs: dict[str, Cost]) -> dict[str, Any]:
    """Arrange costs as the summary shows them: jobs, seconds and memory by rule, and the GPU hours of all rules."""
    return {
        "jobs": {rule: cost.jobs for rule, cost in costs.items()},
        "seconds": {rule: round(cost.seconds, 2) for rule, cost in costs.items()},
        "peak_memory_mb": {rule: cost.peak_memory_mb for rule, cost in costs.items()},
        "gpu_hours": round(sum(cost.gpu_seconds for cost in costs.values()) / 3600, 4),
    }


def _read_benchmark(path: Path) -> tuple[float, float | None]:
    """Read seconds and largest memory of one job; a job that was repeated has several rows."""
    try:
        table = pd.read_csv(path, sep="\t")
        seconds = float(table["s"].sum())
        memory = pd.to_numeric(table["max_rss"], errors="coerce").max()
    except (KeyError, ValueError, TypeError):
        raise InputError(f"{path}: is no benchmark file, columns s and max_rss are needed") from None
    return seconds, None if pd.isna(memory) else float(memory)


def _count_gpus(log: Path) -> int:
    """Read from a job's log on how many GPUs it ran; 0 if there is no log."""
    found = DEVICE_LINE.search(log.read_text(encoding="utf-8")) if log.exists() else None
    return int(found[1] or 1) if found else 0


def _add(one: Cost, other: Cost) -> Cost:
    known = [cost.peak_memory_mb for cost in (one, other) if cost.peak_memory_mb is not None]
    seconds, gpu_seconds = one.seconds + other.seconds, one.gpu_seconds + other.gpu_seconds
    return Cost(one.jobs + other.jobs, seconds, max(known, default=None), gpu_seconds)
