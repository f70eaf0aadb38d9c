import io
import json
import os
import zipfile

import pytest
from serving import COMMON, names, ranges, sha256, write_zip
from sketchscope.errors import InputError
from sketchscope.fetch import ctc, datasets, http_ranges


def ctc_members(name, digits=3, frames=(0, 1, 10)):
    """The true layout of a training archive, 01 with silver truth for all frames but one, 02 with none."""
    members = {f"{name}/01_GT/TRA/man_track.txt": b"", f"{name}/01_ERR_SEG/mask{0:0{digits}d}.tif": b"e"}
    for sequence in ("02", "01"):
        for frame in reversed(frames):
            members[f"{name}/{sequence}/t{frame:0{digits}d}.tif"] = f"{sequence} {frame}".encode()
    for frame in frames[1:]:
        members[f"{name}/01_ST/SEG/man_seg{frame:0{digits}d}.tif"] = f"silver {frame}".encode()
    members[f"{name}/01_GT/SEG/man_seg{frames[0]:0{digits}d}.tif"] = b"gold"
    members[f"{name}/01_GT/SEG/man_seg_{frames[1]:0{digits}d}_007.tif"] = b"a slice"
    members[f"{name}/01_GT/TRA/man_track{frames[0]:0{digits}d}.tif"] = b"markers"
    return members


@pytest.fixture
def serve_ctc(server, tmp_path):
    def serve(members, name="Fluo-N2DL-X"):
        archive = write_zip(tmp_path / "source.zip", members).read_bytes()
        (tmp_path / "source.zip").unlink()
        server.files[f"/training-datasets/{name}.zip"] = archive
        return archive

    return serve


@pytest.mark.parametrize("digits", [2, 3, 4])
def test_ctc(server, serve_ctc, tmp_path, digits):
    name = "Fluo-N2DL-X"
    archive = serve_ctc(ctc_members(name, digits))
    entry = {"kind": "ctc", "name": name, "truth": "silver", "sha256": sha256(archive), **COMMON}
    output = tmp_path / "x" / "dataset.json"
    record = datasets.fetch_dataset(entry, "x", output, mirror=server.url)
    assert record == json.loads(output.read_text())
    frames = [f"{name}/{sequence}/t{t:0{digits}d}.tif" for sequence in ("01", "02") for t in (0, 1, 10)]
    masks = [f"{name}/01_ST/SEG/man_seg{t:0{digits}d}.tif" for t in (1, 10)]
    assert record["images"] == frames
    assert record["labels"] == [None, *masks, None, None, None]
    assert record["sha256"][f"{name}.zip"] == sha256(archive)
    assert record["sha256"][masks[1]] == sha256(b"silver 10")
    assert {key: record[key] for key in COMMON} == COMMON
    assert record["truth"] == "silver"
    assert record["groups"] == ["01"] * 3 + ["02"] * 3
    assert record["source"] == f"https://data.celltrackingchallenge.net/training-datasets/{name}.zip"
    assert names(output.parent) == sorted([*frames, *masks, f"{name}.zip", "dataset.json"])


@pytest.mark.parametrize(("truth", "labels"), [("gold", ["01_GT/SEG/man_seg000.tif", None, None]), ("none", None)])
def test_ctc_gold_or_no_truth_of_one_sequence(server, serve_ctc, tmp_path, truth, labels):
    name = "Fluo-N2DL-X"
    serve_ctc(ctc_members(name))
    entry = {"kind": "ctc", "name": name, "truth": truth, "sequences": ["01"], **COMMON}
    record = datasets.fetch_dataset(entry, "x", tmp_path / "dataset.json", mirror=server.url)
    assert len(record["images"]) == 3
    expected = [label and f"{name}/{label}" for label in labels or [None] * 3]
    assert record["labels"] == expected
    plane = {f"{name}/01_GT/SEG/man_seg_001_007.tif": 7}
    assert record["planes"] == ([{}, plane, {}] if truth == "gold" else None)
    assert all((tmp_path / path).exists() for path in plane) == (truth == "gold")


def test_frames_are_paired_by_number():
    files = ["X/02/t10.tif", "X/02/t9.tif", "X/02_ST/SEG/man_seg009.tif", "X/01/t1.tif", "X/01/notes.tif"]
    assert ctc.pair_frames(files, ["02", "01"], "silver") == (
        ["X/02/t9.tif", "X/02/t10.tif", "X/01/t1.tif"],
        ["X/02_ST/SEG/man_seg009.tif", None, None],
    )


