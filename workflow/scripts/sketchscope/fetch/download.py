"""Downloads over HTTP(S) that resume where they broke off, and their sha256."""

import http.client
import json
import os
import re
import ssl
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, NamedTuple
from urllib import error, parse, request

from ..errors import InputError
from ..io.atomic import PathLike, compute_sha256, name_file_in_errors, write_json

READ_BYTES = 1 << 18  # bytes that are moved at a time
RETRIES = 6  # attempts in a row that may fail without any new byte
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds before the first retry, doubled for each further one
TIMEOUT = 60.0  # seconds without an answer after which an attempt has failed
RETRIED_STATUS = {408, 425, 429, 500, 502, 503, 504}
REPORT_SECONDS = 5.0


class Interrupted(Exception):
    """The network failed in a way that another attempt may mend."""


class RangeRefused(Interrupted):
    """The server has fewer bytes than were asked for, so the file has changed."""


class _State(NamedTuple):
    """What is known of the file that a .part belongs to; kept beside it, so that a later run can resume."""

    url: str
    size: int | None = None
    validator: str | None = None


def download(url: str, path: PathLike, *, sha256: str | None = None, mirror: str | None = None) -> str:
    """Download a file over HTTP(S), whole or not at all; an interrupted download is resumed.

    Parameters
    ----------
    url : str
        http:// or https:// address.
    path : path
        Where to put the file. What has arrived is kept in `path`.part until it is complete. If `path` exists
        already, for example copied by hand, it is checked and not fetched.
    sha256 : str, optional
        Expected sha256.
    mirror : str, optional
        Base URL that replaces scheme and host.

    Returns
    -------
    str
        The sha256 of the file.

    Raises
    ------
    InputError
        If the address or the mirror is not HTTP(S), or the server refuses. If the download stays cut off; the .part is
        kept. If the sha256 differs; the .part is deleted.
    OSError
        If the disk is full or the folder cannot be written; the .part is kept.
    """
    path = Path(path)
    if path.is_file():
        print(f"{path}: is there already")
        return check_sha256(path, sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    url, part = apply_mirror(url, mirror), path.with_name(path.name + ".part")
    kept = f"; {part} keeps {{}} bytes, run again to resume"
    retry(url, lambda: _attempt(url, part), lambda: _measure(part), kept)
    digest = compute_sha256(part)
    try:
        compare_sha256(f"{path} from {url}", digest, sha256)
    except InputError:
        _discard(part)
        raise
    os.replace(part, path)
    _name_state_file(part).unlink(missing_ok=True)
    print(f"{path}: {path.stat().st_size} bytes, sha256 {digest} ({'as expected' if sha256 else 'recorded'})")
    return digest


def check_sha256(path: PathLike, expected: str | None) -> str:
    """Compute the sha256 of a file, and compare it with the expected one if that is known.

    Raises
    ------
    InputError
        If it is not the expected one.
    """
    digest = compute_sha256(path)
    compare_sha256(str(path), digest, expected)
    return digest


def compare_sha256(file: str, found: str, expected: str | None) -> None:
    """Compare the sha256 of a file with the expected one, if that is known.

    Raises
    ------
    InputError
        If they differ; names `file`.
    """
    if expected and found != expected.lower():
        raise InputError(f"{file}: sha256 is {found} but {expected.lower()} is expected")


def apply_mirror(url: str, mirror: str | None) -> str:
    """Replace scheme and host of an address by those of a mirror: `mirror`/<path of url>.

    Raises
    ------
    InputError
        If either is not an http:// or https:// address.

    Examples
    --------
    >>> apply_mirror("https://example.org/a/b.zip?c=1", "http://mirror.local/copies/")
    'http://mirror.local/copies/a/b.zip?c=1'
    """
    _check_scheme(url)
    if not mirror:
        return url
    _check_scheme(mirror)
    parts = parse.urlsplit(url)
    return mirror.rstrip("/") + parse.urlunsplit(("", "", parts.path, parts.query, ""))


def retry(url: str, attempt: Callable[[], None], measure: Callable[[], int], kept: str = "") -> None:
    """Make attempts, with growing pauses, until one succeeds or too many in a row bring no new byte.

    Parameters
    ----------
    url : str
        For messages.
    attempt : function
        Raises Interrupted if another attempt may help.
    measure : function
        Returns the number of bytes that have arrived.
    kept : str
        What the final error says about the bytes that have arrived; {} stands for their number.

    Raises
    ------
    InputError
        If every attempt failed.
    """
    failures, most = 0, measure()
    while True:
        try:
            return attempt()
        except Interrupted as cause:
            here = measure()
            failures, most = (0, here) if here > most else (failures + 1, most)
            if failures > RETRIES:
                left = kept.format(here) if here else ""
                raise InputError(f"{url}: the download failed {failures} times ({cause}){left}") from cause
            wait = min(FIRST_PAUSE * 2 ** max(failures - 1, 0), LONGEST_PAUSE)
            print(f"{url}: {cause}; trying again in {wait:g} s with {here} bytes here")
            time.sleep(wait)


def open_url(url: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
    """Request a file, or the part of it that the headers ask for.

    Raises
    ------
    Interrupted
        If another attempt may help.
    InputError
        If none will.
    """
    headers = {"User-Agent": "sketchscope", "Accept-Encoding": "identity", **headers}
    try:
        return _build_opener().open(request.Request(url, headers=headers), timeout=TIMEOUT)
    except error.HTTPError as cause:
        cause.close()
        answer = f"the server answers {cause.code} {cause.reason}"
        if cause.code == 416:
            raise RangeRefused(answer) from cause
        if cause.code not in RETRIED_STATUS:
            raise InputError(f"{url}: {answer}") from None
        raise Interrupted(answer) from cause
    except (OSError, http.client.HTTPException) as cause:
        reason = cause.reason if isinstance(cause, error.URLError) else cause
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise InputError(f"{url}: its certificate is not trusted ({reason.verify_message})") from None
        raise Interrupted(f"no answer: {reason}") from cause


def receive(response: http.client.HTTPResponse) -> bytes:
    """Read the next bytes; an error of the network becomes Interrupted, to tell it from one of the disk."""
    try:
        return response.read1(READ_BYTES)
    except (OSError, http.client.HTTPException) as cause:
        raise Interrupted(f"the connection broke: {cause!r}") from cause


def read_validator(response: http.client.HTTPResponse) -> str | None:
    """Read what a later request can compare to see whether the file is still the same; None if there is nothing."""
    etag = response.headers.get("ETag")
    if etag and etag.startswith("W/"):  # a weak tag does not promise the same bytes
        etag = None
    return etag or response.headers.get("Last-Modified")


def _check_scheme(url: str) -> None:
    parts = parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"{url}: not an http:// or https:// address; no other is fetched")


def _attempt(url: str, part: Path) -> None:
    """Fetch the bytes that the .part lacks."""
    state = _read_state(part, url)
    offset = _measure(part) if state else 0
    if state and state.size == offset:
        return
    try:
        response = open_url(url, _ask_for_rest(state, offset))
    except RangeRefused:
        _discard(part)
        raise
    with response:
        if response.status == 206:
            state = _continue_part(response, part, state, offset)
        else:  # the whole file: a first attempt, a server without ranges, or a file that has changed
            state = _start_part(url, part, response)
        _append(response, part, state.size)
    if state.size is not None and _measure(part) < state.size:
        raise Interrupted(f"the connection closed after {_measure(part)} of {state.size} bytes")


def _ask_for_rest(state: _State | None, offset: int) -> dict[str, str]:
    headers = {}
    if state and offset:
        headers["Range"] = f"bytes={offset}-"
        if state.validator:
            headers["If-Range"] = state.validator
    return headers


def _start_part(url: str, part: Path, response: http.client.HTTPResponse) -> _State:
    """Delete the old .part and record what the answer says about the file."""
    size = response.headers.get("Content-Length")
    state = _State(url, int(size) if size else None, read_validator(response))
    part.unlink(missing_ok=True)
    write_json(_name_state_file(part), state._asdict())
    return state


def _continue_part(response: http.client.HTTPResponse, part: Path, state: _State | None, offset: int) -> _State:
    """Check that an answer continues the .part, and return its state; delete the .part if it does not."""
    found = response.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", found)
    if state and match and int(match[1]) == offset and (state.size is None or match[2] in (str(state.size), "*")):
        return state
    _discard(part)
    raise Interrupted(f"the file has changed on the server (Content-Range {found!r})")


def _append(response: http.client.HTTPResponse, part: Path, total: int | None) -> None:
    progress = _Progress(part.name.removesuffix(".part"), total)
    with name_file_in_errors(part), open(part, "ab") as handle:
        while chunk := receive(response):
            handle.write(chunk)
            progress.report(handle.tell())


class _Redirects(request.HTTPRedirectHandler):
    """Follows redirects to HTTP(S) alone, and never from HTTPS back to HTTP."""

    def redirect_request(
        self, req: request.Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> request.Request | None:
        _check_scheme(newurl)
        if req.type == "https" and not newurl.startswith("https:"):
            raise InputError(f"{req.full_url}: redirects to {newurl}, which is not encrypted")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _build_opener() -> request.OpenerDirector:
    """Build an opener that knows HTTP and HTTPS, with the environment's proxies, and no other scheme."""
    opener = request.OpenerDirector()
    opener.add_handler(request.ProxyHandler())
    opener.add_handler(request.HTTPHandler())
    opener.add_handler(request.HTTPSHandler())
    opener.add_handler(request.HTTPDefaultErrorHandler())
    opener.add_handler(request.HTTPErrorProcessor())
    opener.add_handler(_Redirects())
    return opener


class _Progress:
    """Reports progress: plain lines every few seconds; on a terminal one line that is updated."""

    def __init__(self, name: str, total: int | None) -> None:
        self.name, self.total = name, total
        self.last = time.monotonic()
        self.terminal = sys.__stderr__ if sys.__stderr__ and sys.__stderr__.isatty() else None

    def report(self, done: int) -> None:
        if time.monotonic() - self.last < (0.2 if self.terminal else REPORT_SECONDS):
            return
        self.last = time.monotonic()
        share = f" of {self.total / 1e6:.1f} MB ({100 * done / self.total:.0f} %)" if self.total else " MB"
        line = f"{self.name}: {done / 1e6:.1f}{share}"
        if self.terminal:
            print(f"\r{line}", end="", file=self.terminal, flush=True)
        else:
            print(line)


def _read_state(part: Path, url: str) -> _State | None:
    """Read the state of a .part; None if it cannot be resumed from this address."""
    try:
        state = _State(**json.loads(_name_state_file(part).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    usable = state.url == url and (state.size is not None or state.validator)
    return state if usable and part.is_file() else None


def _name_state_file(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _measure(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _name_state_file(part).unlink(missing_ok=True)
