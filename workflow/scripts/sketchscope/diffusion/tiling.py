"""Overlapping tiles over arrays of any dimension, and the windows that blend them."""

import functools
import itertools
from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from ..geometry import Slices


def tile_starts(size: int, tile: int, overlap: int) -> list[int]:
    """First voxels of the tiles along one axis.

    Neighbours share at least `overlap` voxels; the last tile ends with the axis.

    >>> tile_starts(10, 4, 1)
    [0, 3, 6]
    >>> tile_starts(11, 4, 1)
    [0, 3, 6, 7]
    """
    if not 0 <= overlap < tile:
        raise InputError(f"overlap is {overlap}; it must be at least 0 and smaller than the tile ({tile})")
    if size <= tile:
        return [0]
    return [*range(0, size - tile, tile - overlap), size - tile]


def tiles(shape: Sequence[int], tile_shape: Sequence[int], overlap: Sequence[int]) -> list[Slices]:
    """Regions of all tiles of an array; each has `tile_shape`, or the array's extent where that is smaller."""
    starts = [tile_starts(*axis) for axis in zip(shape, tile_shape, overlap, strict=True)]
    extents = [min(n, t) for n, t in zip(shape, tile_shape, strict=True)]
    return [
        tuple(slice(a, a + n) for a, n in zip(corner, extents, strict=True)) for corner in itertools.product(*starts)
    ]


def blending_window(tile_shape: Sequence[int], overlap: Sequence[int]) -> np.ndarray:
    """Weight of each voxel of a tile: 1 inside, falling smoothly over `overlap` voxels to near 0 at its border.

    Returns
    -------
    float32 array of `tile_shape`
        Positive everywhere; where two tiles overlap by exactly `overlap`, their weights sum to 1.
    """
    profiles = []
    for size, width in zip(tile_shape, overlap, strict=True):
        ramp, profile = smooth_ramp(width), np.ones(size)
        profile[:width] *= ramp[:size]
        profile[size - width :] *= ramp[::-1][-size:]
        profiles.append(profile.astype(np.float32))
    return outer_product(profiles)


def smooth_ramp(width: int) -> np.ndarray:
    """Squared sine from near 0 to near 1 (width,); it and its mirror image sum to 1."""
    return np.sin(np.pi / 2 * (np.arange(width) + 0.5) / max(width, 1)) ** 2


def outer_product(profiles: Sequence[np.ndarray]) -> np.ndarray:
    """Array with one axis for each profile, the product of their values."""
    return functools.reduce(np.multiply.outer, profiles)
