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


def change_description(path, old, new):
    """Replace a part of the description, of any length; the rest of the file stays where it is."""
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tag = tiff.pages.first.tags["ImageDescription"]
        assert old in tag.value
        tag.overwrite(tag.value.replace(old, new).encode())


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


@pytest.mark.parametrize(
    "text", ["INF", "-INF", "NaN", "0,5", "", "-0.5", "0", "half", "0.5 0.5"], ids=lambda text: text or "empty"
)
@pytest.mark.parametrize(("shape", "dimensions"), [((20, 30), 2), ((4, 20, 30), 3)])
def test_an_ome_size_that_is_no_length_counts_as_not_stated(tmp_path, shape, dimensions, text):
    path = tmp_path / "a.ome.tif"
    write_ome(path, random_image(shape), "ZYX"[-dimensions:], **{f"PhysicalSize{axis}": 0.5 for axis in "ZYX"})
    change_description(path, 'PhysicalSizeX="0.5"', f'PhysicalSizeX="{text}"')
    stack = describe(path, dimensions)
    assert stack.voxel_size is None
    assert f'PhysicalSizeX="{text}" µm' in stack.stated_scale
    assert next(read_frames(stack, [0])).shape == shape


@pytest.mark.parametrize("unit", ["in", "inch", "pixel", "reference frame", ""])
def test_an_ome_size_in_inches_or_an_unknown_unit_counts_as_not_stated(tmp_path, unit):
    sizes = {f"PhysicalSize{axis}": 0.5 for axis in "YX"} | {"PhysicalSizeXUnit": unit}
    write_ome(tmp_path / "a.ome.tif", random_image((20, 30)), "YX", **sizes)
    stack = describe(tmp_path / "a.ome.tif", 2)
    assert stack.voxel_size is None
    assert f'PhysicalSizeX="0.5" {unit}' in stack.stated_scale


def test_positions_of_different_scales_tell_no_voxel_size(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as writer:
        for size in (0.5, 0.25):
            metadata = {"axes": "YX", "PhysicalSizeX": size, "PhysicalSizeY": size}
            writer.write(random_image((20, 30)), photometric="minisblack", metadata=metadata)
    stack = describe(tmp_path / "a.ome.tif", 2)
    assert stack.voxel_size is None
    assert 'PhysicalSizeX="0.5" µm; ' in stack.stated_scale
    assert stack.stated_scale.endswith('PhysicalSizeX="0.25" µm')


@pytest.mark.parametrize("spacing", ["1,5", "nan", "inf", "-1.5", "0", "wide"])
def test_an_imagej_spacing_that_is_no_length_counts_as_not_stated(tmp_path, spacing):
    metadata = {"axes": "ZYX", "unit": "um", "spacing": spacing}
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, random_image((4, 20, 30)), imagej=True, resolution=(2, 2), metadata=metadata)
    stack = describe(path, 3)
    assert stack.voxel_size is None
    assert stack.stated_scale.startswith("spacing=")
    assert stack.stated_scale.endswith("per um")


@pytest.mark.parametrize("unit", ["inch", "in", "pixel", "foo"])
def test_imagej_in_inches_or_an_unknown_unit_tells_no_voxel_size(tmp_path, unit):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, random_image((20, 30)), imagej=True, resolution=(72, 72), metadata={"unit": unit})
    stack = describe(path, 2)
    assert stack.voxel_size is None
    assert stack.stated_scale == f"YResolution=72/1, XResolution=72/1 per {unit}"


def test_centimetres_of_a_plain_tiff_count_and_inches_do_not(tmp_path):
    image = random_image((20, 30))
    for unit in ("CENTIMETER", "INCH"):
        tifffile.imwrite(tmp_path / f"{unit}.tif", image, resolution=(40000, 20000), resolutionunit=unit)
    assert describe(tmp_path / "CENTIMETER.tif", 2).voxel_size == pytest.approx((0.5, 0.25))
    assert describe(tmp_path / "INCH.tif", 2).voxel_size is None
    tifffile.imwrite(tmp_path / "none.tif", image, resolution=(1, 1), resolutionunit="NONE")
    assert describe(tmp_path / "none.tif", 2).stated_scale == ""


