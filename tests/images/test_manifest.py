import numpy as np
import pytest
from sketchscope.errors import InputError
from sketchscope.images.manifest import (
    ManifestRow,
    common_dtype,
    denormalise_like,
    find_typical_limits,
    load_image,
    load_normalised,
    normalise_like,
    read_manifest,
    select_held_out,
    select_training,
    write_manifest,
)
from sketchscope.io.images import write_image

SHAPES = [(24, 32), (4, 24, 32)]


def row(name="0000", split="train", shape=(24, 32), **fields):
    values = {
        "image": name,
        "split": split,
        "source": "a, b.tif",
        "frame": 3,
        "shape": shape,
        "dtype": "uint16",
        "voxel_size": (1.0, 0.1, 1 / 3)[-len(shape) :],
        "low": 0.1 + 0.2,
        "high": 41000.0,
        "gamma": 0.5,
        "labelled": False,
        "group": "movie, one",
        "label_file": "truth/a, b.tif",
    }
    return ManifestRow(**(values | fields))


def test_table_is_read_back_as_it_was_written(tmp_path):
    rows = [row(), row("0001", "test", labelled=True), row("0002", shape=(4, 24, 32))]
    write_manifest(tmp_path / "manifest.csv", rows)
    assert read_manifest(tmp_path / "manifest.csv") == rows
    lines = (tmp_path / "manifest.csv").read_text().splitlines()
    assert lines[0] == "image,split,source,frame,shape,dtype,voxel_size,low,high,gamma,labelled,group,label_file"
    assert '"a, b.tif",3,24x32,uint16,' in lines[1]


def test_the_group_of_an_image_is_its_file_unless_another_is_named():
    assert row().unit == "movie, one"
    assert row(group="").unit == "a, b.tif"


def test_missing_or_foreign_table_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_manifest(tmp_path / "manifest.csv")
    (tmp_path / "other.csv").write_text("image,grey\n0000,3\n")
    with pytest.raises(InputError, match=r"other\.csv: is no manifest with the columns image, split"):
        read_manifest(tmp_path / "other.csv")


def test_an_image_that_is_both_is_learnt_from_and_held_out():
    rows = [row("a", "train"), row("b", "test"), row("c", "both")]
    assert [found.image for found in select_training(rows)] == ["a", "c"]
    assert [found.image for found in select_held_out(rows)] == ["b", "c"]


@pytest.mark.parametrize("shape", [*SHAPES, (1, 24, 32)])
def test_image_of_a_row_is_loaded_in_its_shape(tmp_path, shape):
    image = np.random.default_rng(3).integers(0, 50, shape).astype("uint8")
    found = row("a", shape=shape, low=10.0, high=30.0, gamma=1.0)
    write_image(tmp_path / "a.ome.tif", image, found.voxel_size)
    np.testing.assert_array_equal(load_image(found, tmp_path), image)
    np.testing.assert_allclose(load_normalised(found, tmp_path), image / 10.0 - 2, atol=1e-6)


def test_generated_images_get_the_median_limits_of_the_real_ones():
    rows = [row(low=low, high=high, gamma=1.0, dtype="uint8") for low, high in ((0, 90), (10, 100), (50, 255))]
    assert find_typical_limits(rows) == (10, 100)
    found = denormalise_like(np.array([[-1.0, 0.0, 1.0, 9.0]]), rows)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, [[10, 55, 100, 255]])
    np.testing.assert_allclose(normalise_like(found[:, :3], rows), [[-1, 0, 1]], atol=1e-6)


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        (["uint8", "uint16"], "uint16"),
        (["uint16", "uint8"], "uint16"),
        (["uint8", "uint8"], "uint8"),
        (["uint16", "int16"], "int32"),
        (["uint16", "float32"], "float32"),
        (["uint32", "float32"], "float64"),
    ],
)
def test_type_of_generated_images_holds_all_real_ones(dtypes, expected):
    rows = [row(low=0, high=4000, gamma=1.0, dtype=dtype) for dtype in dtypes]
    assert common_dtype(rows) == expected
    found = denormalise_like(np.array([[-1.0, 1.0]]), rows)
    assert found.dtype == expected
    if expected != "uint8":
        np.testing.assert_array_equal(found, [[0, 4000]])


def test_gamma_of_generated_images_is_that_of_the_real_ones():
    rows = [row(low=0, high=100, gamma=0.5, dtype="float32")]
    np.testing.assert_allclose(denormalise_like(np.array([0.0]), rows), [25])
    np.testing.assert_allclose(normalise_like(np.array([25.0]), rows), [0], atol=1e-6)


def test_an_image_is_loaded_with_its_gamma(tmp_path):
    found = row("a", shape=(1, 4), low=10.0, high=26.0, gamma=0.5)
    write_image(tmp_path / "a.ome.tif", np.array([[10, 11, 14, 26]], "uint8"), found.voxel_size)
    np.testing.assert_allclose(load_normalised(found, tmp_path), [[-1, -0.5, 0, 1]], atol=1e-6)
