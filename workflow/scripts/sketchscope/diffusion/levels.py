"""The levels of the network: which axes of a patch are halved between them, and how far its kernels reach."""

import math
from collections.abc import Sequence

from ..errors import InputError

PerAxis = tuple[int, ...]  # one number for each spatial axis, (Z, Y, X) or (Y, X)


def choose_strides(voxel_size: Sequence[float], patch_shape: Sequence[int], levels: int) -> list[PerAxis]:
    """Choose the stride of each downsampling, so that voxels become isotropic and thin stacks stay whole.

    An axis is not halved if fewer than eight of its voxels are left in the patch. Neither is it halved if its voxels
    are at least twice as long as the shortest along the axes that can still be halved.

    Parameters
    ----------
    voxel_size : sequence of float
        Micrometres along each axis.
    patch_shape : sequence of int
        Voxels of a training patch along each axis.
    levels : int
        Number of downsamplings.

    Returns
    -------
    list of tuple of int
        One tuple per downsampling, 1 or 2 for each axis.
    """
    spacing, shape, strides = list(voxel_size), list(patch_shape), []
    for _ in range(levels):
        finest = min((s for s, n in zip(spacing, shape, strict=True) if n >= 8), default=math.inf)
        step = tuple(2 if s < 2 * finest and n >= 8 else 1 for s, n in zip(spacing, shape, strict=True))
        spacing = [s * k for s, k in zip(spacing, step, strict=True)]
        shape = [n // k for n, k in zip(shape, step, strict=True)]
        strides.append(step)
    return strides


def choose_kernels(voxel_size: Sequence[float], strides: Sequence[PerAxis]) -> list[PerAxis]:
    """Choose the kernel size of each level: 3, but 1 along an axis with voxels over twice as long as the shortest.

    An axis that has been halved keeps 3, even beside a thin one that could not be.
    """
    spacing, sizes = list(voxel_size), []
    for step in [*strides, (1,) * len(spacing)]:
        coarse = [s > 2 * min(spacing) and s == size for s, size in zip(spacing, voxel_size, strict=True)]
        sizes.append(tuple(1 if far else 3 for far in coarse))
        spacing = [s * k for s, k in zip(spacing, step, strict=True)]
    return sizes


def multiply_strides(strides: Sequence[PerAxis], ndim: int) -> PerAxis:
    """Multiply the strides of all downsamplings: voxels along each axis of which a shape must be a multiple.

    >>> multiply_strides([(1, 2), (2, 2)], 2)
    (2, 4)
    >>> multiply_strides([], 2)
    (1, 1)
    """
    return tuple(math.prod(step[axis] for step in strides) for axis in range(ndim))


def check_halved(shape: Sequence[int], total_stride: Sequence[int], key: str) -> None:
    """Check that the network can halve a patch or tile as often as it must.

    Parameters
    ----------
    shape : sequence of int
        Voxels along each axis.
    total_stride : sequence of int
        From `multiply_strides`.
    key : str
        What sets the shape, for the message.

    Raises
    ------
    InputError
        Of what each side must be a multiple.
    """
    if any(size % stride for size, stride in zip(shape, total_stride, strict=True)):
        allowed = ", ".join(map(str, total_stride))
        raise InputError(f"{key}: found {list(shape)}; this network halves it, so it must be a multiple of {allowed}")
