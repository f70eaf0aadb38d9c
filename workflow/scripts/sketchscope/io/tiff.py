"""Reading TIFF files, each checked to be whole."""

import logging
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import tifffile

from ..errors import InputError
from .atomic import PathLike

UNREADABLE = (
    tifffile.TiffFileError,
    ValueError,
    IndexError,
    KeyError,
    RuntimeError,
    OSError,
    struct.error,
    zlib.error,
)
DESCRIPTION = 270  # TIFF tag ImageDescription: OME-XML or ImageJ's metadata

# tifffile logs warnings about damaged files; here an InputError reports the damage instead
logging.getLogger("tifffile").addHandler(logging.NullHandler())


@contextmanager
def open_series(path: PathLike) -> Iterator[tifffile.TiffPageSeries]:
    """Open the first series of a TIFF, after a check that the file holds all of it.

    Raises
    ------
    InputError
        If the file is missing, is no TIFF, or is truncated; also if the body fails to read pixels.
    """
    try:
        with tifffile.TiffFile(path) as tiff:
            series = tiff.series[0]
            _check_whole(tiff, series, path)
            yield series
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; a TIFF file is needed") from None
    except PermissionError:
        raise InputError(f"{path}: permission to read it is denied") from None
    except UNREADABLE as error:
        raise InputError(f"{path}: cannot be read as TIFF, it may be truncated or damaged ({error})") from error


def read_tiff(path: PathLike) -> tuple[np.ndarray, str]:
    """Read the first series of a TIFF.

    Returns
    -------
    image : array
        As stored, any dtype.
    axes : str
        One letter per axis, as tifffile names them; Q and I mean unknown, S means colour samples.

    Raises
    ------
    InputError
        If the file is missing, is no TIFF, or is truncated.
    """
    with open_series(path) as series:
        return series.asarray(), series.axes


def name_axes(ndim: int) -> str:
    """Name the axes of an image of `ndim` dimensions: 'YX' or 'ZYX'."""
    return "ZYX"[-ndim:]


def _check_whole(tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, path: PathLike) -> None:
    pages = [] if series.is_multifile else [page for page in series if page is not None]
    if len(pages) < len(series):
        raise InputError(f"{path}: is a part of an OME-TIFF of several files; save it as one file")
    expected, found = _find_stored_end(series, pages), os.path.getsize(path)
    if expected > found:
        raise InputError(f"{path}: truncated, its pages end at byte {expected} but it has {found}")
    if not _is_chain_complete(tiff):
        raise InputError(f"{path}: truncated, only {len(tiff.pages)} of its pages are within its {found} bytes")
    if DESCRIPTION in _read_tag_codes(tiff) and DESCRIPTION not in tiff.pages.first.tags:
        raise InputError(f"{path}: truncated, the description of its axes is not within its {found} bytes")


def _find_stored_end(series: tifffile.TiffPageSeries, pages: Sequence[tifffile.TiffPage | tifffile.TiffFrame]) -> int:
    """Find the byte at which the last strip or tile of a series ends, as its pages declare it."""
    ends = [0 if series.dataoffset is None else series.dataoffset + series.nbytes]
    for page in pages:
        ends += [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True) if count]
    return max(ends)


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