@pytest.mark.parametrize("ratio", [(0, 1), (1, 0), (0, 0)])
def test_a_resolution_that_is_no_number_tells_no_voxel_size(tmp_path, ratio):
    tifffile.imwrite(tmp_path / "a.tif", random_image((20, 30)), resolution=(1, 1), resolutionunit="CENTIMETER")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as tiff:
        tiff.pages[0].tags["YResolution"].overwrite(ratio)
    assert describe(tmp_path / "a.tif", 2).voxel_size is None


def write_series(path, images, **options):
    """Write each image as a series of its own."""
    with tifffile.TiffWriter(path, ome=path.name.endswith(".ome.tif")) as writer:
        for image in images:
            writer.write(image, photometric="minisblack", **options)


def write_pages(path, pages, descriptions=(), **options):
    """Write pages as other programs do, with a description of their own or none."""
    with tifffile.TiffWriter(path) as writer:
        for number, page in enumerate(pages):
            text = descriptions[number] if number < len(descriptions) else None
            writer.write(page, metadata=None, contiguous=False, photometric="minisblack", description=text, **options)


def read_all(stack):
    return np.stack(list(read_frames(stack, range(stack.n_frames))))


@pytest.mark.parametrize(
    ("shape", "dimensions", "stored"),
    [((3, 20, 30), 2, "YX"), ((3, 4, 20, 30), 3, "ZYX"), ((3, 4, 20, 30), 2, "TYX"), ((3, 2, 4, 20, 30), 3, "TZYX")],
)
@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_series_of_one_kind_are_frames_in_their_order(tmp_path, shape, dimensions, stored, name, compression):
    """Frames that were appended one by one, and positions in one OME-TIFF."""
    images = random_image(shape)
    write_series(tmp_path / name, images, metadata={"axes": stored}, compression=compression)
    stack = describe(tmp_path / name, dimensions)
    frames = images.reshape(-1, *shape[-dimensions:])
    assert (stack.shape, stack.axes) == (frames.shape, "TZYX"[0] + "ZYX"[-dimensions:])
    np.testing.assert_array_equal(read_all(stack), frames)
    np.testing.assert_array_equal(next(read_frames(stack, [2])), frames[2])


def test_series_of_single_planes_are_slices_only_if_the_user_says_so(tmp_path):
    images = random_image((5, 20, 30))
    write_series(tmp_path / "a.tif", images)
    np.testing.assert_array_equal(read_all(describe(tmp_path / "a.tif", 3, "ZYX")), images[None])
    with pytest.raises(InputError, match=r"a\.tif: has shape \(5, 20, 30\) .*, set axes: ZYX$"):
        describe(tmp_path / "a.tif", 3)


@pytest.mark.parametrize(
    ("images", "kinds"),
    [
        (
            [random_image((10, 15)), random_image((8, 20, 30))],
            "series 0 of shape (10, 15), axes YX and type uint16: 1 page;"
            " series 1 of shape (8, 20, 30), axes QYX and type uint16: 8 pages",
        ),
        (
            [random_image((20, 30)), random_image((20, 30), "uint8")],
            "series 0 of shape (20, 30), axes YX and type uint16: 1 page;"
            " series 1 of shape (20, 30), axes YX and type uint8: 1 page",
        ),
        (
            [random_image((2, 20, 30)), random_image((3, 20, 30))],
            "series 0 of shape (2, 20, 30), axes QYX and type uint16: 2 pages;"
            " series 1 of shape (3, 20, 30), axes QYX and type uint16: 3 pages",
        ),
    ],
)
def test_series_of_several_kinds_are_refused_with_what_was_found(tmp_path, images, kinds):
    """An overview before the movie; labels in the second series; movies of different lengths."""
    path = tmp_path / "a.tif"
    write_series(path, images)
    with pytest.raises(InputError) as caught:
        describe(path, 2)
    assert str(caught.value) == (
        f"{path}: holds images of 2 kinds ({kinds}); save those of one kind as a file of their own"
    )


