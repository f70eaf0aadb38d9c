import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
import running
import sketchscope.images.prepare
import tifffile
from sketchscope.errors import InputError
from sketchscope.images.manifest import load_normalised, load_references, read_manifest
from sketchscope.images.prepare import Preparation, Target, prepare_images
from sketchscope.images.raw_files import RawImages
from sketchscope.io.images import list_image_files, read_image, write_image
from sketchscope.labels import integer_labels

SHAPES = {2: (24, 32), 3: (4, 24, 32)}
VOXELS = {2: (0.5, 0.25), 3: (2.0, 0.5, 0.25)}
both_dimensions = pytest.mark.parametrize("dimensions", [2, 3])


def random_image(shape, dtype="uint16", seed=0):
    return np.random.default_rng(seed).integers(10, 200, shape).astype(dtype)


def write(path, image, **options):
    tifffile.imwrite(path, image, photometric="minisblack", **options)
    return path


def some_cells(dimensions, dtype="uint16"):
    """Labels of two cells."""
    labels = np.zeros(SHAPES[dimensions], dtype)
    labels[..., 2:9, 2:9], labels[..., 12:20, 18:28] = 1, 2
    return labels


def prepare_in(folder, images, dimensions, **options):
    """Prepare images into a folder; options are fields of `RawImages` and `Preparation`."""
    raw = RawImages(images, "auto", VOXELS[dimensions])
    preparation = Preparation(None, None, (0.1, 99.9), 1.0, None)
    raw = raw._replace(**{key: value for key, value in options.items() if key in RawImages._fields})
    preparation = preparation._replace(**{key: value for key, value in options.items() if key in Preparation._fields})
    assert options.keys() <= {*RawImages._fields, *Preparation._fields}
    out = folder / "results"
    return prepare_images(raw, Target(out / "images", out / "labels", out / "manifest.csv"), dimensions, preparation)


def assert_refused(folder, images, dimensions, message, **options):
    """Refused with this message, and nothing is left under a final name nor a temporary one."""
    with pytest.raises(InputError, match=message):
        prepare_in(folder, images, dimensions, **options)
    assert [path for path in (folder / "results").rglob("*")] == []


@both_dimensions
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_frames_keep_their_intensities_and_get_a_voxel_size(tmp_path, dimensions, dtype):
    frames = random_image((10, *SHAPES[dimensions]), dtype)
    path = write(tmp_path / "a.tif", frames, compression="zlib")
    rows = prepare_in(tmp_path, [path], dimensions, axes="TYX" if dimensions == 2 else "TZYX")
    assert [row.image for row in rows] == [f"{ordinal:04d}" for ordinal in range(10)]
    assert [row.split for row in rows] == ["train"] * 8 + ["test"] * 2
    assert rows == read_manifest(tmp_path / "results" / "manifest.csv")
    written = list_image_files(tmp_path / "results" / "images")
    for row, frame in zip(rows, frames, strict=True):
        image = read_image(written[row.image])
        assert image.dtype == frame.dtype
        np.testing.assert_array_equal(image, frame)
        assert row[2:7] == (str(path), row.frame, frame.shape, dtype, VOXELS[dimensions])
        assert (row.low, row.high) == pytest.approx(np.percentile(frame, (0.1, 99.9)))
        assert not row.labelled
    with tifffile.TiffFile(written["0000"]) as tiff:
        pixels = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]["Pixels"]
    assert (pixels["PhysicalSizeY"], pixels["PhysicalSizeX"]) == (0.5, 0.25)
    assert os.listdir(tmp_path / "results" / "labels") == []


@both_dimensions
def test_normalised_image_spans_minus_one_to_one(tmp_path, dimensions):
    path = write(tmp_path / "a.tif", random_image(SHAPES[dimensions]))
    (row,) = prepare_in(tmp_path, [path], dimensions, percentiles=(0, 100))
    image = load_normalised(row, tmp_path / "results" / "images")
    assert row.split == "both"
    assert image.shape == SHAPES[dimensions]
    assert (image.min(), image.max()) == pytest.approx((-1, 1), abs=1e-6)


