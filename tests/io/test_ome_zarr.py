import json

import numpy as np
import pytest
import zarr
from sketchscope.errors import InputError
from sketchscope.io.images import create_image, open_image, read_image, write_image
from sketchscope.io.ome_zarr import split_into_blocks

SHAPES = [(300, 140), (5, 130, 270), (1, 9, 9)]


def image_of(shape, dtype="uint16"):
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "float32"])
@pytest.mark.parametrize("shape", SHAPES)
def test_there_and_back(tmp_path, shape, dtype):
    image, path = image_of(shape, dtype), tmp_path / "a.ome.zarr"
    write_image(path, image, (2.0, 0.5, 0.25)[-len(shape) :])
    assert list(tmp_path.iterdir()) == [path]
    found = read_image(path)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, image)


@pytest.mark.parametrize("suffix", [".ome.zarr", ".ome.tif"])
@pytest.mark.parametrize("shape", SHAPES[:2])
def test_written_and_read_region_by_region(tmp_path, shape, suffix):
    image, path = image_of(shape), tmp_path / f"a{suffix}"
    with create_image(path, shape, image.dtype, (1.0,) * len(shape)) as array:
        assert not path.exists()
        for region in split_into_blocks(shape):
            array[region] = image[region]
    opened = open_image(path)
    assert opened.shape == shape
    part = tuple(slice(n // 3, n // 2 + 1) for n in shape)
    np.testing.assert_array_equal(opened[part], image[part])


@pytest.mark.parametrize("shape", [*SHAPES, (140, 600, 1100)])
def test_blocks_cover_every_voxel_once_and_are_whole_chunks(shape):
    count = np.zeros(shape, np.uint8)
    for region in split_into_blocks(shape):
        count[region] += 1
        assert all(
            s.start % 128 == 0 and (s.stop % 128 == 0 or s.stop == n) for s, n in zip(region, shape, strict=True)
        )
        assert count[region].size <= 2**25
    assert (count == 1).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_description_is_that_of_ome_zarr_0_5(tmp_path, shape):
    voxel_size = (2.0, 0.5, 0.25)[-len(shape) :]
    write_image(tmp_path / "a.ome.zarr", image_of(shape), voxel_size)
    description = json.loads((tmp_path / "a.ome.zarr/zarr.json").read_text())
    assert (description["zarr_format"], description["node_type"]) == (3, "group")
    ome = description["attributes"]["ome"]
    assert ome["version"] == "0.5"
    (image,) = ome["multiscales"]
    assert [(a["name"], a["type"], a["unit"]) for a in image["axes"]] == [
        (axis, "space", "micrometer") for axis in "zyx"[-len(shape) :]
    ]
    (level,) = image["datasets"]
    assert level["coordinateTransformations"] == [{"type": "scale", "scale": list(voxel_size)}]
    array = zarr.open_array(tmp_path / "a.ome.zarr" / level["path"], mode="r")
    assert array.shape == shape
    assert array.metadata.dimension_names == tuple("zyx"[-len(shape) :])


def files_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_same_image_gives_the_same_files(tmp_path):
    for name in ("a", "b"):
        write_image(tmp_path / f"{name}.ome.zarr", image_of((20, 30)), (0.5, 0.5))
    assert files_of(tmp_path / "a.ome.zarr") == files_of(tmp_path / "b.ome.zarr")


def test_failure_leaves_nothing(tmp_path):
    def half_written():
        with create_image(tmp_path / "a.ome.zarr", (9, 9), "u1", (1, 1)) as array:
            array[:4] = 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half_written()
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_ome_zarr_is_named(tmp_path):
    path = tmp_path / "a.ome.zarr"
    with pytest.raises(InputError, match=r"a\.ome\.zarr: no such folder$"):
        read_image(path)
    path.mkdir()
    with pytest.raises(InputError, match=r"a\.ome\.zarr: cannot be read as OME-Zarr 0\.5, it may be damaged"):
        read_image(path)
    zarr.create_group(path, zarr_format=3, overwrite=True)
    with pytest.raises(InputError, match=r"a\.ome\.zarr: cannot be read as OME-Zarr 0\.5"):
        read_image(path)
