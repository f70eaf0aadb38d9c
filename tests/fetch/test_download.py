import io
import json
import ssl
import sys
from urllib.error import URLError

import pytest
from serving import BODY, FILE, Handler, fill_disk, names, ranges, sha256
from sketchscope.errors import InputError
from sketchscope.fetch import download

HALF = len(BODY) // 2


def get(server, path, **keywords):
    return download.download(server.url + FILE, path, **keywords)


def test_download_is_whole_checked_and_recorded(server, tmp_path, capsys):
    path = tmp_path / "new" / "file.bin"
    assert get(server, path) == sha256(BODY)
    assert path.read_bytes() == BODY
    assert names(tmp_path) == ["new/file.bin"]
    assert f"sha256 {sha256(BODY)} (recorded)" in capsys.readouterr().out


def test_download_of_an_empty_file(server, tmp_path):
    server.files[FILE] = b""
    assert get(server, tmp_path / "f") == sha256(b"")
    assert names(tmp_path) == ["f"]


@pytest.mark.parametrize("etag", ['"a"', 'W/"a"', None])
def test_download_cut_once_is_resumed(server, tmp_path, etag):
    server.faults[FILE], server.etags[FILE] = "cut once", etag
    assert get(server, tmp_path / "f", sha256=sha256(BODY).upper()) == sha256(BODY)
    assert ranges(server) == [None, f"bytes={HALF}-"]
    assert server.requests[1][2] == ('"a"' if etag == '"a"' else None)  # a weak tag promises nothing
    assert (tmp_path / "f").read_bytes() == BODY


