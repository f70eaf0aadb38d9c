"""Reading TIFF files, each checked to be whole."""

import logging
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import tifffile

from ..errors import InputError
from .atomic import PathLike
from .tiff_pages import TiffImages, find_images

# what tifffile and the decoders raise on damaged files
UNREADABLE = (
    tifffile.TiffFileError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
    MemoryError,
    OSError,
    struct.error,
    zlib.error,
)

# tifffile logs warnings about damaged files; here an InputError reports the damage instead
logging.getLogger("tifffile").addHandler(logging.NullHandler())


@contextmanager
def open_images(path: PathLike) -> Iterator[TiffImages]:
    """Open the images of a TIFF, after a check that the file holds all of them and no others.

    Raises
    ------
    InputError
        If the file is missing, is no TIFF, is truncated, or holds images of several kinds; also if the body fails to
        read pixels.
    """
    try:
        with tifffile.TiffFile(path) as tiff:
            yield find_images(tiff, path)
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
    """Read the only image of a TIFF.

    Returns
    -------
    image : array
        As stored, any dtype.
    axes : str
        One letter per axis, as tifffile names them; Q and I mean unknown, S means colour samples.

    Raises
    ------
    InputError
        If the file is missing, is no TIFF, is truncated, or holds several images.
    """
    with open_images(path) as images:
        if len(images.series) > 1:
            raise InputError(f"{path}: holds {len(images.series)} images; allowed is one")
        return images.series[0].asarray(), images.series[0].axes


def name_axes(ndim: int) -> str:
    """Name the axes of an image of `ndim` dimensions: 'YX' or 'ZYX'."""
    return "ZYX"[-ndim:]
