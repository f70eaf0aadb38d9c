import json

import numpy as np
import pytest
import tifffile
from sketchscope.errors import InputError
from sketchscope.images.raw_files import describe_labels, describe_stack, read_dataset, read_frames, resolve_axes


def describe(path, dimensions, axes="auto"):
    return describe_stack(path, dimensions, axes)


def random_image(shape, dtype="uint16"):
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


@pytest.mark.parametrize(
    ("stored", "dimensions", "axes", "expected"),
    [
        ("YX", 2, "auto", "YX"),
        ("TYX", 2, "auto", "TYX"),
        ("QYX", 2, "auto", "TYX"),
        ("IYX", 2, "auto", "TYX"),
        ("ZYX", 3, "auto", "ZYX"),
        ("QYX", 3, "auto", "ZYX"),
        ("TZYX", 3, "auto", "TZYX"),
        ("TQYX", 3, "auto", "TZYX"),
        ("YX", 2, "YX", "YX"),
        ("YX", 2, "TYX", "YX"),
        ("ZYX", 2, "TYX", "TYX"),
        ("CYX", 2, "TYX", "TYX"),
        ("TYX", 3, "ZYX", "ZYX"),
        ("SYX", 3, "ZYX", "ZYX"),
        ("QYX", 3, "TZYX", "ZYX"),
        ("QQYX", 3, "TZYX", "TZYX"),
        ("ZCYX", 3, "TZYX", "TZYX"),
    ],
)
def test_axes_are_resolved(stored, dimensions, axes, expected):
    assert resolve_axes((9,) * len(stored), stored, dimensions, axes, name="a.tif") == expected


@pytest.mark.parametrize(
    ("stored", "dimensions", "axes", "message"),
    [
        ("ZYX", 2, "auto", r"2D image is expected; set axes: TYX to take its slices as images, or dimensions: 3"),
        ("YXS", 2, "auto", r"\(axes YXS\) where a 2D image is expected; channels and colours are not read"),
        ("CYX", 2, "auto", "save one channel alone"),
        ("TZYX", 2, "auto", "set dimensions: 3 for stacks"),
        ("YX", 3, "auto", "3D stack is expected; give stacks, or set dimensions: 2"),
        ("TYX", 3, "auto", "if it is one stack whose slices are labelled as times, set axes: ZYX"),
        ("QQYX", 3, "auto", r"\(9, 9, 9, 9\) \(axes QQYX\) where a 3D stack is expected; .* set axes: TZYX"),
        ("ZCYX", 3, "auto", "channels and colours are not read"),
        ("ZYXS", 3, "auto", "channels and colours are not read"),
        ("YXS", 3, "ZYX", "where a 3D stack with axes: ZYX is expected"),
        ("ZTYX", 3, "TZYX", "save it with its axes in that order"),
        ("YX", 3, "ZYX", "where a 3D stack with axes: ZYX is expected"),
        ("QYX", 2, "YX", "where a 2D image with axes: YX is expected"),
        ("QYX", 2, "ZYX", "axes: ZYX with dimensions: 2; allowed are auto, YX and TYX"),
        ("QYX", 3, "TYX", "axes: TYX with dimensions: 3; allowed are auto, ZYX and TZYX"),
    ],
)
def test_axes_that_do_not_fit_are_refused_with_advice(stored, dimensions, axes, message):
    with pytest.raises(InputError, match=message):
        resolve_axes((9,) * len(stored), stored, dimensions, axes, name="a.tif")


def write_ome(path, image, axes, **metadata):
    tifffile.imwrite(path, image, ome=True, photometric="minisblack", metadata={"axes": axes, **metadata})


@pytest.mark.parametrize(
    ("shape", "axes", "dimensions"),
    [((20, 30), "YX", 2), ((4, 20, 30), "TYX", 2), ((4, 20, 30), "ZYX", 3), ((3, 4, 20, 30), "TZYX", 3)],
)
@pytest.mark.parametrize(("unit", "factor"), [("µm", 1), ("nm", 1e-3), ("mm", 1e3)])
def test_ome_voxel_size_in_micrometres(tmp_path, shape, axes, dimensions, unit, factor):
    sizes = {"Z": 2.0, "Y": 0.5, "X": 0.25}
    metadata = {f"PhysicalSize{axis}": size for axis, size in sizes.items()}
    metadata |= {f"PhysicalSize{axis}Unit": unit for axis in sizes}
    write_ome(tmp_path / "a.ome.tif", random_image(shape), axes, **metadata)
    stack = describe(tmp_path / "a.ome.tif", dimensions)
    assert stack.axes == axes
    assert stack.voxel_size == pytest.approx([size * factor for size in list(sizes.values())[-dimensions:]])
    assert stack.frame_shape == shape[-dimensions:]
    assert stack.n_frames == (shape[0] if "T" in axes else 1)