def test_download_cut_once_from_a_server_without_ranges(server, tmp_path):
    server.faults[FILE] = "cut once, ignores ranges"
    get(server, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == BODY


def test_download_that_stays_cut_keeps_its_part_and_resumes_in_the_next_run(server, tmp_path):
    server.faults[FILE] = "always cut"
    with pytest.raises(InputError, match=rf"closed after {HALF} of {len(BODY)} bytes.*run again to resume"):
        get(server, tmp_path / "f")
    assert names(tmp_path) == ["f.part", "f.part.json"]
    assert (tmp_path / "f.part").read_bytes() == BODY[:HALF]
    assert server.counts[FILE] == 4  # one, and the retries of which the first brought nothing new
    del server.faults[FILE], server.requests[:]
    get(server, tmp_path / "f")
    assert ranges(server) == [f"bytes={HALF}-"]
    assert (tmp_path / "f").read_bytes() == BODY
    assert names(tmp_path) == ["f"]


def test_download_always_cut_by_a_server_without_ranges_ends(server, tmp_path):
    server.faults[FILE] = "always cut, ignores ranges"
    with pytest.raises(InputError, match=f"failed 3 times .*closed after {HALF} of"):
        get(server, tmp_path / "f")
    assert names(tmp_path) == ["f.part", "f.part.json"]


def test_download_of_unknown_length(server, tmp_path):
    server.faults[FILE] = "no length"
    assert get(server, tmp_path / "f") == sha256(BODY)


def leave_part(path, server, body, etag=None, size=None):
    state = {"url": server.url + FILE, "size": size, "validator": etag}
    path.with_name(path.name + ".part").write_bytes(body)
    path.with_name(path.name + ".part.json").write_text(json.dumps(state))


def test_part_of_a_file_that_has_changed_is_not_continued(server, tmp_path):
    leave_part(tmp_path / "f", server, b"old" * 100, '"old"', len(BODY))
    server.etags[FILE] = '"new"'
    get(server, tmp_path / "f")
    assert server.requests[0][1:] == ("bytes=300-", '"old"')
    assert (tmp_path / "f").read_bytes() == BODY


def test_part_of_a_file_whose_size_has_changed_is_not_continued(server, tmp_path):
    leave_part(tmp_path / "f", server, b"old" * 100, size=len(BODY) + 1)
    get(server, tmp_path / "f")
    assert ranges(server) == ["bytes=300-", None]
    assert (tmp_path / "f").read_bytes() == BODY


def test_range_that_was_not_asked_for_starts_over(server, tmp_path):
    leave_part(tmp_path / "f", server, BODY[:300], size=len(BODY))
    server.faults[FILE] = "shifted range"
    get(server, tmp_path / "f")
    assert ranges(server) == ["bytes=300-", None]
    assert (tmp_path / "f").read_bytes() == BODY


@pytest.mark.parametrize("length", [100, len(BODY) + 5])
def test_refused_range_starts_over(server, tmp_path, length):
    leave_part(tmp_path / "f", server, b"x" * length, size=len(BODY) + 9)
    server.faults[FILE] = "416"
    get(server, tmp_path / "f")
    assert ranges(server) == [f"bytes={length}-", None]
    assert (tmp_path / "f").read_bytes() == BODY


def test_complete_part_needs_no_request(server, tmp_path):
    leave_part(tmp_path / "f", server, BODY, size=len(BODY))
    assert get(server, tmp_path / "f") == sha256(BODY)
    assert server.requests == []


@pytest.mark.parametrize("state", [None, "{broken", '{"url": "http://elsewhere/x", "size": 1048576}'])
def test_part_of_unknown_origin_is_not_continued(server, tmp_path, state):
    (tmp_path / "f.part").write_bytes(b"who knows")
    if state:
        (tmp_path / "f.part.json").write_text(state)
    get(server, tmp_path / "f")
    assert ranges(server) == [None]
    assert (tmp_path / "f").read_bytes() == BODY


def test_server_errors_are_retried(server, tmp_path, capsys):
    server.faults[FILE] = "500 twice"
    get(server, tmp_path / "f")
    assert server.counts[FILE] == 3
    assert "the server answers 500 Internal Server Error; trying again" in capsys.readouterr().out


def test_pauses_grow_exponentially(server, tmp_path, monkeypatch):
    pauses = []
    monkeypatch.setattr(download.time, "sleep", pauses.append)
    for name, value in {"RETRIES": 5, "FIRST_PAUSE": 1.0, "LONGEST_PAUSE": 10.0}.items():
        monkeypatch.setattr(download, name, value)
    monkeypatch.setattr(download, "_attempt", lambda *_: (_ for _ in ()).throw(download.Interrupted("no answer")))
    with pytest.raises(InputError, match=r"failed 6 times \(no answer\)$"):
        get(server, tmp_path / "f")
    assert pauses == [1, 2, 4, 8, 10]


def test_missing_file_is_not_retried(server, tmp_path):
    with pytest.raises(InputError, match="/nothing: the server answers 404"):
        download.download(server.url + "/nothing", tmp_path / "f")
    assert server.counts["/nothing"] == 1
    assert names(tmp_path) == []


def test_no_server_is_one_sentence(server, tmp_path):
    server.server_close()
    with pytest.raises(InputError, match=r"failed 3 times \(no answer: .*refused\)$"):
        get(server, tmp_path / "f")
    assert names(tmp_path) == []


def test_wrong_sha256_deletes_the_part_and_names_both(server, tmp_path):
    with pytest.raises(InputError) as caught:
        get(server, tmp_path / "f", sha256="0" * 64)
    assert str(caught.value).startswith(f"{tmp_path / 'f'} from {server.url}")
    assert f"sha256 is {sha256(BODY)} but {'0' * 64} is expected" in str(caught.value)
    assert names(tmp_path) == []


def test_file_put_there_by_hand_is_checked_and_not_fetched(server, tmp_path):
    (tmp_path / "f").write_bytes(b"by hand")
    assert get(server, tmp_path / "f", sha256=sha256(b"by hand")) == sha256(b"by hand")
    with pytest.raises(InputError, match="is expected"):
        get(server, tmp_path / "f", sha256="0" * 64)
    assert (tmp_path / "f").read_bytes() == b"by hand"
    assert server.requests == []


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://x/y", "data:,x", "/etc/hostname", "http:///x"])
def test_other_schemes_are_refused(tmp_path, url):
    for keywords in ({"url": url}, {"url": "http://localhost/x", "mirror": url}):
        with pytest.raises(InputError, match="not an http:// or https:// address"):
            download.download(path=tmp_path / "f", **keywords)
    assert names(tmp_path) == []


def test_redirects_lead_to_http_alone(server, tmp_path):
    server.faults[FILE] = f"redirect to {server.url}/real/data/file.bin"
    server.files["/real/data/file.bin"] = BODY
    assert get(server, tmp_path / "f") == sha256(BODY)
    for url in ("file:///etc/hostname", "ftp://localhost/x"):
        server.faults[FILE] = f"redirect to {url}"
        with pytest.raises(InputError, match=f"{url}(' is not allowed|: not an http:// or https:// address)"):
            get(server, tmp_path / "g")
    assert names(tmp_path) == ["f"]


def test_redirect_from_https_to_http_is_refused():
    redirected = download.request.Request("https://example.org/a")
    with pytest.raises(InputError, match="not encrypted"):
        download._Redirects().redirect_request(redirected, None, 302, "", {}, "http://example.org/a")


def test_mirror_takes_the_place_of_the_host(server, tmp_path):
    server.files["/copies/a/b.bin"] = b"apply_mirror"
    url, mirror = "https://example.invalid/a/b.bin", server.url + "/copies/"
    assert download.download(url, tmp_path / "f", mirror=mirror) == sha256(b"apply_mirror")
    assert download.apply_mirror(url + "?c=1", mirror) == server.url + "/copies/a/b.bin?c=1"
    assert download.apply_mirror(url, None) == url


def test_progress_is_printed_as_lines(server, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(download, "REPORT_SECONDS", 0.0)
    monkeypatch.setattr(sys, "__stderr__", None)
    get(server, tmp_path / "f")
    assert "f: 1.0 of 1.0 MB (100 %)\n" in capsys.readouterr().out


def test_progress_on_a_terminal_is_one_line(server, tmp_path, capsys, monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "__stderr__", terminal)
    progress = download._Progress("f", 2_000_000)
    progress.last = -1.0
    progress.report(1_000_000)
    progress.report(2_000_000)  # too soon after the first
    assert terminal.getvalue() == "\rf: 1.0 of 2.0 MB (50 %)"
    assert capsys.readouterr().out == ""


def test_full_disk_while_downloading(server, tmp_path, monkeypatch):
    fill_disk(monkeypatch, download)
    with pytest.raises(OSError, match="No space left") as caught:
        get(server, tmp_path / "f")
    assert caught.value.filename == str(tmp_path / "f.part")
    assert names(tmp_path) == ["f.part", "f.part.json"]
    monkeypatch.undo()
    get(server, tmp_path / "f")
    assert ranges(server) == [None, "bytes=1000-"]
    assert (tmp_path / "f").read_bytes() == BODY


def test_folder_that_cannot_be_written(server, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match="file"):
        get(server, tmp_path / "file" / "f")


def test_certificate_that_is_not_trusted_is_not_retried(tmp_path, monkeypatch):
    calls = []

    def refuse(opener, request, timeout):
        calls.append(request.full_url)
        cause = ssl.SSLCertVerificationError("untrusted")
        cause.verify_message = "self-signed certificate"
        raise URLError(cause)

    monkeypatch.setattr(download.request.OpenerDirector, "open", refuse)
    with pytest.raises(InputError, match=r"its certificate is not trusted \(self-signed certificate\)$"):
        download.download("https://localhost/a", tmp_path / "f")
    assert calls == ["https://localhost/a"]


def test_range_that_was_not_requested_is_refused(server, tmp_path, monkeypatch):
    """A server that answers a request for the whole file with a part of it."""
    monkeypatch.setattr(Handler, "span", lambda self, etag, size: (0, size // 2))
    with pytest.raises(InputError, match=r"failed 3 times \(the file has changed on the server"):
        get(server, tmp_path / "f")
    assert names(tmp_path) == []
