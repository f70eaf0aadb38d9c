"""Which size of a voxel holds: the one that the user states, or else that of the files, if it can be that of cells."""

from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from ..io.tiff import name_axes
from .raw_files import VOXEL_TOLERANCE, Stack

LEAST_ACROSS = 3  # voxels across a cell in the plane
LEAST_ALONG_Z = 0.5  # slices that a cell reaches over; farther apart, most cells would be in none
FINEST_SLICES = 10  # slices within the width of a voxel; nobody takes them closer


def choose_voxel_size(
    stacks: Sequence[Stack], stated: Sequence[float] | None, dimensions: int, cell_diameter: float | None
) -> tuple[float, ...]:
    """Take the stated voxel size, or else the one that all files agree on and that fits the cells.

    Parameters
    ----------
    stacks : sequence of Stack
        Image files.
    stated : sequence of float or None
        Micrometres along each axis as the user set them; None takes them from the files.
    dimensions : int
        2 or 3.
    cell_diameter : float or None
        Micrometres; None checks no size.

    Raises
    ------
    InputError
        If the setting is bad, a file does not state its scale, or the scales differ or cannot be true.
    """
    axes = ", ".join(name_axes(dimensions).lower())
    if stated is not None:
        if len(stated) != dimensions or not all(np.isfinite(size) and size > 0 for size in stated):
            raise InputError(
                f"voxel_size: found {list(stated)}, allowed are {dimensions} positive numbers ({axes} in micrometres)"
            )
        return tuple(float(size) for size in stated)
    common: tuple[float, ...] = ()
    for stack in stacks:
        if stack.voxel_size is None:
            found = (
                f"says {stack.stated_scale}, from which no voxel size follows"
                if stack.stated_scale
                else "does not state it"
            )
            raise InputError(f"voxel_size: is not set and {stack.path} {found}; set [{axes}] in micrometres")
        common = common or stack.voxel_size
        if not np.allclose(stack.voxel_size, common, rtol=VOXEL_TOLERANCE, atol=0):
            raise InputError(
                f"{stack.path}: has voxels of {stack.voxel_size} micrometres but {stacks[0].path} of"
                f" {common}; give images of one scale, or set voxel_size if the files are wrong"
            )
        if cell_diameter is not None:
            _check_fit(stack, common, cell_diameter)
    return common


def _check_fit(stack: Stack, voxel_size: tuple[float, ...], cell_diameter: float) -> None:
    """Refuse a scale at which cells have next to no voxels or are larger than the image."""
    across = [cell_diameter / size for size in voxel_size]
    in_plane = zip(across[-2:], stack.frame_shape[-2:], strict=True)
    fits = all(LEAST_ACROSS <= count <= size for count, size in in_plane)
    if len(across) == 3:
        fits = fits and LEAST_ALONG_Z <= across[0] <= FINEST_SLICES * min(across[1:])
    if not fits:
        axes = ", ".join(name_axes(len(across)).lower())
        counts = " x ".join(f"{count:.0f}" if count >= 100 else f"{count:.3g}" for count in across)
        along_z = f", and {LEAST_ALONG_Z} along z and no more than {FINEST_SLICES} times those in the plane"
        along_z = along_z if len(across) == 3 else ""
        raise InputError(
            f"{stack.path}: says {stack.stated_scale}, so that a cell of {cell_diameter:g} micrometres"
            f" (cell_diameter) has {counts} voxels across in images of {stack.frame_shape}; needed are at least"
            f" {LEAST_ACROSS} in the plane, no more than the image has{along_z}; set voxel_size: [{axes}] in"
            " micrometres"
        )
