"""Images too large for memory: OME-Zarr 0.5 (Zarr 3), written and read by region."""

import itertools
import os
from collections.abc import Sequence
from typing import Any

from numpy.typing import DTypeLike

from ..errors import InputError
from ..geometry import Slices
from .atomic import PathLike

ZARR_CHUNK = 128  # voxels along each axis of a chunk, which is one file
CHUNKS_PER_BLOCK = 4  # along Y and X, in a block that is written at once
LEVEL = "0"  # name of the only resolution level


def create_array(path: PathLike, shape: Sequence[int], dtype: DTypeLike, voxel_size: Sequence[float]) -> Any:
    """Make an empty image in a new folder, to be filled region by region.

    Parameters
    ----------
    path : path
        The folder.
    shape : sequence of int
        Voxels, (Z, Y, X) or (Y, X).
    dtype : dtype
        Type of the voxels.
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
    chunks = tuple(min(n, ZARR_CHUNK) for n in shape)
    return group.create_array(LEVEL, shape=tuple(shape), chunks=chunks, dtype=dtype, dimension_names=list(axes))


def open_array(path: PathLike) -> Any:
    """Open an image without reading it.

    Returns
    -------
    zarr.Array
        (Z, Y, X) or (Y, X); indexing with slices reads that region.

    Raises
    ------
    InputError
        If there is no such folder, or it is not an OME-Zarr.
    """
    import zarr

    if not os.path.isdir(path):
        raise InputError(f"{path}: no such folder")
    try:
        group = zarr.open_group(path, mode="r")
        attributes: Any = group.attrs["ome"]
        return group[attributes["multiscales"][0]["datasets"][0]["path"]]
    except (KeyError, IndexError, TypeError, ValueError, FileNotFoundError) as error:
        raise InputError(f"{path}: cannot be read as OME-Zarr 0.5, it may be damaged ({error!r})") from error


def split_into_blocks(shape: Sequence[int]) -> list[Slices]:
    """Cut an image into blocks of whole chunks, each small enough for any memory."""
    steps = (ZARR_CHUNK, CHUNKS_PER_BLOCK * ZARR_CHUNK, CHUNKS_PER_BLOCK * ZARR_CHUNK)[-len(shape) :]
    axes = [
        [slice(start, min(start + step, n)) for start in range(0, n, step)]
        for n, step in zip(shape, steps, strict=True)
    ]
    return list(itertools.product(*axes))