@both_dimensions
def test_frames_of_several_files_count_in_order_and_unused_ones_are_left_out(tmp_path, dimensions):
    first = random_image((3, *SHAPES[dimensions]), seed=1)
    second = random_image(SHAPES[dimensions], seed=2)
    paths = [write(tmp_path / "a.tif", first), write(tmp_path / "b.tif", second)]
    axes = "TYX" if dimensions == 2 else "TZYX"
    rows = prepare_in(tmp_path, paths, dimensions, axes=axes, train_images="1-2", test_images="3")
    assert [(row.image, row.split, Path(row.source).name, row.frame) for row in rows] == [
        ("0001", "train", "a.tif", 1),
        ("0002", "train", "a.tif", 2),
        ("0003", "test", "b.tif", 0),
    ]
    written = list_image_files(tmp_path / "results" / "images")
    assert list(written) == ["0001", "0002", "0003"]
    np.testing.assert_array_equal(read_image(written["0002"]), first[2])
    np.testing.assert_array_equal(read_image(written["0003"]), second)


@both_dimensions
@pytest.mark.parametrize(
    ("dtype", "highest", "expected"),
    [("uint8", 9, "uint16"), ("float32", 9, "uint16"), ("int32", 70000, "uint32")],
)
def test_labels_of_test_images_only(tmp_path, dimensions, dtype, highest, expected):
    shape = (5, *SHAPES[dimensions])
    labels = np.random.default_rng(3).integers(0, highest, shape, endpoint=True)
    labels[..., 0, 0] = highest
    images = [write(tmp_path / "a.tif", random_image(shape)), write(tmp_path / "b.tif", random_image(shape))]
    truth = write(tmp_path / "a_labels.tif", labels.astype(dtype), compression="zlib")
    axes = "TYX" if dimensions == 2 else "TZYX"
    rows = prepare_in(
        tmp_path,
        images,
        dimensions,
        axes=axes,
        labels=[truth, None],
        train_images="0-1,5",
        test_images="2-3,9",
    )
    assert [row.image for row in rows if row.labelled] == ["0002", "0003"]
    assert [row.split for row in rows if row.image == "0009"] == ["test"]
    written = list_image_files(tmp_path / "results" / "labels")
    assert list(written) == ["0002", "0003"]
    found = read_image(written["0003"])
    assert found.dtype == expected
    np.testing.assert_array_equal(found, labels[3])


@both_dimensions
def test_former_output_is_replaced(tmp_path, dimensions):
    paths = [write(tmp_path / f"{i}.tif", random_image(SHAPES[dimensions], seed=i)) for i in range(3)]
    prepare_in(tmp_path, paths, dimensions)
    prepare_in(tmp_path, paths[:2], dimensions)
    assert list(list_image_files(tmp_path / "results" / "images")) == ["0000", "0001"]
    assert len(read_manifest(tmp_path / "results" / "manifest.csv")) == 2


@both_dimensions
def test_voxel_size_of_the_file_is_used_unless_it_is_set(tmp_path, dimensions):
    sizes = {f"PhysicalSize{axis}": size for axis, size in zip("ZYX", (3.0, 0.7, 0.6), strict=True)}
    metadata = {"axes": "ZYX"[-dimensions:], **sizes}
    path = write(tmp_path / "a.ome.tif", random_image(SHAPES[dimensions]), ome=True, metadata=metadata)
    (row,) = prepare_in(tmp_path, [path], dimensions, voxel_size=None)
    assert row.voxel_size == (3.0, 0.7, 0.6)[-dimensions:]
    (row,) = prepare_in(tmp_path, [path], dimensions)
    assert row.voxel_size == VOXELS[dimensions]


@both_dimensions
def test_bad_voxel_sizes(tmp_path, dimensions):
    plain = write(tmp_path / "a.tif", random_image(SHAPES[dimensions]))
    axes = {2: r"\[y, x\]", 3: r"\[z, y, x\]"}[dimensions]
    assert_refused(
        tmp_path, [plain], dimensions, rf"voxel_size: is not set and .*a\.tif .* set {axes}", voxel_size=None
    )
    for wrong in ([0.5], [0.5] * 4, [0.0] * dimensions):
        assert_refused(
            tmp_path,
            [plain],
            dimensions,
            rf"voxel_size: found .* {dimensions} positive numbers",
            voxel_size=wrong,
        )
    metadata = {"axes": "ZYX"[-dimensions:]} | {f"PhysicalSize{axis}": 0.5 for axis in "ZYX"}
    image = random_image(SHAPES[dimensions])
    first = write(tmp_path / "b.ome.tif", image, ome=True, metadata=metadata)
    other = write(tmp_path / "c.ome.tif", image, ome=True, metadata=metadata | {"PhysicalSizeX": 0.6})
    assert_refused(
        tmp_path,
        [first, other],
        dimensions,
        r"c\.ome\.tif: has voxels of .* micrometres but .*b\.ome\.tif",
        voxel_size=None,
    )


