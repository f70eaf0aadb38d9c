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
Archive = Path | RangeFile


class Member(NamedTuple):
    """A member of an archive that is no folder."""

    name: str
    """Path in the archive."""
    size: int
    """Bytes that it declares to hold."""
    plain: bool
    """False for links and devices."""
    open: Callable[[], IO[bytes]]
    """Opens it for reading."""
    crc: int | None = None
    """CRC-32, in zip archives."""


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
        What to read. From a zip archive on a server, only the needed bytes are fetched, and members that are there
        already (by size and CRC-32) are skipped. From a file, all chosen members are written again.
    folder : path
        Where the members are written.
    patterns : sequence of str
        Shell patterns of the wanted members; * also matches /.
    sha256 : mapping, optional
        Expected sha256 by name of member.
    all_patterns : bool
        Whether each pattern must match a member.

    Returns
    -------
    dict
        sha256 by name of member, sorted by name.

    Raises
    ------
    InputError
        If the archive is damaged or truncated, or the disk has no room for it; if a member would leave `folder`, is a
        link, is missing, holds more bytes than it declares or has another sha256. The names of all members are
        checked before anything is written.
    """
    folder = Path(folder)
    source = archive if isinstance(archive, RangeFile) else Path(archive)
    with _explain_damage(source), _open_members(source) as members:
        for member in members:
            _check_name(source, member.name)
        chosen = _choose_members(source, members, patterns, all_patterns)
        _check_room(source, folder, chosen)
        expected = sha256 or {}
        digests = {}
        for member in chosen:
            target = folder / member.name
            if isinstance(source, RangeFile) and _is_extracted(member, target):
                digests[member.name] = compute_sha256(target)
            else:
                digests[member.name] = _write_member(source, member, target, expected.get(member.name))
    print(f"{source.name}: {len(digests)} of {len(members)} members extracted")
    return dict(sorted(digests.items()))


def list_members(archive: PathLike | RangeFile) -> list[str]:
    """List the members of a zip or tar archive that are no folders; of one on a server, only its directory is read.

    Raises
    ------
    InputError
        If the archive is damaged or truncated.
    """
    source = archive if isinstance(archive, RangeFile) else Path(archive)
    with _explain_damage(source), _open_members(source) as members:
        return [member.name for member in members]


def match_names(names: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """Select the names that match any of the shell patterns, sorted; * also matches /."""
    return sorted(name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns))


def _is_extracted(member: Member, target: Path) -> bool:
    """Check whether `target` is the whole member, from an earlier run."""
    if not target.is_file() or target.stat().st_size != member.size:
        return False
    crc = 0
    with open(target, "rb") as handle:
        while chunk := handle.read(READ_BYTES):
            crc = zlib.crc32(chunk, crc)
    return crc == member.crc


@contextmanager
def _explain_damage(archive: Archive) -> Iterator[None]:
    """Turn the errors of zipfile, tarfile and the decompressors into one sentence."""
    advice = "" if isinstance(archive, RangeFile) else "; delete it to fetch it again"
    damaged = f"{archive}: truncated or damaged, cannot be read as zip or tar{advice}"
    try:
        yield
    except DAMAGE as cause:
        raise InputError(f"{damaged} ({cause})") from cause
    except OSError as cause:
        if cause.errno is not None:  # an error of the disk; those of gzip and bz2 have no number
            raise
        raise InputError(f"{damaged} ({cause})") from cause


@contextmanager
def _open_members(archive: Archive) -> Iterator[list[Member]]:
    if isinstance(archive, RangeFile) or zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            yield [_describe_zip_member(file, info) for info in file.infolist() if not info.is_dir()]
    else:
        with tarfile.open(archive) as tar:
            members = [_describe_tar_member(tar, info) for info in tar if not info.isdir()]
            while tar.fileobj and tar.fileobj.read(READ_BYTES):  # a compressed stream keeps its checksum at the end
                pass
            yield members


def _describe_zip_member(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    kind = (info.external_attr >> 16) & 0o170000  # the Unix file type, 0 where it was not recorded
    return Member(info.filename, info.file_size, kind in (0, 0o100000), partial(file.open, info), info.CRC)


def _describe_tar_member(file: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    def open_member() -> IO[bytes]:
        opened = file.extractfile(info)
        if opened is None:  # a folder, a device or a pipe; `_choose_members` has refused these
            raise tarfile.TarError(f"{info.name} is no file")
        return opened

    return Member(info.name.removeprefix("./"), info.size, info.isreg(), open_member)


def _check_name(archive: Archive, name: str) -> None:
    posix = name.replace("\\", "/")
    if posix.startswith("/") or re.match("[A-Za-z]:", posix) or ".." in posix.split("/"):
        raise InputError(f"{archive}: its member {name!r} would leave the target folder; nothing is extracted")


def _choose_members(
    archive: Archive, members: list[Member], patterns: Sequence[str], all_patterns: bool
) -> list[Member]:
    names = [member.name for member in members]
    for pattern in patterns:
        if all_patterns and not match_names(names, [pattern]):
            raise InputError(f"{archive}: holds no member {pattern}")
    wanted = set(match_names(names, patterns))
    chosen = [member for member in members if member.name in wanted]
    for member in chosen:
        if not member.plain:
            raise InputError(f"{archive}: its member {member.name!r} is a link or device; only files may be")
    return chosen


def _check_room(archive: Archive, folder: Path, members: list[Member]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    needed, free = sum(member.size for member in members), shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(f"{archive}: its members need {needed} bytes but {folder} has {free} free")


def _write_member(archive: Archive, member: Member, target: Path, sha256: str | None) -> str:
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
