import numpy as np
import pytest
from sketchscope.errors import InputError
from sketchscope.images.intensity import denormalise, normalise
from sketchscope.images.manifest import (
    ManifestRow,
    as_real,
    from_real,
    held_out_rows,
    load_image,
    load_normalised,
    read_manifest,
    training_rows,
    typical_limits,
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
    }
    return ManifestRow(**(values | fields))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("dtype", "lowest", "highest"), [("uint8", 0, 255), ("uint16", 33000, 36800)])
@pytest.mark.parametrize("gamma", [1.0, 0.5])
def test_round_trip_of_integers_is_exact(shape, dtype, lowest, highest, gamma):
    image = np.random.default_rng(1).integers(lowest, highest, shape, endpoint=True).astype(dtype)
    low, high = np.percentile(image, (0.1, 99.9))
    found = denormalise(normalise(image, low, high, gamma), low, high, dtype, gamma)
    assert found.dtype == image.dtype
    np.testing.assert_array_equal(found, image)


def test_round_trip_is_exact_over_all_of_uint16_and_far_beyond_the_limits():
    image = np.arange(2**16, dtype="uint16")
    np.testing.assert_array_equal(denormalise(normalise(image, 200.5, 900.25), 200.5, 900.25, "uint16"), image)


@pytest.mark.parametrize("shape", SHAPES)
def test_round_trip_of_floats_is_close(shape):
    image = np.random.default_rng(2).normal(5, 3, shape).astype("float32")
    found = denormalise(normalise(image, -1.5, 12.0), -1.5, 12.0, "float32")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, image, atol=2e-6)


def test_limits_become_minus_one_and_one_and_nothing_is_clipped():
    image = np.array([[0, 100, 200, 300, 400]], dtype="uint16")
    found = normalise(image, 100, 300)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[-2, -1, 0, 1, 2]])


def test_integers_are_rounded_and_clipped_to_their_type():
    values = np.array([-1.02, 1.004, 1.2, -0.0001], dtype="float32")
    np.testing.assert_array_equal(denormalise(values, 0, 255, "uint8"), [0, 255, 255, 127])
    np.testing.assert_allclose(denormalise(values, 0, 255, "float32")[2], 280.5, rtol=1e-6)


def test_table_is_read_back_as_it_was_written(tmp_path):
    rows = [row(), row("0001", "test", labelled=True), row("0002", shape=(4, 24, 32))]
    write_manifest(tmp_path / "manifest.csv", rows)
    assert read_manifest(tmp_path / "manifest.csv") == rows
    lines = (tmp_path / "manifest.csv").read_text().splitlines()
    assert lines[0] == "image,split,source,frame,shape,dtype,voxel_size,low,high,gamma,labelled"
    assert '"a, b.tif",3,24x32,uint16,' in lines[1]


def test_missing_or_foreign_table_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_manifest(tmp_path / "manifest.csv")
    (tmp_path / "other.csv").write_text("image,grey\n0000,3\n")
    with pytest.raises(InputError, match=r"other\.csv: is no manifest with the columns image, split"):
        read_manifest(tmp_path / "other.csv")


def test_an_image_that_is_both_is_learnt_from_and_held_out():
    rows = [row("a", "train"), row("b", "test"), row("c", "both")]
    assert [found.image for found in training_rows(rows)] == ["a", "c"]
    assert [found.image for found in held_out_rows(rows)] == ["b", "c"]


@pytest.mark.parametrize("shape", [*SHAPES, (1, 24, 32)])
def test_image_of_a_row_is_loaded_in_its_shape(tmp_path, shape):
    image = np.random.default_rng(3).integers(0, 50, shape).astype("uint8")
    found = row("a", shape=shape, low=10.0, high=30.0, gamma=1.0)
    write_image(tmp_path / "a.ome.tif", image, found.voxel_size)
    np.testing.assert_array_equal(load_image(found, tmp_path), image)
    np.testing.assert_allclose(load_normalised(found, tmp_path), image / 10.0 - 2, atol=1e-6)


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_generated_images_get_the_median_limits_the_gamma_and_the_type_of_the_real_ones(dtype):
    limits = [(100.0, 1100.0), (120.0, 1300.0), (900.0, 9000.0)]
    rows = [row(low=low, high=high, gamma=0.5, dtype=dtype) for low, high in limits]
    assert typical_limits(rows) == (120.0, 1300.0)
    normalised = np.array([[-1.0, -0.5, 0.0, 0.5, 1.0]], np.float32)
    real = as_real(normalised, rows)
    assert real.dtype == dtype
    # a share of (1 + normalised) / 2 of the range, after the exponent 0.5 is undone
    np.testing.assert_allclose(real, [120 + 1180 * np.array([0, 1 / 16, 1 / 4, 9 / 16, 1])], atol=0.5)
    np.testing.assert_allclose(from_real(real, rows), normalised, atol=2e-3)


def test_an_image_is_loaded_with_its_gamma(tmp_path):
    found = row("a", shape=(1, 4), low=10.0, high=26.0, gamma=0.5)
    write_image(tmp_path / "a.ome.tif", np.array([[10, 11, 14, 26]], "uint8"), found.voxel_size)
    np.testing.assert_allclose(load_normalised(found, tmp_path), [[-1, -0.5, 0, 1]], atol=1e-6)
