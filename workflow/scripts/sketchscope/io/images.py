"""Images as files: OME-TIFF or OME-Zarr, with their voxel size."""

import hashlib
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import DTypeLike

from ..errors import InputError
from . import ome_zarr
from .atomic import PathLike, atomic_folder, atomic_path
from .tiff import UNREADABLE, name_axes, read_tiff

SUFFIXES = {"tiff": ".ome.tif", "zarr": ".ome.zarr"}


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
        `map_image` reads only TIFF files without compression. It makes no difference to OME-Zarr.
    """
    if _is_zarr(path):
        with create_image(path, image.shape, image.dtype, voxel_size) as array:
            array[...] = image
        return
    axes = name_axes(image.ndim)
    # tifffile would draw a random UUID; with one that depends on the content, the same image gives the same file
    content = hashlib.sha256(np.ascontiguousarray(image).data).hexdigest()
    metadata: dict[str, Any] = {"axes": axes, "UUID": str(uuid.uuid5(uuid.NAMESPACE_OID, content))}
    for axis, size in zip(axes, voxel_size, strict=True):
        metadata |= {f"PhysicalSize{axis}": float(size), f"PhysicalSize{axis}Unit": "µm"}
    with atomic_path(path) as temporary:
        compression = "zlib" if compress else None
        tifffile.imwrite(
            temporary, image, ome=True, photometric="minisblack", compression=compression, metadata=metadata
        )


@contextmanager
def create_image(path: PathLike, shape: Sequence[int], dtype: DTypeLike, voxel_size: Sequence[float]) -> Iterator[Any]:
    """Yield an array to fill region by region; it becomes the image `path` if the body succeeds.

    An OME-Zarr (.ome.zarr) writes each region to disk; an OME-TIFF (.ome.tif) keeps the whole image in memory.
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
    """Open an image that `write_image` wrote, to read regions of it.

    An OME-Zarr is read from disk region by region; an OME-TIFF is read into memory at once.
    """
    return ome_zarr.open_array(path) if _is_zarr(path) else read_tiff(path)[0]


def map_image(path: PathLike) -> np.ndarray:
    """Map an uncompressed TIFF that `write_image` wrote into memory: array (Z, Y, X) or (Y, X), read on access.

    Raises
    ------
    InputError
        If the file is missing, compressed or damaged.
    """
    try:
        return tifffile.memmap(path, mode="r")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except UNREADABLE as error:
        raise InputError(f"{path}: cannot be mapped as uncompressed TIFF ({error})") from error


def list_image_files(folder: PathLike) -> dict[str, Path]:
    """List the images in a folder by name, sorted.

    Raises
    ------
    InputError
        If there are none.
    """
    found = [(path, suffix) for suffix in SUFFIXES.values() for path in Path(folder).glob(f"[!.]*{suffix}")]
    if not found:
        raise InputError(f"{folder}: holds no image that ends in {' or '.join(SUFFIXES.values())}")
    return {path.name.removesuffix(suffix): path for path, suffix in sorted(found)}


def pair_images(folders: Iterable[PathLike], mask_folders: Iterable[PathLike]) -> Iterator[tuple[str, Path, Path]]:
    """Yield name, image and mask of every volume in pairs of folders.

    Raises
    ------
    InputError
        If an image has no mask of its name.
    """
    for folder, mask_folder in zip(folders, mask_folders, strict=True):
        masks = list_image_files(mask_folder)
        for name, path in list_image_files(folder).items():
            if name not in masks:
                raise InputError(f"{path}: has no mask of the same name in {mask_folder}")
            yield name, path, masks[name]


def _is_zarr(path: PathLike) -> bool:
    return str(path).endswith(SUFFIXES["zarr"])