@both_dimensions
def test_scale_that_a_file_states_in_vain_is_quoted_and_not_needed_if_it_is_set(tmp_path, dimensions):
    metadata = {"axes": "ZYX"[-dimensions:]} | {f"PhysicalSize{axis}": 0.5 for axis in "ZYX"}
    path = write(tmp_path / "a.ome.tif", random_image(SHAPES[dimensions]), ome=True, metadata=metadata)
    path.write_bytes(path.read_bytes().replace(b'PhysicalSizeX="0.5"', b'PhysicalSizeX="0,5"'))
    message = (
        r'^voxel_size: is not set and .*a\.ome\.tif says .*PhysicalSizeX="0,5" µm, from which no voxel size follows'
    )
    assert_refused(tmp_path, [path], dimensions, message, voxel_size=None)
    (row,) = prepare_in(tmp_path, [path], dimensions)
    assert row.voxel_size == VOXELS[dimensions]


@both_dimensions
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -0.5])
def test_voxel_sizes_that_are_no_lengths(tmp_path, dimensions, wrong):
    path = write(tmp_path / "a.tif", random_image(SHAPES[dimensions]))
    message = rf"voxel_size: found .* {dimensions} positive numbers"
    assert_refused(tmp_path, [path], dimensions, message, voxel_size=[0.5] * (dimensions - 1) + [wrong])


@pytest.mark.parametrize(
    ("sizes", "units", "fits"),
    [
        ((0.5, 0.5), ("µm", "µm"), True),
        ((10 / 3, 0.4), ("µm", "µm"), True),  # 3 and 25 voxels across
        ((3.4, 0.5), ("µm", "µm"), False),  # fewer than 3 voxels
        ((0.5, 0.3), ("µm", "µm"), False),  # 33 voxels, but the image is 32 wide
        ((0.5, 0.5), ("µm", "nm"), False),
        ((0.5, 0.5), ("mm", "mm"), False),
        ((1.0, 1.0), ("cm", "cm"), False),
    ],
)
def test_scale_of_a_file_must_fit_cells_and_images(tmp_path, sizes, units, fits):
    metadata = {"axes": "YX"}
    for axis, size, unit in zip("YX", sizes, units, strict=True):
        metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": unit}
    path = write(tmp_path / "a.ome.tif", random_image((24, 32)), ome=True, metadata=metadata)
    if fits:
        (row,) = prepare_in(tmp_path, [path], 2, voxel_size=None, cell_diameter=10)
        assert row.voxel_size == pytest.approx(sizes)
    else:
        message = r"a\.ome\.tif: says PhysicalSizeY=.*, so that a cell of 10 micrometres .* set voxel_size: \[y, x\]"
        assert_refused(tmp_path, [path], 2, message, voxel_size=None, cell_diameter=10)
    prepare_in(tmp_path, [path], 2, cell_diameter=10)


@pytest.mark.parametrize(("z", "fits"), [(1.0, True), (20.0, True), (25.0, False), (0.05, True), (0.001, False)])
def test_distance_of_slices_must_fit_cells(tmp_path, z, fits):
    metadata = {"axes": "ZYX", "PhysicalSizeZ": z, "PhysicalSizeY": 0.5, "PhysicalSizeX": 0.5}
    path = write(tmp_path / "a.ome.tif", random_image((4, 24, 32)), ome=True, metadata=metadata)
    if fits:
        prepare_in(tmp_path, [path], 3, voxel_size=None, cell_diameter=10)
    else:
        message = rf"has {10 / z:g} x 20 x 20 voxels across in images of \(4, 24, 32\); .*, and 0\.5 along z"
        assert_refused(tmp_path, [path], 3, message, voxel_size=None, cell_diameter=10)


@both_dimensions
def test_white_is_zero_is_inverted_in_images_and_not_in_labels(tmp_path, dimensions, capsys):
    image = random_image(SHAPES[dimensions], "uint8")
    for name in ("a", "labels"):
        tifffile.imwrite(tmp_path / f"{name}.tif", image, photometric="miniswhite")
    (row,) = prepare_in(tmp_path, [tmp_path / "a.tif"], dimensions, labels=[tmp_path / "labels.tif"])
    results = tmp_path / "results"
    np.testing.assert_array_equal(read_image(results / "images/0000.ome.tif"), 255 - image)
    np.testing.assert_array_equal(read_image(results / "labels/0000.ome.tif"), image)
    assert row.high == pytest.approx(np.percentile(255 - image, 99.9))
    assert "a.tif: 1 of 1 frames; inverted, since it is WhiteIsZero" in capsys.readouterr().out


