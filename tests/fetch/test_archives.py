import io
import os
import stat
import tarfile
import zipfile

import pytest
from serving import fill_disk, names, sha256, write_tar, write_zip
from sketchscope.errors import InputError
from sketchscope.fetch import archives

WRITERS = {"a.zip": write_zip, "a.tar": write_tar, "a.tar.gz": write_tar}


def zip_link(name):
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return info


def tar_link(name, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "../../outside"
    return info


@pytest.fixture(params=WRITERS)
def write(request, tmp_path):
    return lambda members: WRITERS[request.param](tmp_path / request.param, members)


def test_extract_chosen_members_and_again(write, tmp_path):
    members = {"x/a.tif": b"a" * 300000, "x/b.tif": b"b", "x/c.txt": b"c", "./y/a.tif": b"d"}
    archive = write(members)
    prefix = "./" if archive.suffix == ".zip" else ""
    (tmp_path / "out/x").mkdir(parents=True)
    (tmp_path / "out/x/a.tif").write_bytes(b"from an earlier run")
    for _ in range(2):
        digests = archives.extract(archive, tmp_path / "out", ["x/*.tif", "*y/*"])
        assert digests == {
            "x/a.tif": sha256(b"a" * 300000),
            "x/b.tif": sha256(b"b"),
            f"{prefix}y/a.tif": sha256(b"d"),
        }
        assert names(tmp_path / "out") == ["x/a.tif", "x/b.tif", "y/a.tif"]
        assert (tmp_path / "out/x/a.tif").read_bytes() == b"a" * 300000


def test_extract_everything(write, tmp_path):
    archive = write({"a/b": b"1", "c": b""})
    assert list(archives.extract(archive, tmp_path / "out", ["*"])) == ["a/b", "c"]
    assert names(tmp_path / "out") == ["a/b", "c"]


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/abs/x", "C:/x", "C:x", "..\\x", "\\x", "a\\..\\..\\x"])
def test_members_that_leave_the_folder_are_refused_with_the_whole_archive(write, tmp_path, name):
    archive = write({"good.tif": b"1", name: b"2"})
    for patterns in (["*"], ["good.tif"]):
        with pytest.raises(InputError, match=r"its member .* would leave the target folder") as caught:
            archives.extract(archive, tmp_path / "out" / "deep", patterns)
        assert str(archive) in str(caught.value)
        assert repr(name) in str(caught.value)
        assert names(tmp_path) == [archive.name]


@pytest.mark.parametrize(
    ("archive", "link"),
    [
        ("a.zip", zip_link("l.tif")),
        ("a.tar", tar_link("l.tif")),
        ("a.tar", tar_link("l.tif", tarfile.LNKTYPE)),
        ("a.tar.gz", tar_link("l.tif", tarfile.FIFOTYPE)),
    ],
)
def test_links_and_devices_are_refused(tmp_path, archive, link):
    data = b"../../outside" if archive == "a.zip" else b""
    path = WRITERS[archive](tmp_path / archive, {"good.tif": b"1", link: data})
    with pytest.raises(InputError, match=r"its member 'l\.tif' is a link or device"):
        archives.extract(path, tmp_path / "out", ["*.tif"])
    assert names(tmp_path) == [archive]
    assert list(archives.extract(path, tmp_path / "out", ["good.*"])) == ["good.tif"]


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_truncated_archive(write, tmp_path, kept):
    archive = write({"a": os.urandom(100000), "b": os.urandom(100000)})
    archive.write_bytes(archive.read_bytes()[: int(kept * archive.stat().st_size)])
    with pytest.raises(InputError, match="truncated or damaged") as caught:
        archives.extract(archive, tmp_path / "out", ["*"])
    assert str(archive) in str(caught.value)
    assert set(names(tmp_path)) <= {archive.name, "out/a"}  # a was whole
    if "out/a" in names(tmp_path):
        assert (tmp_path / "out/a").stat().st_size == 100000


def test_damaged_member_leaves_nothing(tmp_path):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a", b"x" * 1000)
    archive.write_bytes(archive.read_bytes().replace(b"xxxxx", b"xyxyx", 1))
    with pytest.raises(InputError, match=r"damaged.*Bad CRC-32"):
        archives.extract(archive, tmp_path / "out", ["*"])
    assert names(tmp_path) == ["a.zip"]


def test_damage_that_the_decompressor_finds_is_reported_in_its_words(tmp_path):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_BZIP2) as file:
        file.writestr("a", b"x" * 1000)
    archive.write_bytes(archive.read_bytes().replace(b"BZh9", b"BZxx"))
    with pytest.raises(InputError, match=r"fetch it again \(Invalid data stream\)$"):
        archives.extract(archive, tmp_path / "out", ["*"])
    assert names(tmp_path) == ["a.zip"]


