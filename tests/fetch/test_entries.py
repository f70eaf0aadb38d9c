import pytest
import yaml
from running import REPOSITORY
from serving import COMMON, names
from sketchscope.errors import InputError
from sketchscope.fetch import datasets, download, entries


def test_two_labels_that_fit_an_image():
    with pytest.raises(
        InputError, match=r"p/raw/1\.tif: 2 labels fit it, p/seg/1_a\.tif, p/seg/1_b\.tif; only one may"
    ):
        entries.pair_by_prefix(["p/raw/1.tif"], ["p/seg/1_a.tif", "p/seg/1_b.tif"])


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


def test_shipped_entries_are_complete():
    resources = yaml.safe_load((REPOSITORY / "resources/datasets.yaml").read_text(encoding="utf-8"))
    for name, entry in resources["datasets"].items():
        entries.check_entry(entry, name)
        assert len(entry["voxel_size"]) == len(entry["axes"].removeprefix("T"))
        assert entry["truth"] in ("gold", "silver", "none")
        assert entry["citation"]
        assert entry["terms"]
    for entry in resources["models"].values():
        assert download.apply_mirror(entry["url"], None).startswith("https://")
        assert entry["diam_mean"] > 0
