"""What every script of a rule does first and last: log, header, one clear sentence on bad input."""

import datetime
import errno
import importlib.metadata
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from .errors import InputError

REPORTED_PACKAGES = ("numpy", "scipy", "scikit-image", "tifffile", "torch", "cellpose")
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


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


def _header(device: str, seed: int | None) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in package_versions().items())
    now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    return f"# {now} host {platform.node()}, device {device}, seed {seed}\n# {versions}"


def at_most_every(seconds: float, say: Callable[..., None]) -> Callable[..., None]:
    """Pass calls on to `say`, but only when `seconds` have gone by since the last one, or since now."""
    last = time.monotonic()

    def maybe(*arguments: object) -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            last = time.monotonic()
            say(*arguments)

    return maybe


@contextmanager
def job(log: str | os.PathLike, *, device: str = "cpu", seed: int | None = None) -> Iterator[None]:
    """Run the body of a script with everything it prints copied to its log file.

    Parameters
    ----------
    log : path
        Log file; its directory is made.
    device : str
        Device the job computes on, for the header.
    seed : int, optional
        Seed of the job, for the header.

    Raises
    ------
    SystemExit
        With code 1, after one sentence, when the body raises `InputError` or runs out of disk;
        with code 1, after the traceback, for any other exception.
    """
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w", encoding="utf-8") as handle:
        stdout, stderr = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = Tee(stdout, handle), Tee(stderr, handle)
        try:
            print(_header(device, seed))
            yield
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
