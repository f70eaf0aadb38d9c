"""Remote archives read in parts: a file over HTTP of which only the bytes that are asked for are fetched."""

import http.client
import io
import re

from ..errors import InputError
from .download import Interrupted, mirrored, open_url, receive, retrying, validator_of

FETCH_BYTES = 1 << 22  # bytes that are fetched at a time


class RangeFile(io.RawIOBase):
    """A file at an HTTP(S) address, read-only and seekable, as zipfile wants it.

    What comes is kept until something else is asked for; a connection that breaks is taken up where it broke.

    Parameters
    ----------
    url : str
        http:// or https:// address.
    mirror : str, optional
        Base URL that takes the place of scheme and host.

    Raises
    ------
    InputError
        If the server knows no ranges, refuses, stays out of reach, or if the file changes while it is read.
    """

    def __init__(self, url: str, mirror: str | None = None) -> None:
        self.url = mirrored(url, mirror)
        self.position, self.start, self.buffer = 0, 0, b""
        self.size: int | None = None
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

    def readinto(self, target: memoryview) -> int:
        length = max(min(len(target), self.size - self.position), 0)
        done = 0
        while done < length:
            first = self.position - self.start
            if not 0 <= first < len(self.buffer):
                self._fetch(self.position, min(max(length - done, FETCH_BYTES), self.size - self.position))
                first = 0
            part = self.buffer[first : first + length - done]
            target[done : done + len(part)] = part
            self.position += len(part)
            done += len(part)
        return done

    def _fetch(self, start: int, length: int) -> None:
        """Fill the buffer with these bytes."""
        self.start, self.buffer = start, bytearray()
        retrying(self.url, lambda: self._attempt(start, length), lambda: len(self.buffer))

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
        """Refuse an answer that is not the part that was asked for, of the same file as before."""
        found = response.headers.get("Content-Range", "")
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", found)
        size = int(match[2]) if match else None
        if response.status != 206 or size is None:
            reason = "it has changed on the server" if self.size else "the server cannot send parts of files"
            raise InputError(f"{self.url}: {reason}; fetch it whole instead, or try again later")
        if int(match[1]) != first or self.size not in (None, size):
            raise InputError(f"{self.url}: it has changed on the server (Content-Range {found!r}); try again later")
        self.size, self.validator = size, validator_of(response)

    def __str__(self) -> str:
        return self.url

    @property
    def name(self) -> str:
        """The address."""
        return self.url
