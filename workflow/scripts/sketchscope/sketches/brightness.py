"""Brightness of cells or membranes in real images, and of the background between them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import ndimage
from skimage.filters import threshold_otsu

from ..geometry import VoxelSize
from .depth import slice_depths


class Brightness(NamedTuple):
    """What is measured in one image; intensities are normalised."""

    pieces: pd.DataFrame
    """One row per cell or piece of membrane: grey, its mean intensity; depth_um, its mean distance from the first
    slice, micrometres, 0 in 2D."""
    background: float
    """Mean intensity of the rest; NaN if nothing is left."""


def measure_brightness(image: np.ndarray, pieces: np.ndarray, voxel_size: Sequence[float]) -> Brightness:
    """Measure the brightness of cells, or of pieces of membrane.

    Parameters
    ----------
    image : array (Z, Y, X) or (Y, X)
        Normalised intensities.
    pieces : int array, shape of `image`
        Labels of cells, or of pieces from `find_membranes`; 0 is background.
    voxel_size : sequence of float
        Micrometres along each axis.
    """
    labels = pieces.ravel()
    depth = np.broadcast_to(slice_depths(image.shape, voxel_size), image.shape).ravel()
    count = np.bincount(labels)
    grey, depth_um = (np.bincount(labels, values) / np.maximum(count, 1) for values in (image.ravel(), depth))
    there = np.flatnonzero(count[1:]) + 1
    background = float(grey[0]) if count[0] else np.nan
    return Brightness(pd.DataFrame({"grey": grey[there], "depth_um": depth_um[there]}), background)


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
