"""The images of a TIFF: which of its pages they are, checked that none is missing, damaged or left out in silence."""

import os
import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import NamedTuple
from xml.etree import ElementTree

import tifffile

from ..errors import InputError
from .atomic import PathLike

DESCRIPTION = 270  # TIFF tag ImageDescription: OME-XML or ImageJ's metadata
SMALL = 2**26  # bytes of a page that are taken from any file
MOST_COMPRESSED = 10_000  # by which larger pages can be smaller in the file
NAMED_KINDS = 4  # kinds of images that an error names


class TiffImages(NamedTuple):
    """The images of a TIFF, not yet read."""

    series: Sequence[tifffile.TiffPageSeries]
    """One or more of the same shape, axes and type, in the order of the file."""
    n_smaller: int
    """How many thumbnails and levels of pyramids are left out."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of all series together; the first axis counts them if there are several."""
        several = (len(self.series),) if len(self.series) > 1 else ()
        return several + self.series[0].shape


class _Page(NamedTuple):
    """What the header of a page says."""

    shape: tuple[int, ...]
    kind: tuple
    """Equal for pages of the same shape, axes, type and photometric interpretation."""
    layout: int
    """Equal for pages whose pixels are stored in the same way, too."""
    depth: int
    """Slices, if it is a page of several."""
    is_marked: bool
    """Whether TIFF marks it as a smaller copy of another image."""
    n_sub_pages: int
    end: int
    """Byte after its last strip or tile."""


def find_images(tiff: tifffile.TiffFile, path: PathLike) -> TiffImages:
    """Find the images of a TIFF, and check that the file holds all of them and nothing else.

    Parameters
    ----------
    tiff : tifffile.TiffFile
        An open file.
    path : path
        Its name, for errors.

    Raises
    ------
    InputError
        If it is truncated, holds images of several shapes or types, or its description tells of more or fewer images
        than it holds.
    """
    pages = [_describe_page(page, number, path) for number, page in enumerate(tiff.pages)]
    _check_whole(tiff, pages, path)
    marked = _find_smaller(pages)
    main = {number: page for number, page in enumerate(pages) if number not in marked}
    if tiff.is_ome:
        _check_ome(tiff.ome_metadata or "", sum(page.depth for page in main.values()), path)
    series = [one for one in tiff.series if not (one.keyframe.is_subifd or one.keyframe.index in marked)]
    if not series or series[0].kind == "generic":
        _check_described(tiff, path)
        series = [_join_pages(tiff, main, path)]
    _check_series(series, pages, path)
    _check_claims(series, main, path)
    for one in series:
        _check_rest(tiff, one, path)
    return TiffImages(series, len(marked) + sum(page.n_sub_pages for page in pages))


def _describe_page(page: tifffile.TiffPage | tifffile.TiffFrame, number: int, path: PathLike) -> _Page:
    """Read the header of a page, and check that it can hold pixels."""
    page = page.aspage()
    offsets, counts = page.dataoffsets, page.databytecounts
    if page.dtype is None or prod(page.shape) == 0 or not offsets:
        raise InputError(f"{path}: page {number}, from 0, has no pixels of a known type; it may be damaged")
    stored = sum(counts)
    n_parts = 1 if page.is_contiguous else prod(page.chunked)
    lacks_bytes = page.is_contiguous and stored < page.nbytes
    lacks_parts = len(offsets) != len(counts) or len(offsets) < n_parts
    is_empty = any((count == 0) != (offset == 0) for offset, count in zip(offsets, counts, strict=False))
    if lacks_bytes or lacks_parts or is_empty or page.nbytes > max(SMALL, MOST_COMPRESSED * stored):
        raise InputError(
            f"{path}: page {number}, from 0, should have pixels of shape {page.shape} and type {page.dtype},"
            f" but {stored} bytes in {len(offsets)} strips or tiles do not hold them; it may be truncated or damaged"
        )
    end = max(offset + count for offset, count in zip(offsets, counts, strict=True))
    kind = (page.shape, page.axes, page.dtype, page.photometric)
    sub_pages = len(page.subifds or ())
    return _Page(page.shape, kind, page.hash, page.imagedepth, bool(page.is_reduced), sub_pages, end)


