"""Overlapping tiles over arrays of any dimension, and the windows that blend them."""

import functools
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from ..geometry import Slices


class Tiling(NamedTuple):
    """How a volume is put through the network.

    Attributes
    ----------
    tile_shape : sequence of int
        Voxels of a tile along each axis, a multiple of the network's strides.
    overlap : sequence of int
        Voxels that neighbouring tiles share along each axis.
    batch_size : int or None
        Tiles that go through the network together; None takes as many as fit into memory.
        It changes only the rounding, in float32 by at most 1e-5, which the tests hold.
    """

    tile_shape: Sequence[int]
    overlap: Sequence[int]
    batch_size: int | None


def place_tiles(size: int, tile: int, overlap: int) -> list[int]:
    """Return the first voxel of each tile along one axis.

    Neighbours share at least `overlap` voxels; the last tile ends with the axis.

    >>> place_tiles(10, 4, 1)
    [0, 3, 6]
    >>> place_tiles(11, 4, 1)
    [0, 3, 6, 7]
    """
    if not 0 <= overlap < tile:
        raise InputError(f"overlap is {overlap}; it must be at least 0 and smaller than the tile ({tile})")
    if size <= tile:
        return [0]
    return [*range(0, size - tile, tile - overlap), size - tile]


def cut_tiles(shape: Sequence[int], tile_shape: Sequence[int], overlap: Sequence[int]) -> list[Slices]:
    """Return the regions of all tiles; each has `tile_shape`, or the array's extent where that is smaller."""
    starts = [place_tiles(*axis) for axis in zip(shape, tile_shape, overlap, strict=True)]
    extents = [min(n, t) for n, t in zip(shape, tile_shape, strict=True)]
    return [
        tuple(slice(a, a + n) for a, n in zip(corner, extents, strict=True)) for corner in itertools.product(*starts)
    ]


def make_window(tile_shape: Sequence[int], overlap: Sequence[int]) -> np.ndarray:
    """Weight each voxel of a tile: 1 inside, falling smoothly over `overlap` voxels to near 0 at its border.

    Returns
    -------
    float32 array of `tile_shape`
        Positive everywhere; where two tiles overlap by exactly `overlap`, their weights sum to 1.
    """
    profiles = []
    for size, width in zip(tile_shape, overlap, strict=True):
        ramp, profile = make_ramp(width), np.ones(size)
        profile[:width] *= ramp[:size]
        profile[size - width :] *= ramp[::-1][-size:]
        profiles.append(profile.astype(np.float32))
    return multiply_profiles(profiles)


def make_ramp(width: int) -> np.ndarray:
    """Squared sine from near 0 to near 1 (width,); it and its mirror image sum to 1."""
    return np.sin(np.pi / 2 * (np.arange(width) + 0.5) / max(width, 1)) ** 2


def multiply_profiles(profiles: Sequence[np.ndarray]) -> np.ndarray:
    """Outer product: an array with one axis for each profile."""
    return functools.reduce(np.multiply.outer, profiles)