def test_log_says_how_many_frames_were_taken_and_what_was_left_out(tmp_path, capsys):
    images = random_image((3, 24, 32))
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(images, subifds=1, photometric="minisblack", metadata={"axes": "TYX"})
        writer.write(images[:, ::2, ::2], subfiletype=1, photometric="minisblack")
    prepare_in(tmp_path, [tmp_path / "a.tif"], 2, train_images="0", test_images="2")
    expected = f"{tmp_path}/a.tif: 2 of 3 frames; 3 thumbnails or levels of pyramids are left out\n"
    assert capsys.readouterr().out == expected


@both_dimensions
@pytest.mark.parametrize("damage", ["cut", "text", "empty", "of two kinds"])
def test_damaged_file_that_is_left_out_is_named_in_the_log(tmp_path, dimensions, damage, capsys):
    shape = SHAPES[dimensions]
    paths = [write(tmp_path / f"{i}.tif", random_image(shape, seed=i)) for i in range(4)]
    if damage == "cut":
        os.truncate(paths[1], paths[1].stat().st_size // 2)
    elif damage == "of two kinds":
        write(paths[1], random_image(shape), append=True)
        write(paths[1], random_image((*shape[:-1], 16)), append=True)
    else:
        paths[1].write_text("no image" if damage == "text" else "")
    rows = prepare_in(tmp_path, paths, dimensions, train_images="0,2", test_images="3", labels=[None, *paths[1:]])
    assert [row.image for row in rows] == ["0000", "0002", "0003"]
    assert f"warning: left out, counted as one image: {paths[1]}: " in capsys.readouterr().out
    bad = tmp_path / "bad"
    for options in (
        {"train_images": "0-2", "test_images": "3"},
        {"train_images": "0,2"},
        {"test_images": "3"},
        {},
    ):
        assert_refused(bad, paths, dimensions, r"1\.tif: (truncated|cannot be read|holds images)", **options)


def test_damaged_file_among_movies_is_left_out_only_behind_all_that_are_used(tmp_path, capsys):
    movies = [write(tmp_path / f"{i}.tif", random_image((3, 24, 32), seed=i)) for i in range(3)]
    movies[2].write_text("no image")
    options = {"axes": "TYX", "train_images": "0-3", "test_images": "4-5"}
    assert len(prepare_in(tmp_path, movies, 2, **options)) == 6
    assert f"counted as one image: {movies[2]}: " in capsys.readouterr().out
    message = r"2\.tif: cannot be read .*; it is left out, but nobody knows how many frames it has .* remove it from"
    options = {"axes": "TYX", "train_images": "0,2", "test_images": "5"}
    assert_refused(tmp_path / "bad", [movies[0], movies[2], movies[1]], 2, message, **options)


@both_dimensions
def test_integers_beside_shares_from_0_to_1_are_refused(tmp_path, dimensions):
    shape = SHAPES[dimensions]
    integers = write(tmp_path / "a.tif", random_image(shape))
    shares = write(tmp_path / "b.tif", (random_image(shape) / 200).astype("float32"))
    message = (
        r"b\.tif: has values of type float32 from 0\.\d+ to 0\.\d+, but .*a\.tif of type uint16 from \d+ to \d+; give"
    )
    assert_refused(tmp_path, [integers, shares], dimensions, message)
    floats = write(tmp_path / "c.tif", random_image(shape, "float32"))
    assert len(prepare_in(tmp_path, [integers, floats], dimensions)) == 2
    assert len(prepare_in(tmp_path, [shares, shares], dimensions)) == 2


def bad_image(case, shape):
    image = random_image(shape, "float32")
    if case == "nan":
        image[..., 3:5, 2] = np.nan
    elif case == "infinite":
        image[..., 0, 0] = np.inf
    elif case == "constant":
        image[:] = 7
    elif case == "sparse":
        image[:] = 7
        image[..., 0, 0] = 8
    return image


@both_dimensions
@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("nan", r"bad\.tif: {bad} of {size} values are NaN or infinite"),
        ("infinite", "values are NaN or infinite"),
        ("constant", r"bad\.tif: is constant, every value is 7"),
        ("sparse", r"bad\.tif: its percentiles 1 and 99 are 7\.0 and 7\.0, .* set wider percentiles"),
    ],
)
def test_bad_pixels_in_the_last_of_many_files_leave_nothing(tmp_path, dimensions, case, message):
    shape = SHAPES[dimensions]
    paths = [write(tmp_path / f"{i}.tif", random_image(shape, "float32", i)) for i in range(3)]
    paths.append(write(tmp_path / "bad.tif", bad_image(case, shape)))
    size = int(np.prod(shape))
    message = message.format(bad=2 * size // (24 * 32), size=size)
    percentiles = (1, 99) if case == "sparse" else (0.1, 99.9)
    assert_refused(tmp_path, paths, dimensions, message, percentiles=percentiles)


@both_dimensions
def test_bad_frame_is_named(tmp_path, dimensions):
    frames = random_image((4, *SHAPES[dimensions]), "float32")
    frames[2, ..., 5] = np.nan
    path = write(tmp_path / "a.tif", frames)
    axes = "TYX" if dimensions == 2 else "TZYX"
    assert_refused(tmp_path, [path], dimensions, r"a\.tif, frame 2: .* NaN", axes=axes)


@both_dimensions
@pytest.mark.parametrize("dtype", ["complex64", "bool", "float16", "int64"])
def test_types_that_are_no_intensities_are_refused(tmp_path, dimensions, dtype):
    path = write(tmp_path / "a.tif", random_image(SHAPES[dimensions], dtype))
    assert_refused(tmp_path, [path], dimensions, rf"a\.tif: has values of type {dtype}; allowed are uint8, ")


@both_dimensions
@pytest.mark.parametrize("short", [-1, -2])
def test_image_smaller_than_the_patch_is_refused(tmp_path, dimensions, short):
    path = write(tmp_path / "a.tif", random_image(SHAPES[dimensions]))
    patch = list(SHAPES[dimensions])
    prepare_in(tmp_path, [path], dimensions, min_shape=patch)
    patch[short] += 1
    with pytest.raises(InputError, match=r"a\.tif: has images of shape .* smaller than the patch"):
        prepare_in(tmp_path, [path], dimensions, min_shape=patch)
    with pytest.raises(InputError, match="patch_shape"):
        prepare_in(tmp_path, [path], dimensions, min_shape=patch[1:])


@both_dimensions
def test_truncated_file_is_refused_before_anything_is_written(tmp_path, dimensions):
    paths = [write(tmp_path / f"{i}.tif", random_image(SHAPES[dimensions])) for i in range(2)]
    os.truncate(paths[1], os.path.getsize(paths[1]) // 2)
    assert_refused(tmp_path, paths, dimensions, r"1\.tif: (truncated|cannot be read)")


def test_colour_and_4d_where_3d_is_due_are_refused(tmp_path):
    colour = tmp_path / "colour.tif"
    tifffile.imwrite(colour, random_image((24, 32, 3), "uint8"), photometric="rgb")
    message = r"colour\.tif: has shape \(24, 32, 3\) \(axes YXS\) where a {} is expected"
    assert_refused(tmp_path, [colour], 2, message.format("2D image"))
    assert_refused(tmp_path, [colour], 3, message.format("3D stack"))
    lapse = write(tmp_path / "lapse.tif", random_image((2, 4, 24, 32)))
    assert_refused(tmp_path, [lapse], 3, r"lapse\.tif: has shape .* 3D stack is expected; .* set axes: TZYX")


@both_dimensions
@pytest.mark.parametrize("value", [-1, 0.5, np.nan])
def test_labels_that_are_no_labels_leave_nothing(tmp_path, dimensions, value):
    labels = np.zeros(SHAPES[dimensions], "float32")
    labels[..., 1, 1] = value
    image = write(tmp_path / "a.tif", random_image(SHAPES[dimensions]))
    truth = write(tmp_path / "truth.tif", labels)
    assert_refused(tmp_path, [image], dimensions, r"truth\.tif, labels of .*a\.tif: values", labels=[truth])


@both_dimensions
def test_labels_of_another_shape_or_number_are_refused(tmp_path, dimensions):
    shape = SHAPES[dimensions]
    image = write(tmp_path / "a.tif", random_image(shape))
    truth = write(tmp_path / "truth.tif", random_image((*shape[:-1], 31)))
    message = r"truth\.tif: labels of shape \(.*31\) for .*a\.tif of shape \(.*32\)"
    assert_refused(tmp_path, [image], dimensions, message, labels=[truth])
    message = "labels: 2 files were found for 1 image files"
    assert_refused(tmp_path, [image], dimensions, message, labels=[truth, truth])


@both_dimensions
def test_no_images_and_a_missing_one(tmp_path, dimensions):
    assert_refused(tmp_path, [], dimensions, "images: no file was found")
    assert_refused(tmp_path, [tmp_path / "none.tif"], dimensions, r"none\.tif: no such file")


@both_dimensions
def test_full_disk_leaves_nothing(tmp_path, monkeypatch, dimensions):
    paths = [write(tmp_path / f"{i}.tif", random_image(SHAPES[dimensions])) for i in range(3)]
    written, imwrite = [], tifffile.imwrite

    def fill_disk(path, *args, **options):
        written.append(path)
        if len(written) == 2:
            path.write_bytes(b"II*\0")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        imwrite(path, *args, **options)

    monkeypatch.setattr(tifffile, "imwrite", fill_disk)
    with pytest.raises(OSError, match="No space left"):
        prepare_in(tmp_path, paths, dimensions)
    assert os.listdir(tmp_path / "results") == []


def test_job_killed_before_the_end_leaves_the_former_output(tmp_path, monkeypatch):
    paths = [write(tmp_path / f"{i}.tif", random_image((24, 32), seed=i)) for i in range(3)]
    prepare_in(tmp_path, paths[:2], 2)
    before = sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "results").rglob("*.*"))

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(sketchscope.images.prepare, "_write_labels", interrupt)
    with pytest.raises(KeyboardInterrupt):
        prepare_in(tmp_path, paths, 2)
    after = sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "results").rglob("*.*"))
    assert after == before


