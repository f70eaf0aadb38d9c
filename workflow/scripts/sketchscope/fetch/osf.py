"""Files of a project on the Open Science Framework, listed through its API (https://developer.osf.io)."""

import json
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from ..errors import InputError
from ..io.atomic import PathLike
from .archives import extract, match_names
from .download import Interrupted, apply_mirror, download, open_url, receive, retry
from .entries import Entry, Fetched, pair_files

API = "https://api.osf.io/v2/nodes/{node}/files/osfstorage/"
SHOWN_NAMES = 20  # names of files in an error


class ListedFile(NamedTuple):
    """A file of a project, as the API lists it."""

    name: str
    """Path within the project, without a leading slash."""
    url: str
    """Where to download it."""
    size: int | None
    """Bytes, if known."""
    sha256: str | None
    """sha256, if known."""


def list_files(node: str, mirror: str | None = None) -> list[ListedFile]:
    """List all files of a public project, including those in folders.

    Parameters
    ----------
    node : str
        Identifier of the project: dnp65 of https://osf.io/dnp65.
    mirror : str, optional
        Base URL that replaces scheme and host, for the API and for the addresses that it returns.

    Returns
    -------
    list of ListedFile
        Sorted by name.

    Raises
    ------
    InputError
        If the project cannot be read, the answer is not as the API describes it, or a name would leave a folder.
    """
    pending = [API.format(node=node)]
    seen: set[str] = set()
    files: list[ListedFile] = []
    while pending:
        page = pending.pop()
        if page in seen:
            continue
        seen.add(page)
        answer = fetch_json(apply_mirror(page, mirror))
        try:
            for item in answer["data"]:
                if item["attributes"]["kind"] == "folder":
                    pending.append(item["relationships"]["files"]["links"]["related"]["href"])
                else:
                    files.append(_parse_file(item))
            following = answer["links"]["next"]
        except (KeyError, TypeError, ValueError) as cause:
            raise InputError(f"{page}: the answer is not as OSF's API describes it ({cause!r})") from cause
        pending += [following] if following else []
    return sorted(files)


def fetch_osf(entry: Entry, folder: PathLike, mirror: str | None = None) -> Fetched:
    """Fetch files of a project on the Open Science Framework by name.

    Parameters
    ----------
    entry : mapping
        `node`, identifier of the project; `images` and, if there is truth, `labels`: lists of patterns of files, paired
        as `entries.pair_files` says; `archives`: patterns of archives in the project from which members are extracted
        by the same patterns.
    folder : path
        Where the files are put, under their path in the project or the archive.
    mirror : str, optional
        Base URL that replaces scheme and host.

    Raises
    ------
    InputError
        If the project cannot be read or a pattern matches no file.
    """
    folder, source = Path(folder), f"OSF project {entry['node']}"
    listed = {file.name: file for file in list_files(entry["node"], mirror)}
    print(f"{source}: {len(listed)} files")
    patterns = [*entry["images"], *(entry.get("labels") or [])]
    archives = match_names(listed, entry.get("archives") or [])
    digests = {name: _fetch_listed(listed[name], folder, mirror) for name in match_names(listed, patterns)}
    for name in archives:
        archive_digest = _fetch_listed(listed[name], folder, mirror)
        digests |= {name: archive_digest, **extract(folder / name, folder, patterns, all_patterns=False)}
    found = [name for name in digests if name not in archives]
    for pattern in patterns:
        if not match_names(found, [pattern]):
            names = ", ".join([*listed][:SHOWN_NAMES]) + (", ..." if len(listed) > SHOWN_NAMES else "")
            raise InputError(f"{source}: no file is named like {pattern}; it holds {names or 'none'}")
    images, labels = pair_files(entry, source, found)
    return Fetched(images, labels, digests)


def fetch_json(url: str) -> Any:
    """Fetch a small JSON document; failed attempts are repeated like those of a download.

    Raises
    ------
    InputError
        If the server refuses, or what it sends is no JSON.
    """
    content = bytearray()

    def attempt() -> None:
        content.clear()
        with open_url(url, {"Accept": "application/json"}) as response:
            expected = response.headers.get("Content-Length")
            while chunk := receive(response):
                content.extend(chunk)
        if expected is not None and len(content) < int(expected):
            raise Interrupted(f"the connection closed after {len(content)} of {expected} bytes")

    retry(url, attempt, lambda: 0)
    try:
        return json.loads(content)
    except ValueError as cause:
        raise InputError(f"{url}: the server sends no JSON ({cause})") from None


def _parse_file(item: dict[str, Any]) -> ListedFile:
    attributes = item["attributes"]
    name = (attributes.get("materialized_path") or attributes["name"]).lstrip("/")
    if not name or "\\" in name or ".." in PurePosixPath(name).parts:
        raise InputError(f"OSF: a file's name {name!r} would leave the target folder; nothing is fetched")
    hashes = (attributes.get("extra") or {}).get("hashes") or {}
    return ListedFile(name, item["links"]["download"], attributes.get("size"), hashes.get("sha256"))


def _fetch_listed(file: ListedFile, folder: Path, mirror: str | None) -> str:
    return download(file.url, folder / file.name, sha256=file.sha256, mirror=mirror)
