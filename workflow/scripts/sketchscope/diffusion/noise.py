"""Gaussian noise that belongs to the voxel: the same whatever tile, batch or job asks for it."""

import itertools
import zlib
from collections.abc import Sequence

import numpy as np

BLOCK = 64  # voxels along each axis that share one generator; part of the result, never to be changed


def stable_key(name: str) -> int:
    """A number for a name, the same on every machine and run (unlike `hash`)."""
    return zlib.crc32(name.encode())


def voxel_noise(key: Sequence[int], origin: Sequence[int], shape: Sequence[int]) -> np.ndarray:
    """Standard normal noise of a region of an unbounded grid.

    Parameters
    ----------
    key : sequence of non-negative int
        What the noise is for: seed, organism, volume, purpose, step.
    origin : sequence of non-negative int
        Global position of the region's first voxel.
    shape : sequence of int
        Extent of the region, (Z, Y, X) or (Y, X).

    Returns
    -------
    float32 array of `shape`
        Overlapping regions agree where they overlap.
    """
    region = np.empty(tuple(shape), np.float32)
    ranges = [range(o // BLOCK, (o + n - 1) // BLOCK + 1) for o, n in zip(origin, shape, strict=True)]
    for block in itertools.product(*ranges):
        values = np.random.default_rng([*key, *block]).standard_normal((BLOCK,) * len(block), np.float32)
        source, target = [], []
        for index, start, extent in zip(block, origin, shape, strict=True):
            first, last = max(index * BLOCK, start), min((index + 1) * BLOCK, start + extent)
            source.append(slice(first - index * BLOCK, last - index * BLOCK))
            target.append(slice(first - start, last - start))
        region[tuple(target)] = values[tuple(source)]
    return region
