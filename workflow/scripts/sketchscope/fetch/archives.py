"""Zip and tar archives whose members cannot escape, each extracted whole or not at all."""

import fnmatch
import hashlib
import lzma
import re
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

from ..errors import InputError
from ..io.atomic import PathLike, atomic_path, compute_sha256
from .download import READ_BYTES, compare_sha256
from .http_ranges import RangeFile

DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, RuntimeError)


class Member(NamedTuple):
    """A member of an archive that is no folder; `plain` is False for links and devices."""

    name: str
    size: int
    plain: bool
    open: Callable[[], IO[bytes]]
    crc: int | None = None


def extract(
    archive: PathLike | RangeFile,
    folder: PathLike,
    patterns: Sequence[str],
    sha256: Mapping[str, str] | None = None,
    *,
    all_patterns: bool = True,
) -> dict[str, str]:
    """Extract the chosen members of a zip or tar archive, each whole or not at all.

    Parameters
    ----------
    archive : path or RangeFile
        What to read. Out of a zip archive on a server only what is needed is fetched, and members that are there
        already (by size and CRC-32) are not fetched again; out of a file they are written anew.
    folder : path
        Where to write.
    patterns : sequence of str
        Shell patterns (* also matches /) of the members that are wanted.
    sha256 : mapping, optional
        Expected sha256 by member.
    all_patterns : bool
        Whether each pattern must match a member.

    Returns
    -------
    dict
        sha256 by member, sorted by name.

    Raises
    ------
    InputError
        If the archive is damaged or truncated, a member would leave `folder`, is a link, is missing, holds
        more bytes than it declares or has another sha256, or if the disk has no room; nothing is written
        before the names of all members are checked.
    """
    folder, remote = Path(folder), isinstance(archive, RangeFile)
    archive = archive if remote else Path(archive)
    with _reading(archive), _members(archive) as members:
        for member in members:
            _check_name(archive, member.name)
        chosen = _choose(archive, members, patterns, all_patterns)
        _check_room(archive, folder, chosen)
        expected = sha256 or {}
        digests = {}
        for member in chosen:
            target = folder / member.name
            if remote and _is_there(member, target):
                digests[member.name] = compute_sha256(target)
            else:
                digests[member.name] = _write_member(archive, member, target, expected.get(member.name))
    print(f"{archive.name}: {len(digests)} of {len(members)} members extracted")
    return dict(sorted(digests.items()))


def _is_there(member: Member, target: Path) -> bool:
    """Whether a member has been extracted before, whole."""
    if not target.is_file() or target.stat().st_size != member.size:
        return False
    crc = 0
    with open(target, "rb") as handle:
        while chunk := handle.read(READ_BYTES):
            crc = zlib.crc32(chunk, crc)
    return crc == member.crc


@contextmanager
def _reading(archive: Path | RangeFile) -> Iterator[None]:
    """Turn what zipfile, tarfile and the decompressors raise into one sentence."""
    advice = "" if isinstance(archive, RangeFile) else "; delete it to fetch it again"
    damaged = f"{archive}: truncated or damaged, cannot be read as zip or tar{advice}"
    try:
        yield
    except DAMAGE as cause:
        raise InputError(f"{damaged} ({cause})") from cause
    except OSError as cause:
        if cause.errno is not None:  # gzip and bz2 raise theirs without a number; the disk's have one
            raise
        raise InputError(f"{damaged} ({cause})") from cause


@contextmanager
def _members(archive: Path | RangeFile) -> Iterator[list[Member]]:
    if isinstance(archive, RangeFile) or zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            yield [_zip_member(file, info) for info in file.infolist() if not info.is_dir()]
    else:
        with tarfile.open(archive) as file:
            members = [_tar_member(file, info) for info in file if not info.isdir()]
            while file.fileobj.read(READ_BYTES):  # to the very end, where a compressed stream keeps its checksum
                pass
            yield members


def _zip_member(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    kind = (info.external_attr >> 16) & 0o170000  # the Unix file type, 0 where it was not recorded
    return Member(info.filename, info.file_size, kind in (0, 0o100000), partial(file.open, info), info.CRC)


def _tar_member(file: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    return Member(info.name.removeprefix("./"), info.size, info.isreg(), partial(file.extractfile, info))


def _check_name(archive: Path | RangeFile, name: str) -> None:
    posix = name.replace("\\", "/")
    if posix.startswith("/") or re.match("[A-Za-z]:", posix) or ".." in posix.split("/"):
        raise InputError(f"{archive}: its member {name!r} would leave the target folder; nothing is extracted")


def _choose(
    archive: Path | RangeFile, members: list[Member], patterns: Sequence[str], all_patterns: bool
) -> list[Member]:
    names = [member.name for member in members]
    for pattern in patterns:
        if all_patterns and not matching(names, [pattern]):
            raise InputError(f"{archive}: holds no member {pattern}")
    wanted = set(matching(names, patterns))
    chosen = [member for member in members if member.name in wanted]
    for member in chosen:
        if not member.plain:
            raise InputError(f"{archive}: its member {member.name!r} is a link or device; only files may be")
    return chosen


def matching(names: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """Those of the names that match one of the shell patterns (* also matches /), sorted."""
    return sorted(name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns))


def _check_room(archive: Path | RangeFile, folder: Path, members: list[Member]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    needed, free = sum(member.size for member in members), shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(f"{archive}: its members need {needed} bytes but {folder} has {free} free")


def _write_member(archive: Path | RangeFile, member: Member, target: Path, sha256: str | None) -> str:
    digest, written = hashlib.sha256(), 0
    with atomic_path(target) as temporary:
        with member.open() as source, open(temporary, "wb") as handle:
            while chunk := source.read(READ_BYTES):
                written += len(chunk)
                if written > member.size:
                    break
                handle.write(chunk)
                digest.update(chunk)
        if written != member.size:
            raise InputError(f"{archive}: its member {member.name} does not hold its {member.size} bytes")
        compare_sha256(f"{archive.name}, member {member.name}", digest.hexdigest(), sha256)
    return digest.hexdigest()
