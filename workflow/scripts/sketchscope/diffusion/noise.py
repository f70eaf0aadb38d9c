"""Gaussian noise that belongs to the voxel: the same for every tile, batch or job that asks for it."""

import itertools
from collections.abc import Sequence

import numpy as np

NOISE_BLOCK = 64  # voxels along each axis that share one random generator; part of every result, never to be changed


def draw_voxel_noise(key: Sequence[int], origin: Sequence[int], shape: Sequence[int]) -> np.ndarray:
    """Draw standard normal noise for a region of an unbounded grid.

    Parameters
    ----------
    key : sequence of non-negative int
        What the noise is for: that of a stream (`streams.stream_key`), volume, kind and step.
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
    ranges = [range(o // NOISE_BLOCK, (o + n - 1) // NOISE_BLOCK + 1) for o, n in zip(origin, shape, strict=True)]
    for block in itertools.product(*ranges):
        values = np.random.default_rng([*key, *block]).standard_normal((NOISE_BLOCK,) * len(block), np.float32)
        source, target = [], []
        for index, start, extent in zip(block, origin, shape, strict=True):
            first, last = max(index * NOISE_BLOCK, start), min((index + 1) * NOISE_BLOCK, start + extent)
            source.append(slice(first - index * NOISE_BLOCK, last - index * NOISE_BLOCK))
            target.append(slice(first - start, last - start))
        region[tuple(target)] = values[tuple(source)]
    return region
