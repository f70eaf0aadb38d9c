import json

import pytest
import yaml
from running import REPOSITORY, run_script
from serving import BODY, COMMON, FILE, names, sha256, write_tar, write_zip
from sketchscope.errors import InputError
from sketchscope.fetch import datasets


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
    shipped = yaml.safe_load((REPOSITORY / "resources/datasets.yaml").read_text(encoding="utf-8"))["datasets"][
        "willis-2016"
    ]
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


@pytest.mark.parametrize("url", ["http://localhost", "http://localhost/", "http://localhost/a/%2e%2e"])
def test_http_address_without_a_file_name(tmp_path, url):
    with pytest.raises(InputError, match="must end in the name of a file"):
        datasets.fetch_dataset({"kind": "http", "url": url, **COMMON}, "x", tmp_path / "dataset.json")


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


def test_scripts(server, tmp_path, capsys):
    entry = {"kind": "http", "url": server.url + FILE, **COMMON}
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
