import errno
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from running import SCRIPTS
from sketchscope.errors import InputError
from sketchscope.io.atomic import atomic_folder, atomic_path, resumed_folder, write_json
from sketchscope.io.images import image_files, image_pairs, read_image, write_image
from sketchscope.io.tiff import read_tiff

SHAPES = [(20, 30), (5, 20, 30)]


def random_image(shape, dtype="uint16"):
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


def write_plain_pages(path, pages):
    """Pages as other programs write them: each followed by its data, no word on how many there are."""
    with tifffile.TiffWriter(path) as writer:
        for page in pages:
            writer.write(page, metadata=None, contiguous=False)


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


def test_axes_of_unlabelled_pages_are_unknown(tmp_path):
    write_plain_pages(tmp_path / "a.tif", random_image((4, 20, 30)))
    image, axes = read_tiff(tmp_path / "a.tif")
    assert image.shape == (4, 20, 30)
    assert axes in ("IYX", "QYX")


def test_missing_file_folder_and_other_format_are_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.tif: no such file"):
        read_tiff(tmp_path / "none.tif")
    with pytest.raises(InputError, match="is a folder"):
        read_tiff(tmp_path)
    (tmp_path / "text.tif").write_text("these are no pixels")
    with pytest.raises(InputError, match=r"text\.tif: cannot be read as TIFF"):
        read_tiff(tmp_path / "text.tif")


def truncate(path, fraction):
    size = path.stat().st_size
    os.truncate(path, int(size * fraction))