@pytest.mark.parametrize(
    ("shape", "axes", "dimensions"),
    [((4, 20, 30), "TYX", 2), ((4, 20, 30), "ZYX", 3), ((3, 4, 20, 30), "TZYX", 3)],
)
@pytest.mark.parametrize("unit", ["um", "micron", "\\u00B5m"])
def test_imagej_hyperstack(tmp_path, shape, axes, dimensions, unit):
    image, metadata = random_image(shape), {"axes": axes, "unit": unit, "spacing": 2.0}
    tifffile.imwrite(tmp_path / "a.tif", image, imagej=True, resolution=(4, 2), metadata=metadata)
    stack = describe(tmp_path / "a.tif", dimensions)
    assert stack.axes == axes
    assert stack.voxel_size == pytest.approx((2.0, 0.5, 0.25)[-dimensions:])
    frames = np.stack(list(read_frames(stack, range(stack.n_frames))))
    assert frames.dtype == np.dtype("uint16")
    np.testing.assert_array_equal(frames, image.reshape(frames.shape))


def test_imagej_without_unit_or_spacing_tells_no_voxel_size(tmp_path):
    image = random_image((4, 20, 30))
    tifffile.imwrite(tmp_path / "a.tif", image, imagej=True, resolution=(4, 2), metadata={"axes": "ZYX"})
    assert describe(tmp_path / "a.tif", 3).voxel_size is None
    metadata = {"axes": "ZYX", "unit": "um"}
    tifffile.imwrite(tmp_path / "b.tif", image, imagej=True, resolution=(4, 2), metadata=metadata)
    assert describe(tmp_path / "b.tif", 3).voxel_size is None


def test_centimetres_of_a_plain_tiff_count_and_inches_do_not(tmp_path):
    image = random_image((20, 30))
    for unit in ("CENTIMETER", "INCH"):
        tifffile.imwrite(tmp_path / f"{unit}.tif", image, resolution=(40000, 20000), resolutionunit=unit)
    assert describe(tmp_path / "CENTIMETER.tif", 2).voxel_size == pytest.approx((0.5, 0.25))
    assert describe(tmp_path / "INCH.tif", 2).voxel_size is None


@pytest.mark.parametrize(("shape", "axes", "dimensions"), [((5, 20, 30), "TYX", 2), ((3, 4, 20, 30), "TZYX", 3)])
@pytest.mark.parametrize("layout", ["raw", "zlib", "tiled", "bigtiff", "big-endian", "mapped", "imagej"])
def test_frames_are_read_from_every_layout(tmp_path, shape, axes, dimensions, layout):
    path, image = tmp_path / "a.tif", random_image(shape)
    options = {
        "raw": {},
        "zlib": {"compression": "zlib"},
        "tiled": {"compression": "zlib", "tile": (16, 16)},
        "bigtiff": {"bigtiff": True},
        "big-endian": {"byteorder": ">"},
        "imagej": {"imagej": True, "metadata": {"axes": axes}},
    }
    if layout == "mapped":
        tifffile.memmap(path, shape=shape, dtype=image.dtype, photometric="minisblack")[:] = image
    else:
        tifffile.imwrite(path, image, photometric="minisblack", **options[layout])
    stack = describe(path, dimensions, axes)
    frames = list(read_frames(stack, [2, 0]))
    np.testing.assert_array_equal(frames[0], image[2])
    np.testing.assert_array_equal(frames[1], image[0])
    assert all(frame.dtype.isnative for frame in frames)


def test_frames_of_plain_pages(tmp_path):
    image = random_image((5, 20, 30))
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for page in image:
            writer.write(page, metadata=None, contiguous=False)
    stack = describe(tmp_path / "a.tif", 2)
    assert stack.n_frames == 5
    np.testing.assert_array_equal(np.stack(list(read_frames(stack, range(5)))), image)


