"""The frame of every script: its log and header, its device, and one clear sentence on bad input or when stopped."""

import datetime
import errno
import importlib.metadata
import os
import platform
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from ..errors import InputError
from ..io.atomic import PathLike

if TYPE_CHECKING:
    import torch


REPORTED_PACKAGES = ("numpy", "scipy", "scikit-image", "tifffile", "torch", "cellpose")
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
STOPPED = 128 + signal.SIGTERM  # exit code of a job that was stopped
PROGRESS_SECONDS = 20


class Stopped(BaseException):
    """A signal asked the job to end; schedulers send one shortly before the time limit.

    It is not an `Exception`, so that no handler on the way takes it for a fault.
    """


@contextmanager
def job(
    log: PathLike, *, device: str | None = None, gpus: int = 0, seed: int | None = None
) -> Iterator["torch.device | None"]:
    """Run the body of a script, with everything that it prints copied to its log file.

    Parameters
    ----------
    log : path
        Log file; its directory is made.
    device : str, optional
        'auto', 'cpu' or 'cuda', for a job that computes with torch.
    gpus : int
        Number of GPUs requested from the scheduler; with any, auto means cuda within a SLURM job.
    seed : int, optional
        Seed of the job, for the header.

    Yields
    ------
    torch.device or None
        The device to compute on; None if the job does not compute with torch.

    Raises
    ------
    SystemExit
        With code 1, after one sentence, if the body raises `InputError` or the disk is full;
        with code 143, after one sentence, if SIGTERM or SIGUSR1 arrives;
        with code 1, after the traceback, for any other exception.
    """
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w", encoding="utf-8") as handle:
        stdout, stderr = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = Tee(stdout, handle), Tee(stderr, handle)
        try:
            with on_stop(_raise_stopped):
                print(_make_header(seed))
                yield _choose_device(device, gpus)
        except Stopped as stop:
            print(f"Stopped {stop}", file=sys.stderr)
            sys.exit(STOPPED)
        except InputError as error:
            print(f"Error: {error}", file=sys.stderr)
            sys.exit(1)
        except OSError as error:
            if error.errno not in DISK_FULL:
                traceback.print_exc()
            print(f"Error: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
            sys.exit(1)
        except Exception:
            traceback.print_exc()
            sys.exit(1)
        finally:
            sys.stdout, sys.stderr = stdout, stderr


@contextmanager
def on_stop(handler: Callable[[int, object], None]) -> Iterator[None]:
    """Call `handler` if a signal asks the job to end within the body."""
    before = {number: signal.signal(number, handler) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


@contextmanager
def note_stop() -> Iterator[Callable[[], bool]]:
    """Only note a signal that asks the job to end, for a body that chooses itself when to stop.

    Yields
    ------
    callable
        Returns whether such a signal has arrived.
    """
    seen: list[int] = []
    with on_stop(lambda number, _: seen.append(number)):
        yield lambda: bool(seen)


def limit_rate(seconds: float, call: Callable[..., None]) -> Callable[..., None]:
    """Wrap a function so that it is called at most once every `seconds`, first after `seconds` from now.

    Calls in between are dropped.
    """
    last = time.monotonic()

    def limited(*arguments: object) -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            last = time.monotonic()
            call(*arguments)

    return limited


def show_progress(name: str, voxels: int) -> Callable[[float], None]:
    """Make a function that takes the finished fraction of an image; every 20 seconds it prints speed and time left."""
    started = time.monotonic()

    def report(fraction: float) -> None:
        seconds = time.monotonic() - started
        left = datetime.timedelta(seconds=round(seconds * (1 - fraction) / fraction))
        print(f"{name}: {fraction:.0%}, {fraction * voxels / seconds:,.0f} voxels/s, {left} left")

    return limit_rate(PROGRESS_SECONDS, report)


def collect_versions() -> dict[str, str]:
    """Look up the versions of Python and of those installed packages that influence the results."""
    versions = {"python": platform.python_version()}
    for package in REPORTED_PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


class Tee:
    """A text stream that writes to several others and flushes them at once."""

    def __init__(self, *streams: TextIO) -> None:
        self.streams = streams

    def write(self, text: str) -> int:
        for stream in self.streams:
            stream.write(text)
            stream.flush()
        return len(text)

    def flush(self) -> None:
        for stream in self.streams:
            stream.flush()

    def isatty(self) -> bool:
        return False


def _raise_stopped(number: int, _: object) -> None:
    raise Stopped(f"by {signal.Signals(number).name}")


def _make_header(seed: int | None) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in collect_versions().items())
    now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    randomness = "nothing random" if seed is None else f"seed {seed}"
    return f"# {now} host {platform.node()}{_describe_scheduler_job()}, {randomness}\n# {versions}"


def _describe_scheduler_job() -> str:
    job, node = os.environ.get("SLURM_JOB_ID"), os.environ.get("SLURMD_NODENAME")
    return f", SLURM job {job} on node {node} ({os.environ.get('SLURM_JOB_PARTITION')})" if job else ""


def _choose_device(setting: str | None, gpus: int) -> "torch.device | None":
    """Choose and print the device of a job: never the CPU if the scheduler granted a GPU."""
    if setting is None:
        print("# device cpu")
        return None
    from .devices import choose_device, describe_device

    granted = gpus > 0 and "SLURM_JOB_ID" in os.environ
    device = choose_device("cuda" if setting == "auto" and granted else setting)
    several = f", {gpus} GPUs" if gpus > 1 and device.type == "cuda" else ""
    print(f"# device {describe_device(device)}{several}")
    return device
