"""The background of real images, which is not flat: measured outside the cells, and drawn into sketches.

Two things make it: slow changes over the field, as of uneven light or material out of focus, and the glow of cells.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ..geometry import VoxelSize
from ..io.atomic import PathLike, atomic_path

GLOW = 0.5  # cell diameters, the blur that makes the glow of cells
SLOW = 1.0  # cell diameters, the blur that leaves the slow changes
GRID = 0.5  # cell diameters between the points at which slow changes are kept
MARGIN = 0.2  # of a cell's diameter: how far its own light reaches beyond its mask
BLOCKS = 4  # in the sigma of a wide blur: as many means of voxels stand for it
STRENGTH = (0.5, 1.5)  # by how much slow changes are scaled when they are drawn


class Haze(NamedTuple):
    """The background of one image."""

    changes: np.ndarray
    """Its slow changes about their mean, at the points of a grid, normalised: float32 (Z, Y, X) or (Y, X)."""
    spacing_um: tuple[float, ...]
    """Micrometres between these points along each axis."""
    glow: float
    """Light around a cell, as a share of its blurred contrast."""
    glow_um: float
    """Sigma of that blur, micrometres."""


class Shading(NamedTuple):
    """The background to be drawn into one sketch."""

    changes: np.ndarray
    """Slow changes about the mean background, normalised: float32 array of the sketch's shape."""
    glow: float
    glow_um: float


