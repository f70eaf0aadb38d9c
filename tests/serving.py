"""Helpers for tests of downloads, archives and data sets: a small HTTP server, archives, a full disk."""

import contextlib
import errno
import hashlib
import io
import os
import tarfile
import zipfile
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY = bytes(range(256)) * 4000  # a megabyte
FILE = "/data/file.bin"
COMMON = {"axes": "YX", "voxel_size": [0.5, 0.5], "citation": "Someone", "terms": "cite"}  # fields of any entry


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `files` by path; `faults` names what goes wrong at a path, `requests` lists the requests received."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.faults, self.etags, self.requests, self.counts = {}, {}, {}, [], Counter()
        self.cut, self.sent = set(), 0
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        server = self.server
        server.requests.append((self.path, self.headers.get("Range"), self.headers.get("If-Range")))
        server.counts[self.path] += 1
        fault = server.faults.get(self.path, "")
        body = server.files.get(self.path)
        if fault.startswith("redirect to "):
            return self.answer(302, b"", Location=fault.removeprefix("redirect to "))
        if fault == "500 twice" and server.counts[self.path] <= 2:
            return self.answer(500, b"")
        if body is None:
            return self.answer(404, b"")
        cut = fault.startswith("always cut") or (fault.startswith("cut once") and server.counts[self.path] == 1)
        return self.send(body, server.etags.get(self.path), fault, len(body) // 2 if cut else None)

    def send(self, body, etag, fault, cut):
        span = self.span(etag, len(body)) if "ignores ranges" not in fault else None
        start, stop = span or (0, len(body))
        if fault == "always cut" and start:
            cut = start  # never one byte more than the half
        if fault == "cut parts once" and (self.path, stop) not in self.server.cut:
            self.server.cut.add((self.path, stop))
            cut = (start + stop) // 2
        headers = {"ETag": etag} if etag else {}
        if start >= len(body) > 0 or (start and fault == "416"):
            return self.answer(416, b"", **{"Content-Range": f"bytes */{len(body)}"})
        if span:
            stated = start + (fault == "shifted range")
            headers["Content-Range"] = f"bytes {stated}-{stop - 1}/{len(body)}"
        length = None if fault == "no length" else stop - start
        end = stop if cut is None else min(stop, cut)
        return self.answer(206 if span else 200, body[start:end], length, **headers)

    def span(self, etag, size):
        """First requested byte and the one after the last; None if the whole file is requested."""
        condition = self.headers.get("If-Range")
        if "Range" not in self.headers or (condition and condition != etag):
            return None
        first, last = self.headers["Range"].removeprefix("bytes=").split("-")
        return int(first), int(last) + 1 if last else size

    def answer(self, status, body, length=0, **headers):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        if length is not None:
            self.send_header("Content-Length", str(length or len(body)))
        self.end_headers()
        self.server.sent += len(body)
        with contextlib.suppress(ConnectionError):  # the client may have closed the connection
            self.wfile.write(body)
        self.close_connection = True


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def ranges(server):
    return [asked for _, asked, _ in server.requests]


class FullDisk(io.FileIO):
    """A file on a disk with room for 1000 bytes."""

    def write(self, data):
        if self.tell() + len(data) > 1000:
            super().write(data[: 1000 - self.tell()])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


def fill_disk(monkeypatch, module):
    """Let a module open its files on a full disk."""
    monkeypatch.setattr(module, "open", lambda file, mode: FullDisk(file, mode.replace("b", "")), raising=False)


def write_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def write_tar(path, members):
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as file:
        for name, data in members.items():
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return path
