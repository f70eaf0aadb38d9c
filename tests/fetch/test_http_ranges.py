import zipfile

import pytest
from serving import BODY, FILE
from sketchscope.errors import InputError
from sketchscope.fetch import http_ranges
from sketchscope.fetch.archives import extract
from sketchscope.fetch.http_ranges import RangeFile


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(http_ranges, "FETCH_BYTES", 1000)


def test_reads_what_is_asked_for(server):
    file = RangeFile(server.url + FILE)
    assert (file.size, file.tell(), file.readable(), file.seekable()) == (len(BODY), 0, True, True)
    assert file.read(5) == BODY[:5]
    assert file.seek(-3, 2) == len(BODY) - 3
    assert file.read() == BODY[-3:]
    assert file.read(1) == b""
    file.seek(300_000)
    file.seek(7, 1)
    assert file.read(2500) == BODY[300_007:302_507]
    assert file.fetched < 5000


def test_what_lies_in_the_buffer_is_not_fetched_again(server):
    file = RangeFile(server.url + FILE)
    file.seek(5000)
    file.read(10)
    asked = len(server.requests)
    assert file.read(500) == BODY[5010:5510]
    file.seek(5900)
    assert file.read(200) == BODY[5900:6100], "the end of one block and the beginning of the next"
    assert len(server.requests) == asked + 1


@pytest.mark.parametrize("fault", ["cut parts once", "500 twice"])
def test_a_broken_connection_is_taken_up_where_it_broke(server, fault):
    server.faults[FILE] = fault
    server.etags[FILE] = '"1"'
    file = RangeFile(server.url + FILE)
    file.seek(2000)
    assert file.read(3000) == BODY[2000:5000]
    if fault == "cut parts once":
        assert [asked for _, asked, _ in server.requests][-2:] == ["bytes=2000-4999", "bytes=3500-4999"]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("ignores ranges", "the server cannot send parts of files"),
        ("shifted range", "it has changed on the server"),
        ("always cut", "the download failed"),
    ],
)
def test_a_server_that_does_otherwise(server, fault, message):
    server.faults[FILE] = fault
    with pytest.raises(InputError, match=message):
        RangeFile(server.url + FILE).read(2000)


def test_a_file_that_changes_meanwhile(server):
    server.etags[FILE] = '"1"'
    file = RangeFile(server.url + FILE)
    server.etags[FILE] = '"2"'
    with pytest.raises(InputError, match="has changed on the server"):
        file.read(2000)


def test_a_file_that_is_not_there(server):
    with pytest.raises(InputError, match="404"):
        RangeFile(server.url + "/none.zip")


def test_no_zip_archive(server, tmp_path):
    with pytest.raises(InputError, match=rf"{FILE}: truncated or damaged"):
        extract(RangeFile(server.url + FILE), tmp_path, ["*"])


def test_a_member_is_fetched_again_only_if_it_is_not_there_whole(server, tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("one", BODY[:20_000])
        archive.writestr("two", BODY[::-1][:20_000])
    server.files["/a.zip"] = path.read_bytes()
    extract(RangeFile(server.url + "/a.zip"), tmp_path / "x", ["*"])
    (tmp_path / "x/two").write_bytes(b"x" * 20_000)
    server.sent = 0
    extract(RangeFile(server.url + "/a.zip"), tmp_path / "x", ["*"])
    assert (tmp_path / "x/two").read_bytes() == BODY[::-1][:20_000]
    assert 20_000 < server.sent < 25_000