def measure_haze(
    image: np.ndarray,
    sketch: np.ndarray,
    background: float,
    voxel_size: Sequence[float],
    cell_diameter: float,
) -> Haze:
    """Measure the background of a real image.

    Parameters
    ----------
    image : float32 array (Z, Y, X) or (Y, X)
        Normalised intensities.
    sketch : float32 array like `image`
        Its cells or membranes, on a flat background, not blurred.
    background : float
        Elsewhere in the sketch.
    voxel_size : sequence of float
        Micrometres along each axis.
    cell_diameter : float
        Micrometres.

    Returns
    -------
    Haze
        Without changes and glow where cells leave no background.
    """
    spacing = np.asarray(voxel_size, float)
    step = np.maximum(1, GRID * cell_diameter / spacing).astype(int)
    points = tuple(slice(n // 2, None, n) for n in np.minimum(step, image.shape))
    empty = ndimage.distance_transform_edt(sketch == np.float32(background), sampling=spacing) > MARGIN * cell_diameter
    spacing_um, glow_um = tuple(map(float, step * spacing)), GLOW * cell_diameter
    if empty.mean() < 0.01:
        return Haze(np.zeros_like(image[points]), spacing_um, 0.0, glow_um)
    widths = SLOW * cell_diameter / spacing
    light = ndimage.gaussian_filter(sketch - np.float32(background), glow_um / spacing)
    near = light - blur_inside(light, empty, 2 * widths)
    rest = image - blur_inside(image, empty, 2 * widths)
    glow = max(0.0, float((near[empty] * rest[empty]).sum() / max((near[empty] ** 2).sum(), 1e-12)))
    changes = blur_inside(image - glow * light, empty, widths)[points]
    return Haze((changes - changes.mean()).astype(np.float32), spacing_um, glow, glow_um)


def draw_shading(
    measured: Sequence[Haze], shape: Sequence[int], voxel_size: Sequence[float], rng: np.random.Generator
) -> Shading:
    """Draw a background like those measured: a random part of one of them, turned, and weaker or stronger.

    Parameters
    ----------
    measured : sequence of Haze
    shape : sequence of int
        Voxels of the sketch along each axis.
    voxel_size : sequence of float
        Micrometres along each axis.
    rng : numpy Generator
    """
    haze = measured[rng.integers(len(measured))]
    changes = np.flip(haze.changes, tuple(axis for axis in (-2, -1) if rng.random() < 0.5))
    room = np.multiply(haze.changes.shape, haze.spacing_um) - np.multiply(shape, voxel_size)
    corner_um = rng.random(len(shape)) * np.maximum(room, 0)
    corner_um[:-2] = 0  # the first slice stays the first
    strength = rng.uniform(*STRENGTH)
    return Shading(strength * _interpolate(changes, haze.spacing_um, shape, voxel_size, corner_um), *haze[2:])


def shade_like(haze: Haze, shape: Sequence[int], voxel_size: Sequence[float]) -> Shading:
    """Take the background of the image itself, for a sketch of it."""
    return Shading(_interpolate(haze.changes, haze.spacing_um, shape, voxel_size, np.zeros(len(shape))), *haze[2:])


def light_between(image: np.ndarray, background: float, shading: Shading, voxel_size: Sequence[float]) -> np.ndarray:
    """Compute what lies between the cells or membranes of a sketch, and below them.

    Parameters
    ----------
    image : float32 array (Z, Y, X) or (Y, X)
        The sketch, normalised, on a flat background.
    background : float
        Of the sketch.
    shading : Shading
    voxel_size : sequence of float
        Micrometres along each axis.

    Returns
    -------
    float32 array like `image`
    """
    light = ndimage.gaussian_filter(image - np.float32(background), shading.glow_um / np.asarray(voxel_size))
    return np.float32(background) + shading.changes + np.float32(shading.glow) * light


def blur_inside(image: np.ndarray, inside: np.ndarray, widths: VoxelSize) -> np.ndarray:
    """Gaussian blur of the voxels inside alone, as if there were no others.

    A wide blur is made of means of blocks of voxels, a quarter of its sigma wide, and interpolated: the time it takes
    does not grow with its width.

    Parameters
    ----------
    image : array (Z, Y, X) or (Y, X)
    inside : bool array like `image`
    widths : sequence of float
        Sigma, voxels of each axis.

    Returns
    -------
    float32 array like `image`
    """
    block = np.maximum(1, np.asarray(widths) // BLOCKS).astype(int)
    sums = [_sum_blocks(x.astype(np.float32), block) for x in (np.where(inside, image, 0), inside)]
    total, count = (ndimage.gaussian_filter(x, widths / block) for x in sums)
    coarse = total / np.maximum(count, 1e-6)
    return _interpolate(coarse, block, image.shape, np.ones(image.ndim), np.zeros(image.ndim))


def write_haze(path: PathLike, measured: Mapping[str, Haze]) -> None:
    """Write the background of each image by its name, as .npz."""
    arrays = {
        f"{name}/{field}": np.asarray(value)
        for name, haze in measured.items()
        for field, value in haze._asdict().items()
    }
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)


def read_haze(path: PathLike) -> list[Haze]:
    """Read what `write_haze` wrote."""
    with np.load(path) as file:
        names = dict.fromkeys(key.rpartition("/")[0] for key in file)
        found = [[file[f"{name}/{field}"] for field in Haze._fields] for name in names]
    return [Haze(changes, tuple(spacing.tolist()), float(glow), float(um)) for changes, spacing, glow, um in found]


def _sum_blocks(image: np.ndarray, block: np.ndarray) -> np.ndarray:
    for axis, size in enumerate(block):
        image = np.add.reduceat(image, np.arange(0, image.shape[axis], size), axis)
    return image


def _interpolate(
    values: np.ndarray, spacing: VoxelSize, shape: Sequence[int], step: VoxelSize, corner: VoxelSize
) -> np.ndarray:
    """Interpolate linearly between the middles of blocks; what lies beyond them is a mirror image.

    Parameters
    ----------
    values : float32 array
        One for each block.
    spacing, step, corner : sequence of float
        Along each axis: size of a block, distance of the voxels that are wanted, position of the first, in one unit.
    shape : sequence of int
        How many are wanted.
    """
    for axis, size in enumerate(shape):
        position = (np.arange(size) * step[axis] + corner[axis]) / spacing[axis] + (step[axis] / spacing[axis] - 1) / 2
        last = values.shape[axis] - 1
        folded = last - np.abs(last - np.mod(np.maximum(position, 0), 2 * last)) if last else np.zeros(size)
        below = np.minimum(folded.astype(int), max(last - 1, 0))
        share = (folded - below).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(values.ndim)])
        low, high = (values.take(np.minimum(below + more, last), axis) for more in (0, 1))
        values = low + share * (high - low)
    return values
