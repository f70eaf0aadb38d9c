import numpy as np
import pytest
import tifffile
from sketchscope.errors import InputError
from sketchscope.images.manifest import ManifestRow
from sketchscope.images.raw_files import RawImages
from sketchscope.masks.label_sources import read_label_files, read_training_labels

SHAPES = {2: (20, 30), 3: (4, 20, 30)}
VOXELS = {2: (0.5, 0.5), 3: (2.0, 0.5, 0.5)}
both_dimensions = pytest.mark.parametrize("dimensions", [2, 3])


def row(dimensions, image="0000", split="train", source="a.tif", frame=0):
    return ManifestRow(
        image, split, source, frame, SHAPES[dimensions], "uint16", VOXELS[dimensions], 0.0, 1.0, 1.0, False
    )


def some_labels(dimensions, frames, dtype="uint16"):
    return np.random.default_rng(0).integers(0, 9, (frames, *SHAPES[dimensions])).astype(dtype)


def axes(dimensions):
    return "TYX" if dimensions == 2 else "TZYX"


@both_dimensions
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_every_frame_of_every_file_is_read(tmp_path, dimensions, dtype):
    labels = some_labels(dimensions, 3, dtype)
    paths = [tmp_path / "a.tif", tmp_path / "b.tif"]
    for path in paths:
        tifffile.imwrite(path, labels, metadata={"axes": axes(dimensions)}, photometric="minisblack")
    found = list(read_label_files(paths, row(dimensions)))
    assert [name for name, _ in found] == [f"{file:04d}_{frame:04d}" for file in range(2) for frame in range(3)]
    np.testing.assert_array_equal([labels for _, labels in found], [*labels, *labels])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.full((20, 30), 0.5, np.float32), "whole numbers from 0, one per cell, are needed"),
        (np.full((20, 30), -1, np.int16), "whole numbers from 0, one per cell, are needed"),
        (np.ones((20, 30), np.complex64), "labels of type complex64; one integer per cell is needed"),
        (np.ones((20, 30, 3), np.uint8), "a 2D image"),
    ],
)
def test_bad_files_are_told(tmp_path, labels, message):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, labels)
    with pytest.raises(InputError, match=message) as caught:
        list(read_label_files([path], row(2)))
    assert str(caught.value).startswith(str(path))


def test_another_voxel_size_is_told(tmp_path):
    path = tmp_path / "a.ome.tif"
    sizes = {"PhysicalSizeY": 0.3, "PhysicalSizeX": 0.3, "PhysicalSizeYUnit": "µm", "PhysicalSizeXUnit": "µm"}
    tifffile.imwrite(path, np.ones((20, 30), np.uint8), ome=True, metadata={"axes": "YX"} | sizes)
    with pytest.raises(InputError, match=r"voxels of \(0.3, 0.3\) micrometres, but those of the images"):
        list(read_label_files([path], row(2)))


@both_dimensions
def test_labels_of_training_images_alone_are_taken(tmp_path, dimensions):
    """Of four frames one is a test image, one is not used; a second file brings no labels."""
    labels = some_labels(dimensions, 4)
    for name in ("a.tif", "b.tif", "a-truth.tif"):
        tifffile.imwrite(tmp_path / name, labels, photometric="minisblack")
    images, labels_of_images = [tmp_path / "a.tif", tmp_path / "b.tif"], [tmp_path / "a-truth.tif", None]
    dataset = RawImages(images, axes(dimensions), None, labels_of_images, background_label=1)
    source, other = str(tmp_path / "a.tif"), str(tmp_path / "b.tif")
    rows = [
        row(dimensions, "0000", "train", source, 0),
        row(dimensions, "0001", "test", source, 1),
        row(dimensions, "0003", "train", source, 3),
        row(dimensions, "0004", "train", other, 0),
    ]
    found = dict(read_training_labels(dataset, rows, "auto"))
    assert list(found) == ["0000", "0003"]
    for image, frame in (("0000", 0), ("0003", 3)):
        np.testing.assert_array_equal(found[image], np.where(labels[frame] == 1, 0, labels[frame]))


def test_an_image_that_is_tested_on_as_well_lends_no_labels(tmp_path):
    dataset = RawImages(["a.tif"], "YX", None, ["b.tif"])
    assert list(read_training_labels(dataset, [row(2, split="both")], "auto")) == []
    assert list(read_training_labels(dataset._replace(labels=None), [row(2)], "auto")) == []