def test_labels_beyond_32_bits_are_refused():
    assert integer_labels(np.array([[0, 2**32 - 1]]), "a.tif").dtype == np.uint32
    with pytest.raises(InputError, match="whole numbers from 0"):
        integer_labels(np.array([[0, 2**32]]), "a.tif")


def run_script(folder, inputs, params):
    """Run the script into {folder}/results."""
    settings = {
        "images": None,
        "labels": None,
        "dimensions": 2,
        "axes": "auto",
        "voxel_size": None,
        "train_images": None,
        "test_images": None,
        "percentiles": [0.1, 99.9],
        "gamma": 1.0,
        "min_shape": [16, 16],
        "cell_diameter": None,
        "groups": None,
        "labels_are": "instances",
        "stain": "nuclei",
        "file_warnings": [],
    }
    outputs = {name: str(folder / "results" / name) for name in ("images", "labels")}
    outputs |= {"manifest": str(folder / "results/manifest.csv"), "groups": str(folder / "results/groups.json")}
    running.run_script("prepare_images", folder, inputs=inputs, outputs=outputs, params=settings | params)


def test_script_with_the_users_files(tmp_path):
    paths = [str(write(tmp_path / f"{i}.tif", random_image((24, 32), seed=i))) for i in range(5)]
    truth = [str(write(tmp_path / f"{i}_labels.tif", some_cells(2))) for i in (1, 4)]
    pairs = {paths[1]: truth[0], paths[4]: truth[1]}
    params = {"images": paths, "labels": pairs, "voxel_size": [0.5, 0.5], "file_warnings": ["told at planning"]}
    run_script(tmp_path, {"images": paths, "labels": truth}, params)
    rows = read_manifest(tmp_path / "results" / "manifest.csv")
    assert [row.labelled for row in rows] == [False] * 4 + [True]
    assert [row.label_file for row in rows] == ["", truth[0], "", "", truth[1]]
    log = (tmp_path / "logs/prepare_images.log").read_text()
    assert f"{paths[0]}: 1 of 1 frames\n{paths[1]}: 1 of 1 frames; labels: {truth[0]}\n" in log
    assert "5 images in 5 groups, 1 of them with labels\n" in log
    assert "warning: told at planning\n" in log
    assert f"warning: {truth[1]} does not seem to belong to image 4 ({paths[4]}): the cells are" in log
    assert "told at planning" in json.loads((tmp_path / "results/groups.json").read_text())["warnings"]


