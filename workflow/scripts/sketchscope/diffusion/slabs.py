"""Volumes too large for one device or one job: slabs that are generated separately and then blended.

The slabs depend only on the volume and the configuration. Which job makes which of them changes nothing.
"""

import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from ..geometry import Slices
from .tiling import make_ramp, multiply_profiles, place_tiles

HALO = 1  # tiles beyond a slab's own on every side: the farther away a voxel is, the less it matters to the slab


class Slab(NamedTuple):
    """A part of a volume.

    Attributes
    ----------
    region : slices
        What is generated, halo included; positions in the whole volume.
    inner : slices
        The part of `region` whose result counts; positions in the whole volume.
    weights : tuple of float32 arrays, one per axis
        How much the result counts along each axis of `inner`. The weights of all slabs sum to 1 everywhere.
    """

    region: Slices
    inner: Slices
    weights: tuple[np.ndarray, ...]


def cut_slabs(
    shape: Sequence[int], slab_shape: Sequence[int], tile_shape: Sequence[int], overlap: Sequence[int]
) -> list[Slab]:
    """Cut a volume into slabs whose inner part is at most about `slab_shape`; each consists of whole tiles.

    Parameters
    ----------
    shape, slab_shape, tile_shape, overlap : sequence of int
        Voxels along each axis.
    """
    axes = [_cut_axis(*axis) for axis in zip(shape, slab_shape, tile_shape, overlap, strict=True)]
    return [Slab(*zip(*parts, strict=True)) for parts in itertools.product(*axes)]


def name_slab_file(volume: str, number: int) -> str:
    """Name the file that holds the inner part of a slab, (Z, Y, X) or (Y, X) as float32."""
    return f"{volume}.{number:05}.npy"


def blend_slabs(region: Slices, parts: Iterable[tuple[Slab, np.ndarray]]) -> np.ndarray:
    """Blend generated slabs into one region of the volume.

    Parameters
    ----------
    region : slices
        Of the volume.
    parts : iterable of (Slab, float32 array of its inner part's shape)
        In the order of `cut_slabs`, all whose inner parts overlap the region (see `intersect`). An array may be a
        memory map; only the part that is needed is read.

    Returns
    -------
    float32 array of the region's shape
    """
    total = np.zeros([s.stop - s.start for s in region], np.float32)
    for slab, image in parts:
        shared = intersect(region, slab.inner)
        if shared is not None:
            source = localise(shared, slab.inner)
            weights = multiply_profiles([w[s] for w, s in zip(slab.weights, source, strict=True)])
            total[localise(shared, region)] += image[source] * weights
    return total


def intersect(first: Slices, second: Slices) -> Slices | None:
    """Return what two regions of a volume share; None if nothing."""
    shared = tuple(slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(first, second, strict=True))
    return shared if all(s.start < s.stop for s in shared) else None


def localise(region: Sequence[slice], frame: Sequence[slice]) -> Slices:
    """Express a region of the volume in the coordinates of a frame that holds it."""
    return tuple(slice(r.start - f.start, r.stop - f.start) for r, f in zip(region, frame, strict=True))


def _cut_axis(size: int, slab: int, tile: int, overlap: int) -> list[tuple[slice, slice, np.ndarray]]:
    """Region, inner part and weights of the slabs along one axis.

    A slab is a run of tiles of the whole axis. Where two runs meet, the weights pass from one to the other
    within the overlap of the tiles there.
    """
    starts = place_tiles(size, tile, overlap)
    stops = [min(start + tile, size) for start in starts]
    run = len(starts) if slab >= size else max(1, (slab - overlap) // (tile - overlap))
    firsts = range(0, len(starts), run)
    # share of slab k and all that follow; its own is the difference to the next, so that they sum to 1
    rises = [np.ones(size), *(_rise(size, starts[first], stops[first - 1]) for first in firsts[1:]), np.zeros(size)]
    parts = []
    for first, rise, next_rise in zip(firsts, rises, rises[1:], strict=False):
        last = min(first + run, len(starts)) - 1
        inner = slice(starts[first], stops[last])
        region = slice(starts[max(first - HALO, 0)], stops[min(last + HALO, len(starts) - 1)])
        parts.append((region, inner, (rise - next_rise)[inner].astype(np.float32)))
    return parts


def _rise(size: int, start: int, stop: int) -> np.ndarray:
    """From 0 before `start` to 1 from `stop` on, smoothly."""
    return np.concatenate([np.zeros(start), make_ramp(stop - start), np.ones(size - stop)])
