"""What every script of a rule does first and last: log, header, one clear sentence on bad input or when stopped."""

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

if TYPE_CHECKING:
    import torch


REPORTED_PACKAGES = ("numpy", "scipy", "scikit-image", "tifffile", "torch", "cellpose")
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
PROGRESS_SECONDS = 20
STOPPED = 128 + signal.SIGTERM  # exit code of a job that was stopped


class Tee:
    """A text stream that writes to several others, each line at once."""

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


def package_versions() -> dict[str, str]:
    """Versions of the packages that decide the numbers, those that are installed."""
    versions = {"python": platform.python_version()}
    for package in REPORTED_PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _header(seed: int | None) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in package_versions().items())
    now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    chance = "nothing random" if seed is None else f"seed {seed}"
    return f"# {now} host {platform.node()}{_scheduler_job()}, {chance}\n# {versions}"


def _scheduler_job() -> str:
    job, node = os.environ.get("SLURM_JOB_ID"), os.environ.get("SLURMD_NODENAME")
    return f", SLURM job {job} on node {node} ({os.environ.get('SLURM_JOB_PARTITION')})" if job else ""


def _choose_device(setting: str | None, gpus: int) -> "torch.device | None":
    """Device of a job, never the CPU where the scheduler was asked for a GPU; it is printed."""
    if setting is None:
        print("# device cpu")
        return None
    from .devices import choose_device, describe

    granted = gpus > 0 and "SLURM_JOB_ID" in os.environ
    device = choose_device("cuda" if setting == "auto" and granted else setting)
    several = f", {gpus} GPUs" if gpus > 1 and device.type == "cuda" else ""
    print(f"# device {describe(device)}{several}")
    return device


def at_most_every(seconds: float, say: Callable[..., None]) -> Callable[..., None]:
    """Pass calls on to `say`, but only when `seconds` have gone by since the last one, or since now."""
    last = time.monotonic()

    def maybe(*arguments: object) -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            last = time.monotonic()
            say(*arguments)

    return maybe


def show_progress(name: str, voxels: int) -> Callable[[float], None]:
    """A function that is told the share of an image that is done, and now and then prints it with speed and time."""
    started = time.monotonic()

    def say(share: float) -> None:
        seconds = time.monotonic() - started
        left = datetime.timedelta(seconds=round(seconds * (1 - share) / share))
        print(f"{name}: {share:.0%}, {share * voxels / seconds:,.0f} voxels/s, {left} left")

    return at_most_every(PROGRESS_SECONDS, say)


class Stopped(BaseException):
    """A signal asked the job to end, as a scheduler's does before the time limit.

    No `Exception`, so that nothing on the way takes it for a fault.
    """


@contextmanager
def on_stop(handler: Callable[[int, object], None]) -> Iterator[None]:
    """Within the body, hand the signals that ask a job to end to `handler`."""
    before = {number: signal.signal(number, handler) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def _raise_stopped(number: int, _: object) -> None:
    raise Stopped(f"by {signal.Signals(number).name}")


@contextmanager
def noted_stop() -> Iterator[Callable[[], bool]]:
    """Note that the job is asked to end, for work that ends at a moment of its own.

    Yields
    ------
    callable
        Whether a signal to end has come.
    """
    seen = []
    with on_stop(lambda number, _: seen.append(number)):
        yield lambda: bool(seen)


@contextmanager
def job(
    log: str | os.PathLike, *, device: str | None = None, gpus: int = 0, seed: int | None = None
) -> Iterator["torch.device | None"]:
    """Run the body of a script with everything it prints copied to its log file.

    Parameters
    ----------
    log : path
        Log file; its directory is made.
    device : str, optional
        'auto', 'cpu' or 'cuda', for a job that computes with torch.
    gpus : int
        GPUs that the scheduler was asked for; with any, auto means cuda in a job of SLURM.
    seed : int, optional
        Seed of the job, for the header.

    Yields
    ------
    torch.device or None
        The device to compute on.

    Raises
    ------
    SystemExit
        With code 1, after one sentence, when the body raises `InputError` or runs out of disk;
        with code 143, after one sentence, when SIGTERM or SIGUSR1 comes;
        with code 1, after the traceback, for any other exception.
    """
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w", encoding="utf-8") as handle:
        stdout, stderr = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = Tee(stdout, handle), Tee(stderr, handle)
        try:
            with on_stop(_raise_stopped):
                print(_header(seed))
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