def test_planes_are_paired_by_number():
    files = ["X/01/t000.tif", "X/01/t012.tif", "X/02/t012.tif", "X/01_GT/SEG/man_seg000.tif"]
    files += [f"X/01_GT/SEG/man_seg_012_{plane:03d}.tif" for plane in (30, 4)] + ["X/02_ST/SEG/man_seg_012_004.tif"]
    found = {"X/01_GT/SEG/man_seg_012_004.tif": 4, "X/01_GT/SEG/man_seg_012_030.tif": 30}
    assert ctc.pair_planes(files, ["02", "01"]) == [{}, {}, found]
    assert list(ctc.pair_planes(files, ["01"])[1].values()) == [4, 30]


NOISE = os.urandom(1 << 18)  # content of a frame; a real one has a gigabyte


@pytest.fixture(scope="module")
def zip64():
    """A ZIP64 archive of the true layout."""
    buffer = io.BytesIO()
    with pytest.MonkeyPatch.context() as patch, zipfile.ZipFile(buffer, "w") as archive:
        patch.setattr(zipfile, "ZIP64_LIMIT", 1000)
        for sequence in ("01", "02"):
            for frame in range(80):
                archive.writestr(f"Fluo-N3DL-X/{sequence}/t{frame:03d}.tif", bytes([frame]) + NOISE)
        archive.close()
    assert b"PK\x06\x06" in buffer.getvalue()[-200:], "the end record of ZIP64"
    return buffer.getvalue()


@pytest.fixture
def huge_archive(server, zip64, monkeypatch):
    """Where the archive is served."""
    monkeypatch.setattr(http_ranges, "FETCH_BYTES", 4096)
    server.files["/training-datasets/Fluo-N3DL-X.zip"] = zip64
    return "/training-datasets/Fluo-N3DL-X.zip"


@pytest.mark.parametrize("fault", ["", "cut parts once"])
def test_single_frames_from_a_huge_archive(server, huge_archive, tmp_path, fault):
    server.faults[huge_archive], server.etags[huge_archive] = fault, '"1"'
    entry = {"kind": "ctc", "name": "Fluo-N3DL-X", "sequences": ["02"], "frames": [7, 30], **COMMON}
    record = datasets.fetch_dataset(entry, "x", tmp_path / "dataset.json", mirror=server.url)
    assert record["images"] == ["Fluo-N3DL-X/02/t007.tif", "Fluo-N3DL-X/02/t030.tif"]
    assert record["labels"] == [None, None]
    assert (tmp_path / record["images"][1]).read_bytes() == bytes([30]) + NOISE
    assert record["sha256"] == {name: sha256((tmp_path / name).read_bytes()) for name in record["images"]}
    assert names(tmp_path) == sorted([*record["images"], "dataset.json"])
    assert server.sent < 0.02 * len(server.files[huge_archive])
    server.sent = 0
    datasets.fetch_dataset(entry, "x", tmp_path / "dataset.json", mirror=server.url)
    assert server.sent < 40_000, "what is there is not fetched again"


def test_an_interrupted_fetch_of_frames_keeps_those_that_are_whole(server, huge_archive, tmp_path):
    entry = {"kind": "ctc", "name": "Fluo-N3DL-X", "sequences": ["01"], "frames": [3, 5], **COMMON}
    datasets.fetch_dataset({**entry, "frames": [3]}, "x", tmp_path / "dataset.json", mirror=server.url)
    server.sent = 0
    datasets.fetch_dataset(entry, "x", tmp_path / "dataset.json", mirror=server.url)
    assert len(NOISE) < server.sent < 1.3 * len(NOISE)


def test_frames_that_are_not_in_the_archive(server, huge_archive, tmp_path):
    entry = {"kind": "ctc", "name": "Fluo-N3DL-X", "frames": [99], **COMMON}
    with pytest.raises(InputError, match=r"holds no frame named like Fluo-N3DL-X/01/t099\.tif"):
        datasets.fetch_dataset(entry, "x", tmp_path / "dataset.json", mirror=server.url)


def sparse_members(name, digits, annotated):
    """A 3D training archive whose gold labels are single planes: {sequence: {frame: planes}}; 40 frames in all."""
    members = {}
    for sequence, planes_of in annotated.items():
        for frame in range(40):
            members[f"{name}/{sequence}/t{frame:0{digits}d}.tif"] = f"{sequence} {frame}".encode() + NOISE
            members[f"{name}/{sequence}_GT/TRA/man_track{frame:0{digits}d}.tif"] = b"markers"
        for frame, planes in planes_of.items():
            for plane in planes:
                label = f"{name}/{sequence}_GT/SEG/man_seg_{frame:0{digits}d}_{plane:0{digits}d}.tif"
                members[label] = f"gold {frame} {plane}".encode()
    return members