def write_dataset(folder, **entries):
    dataset = {"images": ["a/t0.tif", "a/t1.tif"], "labels": [None, "a/l1.tif"]} | entries
    (folder / "data" / "a").mkdir(parents=True)
    for name in ("t0", "t1", "l1"):
        write(folder / "data" / "a" / f"{name}.tif", random_image((3, 24, 32)))
    (folder / "data" / "dataset.json").write_text(json.dumps(dataset))
    return str(folder / "data" / "dataset.json")


def test_script_with_a_dataset_that_the_settings_override(tmp_path):
    dataset = write_dataset(tmp_path, axes="ZYX", voxel_size=[3, 2, 1])
    run_script(tmp_path, {"dataset": dataset}, {"dimensions": 3, "min_shape": None})
    rows = read_manifest(tmp_path / "results" / "manifest.csv")
    assert [(row.shape, row.voxel_size, row.labelled) for row in rows] == [
        ((3, 24, 32), (3.0, 2.0, 1.0), False),
        ((3, 24, 32), (3.0, 2.0, 1.0), True),
    ]
    run_script(tmp_path, {"dataset": dataset}, {"axes": "TYX", "voxel_size": [0.5, 0.25]})
    rows = read_manifest(tmp_path / "results" / "manifest.csv")
    assert [row.shape for row in rows] == [(24, 32)] * 6
    assert rows[0].voxel_size == (0.5, 0.25)


