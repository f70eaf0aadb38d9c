"""One cell and the voxels about it, and how far these are from its boundary."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ...geometry import VoxelSize, sigma_in_voxels

REACH = 5.0  # how far from its boundary a cell is looked for, in voxels of the finest axis
SMOOTHING = 1.0  # standard deviation of the blur under a local threshold, in voxels of the finest axis


class Surroundings(NamedTuple):
    """One cell and the voxels about it, arrays of one shape."""

    cell: np.ndarray
    """bool: in the cell."""
    distance: np.ndarray
    """From each voxel's centre to the boundary, in voxels of the finest axis, negative inside."""
    free: np.ndarray
    """bool: in no other cell and nearest to this one; inside, nearest to a boundary with the background."""


def measure_surroundings(labels: np.ndarray, label: int, voxel_size: Sequence[float]) -> Surroundings:
    """Measure distances to the boundary of one cell, and find the voxels that belong to no other cell.

    Parameters
    ----------
    labels : int array (Z, Y, X) or (Y, X)
        A window on the labels that holds the cell.
    label : int
        Of the cell.
    voxel_size : sequence of float
        Micrometres along each axis.
    """
    size = scale_axes(voxel_size)
    cell = labels == label
    if cell.all():
        return Surroundings(cell, np.full(cell.shape, -np.inf), cell)
    outside, _ = _measure_distance(cell, size)
    inside, nearest = _measure_distance(~cell, size)
    distance = np.where(cell, -inside, outside)
    others = (labels > 0) & ~cell
    free = np.where(cell, ~others[nearest], ~others)
    if others.any():
        free &= cell | (_measure_distance(others, size)[0] > outside)
    return Surroundings(cell, distance, free)


def scale_axes(voxel_size: VoxelSize) -> np.ndarray:
    """Size of a voxel along each axis, in voxels of the finest axis."""
    return np.asarray(voxel_size) / min(voxel_size)


def smooth(image: np.ndarray, voxel_size: VoxelSize) -> np.ndarray:
    """Blur an image slightly, float32; noise of single voxels goes, boundaries stay."""
    return ndimage.gaussian_filter(image.astype(np.float32), sigma_in_voxels(SMOOTHING, voxel_size))


def measure_depth(mask: np.ndarray, voxel_size: VoxelSize) -> np.ndarray:
    """Distance of each voxel of a mask to what is outside, in voxels of the finest axis; the array's edge is none."""
    if mask.all():
        return np.full(mask.shape, np.inf)
    return ndimage.distance_transform_edt(mask, sampling=scale_axes(voxel_size))


def _measure_distance(target: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Distance of each voxel's centre to the surface of the nearest voxel of the target, and that voxel's index.

    The way between the two centres is shortened by half a step, the part that lies in the ellipsoid within a voxel.
    """
    length, nearest = ndimage.distance_transform_edt(~target, sampling=size, return_indices=True)
    steps = np.sqrt(((np.indices(target.shape) - nearest) ** 2).sum(axis=0))
    return length * (1 - 0.5 / np.maximum(steps, 0.5)), tuple(nearest)
