"""Reading and writing files, whole or not at all: images as OME-TIFF or OME-Zarr with their voxel size, and JSON."""

import glob
import hashlib
import json
import logging
import math
import os
import shutil
import struct
import uuid
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import DTypeLike

from . import ome_zarr
from .errors import InputError

PathLike = str | os.PathLike

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

SUFFIXES = {"tiff": ".ome.tif", "zarr": ".ome.zarr"}

FINGERPRINT = ".fingerprint"  # of an unfinished folder

DESCRIPTION = 270  # TIFF tag ImageDescription: OME-XML or ImageJ's metadata

# What tifffile would print on a damaged file is said by an InputError here.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


@contextmanager
def named_errors(path: PathLike) -> Iterator[None]:
    """Name the file in an error of the operating system that names none, such as a full disk's."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


@contextmanager
def atomic_path(path: PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if the body succeeds, else delete it.

    A reader therefore sees the whole file or none, even when the writer is killed or the disk is full.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    try:
        with named_errors(path):
            yield temporary
            with open(temporary, "rb+") as handle:
                os.fsync(handle.fileno())
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: PathLike) -> Iterator[Path]:
    """Yield a temporary folder beside `path` to fill; it takes the place of `path` if the body succeeds.

    If the body raises, the temporary folder is deleted and `path` stays as it was.
    """
    path = Path(path)
    remove_leftovers(path)
    temporary = _temporary(path)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        _replace_folder(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def resumed_folder(path: PathLike, fingerprint: str) -> Iterator[Path]:
    """Yield a folder beside `path` to fill, which outlives a failure; complete, it takes the place of `path`.

    Parameters
    ----------
    path : path
        Folder to make.
    fingerprint : str
        Everything that decides its content. What an earlier attempt with the same one has left is still there, so
        that a file written by `atomic_path` need not be made again; what one with another has left is deleted.
    """
    path = Path(path)
    unfinished = path.with_name(f".{path.name}.unfinished")
    record = unfinished / FINGERPRINT
    if not record.exists() or record.read_text(encoding="utf-8") != fingerprint:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        with atomic_path(record) as temporary:
            temporary.write_text(fingerprint, encoding="utf-8")
    for leftover in unfinished.glob(".*.tmp"):
        _remove(leftover)
    yield unfinished
    _replace_folder(unfinished, path)
    (path / FINGERPRINT).unlink()


def remove_leftovers(path: PathLike) -> None:
    """Delete what a killed process has left of writing `path`."""
    path = Path(path)
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        _remove(leftover)


def _remove(path: Path) -> None:
    """Delete a file or a folder."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def file_sha256(path: PathLike) -> str:
    """Sha256 of a file, in hexadecimal."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def state_of(path: PathLike) -> str:
    """Sha256 of a file; of a folder, which may be too large to read, that of its files' names, sizes and times."""
    if not os.path.isdir(path):
        return file_sha256(path)
    found = [(item, item.stat()) for item in sorted(Path(path).rglob("*")) if item.is_file()]
    listed = [(str(item.relative_to(path)), state.st_size, state.st_mtime_ns) for item, state in found]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def states(paths: Iterable[PathLike]) -> dict[str, str]:
    """The state of each file or folder by its name."""
    return {Path(path).name: state_of(path) for path in paths}


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")


def _replace_folder(folder: Path, path: Path) -> None:
    if path.exists():
        shutil.rmtree(path)
    os.replace(folder, path)


def write_json(path: PathLike, data: dict[str, Any]) -> None:
    """Write a dictionary as indented JSON with sorted keys, whole or not at all; NaN becomes null."""
    text = json.dumps(_plain(data), indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: PathLike) -> Any:
    """Read what `write_json` wrote."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def _plain(value: Any) -> Any:
    """The value in types that JSON knows."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic | np.ndarray):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


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


