"""What both classical segmentations share: checks, seeds, expected sizes, cleaning. They need no training."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from ..errors import InputError
from ..geometry import VoxelSize
from ..labels import cell_boxes, fill_holes, largest_component


def check_voxel_size(image: np.ndarray, voxel_size: Sequence[float]) -> np.ndarray:
    """Return the micrometres along each axis as an array, or raise an InputError if they do not fit the image."""
    sizes = np.asarray(voxel_size, float)
    if sizes.shape != (image.ndim,) or not (sizes > 0).all():
        raise InputError(
            f"voxel_size: found {list(voxel_size)}, an image of {image.ndim} axes needs {image.ndim} positive"
        )
    return sizes


def expected_size(cell_diameter: float, voxel_size: VoxelSize) -> float:
    """Count the voxels of a disc or ball of `cell_diameter` micrometres."""
    unit = np.pi / 4 if len(voxel_size) == 2 else np.pi / 6
    return float(unit * cell_diameter ** len(voxel_size) / np.prod(voxel_size))


def choose_sigma(sigma: float | None, cell_diameter: float) -> float:
    """Choose the smoothing, micrometres: the one that is set, or a twentieth of the cell's diameter."""
    return cell_diameter / 20 if sigma is None else sigma


def blob_response(height: np.ndarray, voxel_size: np.ndarray, cell_diameter: float) -> np.ndarray:
    """Compute the negative Laplacian of Gaussian at the scale of half a cell, in units of `height`.

    A ball of radius r answers most at sigma = r / sqrt(ndim) (Lindeberg 1998, Int. J. Comput. Vis. 30).
    """
    sigma = cell_diameter / 2 / np.sqrt(height.ndim)
    smooth = ndimage.gaussian_filter(height.astype(np.float32), sigma / voxel_size, mode="nearest")
    response = np.zeros_like(smooth)
    for axis, size in enumerate(voxel_size):
        response -= np.gradient(np.gradient(smooth, size, axis=axis), size, axis=axis)
    return response * np.float32(sigma**2)


def find_seeds(
    response: np.ndarray, mask: np.ndarray, voxel_size: np.ndarray, cell_diameter: float, split: float
) -> np.ndarray:
    """Find maxima of the response inside the mask, one per cell.

    A maximum falls to a stronger one nearby if they are less than a quarter of `cell_diameter` apart, or if
    the response between them never sinks below (1 - `split`) of the weaker.

    Returns
    -------
    int array (n, ndim)
        Voxel indices, strongest first.
    """
    peaks = (response == ndimage.maximum_filter(response, size=3)) & mask & (response > 0)
    seeds = np.argwhere(peaks)
    seeds = seeds[np.argsort(-response[tuple(seeds.T)], kind="stable")]
    if len(seeds) < 2:
        return seeds
    pairs = cKDTree(seeds * voxel_size).query_pairs(cell_diameter, output_type="ndarray")
    connected = _are_connected(response, seeds, pairs, split)
    distance = np.linalg.norm((seeds[pairs[:, 0]] - seeds[pairs[:, 1]]) * voxel_size, axis=1)
    return seeds[_suppress(len(seeds), pairs[connected | (distance < cell_diameter / 4)])]


def _are_connected(response: np.ndarray, seeds: np.ndarray, pairs: np.ndarray, split: float) -> np.ndarray:
    """Whether the response along the line between two seeds stays near the weaker one (the second)."""
    steps = np.linspace(0, 1, 21)[:, None, None]
    line = seeds[pairs[:, 0]] * (1 - steps) + seeds[pairs[:, 1]] * steps
    lowest = ndimage.map_coordinates(response, np.moveaxis(line, -1, 0), order=1, mode="nearest").min(axis=0)
    return lowest > (1 - split) * response[tuple(seeds[pairs[:, 1]].T)]


def _suppress(count: int, pairs: np.ndarray) -> np.ndarray:
    """Greedy suppression: of every pair (stronger, weaker) the weaker goes, unless the stronger went."""
    keep = np.ones(count, bool)
    for stronger, weaker in pairs[np.lexsort(pairs.T)]:
        if keep[stronger]:
            keep[weaker] = False
    return keep


def mark_seeds(seeds: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Make the markers of a watershed from voxel indices (n, ndim): int32 array of this shape, 1..n at the seeds."""
    markers = np.zeros(shape, np.int32)
    markers[tuple(seeds.T)] = np.arange(1, len(seeds) + 1)
    return markers


def clean_cells(labels: np.ndarray, min_voxels: float) -> np.ndarray:
    """Keep the largest component of each cell, fill its holes, remove small cells, and number the rest from 1.

    Parameters
    ----------
    labels : int array (Z, Y, X) or (Y, X)
        0 is background.
    min_voxels : float
        Cells below this are removed.

    Returns
    -------
    int32 array
    """
    result = np.zeros(labels.shape, np.int32)
    count = 0
    for label, box in cell_boxes(labels):
        cell = fill_holes(largest_component(labels[box] == label))
        if cell.sum() >= max(min_voxels, 1):
            count += 1
            result[box][cell & ((labels[box] == 0) | (labels[box] == label))] = count
    return result
