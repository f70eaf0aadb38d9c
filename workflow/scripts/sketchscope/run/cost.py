"""What the rules of one organism cost: time, memory and GPUs, out of Snakemake's benchmark files and the jobs' logs."""

import re
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ..errors import InputError
from ..io.atomic import PathLike

DEVICE = re.compile(r"^# device cuda.*?(?:, (\d+) GPUs)?$", re.MULTILINE)  # as `jobs.job` writes it


class Cost(NamedTuple):
    """What the jobs of one rule took."""

    jobs: int
    seconds: float
    """Wall time, summed over the jobs."""
    peak_memory_mb: float | None
    """Of the job that held most; None where Snakemake measured none, as in jobs of an instant."""
    gpu_seconds: float
    """Wall time of the jobs that ran on GPUs, times their number."""


def rule_costs(benchmarks: PathLike, logs: PathLike) -> dict[str, Cost]:
    """Add up what the jobs of each rule took.

    Parameters
    ----------
    benchmarks : path
        Snakemake's benchmark files: {rule}.tsv or {rule}.{anything}.tsv.
    logs : path
        The log of each job, of the same name but for its ending, .log; its header names the device.

    Raises
    ------
    InputError
        If a file has no column of seconds.
    """
    costs: dict[str, Cost] = {}
    for path in sorted(Path(benchmarks).glob("*.tsv")):
        seconds, memory = _measured(path)
        job = Cost(1, seconds, memory, seconds * _gpus(Path(logs) / f"{path.stem}.log"))
        rule = path.name.split(".")[0]
        costs[rule] = _together(costs[rule], job) if rule in costs else job
    return costs


def _together(one: Cost, other: Cost) -> Cost:
    known = [cost.peak_memory_mb for cost in (one, other) if cost.peak_memory_mb is not None]
    seconds, gpu_seconds = one.seconds + other.seconds, one.gpu_seconds + other.gpu_seconds
    return Cost(one.jobs + other.jobs, seconds, max(known, default=None), gpu_seconds)


def _measured(path: Path) -> tuple[float, float | None]:
    """Seconds and largest memory of one job."""
    try:
        table = pd.read_csv(path, sep="\t")
        seconds = float(table["s"].sum())
        memory = pd.to_numeric(table["max_rss"], errors="coerce").max()
    except (KeyError, ValueError, TypeError):
        raise InputError(f"{path}: is no benchmark file, columns s and max_rss are needed") from None
    return seconds, None if pd.isna(memory) else float(memory)


def _gpus(log: Path) -> int:
    """GPUs that a job says it ran on; none where it has left no log."""
    found = DEVICE.search(log.read_text(encoding="utf-8")) if log.exists() else None
    return int(found[1] or 1) if found else 0


def as_tables(costs: dict[str, Cost]) -> dict:
    """The costs as the summary has them: a table of each kind by rule, and all GPU hours."""
    return {
        "jobs": {rule: cost.jobs for rule, cost in costs.items()},
        "seconds": {rule: round(cost.seconds, 2) for rule, cost in costs.items()},
        "peak_memory_mb": {rule: cost.peak_memory_mb for rule, cost in costs.items()},
        "gpu_hours": round(sum(cost.gpu_seconds for cost in costs.values()) / 3600, 4),
    }