def write_image(path: PathLike, image: np.ndarray, voxel_size: Sequence[float], *, compress: bool = True) -> None:
    """Write an image or labels as OME-TIFF or OME-Zarr with its voxel size, whole or not at all.

    Parameters
    ----------
    path : path
        Ends in .ome.tif or .ome.zarr.
    image : array (Z, Y, X) or (Y, X)
        Any dtype that TIFF holds.
    voxel_size : sequence of float
        Micrometres along each axis of `image`.
    compress : bool
        Without compression a TIFF can be read in part (`map_image`); an OME-Zarr always can.
    """
    if _is_zarr(path):
        with create_image(path, image.shape, image.dtype, voxel_size) as array:
            array[...] = image
        return
    axes = spatial_axes(image.ndim)
    # tifffile would draw the UUID at random; out of the content, the same image gives the same file
    content = hashlib.sha256(np.ascontiguousarray(image)).hexdigest()
    metadata: dict = {"axes": axes, "UUID": str(uuid.uuid5(uuid.NAMESPACE_OID, content))}
    for axis, size in zip(axes, voxel_size, strict=True):
        metadata |= {f"PhysicalSize{axis}": float(size), f"PhysicalSize{axis}Unit": "µm"}
    with atomic_path(path) as temporary:
        compression = "zlib" if compress else None
        tifffile.imwrite(
            temporary, image, ome=True, photometric="minisblack", compression=compression, metadata=metadata
        )


@contextmanager
def create_image(path: PathLike, shape: Sequence[int], dtype: DTypeLike, voxel_size: Sequence[float]) -> Iterator[Any]:
    """Yield an array to fill region by region; complete, it is the image `path`.

    An OME-Zarr (.ome.zarr) takes each region to the disk, an OME-TIFF (.ome.tif) holds the whole in memory.
    """
    if _is_zarr(path):
        with atomic_folder(path) as folder:
            yield ome_zarr.create_array(folder, shape, dtype, voxel_size)
    else:
        image = np.zeros(tuple(shape), dtype)
        yield image
        write_image(path, image, voxel_size)


def read_image(path: PathLike) -> np.ndarray:
    """Read an image that `write_image` wrote: array (Z, Y, X) or (Y, X)."""
    return open_image(path)[...]


def open_image(path: PathLike) -> Any:
    """Open an image of `write_image` to read regions of it: an OME-Zarr from the disk, an OME-TIFF from memory."""
    return ome_zarr.open_array(path) if _is_zarr(path) else read_tiff(path)[0]


def _is_zarr(path: PathLike) -> bool:
    return str(path).endswith(SUFFIXES["zarr"])


def map_image(path: PathLike) -> np.ndarray:
    """Open an uncompressed image of `write_image` without reading it: memory map (Z, Y, X) or (Y, X)."""
    try:
        return tifffile.memmap(path, mode="r")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except UNREADABLE as error:
        raise InputError(f"{path}: cannot be mapped as uncompressed TIFF ({error})") from error


def image_files(folder: PathLike) -> dict[str, Path]:
    """The images of `write_image` in a folder by name, sorted.

    Raises
    ------
    InputError
        If there are none.
    """
    found = [(path, suffix) for suffix in SUFFIXES.values() for path in Path(folder).glob(f"[!.]*{suffix}")]
    if not found:
        raise InputError(f"{folder}: holds no image that ends in {' or '.join(SUFFIXES.values())}")
    return {path.name.removesuffix(suffix): path for path, suffix in sorted(found)}


def image_pairs(folders: Iterable[PathLike], mask_folders: Iterable[PathLike]) -> Iterator[tuple[str, Path, Path]]:
    """Name, image and mask of every volume in folders that go together.

    Raises
    ------
    InputError
        If an image has no mask of its name.
    """
    for folder, mask_folder in zip(folders, mask_folders, strict=True):
        masks = image_files(mask_folder)
        for name, path in image_files(folder).items():
            if name not in masks:
                raise InputError(f"{path}: has no mask of the same name in {mask_folder}")
            yield name, path, masks[name]
