"""Lengths, volumes and regions of space."""

from collections.abc import Sequence

import numpy as np

Slices = tuple[slice, ...]
VoxelSize = Sequence[float] | np.ndarray
"""Micrometres along each axis."""

GAUSSIAN_MAD = 1.4826  # standard deviation of a normal distribution over its median absolute deviation


def ball_volume(radius: float, ndim: int) -> float:
    """Area of a disc or volume of a ball."""
    return (np.pi if ndim == 2 else 4 / 3 * np.pi) * radius**ndim


def sigma_in_voxels(sigma: float, voxel_size: VoxelSize) -> tuple[float, ...]:
    """One blur for all axes: `sigma` voxels of the finest axis, the same length in micrometres along the others."""
    finest = min(voxel_size)
    return tuple(sigma * finest / size for size in voxel_size)