def test_many_kinds_are_counted(tmp_path):
    write_pages(tmp_path / "a.tif", [random_image((20, 30 + number)) for number in range(6)])
    with pytest.raises(InputError, match=r"holds images of 6 kinds .*; and 2 more\)"):
        describe(tmp_path / "a.tif", 2)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("mark", [1, 0])
def test_a_smaller_copy_is_left_out_only_if_it_is_marked_as_such(tmp_path, first, mark):
    images, path = random_image((3, 20, 30)), tmp_path / "a.tif"
    thumbnail = {"data": images[0, ::2, ::2], "subfiletype": mark}
    pages = [thumbnail] * first + [{"data": image} for image in images] + [thumbnail] * (not first)
    with tifffile.TiffWriter(path) as writer:
        for page in pages:
            writer.write(**page, metadata=None, contiguous=False, photometric="minisblack")
    if mark:
        stack = describe(path, 2)
        assert stack.n_smaller == 1
        np.testing.assert_array_equal(read_all(stack), images)
    else:
        with pytest.raises(InputError, match=r"holds images of 2 kinds .* of shape \(10, 15\)"):
            describe(path, 2)


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
def test_levels_of_a_pyramid_are_left_out(tmp_path, name):
    images = random_image((3, 20, 30))
    with tifffile.TiffWriter(tmp_path / name, ome=name.endswith(".ome.tif")) as writer:
        writer.write(images, subifds=1, photometric="minisblack", metadata={"axes": "TYX"})
        writer.write(images[:, ::2, ::2], subfiletype=1, photometric="minisblack")
    stack = describe(tmp_path / name, 2)
    assert stack.n_smaller == 3
    np.testing.assert_array_equal(read_all(stack), images)


def test_pages_that_are_compressed_in_several_ways_keep_their_order(tmp_path):
    images = random_image((4, 20, 30))
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for number, image in enumerate(images):
            compression = "zlib" if number % 2 else None
            writer.write(image, metadata=None, contiguous=False, photometric="minisblack", compression=compression)
    np.testing.assert_array_equal(read_all(describe(tmp_path / "a.tif", 2)), images)


@pytest.mark.parametrize("described", [5, 9])
def test_ome_xml_of_another_number_of_planes_is_refused(tmp_path, described):
    path = tmp_path / "a.ome.tif"
    write_ome(path, random_image((8, 20, 30)), "TYX")
    change_description(path, 'SizeT="8"', f'SizeT="{described}"')
    with pytest.raises(InputError) as caught:
        describe(path, 2)
    assert str(caught.value) == (
        f"{path}: its OME-XML describes {described} planes, but it holds 8; save it again with a description of all"
        " its planes, or without OME-XML"
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('PlaneCount="8"', 'PlaneCount="7"', "tells of 8 planes, but it holds 7"),
        ('PlaneCount="8"', 'PlaneCount="999999999"', "takes 999999999 planes from it, but it holds 8"),
        ('SizeT="8"', 'SizeT="999999999"', "describes 999999999 planes, but it holds 8"),
        ('IFD="0"', 'IFD="1"', "tells of 8 planes, but it holds 7"),
        ('SizeX="30"', 'SizeX="29"', "its OME description does not fit its 8 pages"),
        ('SizeT="8"', 'SizeT="x"', "cannot be read as TIFF"),
        ('SizeT="8"', 'SizeT="-8"', "describes -8 planes"),
    ],
)
def test_ome_xml_that_contradicts_the_pages_is_refused(tmp_path, old, new, message):
    path = tmp_path / "a.ome.tif"
    write_ome(path, random_image((8, 20, 30)), "TYX")
    change_description(path, old, new)
    with pytest.raises(InputError, match=message):
        describe(path, 2)


