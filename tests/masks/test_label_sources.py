import numpy as np
import pytest
import tifffile
from labelling import blobs
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
    rng = np.random.default_rng(0)
    return np.stack([blobs(rng, SHAPES[dimensions], 9) for _ in range(frames)]).astype(dtype)


def axes(dimensions):
    return "TYX" if dimensions == 2 else "TZYX"


@both_dimensions
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_every_frame_of_every_file_is_read(tmp_path, dimensions, dtype):
    labels = some_labels(dimensions, 3, dtype)
    paths = [tmp_path / "a.tif", tmp_path / "b.tif"]
    for path in paths:
        tifffile.imwrite(path, labels, metadata={"axes": axes(dimensions)}, photometric="minisblack")
    found = list(read_label_files(paths, row(dimensions), "instances"))
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
        list(read_label_files([path], row(2), "instances"))
    assert str(caught.value).startswith(str(path))


def test_another_voxel_size_is_told(tmp_path):
    path = tmp_path / "a.ome.tif"
    sizes = {"PhysicalSizeY": 0.3, "PhysicalSizeX": 0.3, "PhysicalSizeYUnit": "µm", "PhysicalSizeXUnit": "µm"}
    tifffile.imwrite(path, np.ones((20, 30), np.uint8), ome=True, metadata={"axes": "YX"} | sizes)
    with pytest.raises(InputError, match=r"voxels of \(0.3, 0.3\) micrometres, but those of the images"):
        list(read_label_files([path], row(2), "instances"))


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


@both_dimensions
@pytest.mark.parametrize("dtype", [bool, "uint8"])
def test_binary_masks_are_refused_and_separated_where_that_is_set(tmp_path, dimensions, dtype):
    mask = np.zeros(SHAPES[dimensions], dtype)
    mask[..., 2:8, 2:8] = mask[..., 12:18, 2:8] = mask[..., 2:8, 20:26] = 255
    tifffile.imwrite(tmp_path / "a.tif", mask, metadata={"axes": "ZYX"[-dimensions:]}, photometric="minisblack")
    with pytest.raises(InputError) as caught:
        list(read_label_files([tmp_path / "a.tif"], row(dimensions), "instances"))
    assert str(caught.value).startswith(
        f"{tmp_path / 'a.tif'}: holds 3 separate pieces with one number; one number for"
    )
    ((_, labels),) = read_label_files([tmp_path / "a.tif"], row(dimensions), "binary")
    plane = labels[0] if dimensions == 3 else labels
    assert (plane[3, 3], plane[3, 22], plane[14, 4], labels.max()) == (1, 2, 3, 3)
    np.testing.assert_array_equal(labels > 0, mask > 0)
    source = str(tmp_path / "image.tif")
    tifffile.imwrite(source, some_labels(dimensions, 1)[0], photometric="minisblack")
    own = RawImages([source], "auto", None, [tmp_path / "a.tif"], labels_are="binary")
    found = dict(read_training_labels(own, [row(dimensions, source=source)], "auto"))
    np.testing.assert_array_equal(found["0000"], labels)
    with pytest.raises(InputError, match=r"a\.tif, labels of .*image\.tif: holds 3 separate pieces with one number"):
        dict(read_training_labels(own._replace(labels_are="instances"), [row(dimensions, source=source)], "auto"))
