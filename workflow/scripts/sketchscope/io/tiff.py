"""Reading of TIFF files, each checked to be whole."""

import logging
import os
import struct
import zlib
from collections.abc import Iterator
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


# What tifffile would print on a damaged file is said by an InputError here.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


@contextmanager
def open_series(path: PathLike) -> Iterator[tifffile.TiffPageSeries]:
    """Open the first series of a TIFF once it is sure that the file holds all of it.

    Raises
    ------
    InputError
        If the file is missing, is no TIFF, or is truncated; also when reading pixels in the body fails.
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
        One letter an axis as tifffile names them; Q and I mean unknown, S means colour samples.

    Raises
    ------
    InputError
        If the file is missing, is no TIFF, or is truncated.
    """
    with open_series(path) as series:
        return series.asarray(), series.axes


def _check_whole(tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, path: PathLike) -> None:
    if series.is_multifile or any(page is None for page in series):
        raise InputError(f"{path}: is a part of an OME-TIFF of several files; save it as one file")
    expected, found = _stored_size(series), os.path.getsize(path)
    if expected > found:
        raise InputError(f"{path}: truncated, its pages end at byte {expected} but it has {found}")
    if not _chain_ends(tiff):
        raise InputError(f"{path}: truncated, only {len(tiff.pages)} of its pages are within its {found} bytes")
    if DESCRIPTION in _tag_codes(tiff) and DESCRIPTION not in tiff.pages.first.tags:
        raise InputError(f"{path}: truncated, the description of its axes is not within its {found} bytes")


def _stored_size(series: tifffile.TiffPageSeries) -> int:
    """Byte at which the last strip or tile of a series ends, as its pages declare it."""
    ends = [0 if series.dataoffset is None else series.dataoffset + series.nbytes]
    for page in series:
        ends += [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True) if count]
    return max(ends)


def _chain_ends(tiff: tifffile.TiffFile) -> bool:
    """Whether the last page says that no other follows.

    In a file cut between two pages the pointer of the last one leads beyond the end of the file; tifffile
    then leaves the missing pages out and goes on.
    """
    tiff.filehandle.seek(tiff.pages.next_page_offset)
    return tiff.filehandle.read(tiff.tiff.offsetsize) == bytes(tiff.tiff.offsetsize)


def _tag_codes(tiff: tifffile.TiffFile) -> list[int]:
    """Codes of all tags of the first page; tifffile leaves those out whose value it cannot find."""
    handle, layout = tiff.filehandle, tiff.tiff
    handle.seek(tiff.pages.first.offset)
    (count,) = struct.unpack(layout.tagnoformat, handle.read(layout.tagnosize))
    entries = [handle.read(layout.tagsize) for _ in range(count)]
    return [struct.unpack(layout.byteorder + "H", entry[:2])[0] for entry in entries]


def spatial_axes(ndim: int) -> str:
    """Axes of an image of `ndim` dimensions: 'YX' or 'ZYX'."""
    return "ZYX"[-ndim:]
