import json

import pandas as pd
import pytest
from running import run_script
from serving import COMMON, names, sha256, write_zip
from sketchscope.errors import InputError
from sketchscope.fetch import datasets, osf

ROOT = "/v2/nodes/dnp65/files/osfstorage/"


def file_item(path, data, *, hashes=True):
    """A file as the API describes it; its address does not contain its name."""
    extra = {"hashes": {"md5": "0", "sha256": sha256(data)}} if hashes else {}
    attributes = {"kind": "file", "name": path.split("/")[-1], "materialized_path": path, "size": len(data)}
    return {
        "attributes": attributes | {"extra": extra},
        "links": {"download": f"https://osf.io/download/{sha256(data)}/"},
    }


def folder_item(name):
    related = {"href": f"https://api.osf.io{ROOT}{name}/", "meta": {}}
    attributes = {"kind": "folder", "name": name, "materialized_path": f"/{name}/"}
    return {"attributes": attributes, "relationships": {"files": {"links": {"related": related}}}, "links": {}}


@pytest.fixture
def project(server, tmp_path):
    """A project of two pages, a folder and an archive; the contents of its files by name."""
    archive = write_zip(tmp_path / "a.zip", {"set/image_2.tif": b"i2", "set/mask_2.tif": b"m2", "set/notes.txt": b""})
    contents = {
        "HeLa/image_1.tif": b"i1",
        "HeLa/mask_1.tif": b"m1",
        "readme.md": b"read",
        "more.zip": archive.read_bytes(),
    }
    archive.unlink()
    pages = {
        ROOT: ([folder_item("HeLa")], f"https://api.osf.io{ROOT}?page=2"),
        f"{ROOT}?page=2": (
            [file_item("/readme.md", b"read", hashes=False), file_item("/more.zip", contents["more.zip"])],
            None,
        ),
        f"{ROOT}HeLa/": ([file_item(f"/HeLa/{n}_1.tif", n[:1].encode() + b"1") for n in ("image", "mask")], None),
    }
    for address, (items, following) in pages.items():
        server.files[address] = json.dumps({"data": items, "links": {"next": following}}).encode()
    for data in contents.values():
        server.files[f"/download/{sha256(data)}/"] = data
    return contents


def test_listing_follows_pages_and_folders(server, project):
    listed = osf.list_files("dnp65", server.url)
    assert [file.name for file in listed] == sorted(project)
    assert {file.name: file.size for file in listed} == {name: len(data) for name, data in project.items()}
    digests = {file.name: file.sha256 for file in listed}
    assert digests.pop("readme.md") is None
    assert digests == {name: sha256(project[name]) for name in digests}


@pytest.mark.parametrize("fault", ["cut once", "500 twice"])
def test_listing_is_repeated_after_a_fault(server, project, fault):
    server.faults[ROOT] = fault
    assert len(osf.list_files("dnp65", server.url)) == len(project)


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (b"<html>", "the server sends no JSON"),
        (b"[]", "the answer is not as OSF's API describes it"),
        (
            b'{"data": [{"attributes": {}}], "links": {"next": null}}',
            r"is not as OSF's API describes it \(KeyError\('kind'\)",
        ),
        (
            json.dumps({"data": [file_item("/../x", b"")], "links": {"next": None}}).encode(),
            "would leave the target folder",
        ),
    ],
)
def test_answers_that_are_not_as_expected(server, page, message):
    server.files[ROOT] = page
    with pytest.raises(InputError, match=message):
        osf.list_files("dnp65", server.url)


def test_no_such_project(server):
    with pytest.raises(InputError, match=r"/v2/nodes/dnp65/files/osfstorage/: the server answers 404"):
        osf.list_files("dnp65", server.url)


def test_a_circle_of_pages_ends(server):
    server.files[ROOT] = json.dumps({"data": [], "links": {"next": f"https://api.osf.io{ROOT}"}}).encode()
    assert osf.list_files("dnp65", server.url) == []


def test_files_by_name(server, project, tmp_path):
    """In folders and in archives; cut connections are resumed."""
    server.faults[f"/download/{sha256(b'i1')}/"] = "cut once"
    entry = {"kind": "osf", "node": "dnp65", "images": ["*image_*.tif"], "labels": ["*mask_*.tif"], **COMMON}
    entry |= {"archives": ["*.zip"], "truth": "gold"}
    output = tmp_path / "x/dataset.json"
    record = datasets.fetch_dataset(entry, "x", output, mirror=server.url)
    assert record["images"] == ["HeLa/image_1.tif", "set/image_2.tif"]
    assert record["labels"] == ["HeLa/mask_1.tif", "set/mask_2.tif"]
    assert record["source"] == "https://osf.io/dnp65"
    assert (tmp_path / "x/set/mask_2.tif").read_bytes() == b"m2"
    assert record["sha256"] == {name: sha256((tmp_path / "x" / name).read_bytes()) for name in record["sha256"]}
    assert names(tmp_path / "x") == sorted([*record["images"], *record["labels"], "more.zip", "dataset.json"])


def test_a_file_that_is_not_as_the_listing_says(server, project, tmp_path):
    server.files[f"/download/{sha256(b'i1')}/"] = b"xx"
    entry = {"kind": "osf", "node": "dnp65", "images": ["HeLa/image*"], **COMMON}
    with pytest.raises(InputError, match=r"sha256 is .* is expected"):
        datasets.fetch_dataset(entry, "x", tmp_path / "x/dataset.json", mirror=server.url)
    assert not (tmp_path / "x/dataset.json").exists()


def test_a_name_that_is_not_there_lists_those_that_are(server, project, tmp_path):
    entry = {"kind": "osf", "node": "dnp65", "images": ["CHO/*"], **COMMON}
    message = r"OSF project dnp65: no file is named like CHO/\*; it holds HeLa/image_1.tif, .*, more.zip, readme.md"
    with pytest.raises(InputError, match=message):
        datasets.fetch_dataset(entry, "x", tmp_path / "x/dataset.json", mirror=server.url)


def test_script_lists(server, project, tmp_path):
    output = tmp_path / "osf/dnp65.csv"
    run_script(
        "list_osf", tmp_path, outputs={"list": output}, params={"mirror": server.url}, wildcards={"node": "dnp65"}
    )
    table = pd.read_csv(output)
    assert table["name"].tolist() == sorted(project)
    assert "HeLa/mask_1.tif" in (tmp_path / "logs/list_osf.log").read_text()
