"""Size, shape and brightness of segmented cells, and of the background between them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import ndimage
from skimage.filters import threshold_otsu

from ..labels import cell_boxes, outline_shape
from .depth import slice_depths

CELL_COLUMNS = (
    "label",
    "area",
    "volume_um",
    "depth_um",
    "equivalent_diameter",
    "elongation",
    "solidity",
    "grey",
    "texture",
)


class Background(NamedTuple):
    """Normalised intensity of what is no cell."""

    background_mean: float
    background_sd: float


def measure(image: np.ndarray, labels: np.ndarray, voxel_size: Sequence[float]) -> pd.DataFrame:
    """Measure each cell.

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
        One row a cell: label; area in voxels; volume_um in square micrometres (2D) or cubic ones (3D);
        depth_um, its mean distance from the first slice, 0 in 2D; equivalent_diameter (micrometres), elongation (long
        over short axis) and solidity of its outline as seen along z; grey and texture, mean and standard deviation of
        its intensity.
    """
    depth = np.broadcast_to(slice_depths(labels.shape, voxel_size), labels.shape)
    cells = [
        _measure_cell(label, image[box], depth[box], labels[box] == label, voxel_size)
        for label, box in cell_boxes(labels)
    ]
    return pd.DataFrame(cells, columns=list(CELL_COLUMNS))


def _measure_cell(
    label: int, image: np.ndarray, depth: np.ndarray, mask: np.ndarray, voxel_size: Sequence[float]
) -> dict:
    values = image[mask].astype(np.float64)
    return {
        "label": label,
        "area": values.size,
        "volume_um": values.size * float(np.prod(voxel_size)),
        "depth_um": depth[mask].mean(),
        **outline_shape(mask if mask.ndim == 2 else mask.any(axis=0), voxel_size[-2:]),
        "grey": values.mean(),
        "texture": values.std(),
    }


def find_membranes(
    image: np.ndarray, voxel_size: Sequence[float], membrane_um: float, cell_diameter: float
) -> np.ndarray:
    """Find where the membranes are, without segmenting cells.

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
    bool array, shape of `image`
    """
    voxel_size = np.asarray(voxel_size, float)
    image = image.astype(np.float32)
    fine, coarse = membrane_um / 2 / voxel_size, cell_diameter / 2 / voxel_size
    contrast = ndimage.gaussian_filter(image, fine) - ndimage.gaussian_filter(image, coarse)
    return contrast > threshold_otsu(contrast)


def measure_membranes(
    image: np.ndarray, membrane: np.ndarray, voxel_size: Sequence[float], cell_diameter: float
) -> pd.DataFrame:
    """Measure how bright the membranes are, in boxes of a cell's size.

    Parameters
    ----------
    image : array (Z, Y, X) or (Y, X)
        Normalised intensities.
    membrane : bool array, shape of `image`
        See `find_membranes`.
    voxel_size : sequence of float
        Micrometres along each axis.
    cell_diameter : float
        Micrometres.

    Returns
    -------
    DataFrame
        One row for each box that holds membrane: grey, its mean intensity; depth_um, its mean distance from the first
        slice, 0 in 2D.
    """
    boxes = [np.arange(size) * step // cell_diameter for size, step in zip(image.shape, voxel_size, strict=True)]
    number = np.zeros(image.shape, np.int64)
    for axis, box in zip(np.ix_(*boxes), boxes, strict=True):
        number = number * (int(box[-1]) + 1) + axis.astype(np.int64)
    number, depth = number[membrane], np.broadcast_to(slice_depths(image.shape, voxel_size), image.shape)[membrane]
    count = np.bincount(number)
    totals = {"grey": image[membrane], "depth_um": depth}
    means = {name: np.bincount(number, weights=values)[count > 0] for name, values in totals.items()}
    return pd.DataFrame(means) / count[count > 0][:, None]


def measure_background(image: np.ndarray, labels: np.ndarray) -> Background:
    """Mean and standard deviation of the intensity outside all cells; NaN if cells cover the image."""
    values = image[labels == 0].astype(np.float64)
    if not values.size:
        return Background(np.nan, np.nan)
    return Background(float(values.mean()), float(values.std()))