@both_dimensions
def test_labels_of_the_background_become_0(tmp_path, dimensions):
    images, shape = [], SHAPES[dimensions]
    for frame in range(2):
        images.append(write(tmp_path / f"{frame}.tif", random_image(shape, seed=frame)))
    stored = np.random.default_rng(0).integers(0, 4, shape).astype(np.uint16)
    labels = [None, write(tmp_path / "truth.tif", stored)]
    prepare_in(tmp_path, images, dimensions, labels=labels, background_label=1)
    (path,) = list_image_files(tmp_path / "results/labels").values()
    np.testing.assert_array_equal(read_image(path), np.where(stored == 1, 0, stored))


def test_groups_are_files_or_what_is_named(tmp_path):
    frames = write(tmp_path / "movie.tif", random_image((3, 24, 32)))
    alone = [write(tmp_path / f"day{i}.tif", random_image((24, 32), seed=i)) for i in (1, 2)]
    paths = [frames, *alone]
    rows = prepare_in(tmp_path, paths, 2, axes="TYX")
    assert [row.group for row in rows] == [str(frames)] * 3 + [str(path) for path in alone]
    assert [row.split for row in rows] == ["train"] * 4 + ["test"], "the last of three groups"
    rows = prepare_in(tmp_path, paths, 2, axes="TYX", groups=["a", "b", "b"])
    assert [(row.group, row.split) for row in rows] == [("a", "train")] * 3 + [("b", "test")] * 2
    bad = tmp_path / "bad"
    assert_refused(bad, paths, 2, "groups: found 2 names for 3 image files", axes="TYX", groups=["a", "b"])
    assert_refused(bad, paths, 2, r"groups: '\(day\[12\]\)' fits 2 of 3", axes="TYX", groups="(day[12])")


def test_groups_of_a_data_set_are_its_movies_unless_others_are_named(tmp_path):
    dataset = write_dataset(tmp_path, axes="ZYX", voxel_size=[3, 2, 1], groups=["01", "02"])
    run_script(tmp_path, {"dataset": dataset}, {"axes": "TYX", "voxel_size": [0.5, 0.25]})
    rows = read_manifest(tmp_path / "results/manifest.csv")
    assert [(row.group, row.split) for row in rows] == [("01", "train")] * 3 + [("02", "test")] * 3
    found = json.loads((tmp_path / "results/groups.json").read_text())
    assert (found["n_groups"], found["shared_groups"]) == (2, [])
    options = {"axes": "TYX", "voxel_size": [0.5, 0.25], "groups": "/(a)/", "test_images": "5"}
    run_script(tmp_path, {"dataset": dataset}, options)
    found = json.loads((tmp_path / "results/groups.json").read_text())
    assert (found["n_groups"], found["shared_groups"]) == (1, ["a"])
    assert "warning: training and test images share" in (tmp_path / "logs/prepare_images.log").read_text()