@pytest.mark.parametrize("shape", [(20, 30), (1, 20, 30)])
@pytest.mark.parametrize("axes", ["TYX", "auto", "YX"])
def test_single_page_is_one_frame(tmp_path, shape, axes):
    tifffile.imwrite(tmp_path / "a.tif", random_image(shape), photometric="minisblack")
    stack = describe(tmp_path / "a.tif", 2, axes)
    assert (stack.n_frames, stack.frame_shape) == (1, (20, 30))
    assert next(read_frames(stack, [0])).shape == (20, 30)


def test_single_stack_of_a_time_lapse_is_one_frame(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", random_image((4, 20, 30)), photometric="minisblack")
    stack = describe(tmp_path / "a.tif", 3, "TZYX")
    assert (stack.axes, stack.n_frames, stack.frame_shape) == ("ZYX", 1, (4, 20, 30))


def test_stack_of_a_single_slice_is_no_3d_image(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", random_image((5, 1, 20, 30)), photometric="minisblack")
    with pytest.raises(InputError, match="stacks of a single slice"):
        describe(tmp_path / "a.tif", 3, "TZYX")
    write_ome(tmp_path / "a.ome.tif", random_image((5, 1, 20, 30)), "TZYX")
    with pytest.raises(InputError, match="a 3D stack with axes: TZYX is expected"):
        describe(tmp_path / "a.ome.tif", 3, "TZYX")


def test_unreadable_ome_metadata_tell_no_voxel_size(tmp_path):
    xml = '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image</OME>'
    tifffile.imwrite(tmp_path / "a.tif", random_image((20, 30)), description=xml, metadata=None)
    assert describe(tmp_path / "a.tif", 2).voxel_size is None


def test_labels_may_keep_an_axis_of_length_one(tmp_path):
    tifffile.imwrite(tmp_path / "image.tif", random_image((20, 30)))
    tifffile.imwrite(tmp_path / "labels.tif", random_image((1, 20, 30)), photometric="minisblack")
    labels = describe_labels(tmp_path / "labels.tif", describe(tmp_path / "image.tif", 2))
    assert next(read_frames(labels, [0])).shape == (20, 30)


@pytest.mark.parametrize(("shape", "dimensions"), [((20, 30), 2), ((4, 20, 30), 3)])
def test_labels_must_have_the_shape_of_their_image(tmp_path, shape, dimensions):
    other = (*shape[:-1], shape[-1] - 1)
    for name, size in {"image": shape, "same": shape, "other": other}.items():
        tifffile.imwrite(tmp_path / f"{name}.tif", random_image(size), photometric="minisblack")
    image = describe(tmp_path / "image.tif", dimensions)
    assert describe_labels(tmp_path / "same.tif", image).frame_shape == shape
    with pytest.raises(InputError) as caught:
        describe_labels(tmp_path / "other.tif", image)
    for part in ("other.tif", "image.tif", str(shape), str(other)):
        assert part in str(caught.value)


def test_labels_of_complex_numbers_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "image.tif", random_image((20, 30)))
    tifffile.imwrite(tmp_path / "labels.tif", random_image((20, 30)).astype("complex64"))
    with pytest.raises(InputError, match=r"labels\.tif: labels of type complex64; one integer per cell is needed"):
        describe_labels(tmp_path / "labels.tif", describe(tmp_path / "image.tif", 2))


def write_dataset(folder, **entries):
    dataset = {"images": ["a/t0.tif", "a/t1.tif"], "labels": [None, "a/l1.tif"]} | entries
    path = folder / "dataset.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(dataset))
    return path


def test_paths_of_a_dataset_start_at_its_folder(tmp_path):
    planes = [{}, {"a/p3.tif": 3}]
    dataset = read_dataset(write_dataset(tmp_path, planes=planes, axes="ZYX", voxel_size=[3, 2, 1]))
    assert dataset.images == [tmp_path / "a/t0.tif", tmp_path / "a/t1.tif"]
    assert dataset.labels == [None, tmp_path / "a/l1.tif"]
    assert dataset.planes == [{}, {tmp_path / "a/p3.tif": 3}]
    assert (dataset.axes, dataset.voxel_size) == ("ZYX", [3, 2, 1])


def test_dataset_with_a_background_label(tmp_path):
    assert read_dataset(write_dataset(tmp_path / "a", background_label=1)).background_label == 1
    assert read_dataset(write_dataset(tmp_path / "b")).background_label == 0


def test_dataset_without_labels_axes_and_voxel_size(tmp_path):
    dataset = read_dataset(write_dataset(tmp_path, labels=None))
    assert (dataset.labels, dataset.planes, dataset.axes, dataset.voxel_size) == (None, None, "auto", None)