def _find_smaller(pages: Sequence[_Page]) -> set[int]:
    """Find the pages that TIFF marks as smaller copies of other images, and that are smaller."""
    shapes = {page.shape for page in pages if not page.is_marked}
    return {number for number, page in enumerate(pages) if page.is_marked and shapes and page.shape not in shapes}


def _check_whole(tiff: tifffile.TiffFile, pages: Sequence[_Page], path: PathLike) -> None:
    """Check that all pages and their pixels are within the file."""
    expected, found = max((page.end for page in pages), default=0), os.path.getsize(path)
    if expected > found:
        raise InputError(f"{path}: truncated, its pages end at byte {expected} but it has {found}")
    if not _is_chain_complete(tiff):
        raise InputError(f"{path}: truncated, only {len(tiff.pages)} of its pages are within its {found} bytes")
    if DESCRIPTION in _read_tag_codes(tiff) and DESCRIPTION not in tiff.pages.first.tags:
        raise InputError(f"{path}: truncated, the description of its axes is not within its {found} bytes")


def _is_chain_complete(tiff: tifffile.TiffFile) -> bool:
    """Check that the last page declares to be the last.

    In a file cut between two pages, the pointer of the last page leads beyond the end of the file. tifffile then
    silently leaves out the missing pages.
    """
    last = tiff.pages.next_page_offset
    if last is None:
        return False
    tiff.filehandle.seek(last)
    return tiff.filehandle.read(tiff.tiff.offsetsize) == bytes(tiff.tiff.offsetsize)


def _read_tag_codes(tiff: tifffile.TiffFile) -> list[int]:
    """Read the codes of all tags of the first page; tifffile itself omits tags whose value it cannot find."""
    handle, layout = tiff.filehandle, tiff.tiff
    handle.seek(tiff.pages.first.offset)
    (count,) = struct.unpack(layout.tagnoformat, handle.read(layout.tagnosize))
    entries = [handle.read(layout.tagsize) for _ in range(count)]
    return [struct.unpack(layout.byteorder + "H", entry[:2])[0] for entry in entries]


def _check_ome(xml: str, n_planes: int, path: PathLike) -> None:
    """Check that OME-XML describes as many planes as the file holds, all in this file.

    tifffile makes a list of as many as are described, so this also guards the memory.
    """
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return
    own, name = root.get("UUID"), os.path.basename(path).lower()
    for other in root.iterfind(".//{*}TiffData/{*}UUID"):
        if other.text != own and other.get("FileName", "").lower() != name:
            raise InputError(f"{path}: is a part of an OME-TIFF of several files; save it as one file")
    described = sum(_count_planes(pixels) for pixels in root.iterfind("{*}Image/{*}Pixels"))
    counts = (int(data.get(key, 0)) for data in root.iterfind(".//{*}TiffData") for key in ("NumPlanes", "PlaneCount"))
    most = max(counts, default=0)
    if described != n_planes or most > n_planes:
        found = f"describes {described} planes" if described != n_planes else f"takes {most} planes from it"
        raise InputError(
            f"{path}: its OME-XML {found}, but it holds {n_planes}; save it again with a description of all its"
            " planes, or without OME-XML"
        )


