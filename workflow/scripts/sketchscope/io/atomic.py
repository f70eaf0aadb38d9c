"""Files and folders that are there whole or not at all, and fingerprints of what they hold."""

import glob
import hashlib
import json
import math
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PathLike = str | os.PathLike[str]
FINGERPRINT_FILE = ".fingerprint"  # in a folder that is not complete yet


@contextmanager
def atomic_path(path: PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if the body succeeds, else delete it.

    A reader therefore sees the whole file or none, even when the writer is killed or the disk is full.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _name_temporary(path)
    try:
        with name_file_in_errors(path):
            yield temporary
            with open(temporary, "rb+") as handle:
                os.fsync(handle.fileno())
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: PathLike) -> Iterator[Path]:
    """Yield a temporary folder beside `path` to fill; it replaces `path` if the body succeeds.

    If the body raises, the temporary folder is deleted and `path` stays as it was.
    """
    path = Path(path)
    remove_leftovers(path)
    temporary = _name_temporary(path)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        _replace_folder(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def resumed_folder(path: PathLike, fingerprint: str) -> Iterator[Path]:
    """Yield a folder beside `path` to fill, which survives a failure; when complete, it replaces `path`.

    Parameters
    ----------
    path : path
        Folder to make.
    fingerprint : str
        Everything that decides the content of the folder. If an earlier attempt had the same fingerprint, its files
        are still there, and those written by `atomic_path` are whole. Files of any other attempt are deleted.
    """
    path = Path(path)
    unfinished = path.with_name(f".{path.name}.unfinished")
    record = unfinished / FINGERPRINT_FILE
    if not record.exists() or record.read_text(encoding="utf-8") != fingerprint:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        write_text(record, fingerprint)
    for leftover in unfinished.glob(".*.tmp"):
        _remove(leftover)
    yield unfinished
    _replace_folder(unfinished, path)
    (path / FINGERPRINT_FILE).unlink()


def remove_leftovers(path: PathLike) -> None:
    """Delete the temporary files that a killed process left while it wrote `path`."""
    path = Path(path)
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        _remove(leftover)


@contextmanager
def name_file_in_errors(path: PathLike) -> Iterator[None]:
    """Add `path` to any error of the operating system that names no file, such as that of a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def write_text(path: PathLike, text: str) -> None:
    """Write a text as UTF-8, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: PathLike, data: dict[str, Any]) -> None:
    """Write a dictionary as indented JSON with sorted keys, whole or not at all; NaN and infinity become null."""
    text = json.dumps(_convert_for_json(data), indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    write_text(path, text + "\n")


def read_json(path: PathLike) -> Any:
    """Read a JSON file that `write_json` wrote."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def compute_sha256(path: PathLike) -> str:
    """Compute the sha256 of a file, in hexadecimal."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def fingerprint_file(path: PathLike) -> str:
    """Compute the sha256 of a file, or for a folder that of the names, sizes and times of its files.

    The content of a folder is not read, because it may be very large.
    """
    if not os.path.isdir(path):
        return compute_sha256(path)
    found = [(item, item.stat()) for item in sorted(Path(path).rglob("*")) if item.is_file()]
    listed = [(str(item.relative_to(path)), state.st_size, state.st_mtime_ns) for item, state in found]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def fingerprint_files(paths: Iterable[PathLike]) -> dict[str, str]:
    """Compute the fingerprint of each file or folder, by its name without its parents."""
    return {Path(path).name: fingerprint_file(path) for path in paths}


def _name_temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")


def _replace_folder(folder: Path, path: Path) -> None:
    if path.exists():
        shutil.rmtree(path)
    os.replace(folder, path)


def _remove(path: Path) -> None:
    """Delete a file or a folder."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _convert_for_json(value: Any) -> Any:
    """Convert a value to types that JSON has."""
    import numpy as np  # not at the top: the Snakefile imports this module and must start fast

    if isinstance(value, dict):
        return {str(key): _convert_for_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_convert_for_json(item) for item in value]
    if isinstance(value, np.generic | np.ndarray):
        return _convert_for_json(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
