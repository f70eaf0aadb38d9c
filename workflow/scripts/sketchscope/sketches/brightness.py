"""Brightness of cells or membranes in real images, and of the background between them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import ndimage
from skimage.filters import threshold_otsu

from ..geometry import VoxelSize
from ..labels import cell_boxes
from .depth import slice_depths, undo_fading

CORE = 1 / 3  # of a cell's largest depth: what lies less deep below its boundary is left out


class Brightness(NamedTuple):
    """What is measured in one image; intensities are normalised."""

    pieces: pd.DataFrame
    """One row per cell or piece of membrane, from `measure_cores`."""
    background: float
    """Mean intensity of the rest; NaN if nothing is left."""


def measure_brightness(image: np.ndarray, pieces: np.ndarray, voxel_size: Sequence[float]) -> Brightness:
    """Measure the brightness of cells, or of pieces of membrane, and that of the rest.

    Parameters
    ----------
    image : array (Z, Y, X) or (Y, X)
        Normalised intensities.
    pieces : int array, shape of `image`
        Labels of cells, or of pieces from `find_membranes`; 0 is background.
    voxel_size : sequence of float
        Micrometres along each axis.
    """
    outside = image[pieces == 0]
    background = float(outside.mean(dtype=np.float64)) if outside.size else np.nan
    return Brightness(measure_cores(image, pieces, voxel_size), background)


def measure_cores(image: np.ndarray, labels: np.ndarray, voxel_size: Sequence[float]) -> pd.DataFrame:
    """Measure how bright each cell is, away from its boundary.

    The boundary of a rough mask is uncertain, and that of the cell is blurred. The median of the core depends on
    neither, nor on nucleoli.

    Parameters
    ----------
    image : array (Z, Y, X) or (Y, X)
        Normalised intensities.
    labels : int array, shape of `image`
        0 is background.
    voxel_size : sequence of float
        Micrometres along each axis.

    Returns
    -------
    DataFrame
        One row per cell: label; grey, the median intensity of its core; depth_um, the mean distance of the core from
        the first slice, and height_um, the extent of the whole cell along Z, micrometres, both 0 in 2D.
    """
    depths = np.broadcast_to(slice_depths(image.shape, voxel_size), image.shape)
    rows = []
    for label, box in cell_boxes(labels):
        height = (box[0].stop - box[0].start) * float(voxel_size[0]) if labels.ndim == 3 else 0.0
        box = tuple(slice(max(part.start - 1, 0), part.stop + 1) for part in box)  # what is beyond the boundary
        core = find_core(labels[box] == label, voxel_size)
        rows.append((label, float(np.median(image[box][core])), float(depths[box][core].mean()), height))
    return pd.DataFrame(rows, columns=["label", "grey", "depth_um", "height_um"])


def grey_at_surface(
    image: np.ndarray, labels: np.ndarray, voxel_size: Sequence[float], background: float, decay_um: float | None
) -> np.ndarray:
    """Compute how bright each cell would be in the first slice, from its core; see `depth.undo_fading`.

    Returns
    -------
    float32 array (labels.max(),)
        The background where no cell has a number.
    """
    cells = measure_cores(image, labels, voxel_size)
    grey = np.full(int(labels.max()), background, np.float32)
    depth_um = cells["depth_um"].to_numpy()
    grey[cells["label"].to_numpy(int) - 1] = undo_fading(cells["grey"].to_numpy(), depth_um, background, decay_um)
    return grey


def find_core(cell: np.ndarray, voxel_size: Sequence[float]) -> np.ndarray:
    """Find the voxels of a cell that lie deeper below its boundary than a third of its largest depth.

    Parameters
    ----------
    cell : bool array (Z, Y, X) or (Y, X)
        The cell and what surrounds it; the edge of the array is no boundary.
    voxel_size : sequence of float
        Micrometres along each axis.
    """
    if cell.all():
        return cell
    depth = ndimage.distance_transform_edt(cell, sampling=voxel_size)
    return depth > CORE * depth.max()


def find_membranes(
    image: np.ndarray, voxel_size: Sequence[float], membrane_um: float, cell_diameter: float
) -> np.ndarray:
    """Find where the membranes are without segmenting cells, and cut them into pieces of a cell's size.

    Membranes are what stands out after a difference of Gaussians, of a membrane's width and half a cell's, by the
    threshold of Otsu 1979 (IEEE Trans. Syst. Man Cybern. 9).

    Parameters
    ----------
    image : array (Z, Y, X) or (Y, X)
        Normalised intensities.
    voxel_size : sequence of float
        Micrometres along each axis.
    membrane_um, cell_diameter : float
        Thickness of a membrane and diameter of a cell, micrometres.

    Returns
    -------
    int array, shape of `image`
        1, 2, ... for the membrane in each box of a cell's size; 0 is no membrane.
    """
    spacing, image = np.asarray(voxel_size, float), image.astype(np.float32)
    fine, coarse = membrane_um / 2 / spacing, cell_diameter / 2 / spacing
    contrast = ndimage.gaussian_filter(image, fine) - ndimage.gaussian_filter(image, coarse)
    return np.where(contrast > threshold_otsu(contrast), _number_boxes(image.shape, spacing, cell_diameter), 0)


def _number_boxes(shape: Sequence[int], voxel_size: VoxelSize, side_um: float) -> np.ndarray:
    """Number the cubes of this side that an image is cut into: int array (shape) of 1, 2, ..."""
    boxes = [(np.arange(size) * step // side_um).astype(np.int64) for size, step in zip(shape, voxel_size, strict=True)]
    number = np.zeros(shape, np.int64)
    for axis, box in zip(np.ix_(*boxes), boxes, strict=True):
        number = number * (int(box[-1]) + 1) + axis
    return number + 1
