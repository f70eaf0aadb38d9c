"""Remote archives read in parts: a file over HTTP of which only the bytes that are needed are fetched."""

import http.client
import io
import re
from typing import TYPE_CHECKING

from ..errors import InputError
from .download import Interrupted, apply_mirror, open_url, read_validator, receive, retry

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

FETCH_BYTES = 1 << 22  # least number of bytes that are fetched at a time


class RangeFile(io.RawIOBase):
    """A file at an HTTP(S) address, read-only and seekable, as zipfile needs it.

    The bytes of the last request are kept until others are asked for. A broken connection is resumed.

    Parameters
    ----------
    url : str
        http:// or https:// address.
    mirror : str, optional
        Base URL that replaces scheme and host.

    Raises
    ------
    InputError
        If the server does not support ranges, refuses or cannot be reached, or if the file changes while it is read.
    """

    def __init__(self, url: str, mirror: str | None = None) -> None:
        self.url = apply_mirror(url, mirror)
        self.position, self.start, self.buffer = 0, 0, bytearray()
        self.size = 0
        self.validator: str | None = None
        self.fetched = 0
        self._fetch(0, 1)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.size}[whence]
        self.position = max(base + offset, 0)
        return self.position

    def readinto(self, target: "WriteableBuffer") -> int:
        view = memoryview(target).cast("B")
        length = max(min(len(view), self.size - self.position), 0)
        done = 0
        while done < length:
            first = self.position - self.start
            if not 0 <= first < len(self.buffer):
                self._fetch(self.position, min(max(length - done, FETCH_BYTES), self.size - self.position))
                first = 0
            part = self.buffer[first : first + length - done]
            view[done : done + len(part)] = part
            self.position += len(part)
            done += len(part)
        return done

    def __str__(self) -> str:
        return self.url

    @property
    def name(self) -> str:
        """The address."""
        return self.url

    def _fetch(self, start: int, length: int) -> None:
        """Fill the buffer with these bytes."""
        self.start, self.buffer = start, bytearray()
        retry(self.url, lambda: self._attempt(start, length), lambda: len(self.buffer))

    def _attempt(self, start: int, length: int) -> None:
        """Fetch what the buffer lacks of these bytes."""
        first = start + len(self.buffer)
        headers = {"Range": f"bytes={first}-{start + length - 1}"}
        if self.validator:
            headers["If-Range"] = self.validator
        with open_url(self.url, headers) as response:
            self._check(response, first)
            while len(self.buffer) < length and (chunk := receive(response)):
                self.buffer += chunk[: length - len(self.buffer)]
                self.fetched += len(chunk)
        if len(self.buffer) < length:
            raise Interrupted(f"the connection closed after {len(self.buffer)} of {length} bytes")

    def _check(self, response: http.client.HTTPResponse, first: int) -> None:
        """Refuse an answer that is not the requested part of the same file."""
        found = response.headers.get("Content-Range", "")
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", found)
        if response.status != 206 or match is None:
            reason = "it has changed on the server" if self.size else "the server cannot send parts of files"
            raise InputError(f"{self.url}: {reason}; fetch it whole instead, or try again later")
        size = int(match[2])
        if int(match[1]) != first or (self.size and self.size != size):
            raise InputError(f"{self.url}: it has changed on the server (Content-Range {found!r}); try again later")
        self.size, self.validator = size, read_validator(response)