def test_labels_of_single_planes(tmp_path):
    """From the description of a fetched data set to the labels that are scored."""
    planes = [{"a/train.tif": 0}, {"a/test.tif": 2}]
    dataset = write_dataset(tmp_path, labels=[None, None], planes=planes, axes="ZYX", voxel_size=[3, 2, 1])
    labels = np.arange(24 * 32, dtype="uint16").reshape(24, 32)
    for path in ("train", "test"):
        write(tmp_path / f"data/a/{path}.tif", labels[None])
    run_script(tmp_path, {"dataset": dataset}, {"dimensions": 3, "min_shape": None})
    results = tmp_path / "results"
    row = read_manifest(results / "manifest.csv")[1]
    assert not row.labelled, "the image as a whole has no labels"
    assert os.listdir(results / "labels") == ["0001_plane0002.ome.tif"]
    ((found, plane),) = load_references(row, results / "labels")
    np.testing.assert_array_equal(found, labels)
    assert plane == 2
    write_image(results / "labels/0001.ome.tif", np.ones((3, 24, 32), "uint16"), (3.0, 2.0, 1.0))
    ((found, plane),) = load_references(row, results / "labels")
    assert (found.shape, plane) == ((3, 24, 32), None)


@pytest.mark.parametrize(("shape", "plane"), [((24, 31), 0), ((24, 32), 3), ((3, 24, 32), 0)])
def test_labels_of_a_plane_that_is_not_there(tmp_path, shape, plane):
    image = write(tmp_path / "a.tif", random_image((3, 24, 32)))
    labels = write(tmp_path / "plane.tif", random_image(shape))
    options = {"axes": "ZYX", "voxel_size": [3, 2, 1], "planes": [{labels: plane}]}
    assert_refused(tmp_path, [image], 3, rf"plane\.tif: labels of shape .* for plane {plane}, from 0, of ", **options)


def test_script_says_one_sentence_on_bad_input(tmp_path, capsys):
    path = str(write(tmp_path / "a.tif", np.full((24, 32), 7, "uint8")))
    with pytest.raises(SystemExit) as caught:
        run_script(tmp_path, {"images": [path]}, {"images": [path], "voxel_size": [1, 1]})
    assert caught.value.code == 1
    assert capsys.readouterr().err == f"Error: {path}: is constant, every value is 7\n"
    assert os.listdir(tmp_path / "results") == []


@both_dimensions
@pytest.mark.parametrize("dtype", ["bool", "uint8", "float32"])
def test_binary_masks_are_refused_unless_it_is_said_that_they_are(tmp_path, dimensions, dtype):
    image = write(tmp_path / "a.tif", random_image(SHAPES[dimensions]))
    mask = np.where(some_cells(dimensions) > 0, 255, 0).astype(dtype)
    truth = write(tmp_path / "truth.tif", mask)
    assert_refused(
        tmp_path,
        [image],
        dimensions,
        r"truth\.tif, labels of .*a\.tif: holds 2 separate pieces with one number; one number for each cell is needed,"
        " or labels_are: binary for masks that tell only cells from background",
        labels=[truth],
        labels_are="instances",
    )
    prepare_in(tmp_path, [image], dimensions, labels=[truth], labels_are="binary")
    np.testing.assert_array_equal(read_image(tmp_path / "results/labels/0000.ome.tif"), some_cells(dimensions))


@both_dimensions
def test_labels_are_looked_at_together(tmp_path, dimensions):
    """An image may have one cell in two pieces, or none, if others show that cells are numbered."""
    images = [write(tmp_path / f"{i}.tif", random_image(SHAPES[dimensions], seed=i)) for i in range(4)]
    cells = some_cells(dimensions)
    torn = [cells, np.zeros_like(cells), (cells > 0).astype("uint16")]
    truth = [None, *(write(tmp_path / f"{i}_labels.tif", labels) for i, labels in enumerate(torn))]
    options = {"labels_are": "instances", "test_images": "1-3"}
    rows = prepare_in(tmp_path, images, dimensions, labels=truth, **options)
    assert [row.label_file for row in rows] == ["", *map(str, truth[1:])]
    none = r"1_labels\.tif, labels of .*: no cell, and none in any of 1 label images of test images; all are 0"
    assert_refused(tmp_path / "bad", images[:3], dimensions, none, labels=truth[:3], **(options | {"test_images": "2"}))


@both_dimensions
def test_labels_that_are_the_image_are_refused(tmp_path, dimensions):
    frames = random_image((3, *SHAPES[dimensions]))
    image = write(tmp_path / "a.tif", frames)
    axes = "TYX" if dimensions == 2 else "TZYX"
    copy = write(tmp_path / "copy.tif", frames.astype("uint32"), compression="zlib")
    message = r"copy\.tif: holds the image .*a\.tif, frame 2 itself, not its labels"
    assert_refused(tmp_path, [image], dimensions, message, labels=[copy], labels_are="instances", axes=axes)