@pytest.mark.parametrize("fraction", [0.0, 0.05, 0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("kind", ["ome", "imagej", "bigtiff", "raw", "compressed", "pages"])
def test_truncated_file_is_refused(tmp_path, kind, fraction):
    path, image = tmp_path / "cut.tif", random_image((6, 40, 50))
    if kind == "ome":
        write_image(tmp_path / "whole.ome.tif", image, (1, 1, 1))
        (tmp_path / "whole.ome.tif").rename(path)
    elif kind == "pages":
        write_plain_pages(path, image)
    else:
        options = {
            "imagej": {"imagej": True},
            "bigtiff": {"bigtiff": True},
            "raw": {},
            "compressed": {"compression": "zlib"},
        }
        tifffile.imwrite(path, image, photometric="minisblack", **options[kind])
    assert read_tiff(path)[0].shape == image.shape
    truncate(path, fraction)
    with pytest.raises(InputError, match=r"cut\.tif: (truncated|cannot be read)"):
        read_tiff(path)


def test_mapped_stack_of_one_page_is_read_whole_and_refused_when_cut(tmp_path):
    path, image = tmp_path / "large.tif", random_image((6, 40, 50))
    mapped = tifffile.memmap(path, shape=image.shape, dtype=image.dtype, photometric="minisblack")
    mapped[:] = image
    mapped.flush()
    del mapped
    np.testing.assert_array_equal(read_tiff(path)[0], image)
    truncate(path, 0.8)
    with pytest.raises(InputError, match="truncated"):
        read_tiff(path)


def test_part_of_a_set_of_ome_files_is_refused(tmp_path):
    image = random_image((2, 20, 30))
    write_image(tmp_path / "a.ome.tif", image, (1, 1, 1))
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tiff:
        xml = tiff.ome_metadata
    planes = "".join(
        f'<TiffData FirstZ="{z}" IFD="0"><UUID FileName="{name}">urn:uuid:{z}</UUID></TiffData>'
        for z, name in enumerate(["b.ome.tif", "c.ome.tif"])
    )
    head, tail = xml[: xml.index("<TiffData")], xml[xml.index("</Pixels>") :]
    head = re.sub('UUID="[^"]*"', 'UUID="urn:uuid:0"', head)
    xml = f"{head}{planes}{tail}".encode()
    tifffile.imwrite(tmp_path / "b.ome.tif", image[0], description=xml, metadata=None)
    with pytest.raises(InputError, match="several files"):
        read_tiff(tmp_path / "b.ome.tif")


def test_path_appears_only_when_all_is_written(tmp_path):
    with atomic_path(tmp_path / "deep" / "a.txt") as temporary:
        temporary.write_text("all")
        assert not (tmp_path / "deep" / "a.txt").exists()
    assert os.listdir(tmp_path / "deep") == ["a.txt"]
    assert (tmp_path / "deep" / "a.txt").read_text() == "all"


def interrupted_write(path):
    with atomic_path(path) as temporary:
        temporary.write_text("half of")
        raise KeyboardInterrupt


def test_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        interrupted_write(path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


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


def test_folder_takes_the_place_of_the_old_one(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "old.txt").touch()
    with atomic_folder(tmp_path / "set") as temporary:
        (temporary / "new.txt").touch()
    assert os.listdir(tmp_path) == ["set"]
    assert os.listdir(tmp_path / "set") == ["new.txt"]


def failing_folder(path):
    with atomic_folder(path) as temporary:
        (temporary / "new.txt").touch()
        raise InputError("bad")


@pytest.mark.parametrize("existed", [True, False])
def test_failed_folder_leaves_things_as_they_were(tmp_path, existed):
    if existed:
        (tmp_path / "set").mkdir()
    with pytest.raises(InputError, match="bad"):
        failing_folder(tmp_path / "set")
    assert os.listdir(tmp_path) == (["set"] if existed else [])


def test_images_are_listed_sorted_without_what_is_half_written(tmp_path):
    for name in ("b.ome.tif", "a.ome.tif", ".c.ome.tif", "d.tif"):
        (tmp_path / name).touch()
    assert list(image_files(tmp_path)) == ["a", "b"]


def test_folder_without_images_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"holds no image"):
        image_files(tmp_path)


def test_json_has_no_nan_and_is_whole(tmp_path):
    path = tmp_path / "new" / "x.json"
    write_json(path, {"b": float("nan"), "a": [np.float32(0.5), np.int64(3), np.inf], "c": {"d": None}})
    text = path.read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {"a": [0.5, 3, None], "b": None, "c": {"d": None}}
    assert text.index('"a"') < text.index('"b"')
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert path.read_text() == text
    assert [p.name for p in path.parent.iterdir()] == ["x.json"]


HALF_WRITTEN = """
import sys, time
from sketchscope.io.atomic import atomic_path
with atomic_path(sys.argv[1]) as path, open(path, "wb") as file:
    file.write(bytes(1000))
    file.flush()
    print("half", flush=True)
    time.sleep(60)
"""

OUT_OF_ROOM = """
import resource, sys
import numpy as np
from sketchscope.io.images import write_image
from sketchscope.run.job import job
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
with job(sys.argv[2]):
    write_image(sys.argv[1], np.random.default_rng(1).integers(0, 999, (200, 200), "u2"), (1, 1))
"""


def python(code, *arguments):
    """Start Python on `code`, with the library at hand."""
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_killed_writer_leaves_nothing_under_the_final_name(tmp_path):
    with python(HALF_WRITTEN, tmp_path / "a.ome.tif") as process:
        assert process.stdout.readline() == "half\n"
        process.kill()
    assert not (tmp_path / "a.ome.tif").exists()
    with pytest.raises(InputError, match=r"holds no image"):
        image_files(tmp_path)


def test_file_that_outgrows_its_room_is_told_in_a_sentence(tmp_path):
    process = python(OUT_OF_ROOM, tmp_path / "images" / "a.ome.tif", tmp_path / "log")
    _, errors = process.communicate()
    assert process.returncode == 1
    assert re.search(r"^Error: .*a\.ome\.tif", errors, re.MULTILINE)
    assert not list((tmp_path / "images").iterdir())


def fill(path, fingerprint, names, *, fail=False):
    """What is there before, and the folder filled with files of these names."""
    with resumed_folder(path, fingerprint) as folder:
        before = {file.name for file in folder.glob("[!.]*")}
        for name in names:
            (folder / name).write_text(name)
        if fail:
            raise KeyboardInterrupt
    return before


def test_resumed_folder_keeps_what_an_attempt_has_finished(tmp_path):
    path = tmp_path / "batch"
    with pytest.raises(KeyboardInterrupt):
        fill(path, "same", "ab", fail=True)
    assert not path.exists()
    assert fill(path, "same", "c") == {"a", "b"}
    assert {file.name for file in path.iterdir()} == {"a", "b", "c"}
    assert [file.name for file in tmp_path.iterdir()] == ["batch"]


def test_resumed_folder_of_another_fingerprint_starts_over(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path / "batch", "first", "a", fail=True)
    assert fill(tmp_path / "batch", "second", "b") == set()
    assert [file.name for file in (tmp_path / "batch").iterdir()] == ["b"]


def test_resumed_folder_without_a_fingerprint_starts_over(tmp_path):
    """The attempt before was killed between making the folder and saying what it is of."""
    unfinished = tmp_path / ".batch.unfinished"
    unfinished.mkdir()
    (unfinished / "a").write_text("a")
    assert fill(tmp_path / "batch", "same", "b") == set()


def test_resumed_folder_drops_half_written_files(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path / "batch", "same", [".b.1-2.tmp"], fail=True)
    fill(tmp_path / "batch", "same", "b")
    assert [file.name for file in (tmp_path / "batch").iterdir()] == ["b"]


def test_resumed_folder_replaces_an_old_one(tmp_path):
    fill(tmp_path / "batch", "first", "a")
    fill(tmp_path / "batch", "second", "b")
    assert [file.name for file in (tmp_path / "batch").iterdir()] == ["b"]


def test_leftovers_of_a_killed_process_go(tmp_path):
    (tmp_path / ".batch.12-ab.tmp").mkdir()
    (tmp_path / ".batch.12-ab.tmp" / "a").touch()
    (tmp_path / ".batch.13-ab.tmp").touch()
    for other in (".batch2.12-ab.tmp", "batch.tmp", ".batch.unfinished"):
        (tmp_path / other).touch()
    with atomic_folder(tmp_path / "batch"):
        pass
    assert {file.name for file in tmp_path.iterdir()} == {
        "batch",
        ".batch2.12-ab.tmp",
        "batch.tmp",
        ".batch.unfinished",
    }


def test_pairs(tmp_path):
    for folder, names in (("a", "12"), ("b", "3"), ("c", "12"), ("d", "3"), ("e", "1")):
        for name in names:
            write_image(tmp_path / folder / f"{name}.ome.tif", np.zeros((4, 4), np.uint16), (1, 1))
    a, b, c, d, e = (tmp_path / name for name in "abcde")
    expected = [(n, x / f"{n}.ome.tif", y / f"{n}.ome.tif") for n, x, y in (("1", a, c), ("2", a, c), ("3", b, d))]
    assert list(image_pairs([a, b], [c, d])) == expected
    with pytest.raises(InputError, match=r"a/2\.ome\.tif: has no mask of the same name in .*e"):
        list(image_pairs([a], [e]))
