"""Images too large for memory: OME-Zarr 0.5 (Zarr 3), read and written by region."""

import itertools
import os
from collections.abc import Sequence
from typing import Any

from numpy.typing import DTypeLike

from ..errors import InputError
from ..geometry import Slices

CHUNK = 128  # voxels along each axis that are one file
BLOCK = 4  # chunks along each axis of the plane that are written together
LEVEL = "0"  # name of the only level of resolution


def create_array(path: str | os.PathLike, shape: Sequence[int], dtype: DTypeLike, voxel_size: Sequence[float]) -> Any:
    """Make an empty image in a new folder, to be filled region by region.

    Parameters
    ----------
    shape : sequence of int
        Voxels, (Z, Y, X) or (Y, X).
    voxel_size : sequence of float
        Micrometres along each axis.

    Returns
    -------
    zarr.Array
        Zeros; assigning to a region writes its chunks.
    """
    import zarr

    axes = "zyx"[-len(shape) :]
    scale = {"type": "scale", "scale": [float(size) for size in voxel_size]}
    image = {
        "axes": [{"name": axis, "type": "space", "unit": "micrometer"} for axis in axes],
        "datasets": [{"path": LEVEL, "coordinateTransformations": [scale]}],
    }
    attributes = {"ome": {"version": "0.5", "multiscales": [image]}}
    group = zarr.create_group(path, zarr_format=3, attributes=attributes)
    chunks = tuple(min(n, CHUNK) for n in shape)
    return group.create_array(LEVEL, shape=tuple(shape), chunks=chunks, dtype=dtype, dimension_names=list(axes))


def blocks(shape: Sequence[int]) -> list[Slices]:
    """Regions of whole chunks that cover an image, small enough for any memory."""
    steps = (CHUNK, BLOCK * CHUNK, BLOCK * CHUNK)[-len(shape) :]
    axes = [
        [slice(start, min(start + step, n)) for start in range(0, n, step)]
        for n, step in zip(shape, steps, strict=True)
    ]
    return list(itertools.product(*axes))


def open_array(path: str | os.PathLike) -> Any:
    """Open an image without reading it.

    Returns
    -------
    zarr.Array
        (Z, Y, X) or (Y, X); indexing with slices reads that region.

    Raises
    ------
    InputError
        If there is no such folder, or it is no OME-Zarr.
    """
    import zarr

    if not os.path.isdir(path):
        raise InputError(f"{path}: no such folder")
    try:
        group = zarr.open_group(path, mode="r")
        return group[group.attrs["ome"]["multiscales"][0]["datasets"][0]["path"]]
    except (KeyError, IndexError, TypeError, ValueError, FileNotFoundError) as error:
        raise InputError(f"{path}: cannot be read as OME-Zarr 0.5, it may be damaged ({error!r})") from error
