"""Files and folders that are there whole or not at all."""

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

import numpy as np

PathLike = str | os.PathLike
FINGERPRINT = ".fingerprint"  # of an unfinished folder


@contextmanager
def named_errors(path: PathLike) -> Iterator[None]:
    """Name the file in an error of the operating system that names none, such as a full disk's."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


@contextmanager
def atomic_path(path: PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if the body succeeds, else delete it.

    A reader therefore sees the whole file or none, even when the writer is killed or the disk is full.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    try:
        with named_errors(path):
            yield temporary
            with open(temporary, "rb+") as handle:
                os.fsync(handle.fileno())
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: PathLike) -> Iterator[Path]:
    """Yield a temporary folder beside `path` to fill; it takes the place of `path` if the body succeeds.

    If the body raises, the temporary folder is deleted and `path` stays as it was.
    """
    path = Path(path)
    remove_leftovers(path)
    temporary = _temporary(path)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        _replace_folder(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def resumed_folder(path: PathLike, fingerprint: str) -> Iterator[Path]:
    """Yield a folder beside `path` to fill, which outlives a failure; complete, it takes the place of `path`.

    Parameters
    ----------
    path : path
        Folder to make.
    fingerprint : str
        Everything that decides its content. What an earlier attempt with the same one has left is still there, so
        that a file written by `atomic_path` need not be made again; what one with another has left is deleted.
    """
    path = Path(path)
    unfinished = path.with_name(f".{path.name}.unfinished")
    record = unfinished / FINGERPRINT
    if not record.exists() or record.read_text(encoding="utf-8") != fingerprint:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        with atomic_path(record) as temporary:
            temporary.write_text(fingerprint, encoding="utf-8")
    for leftover in unfinished.glob(".*.tmp"):
        _remove(leftover)
    yield unfinished
    _replace_folder(unfinished, path)
    (path / FINGERPRINT).unlink()


def remove_leftovers(path: PathLike) -> None:
    """Delete what a killed process has left of writing `path`."""
    path = Path(path)
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        _remove(leftover)


def _remove(path: Path) -> None:
    """Delete a file or a folder."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def file_sha256(path: PathLike) -> str:
    """Sha256 of a file, in hexadecimal."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def state_of(path: PathLike) -> str:
    """Sha256 of a file; of a folder, which may be too large to read, that of its files' names, sizes and times."""
    if not os.path.isdir(path):
        return file_sha256(path)
    found = [(item, item.stat()) for item in sorted(Path(path).rglob("*")) if item.is_file()]
    listed = [(str(item.relative_to(path)), state.st_size, state.st_mtime_ns) for item, state in found]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def states(paths: Iterable[PathLike]) -> dict[str, str]:
    """The state of each file or folder by its name."""
    return {Path(path).name: state_of(path) for path in paths}


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")


def _replace_folder(folder: Path, path: Path) -> None:
    if path.exists():
        shutil.rmtree(path)
    os.replace(folder, path)


def write_json(path: PathLike, data: dict[str, Any]) -> None:
    """Write a dictionary as indented JSON with sorted keys, whole or not at all; NaN becomes null."""
    text = json.dumps(_plain(data), indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: PathLike) -> Any:
    """Read what `write_json` wrote."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def _plain(value: Any) -> Any:
    """The value in types that JSON knows."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic | np.ndarray):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_text(path: PathLike, text: str) -> None:
    """Write a text, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
