import os
import re

import numpy as np
import pytest
import tifffile
from sketchscope.errors import InputError
from sketchscope.io.images import write_image
from sketchscope.io.tiff import open_images, read_tiff


def random_image(shape, dtype="uint16"):
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


def write_plain_pages(path, pages):
    """Pages as other programs write them: each followed by its data, no word on how many there are."""
    with tifffile.TiffWriter(path) as writer:
        for page in pages:
            writer.write(page, metadata=None, contiguous=False)


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


def test_a_cut_file_is_refused_before_a_pixel_is_read(tmp_path):
    """Of an image of 240 x 200 pixels of two bytes, the last half is missing."""
    path = tmp_path / "cut.tif"
    tifffile.imwrite(path, random_image((240, 200)), photometric="minisblack")
    with tifffile.TiffFile(path) as tiff:
        first, size = tiff.pages.first.dataoffsets[0], sum(tiff.pages.first.databytecounts)
    assert size == 240 * 200 * 2
    os.truncate(path, first + size // 2)
    message = rf"cut\.tif: truncated, its pages end at byte {first + size} but it has {first + size // 2}"
    with pytest.raises(InputError, match=message), open_images(path):
        pass