def _count_planes(pixels: ElementTree.Element) -> int:
    """Count the planes that an element Pixels of OME-XML describes; the samples of a pixel are in one plane."""
    channel = pixels.find("{*}Channel")
    samples = 1 if channel is None else int(channel.get("SamplesPerPixel", 1))
    sizes = [int(pixels.get(f"Size{axis}", 1)) for axis in "TZ"]
    return prod(sizes) * (int(pixels.get("SizeC", 1)) // samples)


def _check_described(tiff: tifffile.TiffFile, path: PathLike) -> None:
    """Refuse a file whose description does not fit its pages, since nobody knows what its pages mean then."""
    kind = "ImageJ" if tiff.is_imagej else "OME" if tiff.is_ome and _is_xml(tiff.ome_metadata or "") else ""
    if kind:
        raise InputError(
            f"{path}: its {kind} description does not fit its {len(tiff.pages)} pages; save it again, or without it"
        )


def _is_xml(text: str) -> bool:
    try:
        ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return False
    return True


def _join_pages(tiff: tifffile.TiffFile, main: Mapping[int, _Page], path: PathLike) -> tifffile.TiffPageSeries:
    """Join pages of the same kind that nothing describes, in their order."""
    _check_kinds([("pages", page.kind, 1) for page in main.values()], path)
    tiff.pages.useframes = False
    pages = [tiff.pages[number] for number in main]
    shape, axes = pages[0].shape, pages[0].axes
    if len(pages) > 1:
        shape, axes = (len(pages), *shape), "I" + axes
    return tifffile.TiffPageSeries(pages, shape, pages[0].dtype, axes, kind="generic")


def _check_series(series: Sequence[tifffile.TiffPageSeries], pages: Sequence[_Page], path: PathLike) -> None:
    """Check that all series have the same kind of images, and each as many pages as its shape needs."""
    kinds = []
    for number, one in enumerate(series):
        photometric = one.keyframe.photometric
        kinds.append((f"series {number}", (one.shape, one.axes, one.dtype, photometric), len(one)))
    _check_kinds(kinds, path)
    for one in series:
        found = list(one)
        stored = [page for page in found if page is not None]
        if one.is_multifile or any(page.parent is not one.parent for page in stored):
            raise InputError(f"{path}: is a part of an OME-TIFF of several files; save it as one file")
        needed = prod(one.get_shape(False)) // prod(one.keyframe.shape)
        if len(stored) < len(found) or (len(found) != needed and not one.is_truncated):
            raise InputError(
                f"{path}: its description tells of {needed} planes, but it holds {len(stored)}; save it again, or"
                " without the description"
            )
        layouts = {pages[page.index].layout for page in stored}
        if len(layouts) > 1 and one.kind != "generic":
            raise InputError(
                f"{path}: the pages of one image differ in shape, type or compression; save it again with equal pages"
            )


def _check_kinds(kinds: Iterable[tuple[str, tuple, int]], path: PathLike) -> None:
    """Refuse images that differ in shape, axes, type or photometric interpretation."""
    found = Counter[tuple]()
    names: dict[tuple, str] = {}
    for name, kind, count in kinds:
        found[kind] += count
        names.setdefault(kind, name)
    if len(found) <= 1:
        return
    described = [
        f"{names[kind]} of shape {kind[0]}, axes {kind[1]} and type {kind[2]}"
        f"{' (WhiteIsZero)' if kind[3] == 0 else ''}: {count} {'page' if count == 1 else 'pages'}"
        for kind, count in found.items()
    ]
    more = f"; and {len(found) - NAMED_KINDS} more" if len(found) > NAMED_KINDS else ""
    raise InputError(
        f"{path}: holds images of {len(found)} kinds ({'; '.join(described[:NAMED_KINDS])}{more});"
        " save those of one kind as a file of their own"
    )


def _check_claims(series: Sequence[tifffile.TiffPageSeries], main: Mapping[int, _Page], path: PathLike) -> None:
    """Check that every page belongs to exactly one image."""
    claims = Counter(page.index for one in series for page in one if page is not None)
    left = [number for number in main if number not in claims]
    if left:
        raise InputError(
            f"{path}: {len(left)} of its {len(main)} pages, the first is page {left[0]}, from 0, belong to no image"
            " that its description tells of; save it again, or without the description"
        )
    if max(claims.values()) > 1:
        raise InputError(f"{path}: its description takes one page for several images; save it again, or without it")


def _check_rest(tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, path: PathLike) -> None:
    """Check that the planes of a series that one page stands for are within the file, and that none lies behind."""
    if series.dataoffset is None:
        return
    end, size = series.dataoffset + prod(series.get_shape(False)) * series.dtype.itemsize, tiff.filehandle.size
    if end > size:
        raise InputError(f"{path}: truncated, its pages end at byte {end} but it has {size}")
    if len(tiff.pages) > 1 or not (tiff.is_imagej or tiff.is_shaped):
        return
    page = tiff.pages.first
    behind = [offset for offset in (page.offset, *(tag.valueoffset for tag in page.tags)) if offset >= end]
    more = (min(behind, default=size) - end) // page.nbytes
    if more:
        n_planes = (end - series.dataoffset) // page.nbytes
        raise InputError(
            f"{path}: its description tells of {n_planes} planes, but it holds pixels for {n_planes + more}; save it"
            " again, or without the description"
        )
