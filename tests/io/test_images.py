import errno
import os

import numpy as np
import pytest
import tifffile
from sketchscope.errors import InputError
from sketchscope.io.images import list_image_files, map_image, pair_images, read_image, write_image

SHAPES = [(20, 30), (5, 20, 30)]


def random_image(shape, dtype="uint16"):
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "float32"])
@pytest.mark.parametrize("shape", SHAPES)
def test_written_image_is_read_back_with_its_voxel_size(tmp_path, shape, dtype):
    image = random_image(shape, dtype)
    voxel_size = (2.0, 0.5, 0.25)[-len(shape) :]
    write_image(tmp_path / "a.ome.tif", image, voxel_size)
    found = read_image(tmp_path / "a.ome.tif")
    assert found.dtype == image.dtype
    np.testing.assert_array_equal(found, image)
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tiff:
        pixels = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]["Pixels"]
    for axis, size in zip("ZYX"[-len(shape) :], voxel_size, strict=True):
        assert pixels[f"PhysicalSize{axis}"] == size
        assert pixels[f"PhysicalSize{axis}Unit"] == "µm"


@pytest.mark.parametrize("shape", [(20, 30), (5, 20, 30)])
def test_same_image_gives_the_same_file_and_another_one_another(tmp_path, shape):
    for name, value in (("a", 1), ("b", 1), ("c", 2)):
        write_image(tmp_path / name, np.full(shape, value, np.uint16), (1.0,) * len(shape))
    first, same, other = ((tmp_path / name).read_bytes() for name in "abc")
    assert first == same
    assert tifffile.TiffFile(tmp_path / "a").ome_metadata != tifffile.TiffFile(tmp_path / "c").ome_metadata
    assert first != other


@pytest.mark.parametrize("shape", SHAPES)
def test_full_disk_leaves_nothing_and_the_error_names_the_file(tmp_path, monkeypatch, shape):
    def fail(path, *args, **kwargs):
        path.write_bytes(b"II*\0")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tifffile, "imwrite", fail)
    with pytest.raises(OSError, match="No space left") as caught:
        write_image(tmp_path / "a.ome.tif", random_image(shape), (1.0,) * len(shape))
    assert caught.value.filename == str(tmp_path / "a.ome.tif")
    assert os.listdir(tmp_path) == []


def test_images_are_listed_sorted_without_what_is_half_written(tmp_path):
    for name in ("b.ome.tif", "a.ome.tif", ".c.ome.tif", "d.tif"):
        (tmp_path / name).touch()
    assert list(list_image_files(tmp_path)) == ["a", "b"]


def test_folder_without_images_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"holds no image"):
        list_image_files(tmp_path)


def test_pairs(tmp_path):
    for folder, names in (("a", "12"), ("b", "3"), ("c", "12"), ("d", "3"), ("e", "1")):
        for name in names:
            write_image(tmp_path / folder / f"{name}.ome.tif", np.zeros((4, 4), np.uint16), (1, 1))
    a, b, c, d, e = (tmp_path / name for name in "abcde")
    expected = [(n, x / f"{n}.ome.tif", y / f"{n}.ome.tif") for n, x, y in (("1", a, c), ("2", a, c), ("3", b, d))]
    assert list(pair_images([a, b], [c, d])) == expected
    with pytest.raises(InputError, match=r"a/2\.ome\.tif: has no mask of the same name in .*e"):
        list(pair_images([a], [e]))


def test_both_formats_are_listed(tmp_path):
    for name in ("b.ome.zarr", "a.ome.tif", "c.ome.tif"):
        write_image(tmp_path / name, random_image((4, 4)), (1, 1))
    assert {name: path.name for name, path in list_image_files(tmp_path).items()} == {
        "a": "a.ome.tif",
        "b": "b.ome.zarr",
        "c": "c.ome.tif",
    }


@pytest.mark.parametrize("shape", SHAPES)
def test_uncompressed_image_is_mapped(tmp_path, shape):
    image, path = random_image(shape), tmp_path / "a.ome.tif"
    write_image(path, image, (1.0,) * len(shape), compress=False)
    found = map_image(path)
    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(found, image)


def test_what_cannot_be_mapped_is_named(tmp_path):
    write_image(tmp_path / "a.ome.tif", random_image((20, 30)), (1.0, 1.0))
    with pytest.raises(InputError, match=r"a\.ome\.tif: cannot be mapped as uncompressed TIFF"):
        map_image(tmp_path / "a.ome.tif")
    with pytest.raises(InputError, match=r"none\.ome\.tif: no such file"):
        map_image(tmp_path / "none.ome.tif")