def test_ome_xml_that_takes_a_page_twice_is_refused(tmp_path):
    path = tmp_path / "a.ome.tif"
    write_series(path, random_image((2, 20, 30)), metadata={"axes": "YX"})
    change_description(path, 'IFD="1"', 'IFD="0"')
    with pytest.raises(InputError, match="1 of its 2 pages, the first is page 1, from 0, belong to no image"):
        describe(path, 2)


@pytest.mark.parametrize("described", [5, 12])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_imagej_description_of_another_number_of_images_is_refused(tmp_path, described, compression):
    text = f"ImageJ=1.53\nimages={described}\nframes={described}\n"
    path = tmp_path / "a.tif"
    write_pages(path, random_image((8, 20, 30)), [text], compression=compression)
    with pytest.raises(InputError, match=rf"a\.tif: .*({described} planes, but it holds 8|not fit its 8 pages)"):
        describe(path, 2)


def test_imagej_stack_of_one_page_may_hold_no_more_than_it_describes(tmp_path):
    """ImageJ writes large stacks with a single header, and their planes behind it."""
    path, images = tmp_path / "a.tif", random_image((8, 20, 30))
    tifffile.imwrite(path, images, imagej=True, metadata={"axes": "TYX"})
    with tifffile.TiffFile(path) as tiff:
        next_page = tiff.pages[0].offset + tiff.tiff.tagnosize + len(tiff.pages[0].tags) * tiff.tiff.tagsize
    stored = bytearray(path.read_bytes())
    stored[next_page : next_page + 4] = bytes(4)
    path.write_bytes(stored)
    np.testing.assert_array_equal(read_all(describe(path, 2)), images)
    path.write_bytes(stored.replace(b"images=8", b"images=5").replace(b"frames=8", b"frames=5"))
    with pytest.raises(InputError, match="tells of 5 planes, but it holds pixels for 8"):
        describe(path, 2)
    path.write_bytes(stored.replace(b"images=8", b"images=9").replace(b"frames=8", b"frames=9"))
    with pytest.raises(InputError, match="its ImageJ description does not fit its 1 pages"):
        describe(path, 2)


@pytest.mark.parametrize(
    ("dtype", "expected"), [("uint8", (0, 255)), ("uint16", (0, 65535)), ("int16", (-32768, 32767))]
)
def test_white_is_zero_is_noticed_in_images_and_does_not_matter_in_labels(tmp_path, dtype, expected):
    image = random_image((20, 30), dtype)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="miniswhite")
    stack = describe(tmp_path / "a.tif", 2)
    assert stack.inverted_range == expected
    np.testing.assert_array_equal(next(read_frames(stack, [0])), image)
    assert describe_labels(tmp_path / "a.tif", stack).inverted_range is None


def test_white_is_zero_of_floats_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", random_image((20, 30), "float32"), photometric="miniswhite")
    with pytest.raises(InputError, match=r"a\.tif: is WhiteIsZero with values of type float32"):
        describe(tmp_path / "a.tif", 2)


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


@pytest.mark.parametrize(("shape", "dimensions"), [((3, 20, 30), 2), ((3, 4, 20, 30), 3)])
def test_labels_in_series_are_as_many_as_the_frames_of_their_image(tmp_path, shape, dimensions):
    images = random_image(shape)
    axes = "T" + "ZYX"[-dimensions:]
    tifffile.imwrite(tmp_path / "image.tif", images, photometric="minisblack", metadata={"axes": axes})
    image = describe(tmp_path / "image.tif", dimensions)
    write_series(tmp_path / "labels.tif", images)
    np.testing.assert_array_equal(read_all(describe_labels(tmp_path / "labels.tif", image)), images)
    write_series(tmp_path / "fewer.tif", images[:2])
    with pytest.raises(InputError) as caught:
        describe_labels(tmp_path / "fewer.tif", image)
    assert str(caught.value) == (
        f"{tmp_path}/fewer.tif: labels of shape {(2, *shape[1:])} for {tmp_path}/image.tif of shape {shape}"
    )


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