def test_damaged_compression_leaves_nothing(tmp_path):
    archive = write_tar(tmp_path / "a.tar.gz", {"a": b"x" * 1000})
    data = bytearray(archive.read_bytes())
    data[-6] ^= 1  # in the checksum of the stream
    archive.write_bytes(data)
    with pytest.raises(InputError, match="truncated or damaged"):
        archives.extract(archive, tmp_path / "out", ["*"])
    assert names(tmp_path) == ["a.tar.gz"]


def test_web_page_instead_of_an_archive(tmp_path):
    (tmp_path / "a.zip").write_text("<html>Please log in</html>")
    with pytest.raises(InputError, match=r"a\.zip: truncated or damaged.*delete it to fetch it again"):
        archives.extract(tmp_path / "a.zip", tmp_path / "out", ["*"])


def test_member_that_holds_more_than_it_declares(tmp_path):
    source = io.BytesIO(b"x" * 10**6)
    source.close = lambda: None
    member = archives.Member("bomb", 10, True, lambda: source)
    with pytest.raises(InputError, match="bomb does not hold its 10 bytes"):
        archives._write_member(tmp_path / "a.zip", member, tmp_path / "bomb", None)
    assert names(tmp_path) == []
    assert source.tell() <= archives.READ_BYTES  # the rest was not even unpacked


def test_zip_that_declares_too_little(tmp_path):
    archive = write_zip(tmp_path / "a.zip", {"bomb": b"x" * 100000})
    size = (100000).to_bytes(4, "little")
    archive.write_bytes(archive.read_bytes().replace(size, (10).to_bytes(4, "little")))
    with pytest.raises(InputError):
        archives.extract(archive, tmp_path / "out", ["*"])
    assert names(tmp_path) == ["a.zip"]


def test_archive_that_needs_more_room_than_there_is(tmp_path, monkeypatch):
    archive = write_zip(tmp_path / "a.zip", {"a": b"x" * 100000})
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: archives.shutil._ntuple_diskusage(9, 8, 1000))
    with pytest.raises(InputError, match=r"need 100000 bytes but .* has 1000 free"):
        archives.extract(archive, tmp_path / "out", ["*"])
    assert names(tmp_path) == ["a.zip"]


def test_full_disk_while_extracting(write, tmp_path, monkeypatch):
    archive = write({"a": b"1", "b": b"x" * 5000})
    fill_disk(monkeypatch, archives)
    with pytest.raises(OSError, match="No space left") as caught:
        archives.extract(archive, tmp_path / "out", ["*"])
    assert caught.value.filename == str(tmp_path / "out/b")
    assert names(tmp_path) == [archive.name, "out/a"]


def test_missing_or_wrong_member(write, tmp_path):
    archive = write({"a": b"1"})
    with pytest.raises(InputError, match=r"holds no member b\*"):
        archives.extract(archive, tmp_path / "out", ["a", "b*"])
    with pytest.raises(InputError, match=f"member a: sha256 is {sha256(b'1')} but {'0' * 64} is expected"):
        archives.extract(archive, tmp_path / "out", ["a"], {"a": "0" * 64})
    assert names(tmp_path) == [archive.name]