@pytest.mark.parametrize("digits", [2, 3, 4])
def test_frames_with_gold_labels_of_single_planes(server, serve_ctc, tmp_path, monkeypatch, digits):
    """Only the archive knows which they are; these frames alone are fetched, each with all of its planes."""
    monkeypatch.setattr(http_ranges, "FETCH_BYTES", 4096)
    name, fifth = "Fluo-N3DL-X", {frame: [3] for frame in range(0, 40, 5)}
    archive = serve_ctc(sparse_members(name, digits, {"01": {7: [4, 11], 31: [0]}, "02": fifth}), name)
    entry = {"kind": "ctc", "name": name, "truth": "gold", "frames": "gold", "most": 3, **COMMON}
    record = datasets.fetch_dataset(entry, "x", tmp_path / "dataset.json", mirror=server.url)
    wanted = [("01", 7), ("01", 31), ("02", 0), ("02", 20), ("02", 35)]
    assert record["images"] == [f"{name}/{sequence}/t{frame:0{digits}d}.tif" for sequence, frame in wanted]
    assert record["labels"] == [None] * 5
    assert [list(planes.values()) for planes in record["planes"]] == [[4, 11], [0], [3], [3], [3]]
    second = [*record["planes"][0]][1]
    assert second == f"{name}/01_GT/SEG/man_seg_{7:0{digits}d}_{11:0{digits}d}.tif"
    assert (tmp_path / second).read_bytes() == b"gold 7 11"
    assert names(tmp_path) == sorted(["dataset.json", *record["images"], *(f for p in record["planes"] for f in p)])
    assert server.sent < 0.1 * len(archive)
    every = datasets.fetch_dataset({**entry, "most": None}, "x", tmp_path / "dataset.json", mirror=server.url)
    assert len(every["images"]) == 2 + 8


@pytest.mark.parametrize(
    ("frames", "sentence"),
    [
        ("gold", r"Fluo-N3DL-X\.zip: holds no gold labels in Fluo-N3DL-X/02_GT/SEG$"),
        ("all", r"frames is 'all'; allowed"),
    ],
)
def test_no_frames_are_fetched(server, serve_ctc, tmp_path, frames, sentence):
    serve_ctc(sparse_members("Fluo-N3DL-X", 3, {"01": {7: [4]}, "02": {}}), "Fluo-N3DL-X")
    entry = {"kind": "ctc", "name": "Fluo-N3DL-X", "truth": "gold", "frames": frames, **COMMON}
    with pytest.raises(InputError, match=sentence):
        datasets.fetch_dataset(entry, "x", tmp_path / "x/dataset.json", mirror=server.url)
    assert names(tmp_path) == []


def test_ctc_is_resumed_in_the_next_run_and_not_fetched_again_after(server, serve_ctc, tmp_path):
    name, path = "Fluo-N2DL-X", "/training-datasets/Fluo-N2DL-X.zip"
    archive = serve_ctc({**ctc_members(name), "pad": os.urandom(200000)})
    server.faults[path] = "always cut"
    entry = {"kind": "ctc", "name": name, "truth": "silver", **COMMON}
    with pytest.raises(InputError, match="run again to resume"):
        datasets.fetch_dataset(entry, "x", tmp_path / "dataset.json", mirror=server.url)
    assert names(tmp_path) == [f"{name}.zip.part", f"{name}.zip.part.json"]
    server.faults.clear()
    server.requests.clear()
    for _ in range(2):
        datasets.fetch_dataset(entry, "x", tmp_path / "dataset.json", mirror=server.url)
        assert ranges(server) == [f"bytes={len(archive) // 2}-"]
        (tmp_path / "dataset.json").unlink()


def test_ctc_archive_of_another_layout(server, serve_ctc, tmp_path):
    serve_ctc(ctc_members("Fluo-Other"))
    entry = {"kind": "ctc", "name": "Fluo-N2DL-X", "truth": "silver", **COMMON}
    with pytest.raises(InputError, match=r"Fluo-N2DL-X\.zip: holds no frame named like Fluo-N2DL-X/01/t000\.tif"):
        datasets.fetch_dataset(entry, "x", tmp_path / "dataset.json", mirror=server.url)
    assert not (tmp_path / "dataset.json").exists()


def test_ctc_archive_that_would_escape(server, serve_ctc, tmp_path):
    serve_ctc({**ctc_members("Fluo-N2DL-X"), "../x": b"out"})
    entry = {"kind": "ctc", "name": "Fluo-N2DL-X", "truth": "silver", **COMMON}
    with pytest.raises(InputError, match=r"'\.\./x' would leave the target folder"):
        datasets.fetch_dataset(entry, "x", tmp_path / "x" / "dataset.json", mirror=server.url)
    assert names(tmp_path) == ["x/Fluo-N2DL-X.zip"]
